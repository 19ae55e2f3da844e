//go:build linux && cgo && (arm || mips || mipsle)

package pshared

import "sync/atomic"

// condAlign gives CondT the alignment of a C long long: 8 bytes here, where
// Go's int64 has 4.
type condAlign [0]atomic.Int64
