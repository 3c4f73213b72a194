//go:build ignore

// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The plaintext of TCP sockets, as the processes of this host send and receive
 * it: in order, without packets, with who did it.
 *
 * The kernel (6.3 and later) says after each call how many bytes a socket took
 * or gave. Where they lie in the process the registers of its system call tell.
 * What a call costs a socket that nobody wants is one look at its storage.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "event.h"
#include "maps.h"
#include "emit.h"
#include "tie.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* So that the object describes to the Go side what both speak of. */
const struct {
	struct event event;
	enum event_kind kind;
	enum event_direction direction;
	enum socket_role role;
	enum skip_reason reason;
	enum counter counter;
	enum listed listed;
	enum lists lists;
} *words __attribute__((unused));

const volatile __u32 handshake_bytes = 16384; /* shown of each direction of TLS */
const volatile bool tls_probes = false;       /* the programs of tls.bpf.c are there, too */

/* Of include/linux/socket.h, sched.h and arch/x86/include/asm/thread_info.h. */
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define PF_KTHREAD 0x00200000
#define PF_IO_WORKER 0x00000010
#define TS_COMPAT 0x2

#define VECTORS 16        /* pieces of one call that are looked at */
#define TRIES_NEW 2       /* calls until a connection seen from its start speaks nothing of ours */
#define TRIES_JOINED 32   /* … one that we joined may be in the middle of a body */

/* The buffers of the system call that this thread is in. */
struct buffers {
	__u64 base;   /* of the bytes, or of the array of pieces */
	__u64 length; /* bytes, or pieces */
	bool vector;
};

struct piece {
	__u64 base, length;
};

static __always_inline bool message(__u64 header, struct buffers *b)
{
	struct {
		__u64 name, name_length, pieces, count;
	} m; /* struct user_msghdr, 64 bit */
	if (bpf_probe_read_user(&m, sizeof(m), (void *)header))
		return false;
	b->base = m.pieces;
	b->length = m.count;
	b->vector = true;
	return true;
}

static __always_inline bool buffers(struct buffers *b)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs;
	__u64 call, second, third;

	if (task->flags & (PF_KTHREAD | PF_IO_WORKER))
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & TS_COMPAT)
		return false;
	call = regs->orig_ax;
	second = regs->si;
	third = regs->dx;
	enum { READ = 0, WRITE = 1, READV = 19, WRITEV = 20, SENDTO = 44, RECVFROM = 45, SENDMSG = 46, RECVMSG = 47, PREADV2 = 327, PWRITEV2 = 328 };
#else
	call = regs->syscallno;
	second = regs->user_regs.regs[1];
	third = regs->user_regs.regs[2];
	enum { READ = 63, WRITE = 64, READV = 65, WRITEV = 66, SENDTO = 206, RECVFROM = 207, SENDMSG = 211, RECVMSG = 212, PREADV2 = 286, PWRITEV2 = 287 };
#endif
	switch (call) {
	case READ:
	case WRITE:
	case SENDTO:
	case RECVFROM:
		b->base = second;
		b->length = third;
		b->vector = false;
		return true;
	case READV:
	case WRITEV:
	case PREADV2:
	case PWRITEV2:
		b->base = second;
		b->length = third;
		b->vector = true;
		return true;
	case SENDMSG:
	case RECVMSG:
		return message(second, b);
	}
	return false; /* sendfile, splice, sendmmsg, io_uring … */
}

static __always_inline bool piece(struct buffers *b, __u32 i, struct piece *p)
{
	if (!b->vector) {
		p->base = b->base;
		p->length = b->length;
		return i == 0;
	}
	return i < b->length && !bpf_probe_read_user(p, sizeof(*p), (void *)(b->base + i * sizeof(*p)));
}

static __always_inline __u32 listed(void *list, const void *key)
{
	__u32 *l = bpf_map_lookup_elem(list, key);
	return l ? *l : 0;
}

/* What the networks say of an end of a socket. */
static __always_inline __u32 network_of(__u8 family, const __u8 *address)
{
	struct network n = {.prefix = 128};

	if (family == AF_INET6) {
		__builtin_memcpy(n.address, address, 16);
	} else {
		n.address[10] = n.address[11] = 0xff;
		__builtin_memcpy(n.address + 12, address, 4);
	}
	return listed(&networks, &n);
}

