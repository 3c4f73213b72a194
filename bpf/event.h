/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the kernel tells user space: one struct event, and behind it the bytes
 * that it carries. The Go side reads the same layout (event.go); a test holds
 * the two together. Padding is written out, so that no byte is left unset.
 */
#pragma once

/* What an event says. */
enum event_kind {
	EVENT_DATA = 1,  /* bytes of a direction, in order, at their offset */
	EVENT_SKIP = 2,  /* bytes that passed and are not shown: size says how many */
	EVENT_END = 3,   /* a direction ended; offset is its length */
	EVENT_CLOSE = 4, /* the socket is gone */
	EVENT_PEER = 5,  /* the other end of a connection that is told of: who it is */
};

/* Which way the bytes went, seen from the socket. */
enum event_direction {
	DIRECTION_SENT = 0,
	DIRECTION_RECEIVED = 1,
};

/* Where the bytes were seen. */
enum layer {
	LAYER_SOCKET = 0, /* as the socket had them */
	LAYER_TLS = 1,    /* inside of TLS, by a probe in its library */
};

/* Who opened the connection. */
enum socket_role {
	ROLE_UNKNOWN = 0, /* it was there before us */
	ROLE_CLIENT = 1,
	ROLE_SERVER = 2,
};

/* Why bytes are not shown. */
enum skip_reason {
	SKIP_NONE = 0,
	SKIP_BUDGET = 1,     /* more than a call, or one side in its turn, may show */
	SKIP_UNREADABLE = 2, /* the system call names no buffer (sendfile, splice, io_uring) */
	SKIP_FULL = 3,       /* the ring had no room: a drop, also counted in the kernel */
	SKIP_FAULT = 4,      /* the buffer could not be read */
};

struct event {
	__u64 time;   /* nanoseconds since boot, suspended time included */
	__u64 socket; /* the kernel's cookie of the socket */
	__u64 offset; /* of the first byte in its direction, from where we joined */
	__u64 cgroup; /* of the process, cgroup v2 */
	__u32 size;   /* bytes that passed */
	__u32 length; /* bytes shown, behind this header */
	__u32 pid;
	__u32 netns; /* inode of the network namespace */
	__u8 kind, direction, role, reason;
	__u8 family; /* AF_INET or AF_INET6 */
	__u8 joined; /* the connection was there before us */
	__u16 local_port, remote_port;
	__u8 layer; /* enum layer */
	__u8 pad[5];
	__u8 local[16], remote[16]; /* IPv4 in the first four */
	char command[16];
};

/* Counted in the kernel, one row each for every CPU. */
enum counter {
	COUNT_CALLS = 0,      /* system calls on TCP sockets that were looked at */
	COUNT_UNWANTED = 1,   /* … on sockets that the filter leaves out */
	COUNT_OTHER = 2,      /* … that speak none of our protocols */
	COUNT_FAR_END = 3,    /* … whose other end is told of */
	COUNT_EVENTS = 4,     /* events handed over */
	COUNT_BYTES = 5,      /* bytes shown */
	COUNT_SKIPPED = 6,    /* bytes not shown, whatever the reason */
	COUNT_DROPPED = 7,    /* events lost because the ring was full */
	COUNT_UNREADABLE = 8, /* calls without a buffer to read */
	COUNT_FAULTS = 9,     /* buffers that could not be read */
	COUNT_TLS_CALLS = 10,     /* calls of TLS libraries with bytes */
	COUNT_TLS_UNTIED = 11,    /* … that no socket could be given to */
	COUNT_TLS_AMBIGUOUS = 12, /* … that more than one socket could */
	COUNTERS = 13,
};

#define MAX_CGROUPS 16

/* What a list of the filter says of a port, a network or a namespace. */
enum listed {
	LISTED_WANTED = 1,
	LISTED_EXCLUDED = 2,
};

/* Lists that want something; what is on none of such a list is not wanted. */
enum lists {
	LIST_PORTS = 1,
	LIST_NETWORKS = 2,
	LIST_NAMESPACES = 4,
};

/* Keys of the networks: IPv4 is mapped into IPv6. The longest prefix decides. */
struct network {
	__u32 prefix;
	__u8 address[16];
};

struct cgroup_filter {
	__u64 id;
	__u32 level; /* of the cgroup in its hierarchy: what is below belongs to it */
	__u32 pad;
};

/*
 * The filter, beside the lists in maps of their own. It is read once for a
 * socket, and again when generation moves.
 */
struct filter {
	__u32 generation;
	__u32 self;    /* our own process is never captured */
	__u32 lists;   /* enum lists */
	__u32 cgroups; /* how many of them; none: all */
	struct cgroup_filter cgroup[MAX_CGROUPS];
};
