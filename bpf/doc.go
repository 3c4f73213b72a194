// Package bpf holds the programs that run in the kernel, their maps and the
// layout of what they say, and loads and attaches them. It decides nothing and
// parses nothing: [Event] is what the kernel said. Package capture/probe is the
// only one that uses it.
//
// The objects beside the sources are built by clang 14 and committed, for amd64
// and arm64; go generate makes them anew, and a test proves them fresh. They are
// bound to no kernel: places of members are found at load time (CO-RE).
package bpf

//go:generate go tool bpf2go -target amd64,arm64 -cc clang-14 -strip llvm-strip-14 -cflags "-O2 -g -mcpu=v3 -Wall -Werror" -type event -type event_kind -type event_direction -type socket_role -type skip_reason -type counter -type listed -type lists -type filter -type network -no-global-types sockets sockets.bpf.c
//go:generate go tool bpf2go -target amd64,arm64 -cc clang-14 -strip llvm-strip-14 -cflags "-O2 -g -mcpu=v3 -Wall -Werror" -no-global-types tls tls.bpf.c
