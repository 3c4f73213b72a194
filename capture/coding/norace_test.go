//go:build !race

package coding

const raced = false
