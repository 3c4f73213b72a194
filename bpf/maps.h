/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* All maps. */
#pragma once

/* What is thought of a socket. */
enum verdict {
	VERDICT_NEW = 0,      /* not looked at yet */
	VERDICT_UNWANTED = 1, /* the filter leaves it out */
	VERDICT_SNIFF = 2,    /* wanted; what it speaks is not known yet */
	VERDICT_SHOW = 3,     /* its bytes are shown */
	VERDICT_TLS = 4,      /* its handshake is shown */
	VERDICT_OTHER = 5,    /* speaks none of our protocols */
	VERDICT_FAR_END = 6,  /* the other end is on this host and is told of */
};

struct socket {
	__u64 cookie;
	__u64 offset[2]; /* bytes that passed, by direction */
	__u64 cgroup;
	__u32 turn[2];   /* bytes shown since the other side spoke */
	__u32 generation;
	__u32 netns;
	__u8 verdict, role, family, joined;
	__u8 tries; /* calls sniffed in vain */
	__u8 ended; /* bit per direction */
	__u8 tls;   /* what it speaks is TLS */
	__u8 layer; /* of the bytes that offset counts */
	__u16 local_port, remote_port;
	__u8 local[16], remote[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket);
} sockets SEC(".maps");

/* A connection by its ends in the order of their bytes; loopback also by namespace. */
struct ends {
	__u8 a[16], b[16];
	__u16 a_port, b_port;
	__u32 netns;
};

/* The socket that tells of a connection, where both ends are on this host. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ends);
	__type(value, __u64);
} tellers SEC(".maps");

/* The same for what is inside of TLS: of two ends, only one may be readable. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ends);
	__type(value, __u64);
} plain_tellers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct filter);
} filters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* The lists of the filter; values are enum listed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network);
	__type(value, __u32);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} namespaces SEC(".maps");

/* A call of a TLS library that a thread, or a goroutine, is in. */
struct tls_call {
	__u64 object;  /* SSL *, gnutls_session_t, *tls.Conn */
	__u64 base;    /* of the bytes */
	__u64 length;  /* of what is sent */
	__u64 written; /* where the library says how many there were; 0: it returns that */
	__u32 direction;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* process and thread */
	__type(value, struct tls_call);
} tls_calls SEC(".maps");

struct go_key {
	__u64 goroutine;
	__u32 pid, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct go_key);
	__type(value, struct tls_call);
} go_calls SEC(".maps");

/*
 * A thread that was seen to call a library, and the socket whose TLS records it
 * received last, outside of any call: programs with buffers of their own (memory
 * BIOs) hand these to the library next. That call takes the socket out, so that
 * it is for one. Of threads that never called one nothing is noted: it could be
 * left over from before we were attached.
 */
struct thread {
	struct socket socket; /* cookie 0: none */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct thread);
} threads SEC(".maps");

/* The connection that an object of a TLS library is for: its socket, as it was when they were tied. */
struct secured_key {
	__u64 object;
	__u32 pid, pad;
};

struct secured {
	struct socket socket; /* offset and turn count what is inside of TLS */
	__u64 ahead;          /* bytes shown of a call that has not returned yet, or is to be made again */
	__u8 certain;         /* seen by a call inside of a call */
	__u8 ambiguous;       /* more than one socket could be it: nothing is shown */
	__u8 judged;          /* whether this end tells is known */
	__u8 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct secured_key);
	__type(value, struct secured);
} secured SEC(".maps");

#define FILES 1024

/* Whether all functions of a file are attached to: until then none of its calls counts. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FILES);
	__type(key, __u32);
	__type(value, __u32);
} ready SEC(".maps");

/* Calls by the file that they were in: what user space keeps an eye on. */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FILES);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");
