//go:build linux && cgo

package main

import (
	"sync/atomic"

	"github.com/gosysv/shm"
)

// record is what the View accesses are measured on.
type record struct {
	value uint64
	count atomic.Uint64
}

// The functions here come in pairs that differ in where the record lies. The
// two of a pair are to be compiled to the same instructions, but for the
// function that they call: machinecode.go compares them.

//go:noinline
func recordInSegment(a *shm.Attachment) *record {
	r, err := shm.View[record](a, 0)
	if err != nil {
		panic(err)
	}
	return r
}

type heap struct{ r *record }

//go:noinline
func recordOnHeap(h *heap) *record { return h.r }

//go:noinline
func readSegment(a *shm.Attachment, n int) uint64 {
	r := recordInSegment(a)
	var sum uint64
	for range n {
		sum += r.value
	}
	return sum
}

//go:noinline
func readHeap(h *heap, n int) uint64 {
	r := recordOnHeap(h)
	var sum uint64
	for range n {
		sum += r.value
	}
	return sum
}

//go:noinline
func writeSegment(a *shm.Attachment, n int) {
	r := recordInSegment(a)
	for i := range n {
		r.value = uint64(i)
	}
}

//go:noinline
func writeHeap(h *heap, n int) {
	r := recordOnHeap(h)
	for i := range n {
		r.value = uint64(i)
	}
}

//go:noinline
func addSegment(a *shm.Attachment, n int) {
	r := recordInSegment(a)
	for range n {
		r.count.Add(1)
	}
}

//go:noinline
func addHeap(h *heap, n int) {
	r := recordOnHeap(h)
	for range n {
		r.count.Add(1)
	}
}

// The loops that are measured are one function for both memories: two copies
// of the same loop may run at different speeds, depending on where in a cache
// line each begins.

//go:noinline
func readLoop(r *record, n int) uint64 {
	var sum uint64
	for range n {
		sum += r.value
	}
	return sum
}

//go:noinline
func writeLoop(r *record, n int) {
	for i := range n {
		r.value = uint64(i)
	}
}

//go:noinline
func addLoop(r *record, n int) {
	for range n {
		r.count.Add(1)
	}
}
