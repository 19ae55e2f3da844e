//go:build linux && cgo

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/bench/bare"
)

// data measures how fast a segment is as memory.
func (b *bench) data(ctx context.Context, r *report) error {
	s := r.section("Data")
	if err := b.copies(ctx, r, s); err != nil {
		return err
	}
	if err := b.accesses(ctx, r, s); err != nil {
		return err
	}
	listing, err := sameCode()
	if err != nil {
		s.text("The machine code of the accesses was not found to be the same: %v", err)
		return nil
	}
	s.text("The machine code of an access to a `View` and of one to the heap is the same. (`go tool objdump`; " +
		"a jump gives the number of the instruction that it leads to, and RECORD is the function that returns the pointer.)")
	s.block(listing)
	return nil
}

var copySizes = []int{64, 1 << 10, 4 << 10, 64 << 10, 1<<20 - 64, 1 << 20, 16 << 20, 256 << 20}

// copies measures Go's copy beside memcpy, in both directions.
func (b *bench) copies(ctx context.Context, r *report, s *section) (err error) {
	sizes := copySizes
	if b.quick {
		sizes = sizes[:len(sizes)-1]
	}
	largest := sizes[len(sizes)-1]
	var made objects
	defer made.close(&err)
	a, err := made.segment(largest, 0)
	if err != nil {
		return err
	}
	segment := a.Bytes()
	private, err := made.anonymous(largest)
	if err != nil {
		return err
	}
	// If both began at the start of a page, a load would seem to depend on the
	// store before it, to the same offset in another page.
	const aside = 2048 + 64
	other, err := made.anonymous(largest + aside)
	if err != nil {
		return err
	}
	other = other[aside:]
	in := newTable("copy into", "Go, segment", "C, segment", "Go, private", "speed of Go to C, segment", "speed of Go to C, private", "segment to private, Go")
	out := newTable(append([]string{"copy out of"}, in.head[1:]...)...)
	for i, size := range sizes {
		b.progress("copy", i, len(sizes), asSize(size))
		into := copyPaths{seg: pathTo(segment, other, size), priv: pathTo(private, other, size)}
		if err := b.copyRow(ctx, r, in, "into", size, into); err != nil {
			return err
		}
		from := copyPaths{seg: pathTo(other, segment, size), priv: pathTo(other, private, size)}
		if err := b.copyRow(ctx, r, out, "out of", size, from); err != nil {
			return err
		}
	}
	s.text("Go's `copy` into and out of a segment (`Attachment.Bytes`), C's `memcpy` of the same bytes between the same addresses, " +
		"and both beside private anonymous memory. A speed ratio above 1 says that Go is faster. " +
		"After every sample the two sides are compared, all of them.")
	s.text("Where Go is slower or faster it is so in private memory too: the difference is between the Go runtime's memmove and the libc's memcpy. " +
		"From 1 MiB on, but not at 64 bytes less, Go's (Go 1.26, amd64) goes past the caches with non-temporal stores; glibc does so from a size that it finds for the machine.")
	s.table(in)
	s.table(out)
	return nil
}

// path is a copy from one place to another.
type path struct{ dst, src []byte }

func pathTo(dst, src []byte, size int) path { return path{dst[:size:size], src[:size:size]} }

type copyPaths struct{ seg, priv path }

func (p path) inGo(n int) error {
	dst, src := p.dst, p.src
	for range n {
		copy(dst, src)
	}
	return nil
}

func (p path) inC(n int) error {
	bare.LoopCopy(p.dst, p.src, n)
	return nil
}

// contender copies and, after each sample, sees to it that all was copied: the
// source is other bytes every time.
func (p path) contender(name string, work func(n int) error) contender {
	mark := byte(rand.Int())
	c := timed(name, nil)
	c.sample = func(n int) (time.Duration, error) {
		mark++
		p.src[0], p.src[len(p.src)/2], p.src[len(p.src)-1] = mark, mark, mark
		start := time.Now()
		err := work(n)
		return time.Since(start), err
	}
	c.verify = func() error {
		if !bytes.Equal(p.dst, p.src) || p.dst[0] != mark {
			return fmt.Errorf("a copy of %d bytes is not the same", len(p.src))
		}
		return nil
	}
	return c
}

