//go:build linux && cgo && !(arm || mips || mipsle)

package pshared

// condAlign gives CondT the alignment of a C long long.
type condAlign [0]int64
