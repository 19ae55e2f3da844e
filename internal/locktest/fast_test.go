//go:build !(race || asan || msan)

package locktest_test

const sanitizerSlowness = 1
