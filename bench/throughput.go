//go:build linux && cgo

package main

import "context"

func throughputModes(queueLargest int) []mode {
	return []mode{
		{"slots-spin", "segment, spinning", 0},
		{"slots-copy", "segment, spinning, copied", 0},
		{"slots-futex", "segment, futex", 0},
		{"pipe", "pipe", 0},
		{"socket", "Unix socket", 0},
		{"queue", "message queue", queueLargest},
	}
}

var throughputSizes = []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20}

// throughput measures messages one way.
func (b *bench) throughput(ctx context.Context, r *report) error {
	s := r.section("Throughput")
	if len(b.cpus) < 2 {
		s.text("Not measured: it needs two CPUs.")
		return nil
	}
	queueLargest, limits := queueLimits()
	sizes := throughputSizes
	if b.quick {
		sizes = []int{64, 4 << 10, 1 << 20}
	}
	modes := throughputModes(queueLargest)
	got, err := b.talks(ctx, "throughput", modes, sizes, (*pair).oneWay)
	if err != nil {
		return err
	}
	s.text("One process makes messages and sends them, the other, on another CPU, compares all of each. "+
		"Through the segment they go in slots: up to 1024, of 8 MiB in all at the most; a side looks at the other's count only when it must. The time is from the first message made to the last one compared. "+
		"They are made and compared in place or, *copied*, made elsewhere, copied in, copied out and compared there, as the kernel does with the others. %s", limits)
	s.table(pairingTable(modes, sizes, got))
	s.text("The speed of Go–C through the segment, and how many times as long the others take for as many bytes.")
	s.table(besideTable(modes, sizes, got, "Go–C", func(ns float64, size int) string { return asSpeed(size, ns) }))
	s.text("%s", promise(modes, sizes, got))
	r.plots = append(r.plots, plotOf("throughput.svg", "Throughput, Go–C", "MB/s", modes, sizes, got, func(size int, ns float64) float64 { return float64(size) / ns * 1e3 }))
	return nil
}

// promise says for which sizes shared memory is the fastest, in place and with
// the copies that the kernel makes for the others.
func promise(modes []mode, sizes []int, got talks) string {
	t := newTable("size", "fastest without a segment", "it takes, of the segment in place", "… copied", "… with a futex")
	for _, size := range sizes {
		best, bestTime := mode{}, 0.0
		for _, m := range modes[3:] {
			s, ok := got[talk{m, "Go–C", size}]
			if ok && (bestTime == 0 || s.time().median < bestTime) {
				best, bestTime = m, s.time().median
			}
		}
		cells := []string{asSize(size), best.name}
		for _, m := range modes[:3] {
			cells = append(cells, ratio(got[talk{best, "Go–C", size}], got[talk{m, "Go–C", size}]).asRatio())
		}
		t.row(cells...)
	}
	return "That shared memory is the fastest, for nothing is copied, holds where the ratio below is above 1. " +
		"(Go–C: the fastest of pipe, socket and message queue, and how many times as long that takes as each way through the segment.)\n\n" + t.String()
}