/* Whether this process is in one of the cgroups. */
__noinline int in_cgroups(struct filter *f)
{
	if (!f)
		return 0;
	for (int i = 0; i < MAX_CGROUPS && i < f->cgroups; i++)
		if (bpf_get_current_ancestor_cgroup_id(f->cgroup[i].level) == f->cgroup[i].id)
			return 1;
	return 0;
}

/* Whether the filter wants a socket. Of its own, so that it is verified once. */
__noinline int wanted(struct socket *s)
{
	__u32 zero = 0, said, key;
	struct filter *f = bpf_map_lookup_elem(&filters, &zero);

	if (!f || !s)
		return 0;
	s->generation = f->generation;
	if (f->self == bpf_get_current_pid_tgid() >> 32)
		return 0;
	key = s->local_port;
	said = listed(&ports, &key);
	key = s->remote_port;
	said |= listed(&ports, &key);
	if ((said & LISTED_EXCLUDED) || ((f->lists & LIST_PORTS) && !said))
		return 0;
	said = network_of(s->family, s->local) | network_of(s->family, s->remote);
	if ((said & LISTED_EXCLUDED) || ((f->lists & LIST_NETWORKS) && !said))
		return 0;
	key = s->netns;
	said = listed(&namespaces, &key);
	if ((said & LISTED_EXCLUDED) || ((f->lists & LIST_NAMESPACES) && !said))
		return 0;
	return f->cgroups == 0 || in_cgroups(f);
}

/* Shows n bytes of a call that begin at an offset of their direction. */
static __always_inline void show_call(struct socket *s, struct buffers *b, __u32 direction, __u64 offset, __u32 n)
{
	struct run r = {.offset = offset, .direction = direction};
	struct piece p;

	for (int i = 0; i < VECTORS && n; i++) {
		if (!piece(b, i, &p))
			break;
		if (!p.length)
			continue;
		r.base = p.base;
		r.length = p.length < n ? p.length : n;
		n -= r.length;
		offset += r.length;
		show(s, &r);
		r.offset = offset;
	}
	if (n) {
		tell(s, EVENT_SKIP, direction, offset, n, SKIP_BUDGET);
		count(COUNT_SKIPPED, n);
	}
}

static __always_inline bool upper(__u8 c)
{
	return c >= 'A' && c <= 'Z';
}

/* What the first bytes of a call say about the protocol; VERDICT_SNIFF: nothing. */
static __always_inline __u8 sniff(const __u8 *b, __u32 n, bool joined)
{
	static const __u8 proxy[8] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51}; /* PROXY protocol 2 */
	int word = 0;

	if (n < 4)
		return VERDICT_SNIFF;
	if (b[0] == 0x16 && b[1] == 3 && b[2] <= 4)
		return VERDICT_TLS;
	if (b[0] == 'H' && b[1] == 'T' && b[2] == 'T' && b[3] == 'P')
		return VERDICT_SHOW;
	for (int i = 0; i < 8; i++) { /* a method, a space; or one of eight letters and more */
		if (i >= n || !upper(b[i]))
			break;
		word++;
	}
	if (word == 8 || (word >= 3 && word < n && b[word] == ' '))
		return VERDICT_SHOW;
	if (n < 8)
		return VERDICT_SNIFF;
	if (b[0] == 0 && b[1] == 0 && b[3] == 4 && b[5] == 0 && b[6] == 0 && b[7] == 0)
		return VERDICT_SHOW; /* SETTINGS of HTTP/2: the server may be first */
	if (joined && b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 && b[2] <= 4)
		return VERDICT_TLS; /* any record */
	if (joined && b[0] == 0 && b[3] <= 8 && (b[4] & 0xc2) == 0 && b[5] < 0x10)
		return VERDICT_SHOW; /* what may be a frame of HTTP/2 */
	for (int i = 0; i < 8; i++)
		if (b[i] != proxy[i])
			return VERDICT_SNIFF;
	return VERDICT_SHOW;
}

