// Package house holds the rules of this source tree as tests: which package may
// import which, that each says what it is for, and how things are called. It
// has no code of its own.
package house
