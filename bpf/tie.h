/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Which object of a TLS library belongs to which socket, and what passes through
 * it: what the programs of sockets and of TLS share of this.
 */
#pragma once

/* The goroutine of this thread, in its register since Go 1.17; of other programs it is anything. */
static __always_inline __u64 goroutine(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
#if defined(__TARGET_ARCH_x86)
	return regs->r14;
#else
	return regs->user_regs.regs[28];
#endif
}

/*
 * Ties an object to a socket. What a call inside of a call shows is certain; what
 * only came before it may not contradict anything. The socket is as it was before
 * its bytes passed: where both sides had spoken, and nobody asked for a handshake,
 * we come late.
 */
static __always_inline void secure(struct secured_key *k, struct socket *s, bool certain, bool handshake)
{
	struct secured *old = bpf_map_lookup_elem(&secured, k);
	struct secured fresh = {};
	bool late = false; /* bytes of it have passed unseen */

	if (old && !old->socket.cookie) {
		late = true;
		old = 0;
	}
	if (old && old->socket.cookie == s->cookie) {
		if (certain)
			old->certain = 1;
		if (!old->judged)
			old->ambiguous = 0; /* seen again before anything was shown */
		return;
	}
	if (old && !certain) {
		if (old->certain)
			return;
		if (old->judged) {
			old->ambiguous = 1; /* for good */
			return;
		}
		late = old->socket.joined;
		fresh.ambiguous = 1; /* until it is seen again */
	}
	fresh.socket = *s;
	fresh.socket.layer = LAYER_TLS;
	fresh.socket.joined = late || s->joined || (!handshake && s->offset[0] && s->offset[1]);
	fresh.socket.offset[0] = fresh.socket.offset[1] = 0;
	fresh.socket.turn[0] = fresh.socket.turn[1] = 0;
	fresh.socket.ended = 0;
	fresh.certain = certain;
	bpf_map_update_elem(&secured, k, &fresh, BPF_ANY);
}

#define MAX_CALL (1 << 30) /* bytes of a call that is believed */

/* Shows bytes that an object took or gave. Of its own, so that it is verified once. */
__noinline int inside(struct secured *s, struct run *r)
{
	struct run copy;
	__u64 *offset;
	__u32 *turn;
	bool received;

	if (!s || !r || r->length == 0)
		return 0;
	if (!s->judged) {
		s->judged = 1;
		s->socket.verdict = told_by_other(&plain_tellers, &s->socket) ? VERDICT_FAR_END : VERDICT_SHOW;
	}
	if (s->socket.verdict == VERDICT_FAR_END)
		return 0;
	copy = *r;
	received = copy.direction == DIRECTION_RECEIVED;
	offset = received ? &s->socket.offset[1] : &s->socket.offset[0];
	turn = received ? &s->socket.turn[1] : &s->socket.turn[0];
	*(received ? &s->socket.turn[0] : &s->socket.turn[1]) = 0;
	copy.offset = *offset;
	*offset += copy.length;
	if (*turn >= turn_bytes) {
		tell(&s->socket, EVENT_SKIP, copy.direction, copy.offset, copy.length, SKIP_BUDGET);
		count(COUNT_SKIPPED, copy.length);
		return 0;
	}
	*turn += copy.length;
	show(&s->socket, &copy);
	return 0;
}

/*
 * The records of a call that sends are on their way: its bytes are shown now. To
 * wait for its return would be too late, the answer may be read before it.
 */
static __always_inline void underway(struct secured *s, struct tls_call *c)
{
	struct run r = {.direction = DIRECTION_SENT};

	if (s->ambiguous || c->direction != DIRECTION_SENT || !c->base || c->length > MAX_CALL || c->length <= s->ahead)
		return;
	r.base = c->base + s->ahead;
	r.length = c->length - s->ahead;
	s->ahead = c->length;
	inside(s, &r);
}

/* A call is over; n bytes of it count. What it did not get rid of it will send again. */
__noinline int done(struct tls_call *c, __u32 pid, __u64 n)
{
	struct secured_key k = {.pid = pid};
	struct secured *s, unknown = {};
	struct run r = {};
	__u64 ahead = 0;

	if (!c || !c->base || n == 0 || n > MAX_CALL)
		return 0;
	count(COUNT_TLS_CALLS, 1);
	k.object = c->object;
	s = bpf_map_lookup_elem(&secured, &k);
	if (!s) {
		count(COUNT_TLS_UNTIED, 1);
		bpf_map_update_elem(&secured, &k, &unknown, BPF_NOEXIST);
		return 0;
	}
	if (!s->socket.cookie) {
		count(COUNT_TLS_UNTIED, 1);
		return 0;
	}
	if (s->ambiguous) {
		count(COUNT_TLS_AMBIGUOUS, 1);
		s->socket.joined = 1;
		return 0;
	}
	if (c->direction == DIRECTION_SENT) {
		ahead = s->ahead < n ? s->ahead : n;
		s->ahead -= ahead;
	}
	r.direction = c->direction & 1;
	r.base = c->base + ahead;
	r.length = n - ahead;
	inside(s, &r);
	return 0;
}
