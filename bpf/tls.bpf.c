//go:build ignore

// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The plaintext inside of TLS, taken where programs hand it to their library or
 * get it from there. A program has no idea of libraries: user space finds the
 * functions and says which role each plays.
 *
 * The connection comes from the socket that the same thread, or goroutine, reads
 * or writes inside of the call (or, with buffers of its own, right before it), so
 * that no layout of any library needs to be known.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "event.h"
#include "maps.h"
#include "emit.h"
#include "tie.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#if defined(__TARGET_ARCH_x86)
#define ARGUMENT_1(c) ((c)->di)
#define ARGUMENT_2(c) ((c)->si)
#define ARGUMENT_3(c) ((c)->dx)
#define ARGUMENT_4(c) ((c)->cx)
#define RESULT(c) ((c)->ax)
/* Registers of Go's internal calling convention (cmd/compile/abi-internal.md). */
#define GO_ARGUMENT_1(c) ((c)->ax)
#define GO_ARGUMENT_2(c) ((c)->bx)
#define GO_ARGUMENT_3(c) ((c)->cx)
#define GO_RESULT(c) ((c)->ax)
#define GOROUTINE(c) ((c)->r14)
#else
#define ARGUMENT_1(c) ((c)->user_regs.regs[0])
#define ARGUMENT_2(c) ((c)->user_regs.regs[1])
#define ARGUMENT_3(c) ((c)->user_regs.regs[2])
#define ARGUMENT_4(c) ((c)->user_regs.regs[3])
#define RESULT(c) ((c)->user_regs.regs[0])
#define GO_ARGUMENT_1(c) ((c)->user_regs.regs[0])
#define GO_ARGUMENT_2(c) ((c)->user_regs.regs[1])
#define GO_ARGUMENT_3(c) ((c)->user_regs.regs[2])
#define GO_RESULT(c) ((c)->user_regs.regs[0])
#define GOROUTINE(c) ((c)->user_regs.regs[28])
#endif

/* Counts a call for the file that it is in, whose number the program carries. */
static __always_inline bool counts(void *ctx)
{
	__u32 file = bpf_get_attach_cookie(ctx), *all;
	__u64 *n = bpf_map_lookup_elem(&hits, &file);

	if (n)
		*n += 1;
	all = bpf_map_lookup_elem(&ready, &file);
	return all && *all;
}

/* A thread enters a call of a library. */
static __always_inline int enters(void *ctx, __u64 object, __u64 base, __u64 length, __u64 written, __u32 direction, bool takes_records)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct tls_call c = {.object = object, .base = base, .length = length, .written = written, .direction = direction};
	struct secured_key k = {.object = object, .pid = thread >> 32};
	struct thread none = {}, *t;

	if (!counts(ctx))
		return 0;
	t = bpf_map_lookup_elem(&threads, &thread);
	if (!t) {
		bpf_map_update_elem(&threads, &thread, &none, BPF_ANY);
	} else if (t->socket.cookie && (takes_records || !bpf_map_lookup_elem(&secured, &k))) {
		/* A call that sends may end a handshake, and takes records for that. */
		secure(&k, &t->socket, false, !base);
		t->socket.cookie = 0;
	}
	bpf_map_update_elem(&tls_calls, &thread, &c, BPF_ANY);
	return 0;
}

/* A thread leaves a call. */
static __always_inline int leaves(__s64 result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct tls_call *c = bpf_map_lookup_elem(&tls_calls, &thread), copy;
	__u64 n = result > 0 ? result : 0;

	if (!c)
		return 0;
	copy = *c;
	bpf_map_delete_elem(&tls_calls, &thread);
	if (copy.written && (n != 1 || bpf_probe_read_user(&n, sizeof(n), (void *)copy.written)))
		return 0;
	done(&copy, thread >> 32, n);
	return 0;
}

/* int SSL_write(object, base, int n) and gnutls_record_send: the result says how many. */
SEC("uprobe/send")
int tls_send(struct pt_regs *ctx)
{
	return enters(ctx, ARGUMENT_1(ctx), ARGUMENT_2(ctx), (__u32)ARGUMENT_3(ctx), 0, DIRECTION_SENT, false);
}

/* int SSL_read(object, base, int n) and gnutls_record_recv. */
SEC("uprobe/receive")
int tls_receive(struct pt_regs *ctx)
{
	return enters(ctx, ARGUMENT_1(ctx), ARGUMENT_2(ctx), 0, 0, DIRECTION_RECEIVED, true);
}

/* int SSL_write_ex(object, base, size_t n, size_t *written): 1, and the number behind the pointer. */
SEC("uprobe/send_ex")
int tls_send_ex(struct pt_regs *ctx)
{
	return enters(ctx, ARGUMENT_1(ctx), ARGUMENT_2(ctx), ARGUMENT_3(ctx), ARGUMENT_4(ctx), DIRECTION_SENT, false);
}

