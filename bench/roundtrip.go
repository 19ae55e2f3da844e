//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gosysv/shm/internal/ipcns"
)

func roundTripModes(queueLargest int) []mode {
	return []mode{
		{"spin", "segment, spinning", 0},
		{"spin-in-c", "segment, spinning, in C", 0},
		{"futex", "segment, futex", 0},
		{"semaphore", "segment, semaphores", 0},
		{"pipe", "pipe", 0},
		{"socket", "Unix socket", 0},
		{"queue", "message queue", queueLargest},
	}
}

var roundTripSizes = []int{8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 1 << 20}

// roundTrip measures a request and its reply, of the same size.
func (b *bench) roundTrip(ctx context.Context, r *report) error {
	s := r.section("Round trip")
	if len(b.cpus) < 2 {
		s.text("Not measured: it needs two CPUs.")
		return nil
	}
	queueLargest, limits := queueLimits()
	sizes := roundTripSizes
	if b.quick {
		sizes = []int{8, 4 << 10, 1 << 20}
	}
	modes := roundTripModes(queueLargest)
	got, err := b.talks(ctx, "round trip", modes, sizes, (*pair).roundTrips)
	if err != nil {
		return err
	}
	alone := map[int]series{}
	for _, size := range sizes {
		if alone[size], err = b.alone(ctx, size); err != nil {
			return err
		}
	}
	s.text("Two processes, each on a CPU of its own: the first makes a message and sends it, the second compares all of it, "+
		"makes one of the same size and sends that back, and the first compares it. "+
		"Through the segment messages are made and compared in place; with the others they are made and compared in the process's own memory. "+
		"In Go pipes and sockets are read and written by plain blocking system calls. %s", limits)
	s.text("In the mode *in C* a Go process lets a loop in C do the talking, in itself and on its own attachment: " +
		"what Go takes longer than that is code that another compiler made, and neither the segment nor the process.")
	s.table(pairingTable(modes, sizes, got))
	s.text("C–C again is another pair of the same two programs: so much of a ratio is where memory happens to lie. "+
		"All processes are started anew %d times.", batches)
	s.text("How many times as long the others take, of Go–C. (Pairs with C on both sides differ as the table above says.)")
	s.table(besideTable(modes, sizes, got, "Go–C", func(ns float64, _ int) string { return spread{median: ns}.short() }))
	r.pairingBars("round trip", modes[:4], sizes, got)
	r.spinningBars(modes, sizes, got, alone)
	r.plots = append(r.plots, plotOf("roundtrip.svg", "Round trip, Go–C", "µs", modes, sizes, got, func(_ int, ns float64) float64 { return ns / 1e3 }))
	return nil
}

// pairingBars asks of the modes through the segment what a side in Go costs: a
// bar each, for the size where it costs most.
func (r *report) pairingBars(what string, modes []mode, sizes []int, got talks) {
	for _, m := range modes {
		for _, pairing := range []string{"Go–C", "C–Go"} {
			var worst spread
			worstSize, over := 0, 0
			for _, size := range sizes {
				s := ratio(got[talk{m, pairing, size}], got[talk{m, "C–C", size}])
				if s.median > worst.median {
					worst, worstSize = s, size
				}
				if s.median > 1.10 {
					over++
				}
			}
			r.bar(bar{
				what: fmt.Sprintf("%s, %s: %s / C–C", what, m.name, pairing), limit: 1.10, got: worst,
				note: fmt.Sprintf("the worst of %d sizes, %s; %d over the bar; there C–C again / C–C is %s", len(sizes), asSize(worstSize), over,
					ratio(got[talk{m, "C–C again", worstSize}], got[talk{m, "C–C", worstSize}]).asRatio()),
			})
		}
	}
}

// alone measures what a round trip takes without any way between the two:
// one process makes and compares both messages, in its own memory.
func (b *bench) alone(ctx context.Context, size int) (series, error) {
	p := newMessages()
	text := p.out.text[:size]
	all, err := b.effort.measure(ctx, timed("alone", func(n int) error {
		for i := range uint64(n) {
			for _, stamp := range []uint64{i, ^i} {
				p.fill(text, stamp)
				if err := p.check(text, stamp); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	if err != nil {
		return series{}, err
	}
	return all[0], nil
}

// spinningBars compares the spinning pairs with pipes and sockets.
func (r *report) spinningBars(modes []mode, sizes []int, got talks, alone map[int]series) {
	for _, other := range modes {
		if other.transport != "pipe" && other.transport != "socket" {
			continue
		}
		for _, size := range sizes {
			spinning := got[talk{modes[0], "Go–C", size}]
			b := bar{
				what:  fmt.Sprintf("round trip of %s, Go–C: %s / %s", asSize(size), other.name, modes[0].name),
				limit: 5, least: true, got: ratio(got[talk{other, "Go–C", size}], spinning),
			}
			if !b.holds() {
				b.note = fmt.Sprintf("to make and to compare the messages, which both must, takes %s of the %s of %s",
					alone[size].time().short(), spinning.time().short(), modes[0].name)
			}
			r.bar(b)
		}
	}
}

// queueLimits lets message queues take the largest message, where that may be
// done: in a private namespace. It returns the largest and a sentence.
func queueLimits() (largestMessage int, sentence string) {
	const most = slotsBytes // in a queue: as many as in a segment
	if ipcns.Private() {
		errMax := os.WriteFile("/proc/sys/kernel/msgmax", []byte(fmt.Sprint(largest)), 0)
		errBytes := os.WriteFile("/proc/sys/kernel/msgmnb", []byte(fmt.Sprint(most)), 0)
		if errMax == nil && errBytes == nil {
			return largest, "The limits on message queues (msgmax, msgmnb) were raised to 1 MiB and 8 MiB; by default a message has at most 8 KiB."
		}
	}
	text, err := os.ReadFile("/proc/sys/kernel/msgmax")
	if err != nil {
		return 8192, ""
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 8192, ""
	}
	return limit, fmt.Sprintf("A message queue takes no message of more than %s here (msgmax).", asSize(limit))
}
