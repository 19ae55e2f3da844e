//go:build !linux || !cgo

package shm

// This package calls the libc: it needs Linux, CGO_ENABLED=1 and a C compiler.
var _ = shm_requires_linux_and_cgo