func (b *bench) copyRow(ctx context.Context, r *report, t *table, direction string, size int, p copyPaths) error {
	for _, src := range [][]byte{p.seg.src, p.priv.src} {
		fill(src)
	}
	e := b.effort
	if size >= 16<<20 { // a copy takes longer than a sample should
		e.rounds = max(e.rounds/3, 3)
	}
	all, err := e.measure(ctx,
		p.seg.contender("Go, segment", p.seg.inGo), p.seg.contender("C, segment", p.seg.inC),
		p.priv.contender("Go, private", p.priv.inGo), p.priv.contender("C, private", p.priv.inC))
	if err != nil {
		return err
	}
	goSeg, cSeg, goPriv, cPriv := all[0], all[1], all[2], all[3]
	cells := []string{asSize(size)}
	for _, s := range []series{goSeg, cSeg, goPriv} {
		cells = append(cells, asSpeed(size, s.time().median))
	}
	t.row(append(cells, ratio(cSeg, goSeg).asRatio(), ratio(cPriv, goPriv).asRatio(), ratio(goPriv, goSeg).asRatio())...)
	r.bar(bar{
		what: fmt.Sprintf("copy of %s %s a segment, speed / memcpy", asSize(size), direction), limit: 0.97, least: true,
		got: ratio(cSeg, goSeg), note: "in private memory " + ratio(cPriv, goPriv).asRatio(),
	})
	return nil
}

// fill writes bytes that are not the same anywhere.
func fill(mem []byte) {
	for i := range mem {
		mem[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
}

// accesses measures reads and writes of a View beside the same of Go's heap.
func (b *bench) accesses(ctx context.Context, r *report, s *section) (err error) {
	var made objects
	defer made.close(&err)
	a, err := made.segment(4096, 0)
	if err != nil {
		return err
	}
	h := &heap{new(record)}
	if err := tryPairs(a, h); err != nil {
		return err
	}
	inSegment, onHeap := recordInSegment(a), recordOnHeap(h)
	t := newTable("access", "View", "heap", "View / heap")
	kinds := []struct {
		name string
		loop func(r *record) func(n int) error
	}{
		{"read", readWork}, {"write", writeWork}, {"atomic add", addWork},
	}
	for i, kind := range kinds {
		b.progress("access", i, len(kinds), kind.name)
		all, err := b.effort.measure(ctx,
			timed("View", kind.loop(inSegment)), timed("heap", kind.loop(onHeap)))
		if err != nil {
			return err
		}
		t.row(kind.name, all[0].time().asTime(), all[1].time().asTime(), ratio(all[0], all[1]).asRatio())
		r.bar(bar{what: "View " + kind.name + " / heap", limit: 1.00, same: true, got: ratio(all[0], all[1])})
	}
	s.text("A `uint64` and an `atomic.Uint64` in a `View` and on Go's heap, in a loop that is one function for both.")
	s.table(t)
	return nil
}

// tryPairs runs the functions whose machine code is compared.
func tryPairs(a *shm.Attachment, h *heap) error {
	const n = 100
	writeSegment(a, n)
	writeHeap(h, n)
	addSegment(a, n)
	addHeap(h, n)
	got := [...]uint64{readSegment(a, n), readHeap(h, n), recordInSegment(a).count.Load(), recordOnHeap(h).count.Load()}
	return same(got, [...]uint64{n * (n - 1), n * (n - 1), n, n}, nil)
}

func readWork(r *record) func(n int) error {
	return func(n int) error {
		r.value = 3
		return same(readLoop(r, n), 3*uint64(n), nil)
	}
}

func writeWork(r *record) func(n int) error {
	return func(n int) error {
		writeLoop(r, n)
		return same(r.value, uint64(n-1), nil)
	}
}

func addWork(r *record) func(n int) error {
	return func(n int) error {
		before := r.count.Load()
		addLoop(r, n)
		return same(r.count.Load(), before+uint64(n), nil)
	}
}