static __always_inline __u8 sniff_call(struct socket *s, struct buffers *b, __u32 n)
{
	__u8 first[8] = {};
	struct piece p;

	if (!piece(b, 0, &p))
		return VERDICT_SNIFF;
	if (p.length < n)
		n = p.length;
	if (n > 8)
		n = 8;
	if (bpf_probe_read_user(first, n, (void *)p.base))
		return VERDICT_SNIFF;
	return sniff(first, n, s->joined);
}

static __always_inline void describe(struct socket *s, struct sock *sk)
{
	s->cookie = bpf_get_socket_cookie(sk);
	s->family = sk->__sk_common.skc_family;
	s->local_port = sk->__sk_common.skc_num;
	s->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	s->netns = sk->__sk_common.skc_net.net->ns.inum;
	if (s->family == AF_INET) {
		*(__be32 *)s->local = sk->__sk_common.skc_rcv_saddr;
		*(__be32 *)s->remote = sk->__sk_common.skc_daddr;
		return;
	}
	BPF_CORE_READ_INTO((struct in6_addr *)s->local, sk, __sk_common.skc_v6_rcv_saddr);
	BPF_CORE_READ_INTO((struct in6_addr *)s->remote, sk, __sk_common.skc_v6_daddr);
}

/* Whether the other end of the connection is told of already. */
__noinline int far_end(struct socket *s)
{
	return s && told_by_other(&tellers, s);
}

/*
 * The bytes of a socket are TLS. If the thread is inside of a call of a TLS
 * library, they belong to its object; else the next call may be for them.
 */
__noinline int tie(struct socket *s, int direction)
{
	struct go_key g = {};
	struct secured_key k = {};
	struct tls_call *c;
	struct secured *object;
	struct thread *t;
	__u64 thread = bpf_get_current_pid_tgid();

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&tls_calls, &thread);
	if (!c) {
		g.pid = thread >> 32;
		g.goroutine = goroutine();
		c = bpf_map_lookup_elem(&go_calls, &g);
	}
	if (!c) {
		t = direction == DIRECTION_RECEIVED ? bpf_map_lookup_elem(&threads, &thread) : 0;
		if (t)
			t->socket = *s;
		return 0;
	}
	k.pid = thread >> 32;
	k.object = c->object;
	secure(&k, s, true, !c->base);
	object = bpf_map_lookup_elem(&secured, &k);
	if (object && direction == DIRECTION_SENT)
		underway(object, c);
	return 0;
}

/* Judges a socket that is new, or that a changed filter may see otherwise. */
static __always_inline void judge(struct socket *s, struct sock *sk)
{
	if (s->verdict == VERDICT_NEW && !s->cookie) {
		describe(s, sk);
		s->joined = 1; /* its opening was not seen */
	}
	if (!wanted(s)) {
		s->verdict = VERDICT_UNWANTED;
		return;
	}
	s->cgroup = bpf_get_current_cgroup_id();
	if (s->verdict == VERDICT_NEW || s->verdict == VERDICT_UNWANTED) {
		if (s->offset[0] || s->offset[1])
			s->joined = 1;
		s->verdict = VERDICT_SNIFF;
	}
}

static __always_inline bool told(const struct socket *s)
{
	return s->verdict == VERDICT_SHOW || s->verdict == VERDICT_TLS;
}

/* A direction of a socket ended. */
static __always_inline void end(struct socket *s, __u32 direction)
{
	__u8 bit = 1 << (direction & 1);

	if (s->ended & bit)
		return;
	s->ended |= bit;
	if (told(s))
		tell(s, EVENT_END, direction, s->offset[direction & 1], 0, SKIP_NONE);
}

