//go:build !linux || !cgo

package pshared

// This package calls the libc: it needs Linux, CGO_ENABLED=1 and a C compiler.
var _ = pshared_requires_linux_and_cgo
