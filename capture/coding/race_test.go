//go:build race

package coding

// raced: the race detector makes pools forget, so that they allocate.
const raced = true
