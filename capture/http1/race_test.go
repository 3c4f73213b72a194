//go:build race

package http1

// raced: the race detector makes pools forget, so that they allocate.
const raced = true
