//go:build race || asan || msan

package locktest_test

// A sanitizer makes each process slow, its start above all.
const sanitizerSlowness = 5
