//go:build !linux

package main

// Elsewhere than on Linux captures can be read, and nothing watched.

type watchCmd struct{}

// Run refuses.
func (*watchCmd) Run() error {
	return usagef("watch needs Linux; here, read what another program captures: tcpdump -w - | plainsight read -")
}

type doctorCmd struct{}

// Run refuses.
func (*doctorCmd) Run() error { return usagef("doctor needs Linux") }
