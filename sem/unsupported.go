//go:build !linux || !cgo

package sem

// This package calls the libc: it needs Linux, CGO_ENABLED=1 and a C compiler.
var _ = sem_requires_linux_and_cgo
