//go:build race

package http2

// raced: the race detector makes pools forget, so that they allocate.
const raced = true
