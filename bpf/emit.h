/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* How events get into the ring: what the programs of sockets and of TLS share. */
#pragma once

/* Bounds that user space sets before the program is loaded. */
const volatile __u32 turn_bytes = 1 << 20;    /* shown of one side until the other speaks */
const volatile __u32 wake_bytes = 64 << 10;   /* in the ring before the reader is woken */

#define RECORDS 16       /* records made of one piece */
#define RECORD_MAX 16384 /* bytes of a record */

static __always_inline void count(__u32 which, __u64 n)
{
	__u64 *c = bpf_map_lookup_elem(&counters, &which);
	if (c)
		*c += n;
}

static __always_inline void fill(struct event *e, struct socket *s, __u8 kind, __u8 direction)
{
	e->time = bpf_ktime_get_boot_ns();
	e->socket = s->cookie;
	e->cgroup = s->cgroup;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->netns = s->netns;
	e->kind = kind;
	e->direction = direction;
	e->role = s->role;
	e->reason = SKIP_NONE;
	e->family = s->family;
	e->joined = s->joined;
	e->local_port = s->local_port;
	e->remote_port = s->remote_port;
	e->layer = s->layer;
	__builtin_memset(e->pad, 0, sizeof(e->pad));
	__builtin_memcpy(e->local, s->local, 16);
	__builtin_memcpy(e->remote, s->remote, 16);
	bpf_get_current_comm(e->command, sizeof(e->command));
}

static __always_inline __u64 wake(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Says something of a socket that needs no bytes. */
static __always_inline void tell(struct socket *s, __u8 kind, __u8 direction, __u64 offset, __u32 size, __u8 reason)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNT_DROPPED, 1);
		return;
	}
	fill(e, s, kind, direction);
	e->offset = offset;
	e->size = size;
	e->length = 0;
	e->reason = reason;
	count(COUNT_EVENTS, 1);
	bpf_ringbuf_submit(e, wake());
}

/* Bytes of one direction that lie in one piece. */
struct run {
	__u64 base, offset;
	__u32 length;
	__u32 direction;
};

/* A record of a size class: the ring wants to know at load time how long it is. */
#define RECORD(SIZE)                                                                     \
	static __always_inline __u8 record_##SIZE(struct socket *s, struct run *r, __u32 n)  \
	{                                                                                    \
		struct {                                                                         \
			struct event e;                                                              \
			__u8 data[SIZE];                                                             \
		} *out = bpf_ringbuf_reserve(&events, sizeof(*out), 0);                          \
		if (!out)                                                                        \
			return SKIP_FULL;                                                            \
		fill(&out->e, s, EVENT_DATA, r->direction);                                      \
		out->e.offset = r->offset;                                                       \
		out->e.size = out->e.length = n;                                                 \
		if (n > SIZE)                                                                    \
			n = SIZE;                                                                    \
		if (bpf_probe_read_user(out->data, n, (void *)r->base)) {                        \
			bpf_ringbuf_discard(out, BPF_RB_NO_WAKEUP);                                  \
			return SKIP_FAULT;                                                           \
		}                                                                                \
		bpf_ringbuf_submit(out, wake());                                                 \
		return SKIP_NONE;                                                                \
	}

RECORD(256)
RECORD(1024)
RECORD(4096)
RECORD(16384)

/* Shows a run, in records. Of its own, so that it is verified once. */
__noinline int show(struct socket *s, struct run *r)
{
	if (!s || !r)
		return 0;
	for (int i = 0; i < RECORDS && r->length; i++) {
		__u32 n = r->length < RECORD_MAX ? r->length : RECORD_MAX;
		__u8 failed = n <= 256    ? record_256(s, r, n)
			      : n <= 1024 ? record_1024(s, r, n)
			      : n <= 4096 ? record_4096(s, r, n)
					  : record_16384(s, r, n);
		if (failed) {
			count(failed == SKIP_FULL ? COUNT_DROPPED : COUNT_FAULTS, 1);
			count(COUNT_SKIPPED, n);
		} else {
			count(COUNT_EVENTS, 1);
			count(COUNT_BYTES, n);
		}
		r->base += n;
		r->offset += n;
		r->length -= n;
	}
	if (r->length) {
		tell(s, EVENT_SKIP, r->direction, r->offset, r->length, SKIP_BUDGET);
		count(COUNT_SKIPPED, r->length);
	}
	return 0;
}

static __always_inline bool in_order(const struct socket *s)
{
	for (int i = 0; i < 16; i++)
		if (s->local[i] != s->remote[i])
			return s->local[i] < s->remote[i];
	return s->local_port <= s->remote_port;
}

static __always_inline void ends_of(const struct socket *s, struct ends *e)
{
	bool loopback = s->family == AF_INET ? s->remote[0] == 127 : s->remote[0] == 0;

	__builtin_memset(e, 0, sizeof(*e));
	if (loopback)
		e->netns = s->netns;
	if (in_order(s)) {
		__builtin_memcpy(e->a, s->local, 16);
		__builtin_memcpy(e->b, s->remote, 16);
		e->a_port = s->local_port;
		e->b_port = s->remote_port;
	} else {
		__builtin_memcpy(e->a, s->remote, 16);
		__builtin_memcpy(e->b, s->local, 16);
		e->a_port = s->remote_port;
		e->b_port = s->local_port;
	}
}

/* Whether another socket tells of the connection already, in a list of who does. */
static __always_inline bool told_by_other(void *list, const struct socket *s)
{
	struct ends e;
	__u64 cookie = s->cookie, *teller;

	ends_of(s, &e);
	bpf_map_update_elem(list, &e, &cookie, BPF_NOEXIST);
	teller = bpf_map_lookup_elem(list, &e);
	return teller && *teller != cookie;
}

/* A socket tells of its connection no more. */
static __always_inline void falls_silent(void *list, const struct socket *s)
{
	struct ends e;
	__u64 *teller;

	ends_of(s, &e);
	teller = bpf_map_lookup_elem(list, &e);
	if (teller && *teller == s->cookie)
		bpf_map_delete_elem(list, &e);
}