SEC("uprobe/receive_ex")
int tls_receive_ex(struct pt_regs *ctx)
{
	return enters(ctx, ARGUMENT_1(ctx), ARGUMENT_2(ctx), 0, ARGUMENT_4(ctx), DIRECTION_RECEIVED, true);
}

/* int SSL_do_handshake(object), SSL_connect, SSL_accept, gnutls_handshake. */
SEC("uprobe/handshake")
int tls_handshake(struct pt_regs *ctx)
{
	return enters(ctx, ARGUMENT_1(ctx), 0, 0, 0, DIRECTION_SENT, true);
}

/* The result is an int where the upper half is anything. */
SEC("uretprobe/leave")
int tls_leave(struct pt_regs *ctx)
{
	return leaves((__s32)RESULT(ctx));
}

/* An object is forgotten: its address may be another connection's next. */
static __always_inline int forget(__u64 object)
{
	struct secured_key k = {.object = object, .pid = bpf_get_current_pid_tgid() >> 32};
	struct secured *s = bpf_map_lookup_elem(&secured, &k);

	if (!s)
		return 0;
	if (s->judged && s->socket.verdict == VERDICT_SHOW) {
		tell(&s->socket, EVENT_CLOSE, DIRECTION_SENT, s->socket.offset[DIRECTION_RECEIVED], 0, SKIP_NONE);
		falls_silent(&plain_tellers, &s->socket);
	}
	bpf_map_delete_elem(&secured, &k);
	return 0;
}

/* void SSL_free(object), gnutls_deinit. */
SEC("uprobe/free")
int tls_free(struct pt_regs *ctx)
{
	return forget(ARGUMENT_1(ctx));
}

/* A goroutine enters a method of a *tls.Conn. */
static __always_inline int go_enters(struct pt_regs *ctx, __u64 base, __u64 length, __u32 direction)
{
	struct go_key g = {.goroutine = GOROUTINE(ctx), .pid = bpf_get_current_pid_tgid() >> 32};
	struct tls_call c = {.object = GO_ARGUMENT_1(ctx), .base = base, .length = length, .direction = direction};

	if (!counts(ctx))
		return 0;
	bpf_map_update_elem(&go_calls, &g, &c, BPF_ANY);
	return 0;
}

/* (*tls.Conn).Write(b []byte) (n int, err error) */
SEC("uprobe/go_send")
int go_send(struct pt_regs *ctx)
{
	return go_enters(ctx, GO_ARGUMENT_2(ctx), GO_ARGUMENT_3(ctx), DIRECTION_SENT);
}

/* (*tls.Conn).Read(b []byte) (n int, err error) */
SEC("uprobe/go_receive")
int go_receive(struct pt_regs *ctx)
{
	return go_enters(ctx, GO_ARGUMENT_2(ctx), 0, DIRECTION_RECEIVED);
}

/* Each RET of these: return probes move stacks in a way that Go's runtime does not survive. */
SEC("uprobe/go_leave")
int go_leave(struct pt_regs *ctx)
{
	struct go_key g = {.goroutine = GOROUTINE(ctx), .pid = bpf_get_current_pid_tgid() >> 32};
	struct tls_call *c = bpf_map_lookup_elem(&go_calls, &g), copy;
	__s64 n = GO_RESULT(ctx);

	if (!c)
		return 0;
	copy = *c;
	bpf_map_delete_elem(&go_calls, &g);
	done(&copy, g.pid, n > 0 ? n : 0);
	return 0;
}

/* (*tls.Conn).HandshakeContext(ctx) error: its sockets are seen inside of it. */
SEC("uprobe/go_handshake")
int go_handshake(struct pt_regs *ctx)
{
	struct go_key g = {.goroutine = GOROUTINE(ctx), .pid = bpf_get_current_pid_tgid() >> 32};
	struct tls_call *outer = bpf_map_lookup_elem(&go_calls, &g);

	if (outer && outer->object == GO_ARGUMENT_1(ctx))
		return 0; /* inside of Read or Write, which are to go on */
	return go_enters(ctx, 0, 0, DIRECTION_SENT);
}

/* Leaves a handshake that was entered by itself. */
SEC("uprobe/go_shaken")
int go_shaken(struct pt_regs *ctx)
{
	struct go_key g = {.goroutine = GOROUTINE(ctx), .pid = bpf_get_current_pid_tgid() >> 32};
	struct tls_call *c = bpf_map_lookup_elem(&go_calls, &g);

	if (c && !c->base)
		bpf_map_delete_elem(&go_calls, &g);
	return 0;
}

/* (*tls.Conn).Close() error */
SEC("uprobe/go_free")
int go_free(struct pt_regs *ctx)
{
	return forget(GO_ARGUMENT_1(ctx));
}
