//go:build linux && cgo && (race || asan || msan)

package shm_test

const instrumented = true
