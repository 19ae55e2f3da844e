//go:build linux && cgo && !(race || asan || msan)

package shm_test

// instrumented says that a sanitizer is built in: it allocates, and tolerates
// no preloaded library.
const instrumented = false
