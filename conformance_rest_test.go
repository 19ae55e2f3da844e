//go:build linux && cgo

package shm_test

var shmatRows, shmdtRows, shmctlRows, processRows, namespaceRows, ftokRows []row