/* A call took n bytes to a socket or from it. */
static __always_inline int passed(struct sock *sk, int n, int flags, const __u32 direction)
{
	__u32 zero = 0;
	__u16 family = sk->__sk_common.skc_family;
	struct filter *f;
	struct socket *s;
	struct buffers b = {};
	__u64 offset;
	__u8 said;

	if (n < 0 || (family != AF_INET && family != AF_INET6) || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (direction == DIRECTION_RECEIVED && (flags & (MSG_PEEK | MSG_ERRQUEUE)))
		return 0;
	count(COUNT_CALLS, 1);
	s = bpf_sk_storage_get(&sockets, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	f = bpf_map_lookup_elem(&filters, &zero);
	if (!s || !f)
		return 0;
	if (s->verdict == VERDICT_NEW || s->generation != f->generation)
		judge(s, sk);
	if (n == 0) {
		if (direction == DIRECTION_RECEIVED)
			end(s, direction);
		return 0;
	}
	if (s->tls && tls_probes && s->verdict != VERDICT_UNWANTED)
		tie(s, direction);
	offset = s->offset[direction];
	s->offset[direction] = offset + n;
	s->turn[!direction] = 0;
	switch (s->verdict) {
	case VERDICT_UNWANTED:
		count(COUNT_UNWANTED, 1);
		return 0;
	case VERDICT_OTHER:
		count(COUNT_OTHER, 1);
		return 0;
	case VERDICT_FAR_END:
		count(COUNT_FAR_END, 1);
		return 0;
	case VERDICT_TLS:
		if (offset >= handshake_bytes) {
			count(COUNT_SKIPPED, n);
			return 0;
		}
	}
	if ((direction == DIRECTION_RECEIVED && (flags & MSG_TRUNC)) || !buffers(&b)) {
		count(COUNT_UNREADABLE, 1);
		count(COUNT_SKIPPED, n);
		if (told(s))
			tell(s, EVENT_SKIP, direction, offset, n, SKIP_UNREADABLE);
		return 0;
	}
	if (s->verdict == VERDICT_SNIFF) {
		said = sniff_call(s, &b, n);
		if (said == VERDICT_SNIFF) {
			if (++s->tries >= (s->joined ? TRIES_JOINED : TRIES_NEW)) {
				s->verdict = VERDICT_OTHER;
				count(COUNT_OTHER, 1);
			}
			return 0;
		}
		s->tls = said == VERDICT_TLS;
		if (s->tls && tls_probes) {
			s->offset[direction] = offset; /* as it was before this call */
			tie(s, direction);
			s->offset[direction] = offset + n;
		}
		if (far_end(s)) {
			s->verdict = VERDICT_FAR_END;
			count(COUNT_FAR_END, 1);
			tell(s, EVENT_PEER, direction, offset, n, SKIP_NONE);
			return 0;
		}
		s->verdict = said;
	}
	if (s->turn[direction] >= turn_bytes) {
		tell(s, EVENT_SKIP, direction, offset, n, SKIP_BUDGET);
		count(COUNT_SKIPPED, n);
		return 0;
	}
	s->turn[direction] += n;
	show_call(s, &b, direction, offset, n);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sent, struct sock *sk, int n, int flags)
{
	return passed(sk, n, flags, DIRECTION_SENT);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received, struct sock *sk, int n, int flags)
{
	return passed(sk, n, flags, DIRECTION_RECEIVED);
}

/* Who opens a connection, and when its ends close. Often in no process' context. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, struct sock *sk, int old, int new)
{
	struct socket *s;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new == TCP_ESTABLISHED && (old == TCP_SYN_SENT || old == TCP_SYN_RECV)) {
		s = bpf_sk_storage_get(&sockets, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!s)
			return 0;
		__builtin_memset(s, 0, sizeof(*s));
		describe(s, sk);
		s->role = old == TCP_SYN_SENT ? ROLE_CLIENT : ROLE_SERVER;
		return 0;
	}
	if (new != TCP_CLOSE && new != TCP_FIN_WAIT1 && new != TCP_LAST_ACK)
		return 0;
	s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!s)
		return 0;
	end(s, DIRECTION_SENT);
	if (new != TCP_CLOSE)
		return 0;
	if (told(s)) {
		tell(s, EVENT_CLOSE, DIRECTION_SENT, s->offset[DIRECTION_RECEIVED], 0, SKIP_NONE);
		falls_silent(&tellers, s);
	}
	if (s->tls)
		falls_silent(&plain_tellers, s);
	__builtin_memset(s, 0, sizeof(*s)); /* a socket may connect again */
	return 0;
}
