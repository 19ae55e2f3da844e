//go:build linux && cgo

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/bench/bare"
	"github.com/gosysv/shm/internal/ipcns"
)

// growth measures what costs more when there is more of something.
func (b *bench) growth(ctx context.Context, r *report) error {
	s := r.section("Growth")
	for _, measure := range []func(context.Context, *report, *section) error{
		b.attachBySize, b.attachments, b.listBySegments, b.firstTouch, b.viewByFields,
	} {
		if err := measure(ctx, r, s); err != nil {
			return err
		}
	}
	return nil
}

var attachSizes = []int{4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20, 4 << 30, 64 << 30}

// clearAddress is where a process has nothing, and the kernel puts nothing by
// itself, for as much as the largest segment: where addresses have 47 bits.
const clearAddress = 1 << 44

// attachBySize measures Attach and Detach of segments of all sizes: where the
// kernel puts them, the same in C, and at an address with nothing near.
func (b *bench) attachBySize(ctx context.Context, r *report, s *section) (err error) {
	b.progress("growth", 0, 5, "Attach by size")
	var made objects
	defer made.close(&err)
	var byKernel, inC, atClear []contender
	for _, size := range attachSizes {
		id, err := made.segmentID(shm.IPC_PRIVATE, size, shm.SHM_NORESERVE|0o600)
		if err != nil {
			s.text("No segment of %s and more: %v", asSize(size), err)
			break
		}
		name := asSize(size)
		byKernel = append(byKernel, each(name, func() error { return attachOnce(id, 0, size) }))
		inC = append(inC, timed(name, func(n int) error { return bare.LoopAttach(int32(id), n) }))
		atClear = append(atClear, each(name, func() error { return attachOnce(id, clearAddress, size) }))
	}
	all, err := b.effort.measure(ctx, slices.Concat(byKernel, inC, atClear)...)
	if err != nil {
		return err
	}
	n := len(byKernel)
	own, c, alone := all[:n], all[n:2*n], all[2*n:]
	first := own[0].name
	t := newTable("segment", "Attach+Detach", "to "+first, "C loop", "to "+first, "AttachAt+Detach, nothing near", "to "+first)
	for i := range own {
		t.row(own[i].name, own[i].time().asTime(), ratio(own[i], own[0]).asRatio(),
			c[i].time().asTime(), ratio(c[i], c[0]).asRatio(), alone[i].time().asTime(), ratio(alone[i], alone[0]).asRatio())
	}
	s.text("Attach and Detach of a segment of which no page was ever touched (SHM_NORESERVE). " +
		"What a large one costs more, where the kernel puts it, is the kernel's: it lies beside other mappings, " +
		"shares page tables with them, and shmdt looks at all of their entries in its range. " +
		"Where nothing is near, size makes no difference.")
	s.table(t)
	if n == len(attachSizes) {
		r.bar(bar{what: "Attach+Detach of " + own[n-1].name + " / " + first, limit: 1.3, got: ratio(own[n-1], own[0]), note: "C loop " + ratio(c[n-1], c[0]).asRatio()})
		r.bar(bar{what: "… at an address with nothing near", limit: 1.3, got: ratio(alone[n-1], alone[0])})
	}
	return nil
}

func attachOnce(id shm.ID, addr uintptr, size int) error {
	a, err := id.AttachAt(addr, 0)
	if err != nil {
		return err
	}
	return errors.Join(same(a.Len(), size, nil), a.Detach())
}

// attachments measures one more attachment of a segment that has some.
func (b *bench) attachments(ctx context.Context, _ *report, s *section) (err error) {
	b.progress("growth", 1, 5, "attachments of one segment")
	const size = 4096
	t := newTable("attachments", "Attach+Detach of one more", "to 1")
	var contenders []contender
	var made objects
	defer made.close(&err)
	for n := 1; n <= 64; n *= 2 {
		a, err := made.segment(size, 0)
		if err != nil {
			return err
		}
		for range n - 1 {
			more, err := a.ID().Attach(0)
			if err != nil {
				return err
			}
			made.later(more.Detach)
		}
		contenders = append(contenders, each(fmt.Sprint(n), func() error { return attachOnce(a.ID(), 0, size) }))
	}
	all, err := b.effort.measure(ctx, contenders...)
	if err != nil {
		return err
	}
	for _, one := range all {
		t.row(one.name, one.time().asTime(), ratio(one, all[0]).asRatio())
	}
	s.text("Attach and Detach of a segment that this process has attached already.")
	s.table(t)
	return nil
}

// listBySegments measures List beside ipcs.
func (b *bench) listBySegments(ctx context.Context, r *report, s *section) (err error) {
	b.progress("growth", 2, 5, "List")
	if !ipcns.Private() {
		s.text("List was not measured: it needs a private IPC namespace.")
		return nil
	}
	counts := []int{1, 16, 64, 65, 256, 1024, 4096}
	t := newTable("segments", "List", "a segment", "C loop", "List / C loop", "`ipcs -m`", "ipcs / List")
	lists, loops := map[int]series{}, map[int]series{}
	var made objects
	defer made.close(&err)
	before, err := shm.List()
	if err != nil {
		return err
	}
	have := len(before)
	for _, n := range counts {
		for ; have < n; have++ {
			if _, err := made.segmentID(shm.IPC_PRIVATE, 4096, 0o600); err != nil {
				s.text("No more than %d segments: %v", have, err)
				s.table(t)
				return nil
			}
		}
		all, err := b.listed(ctx, n)
		if err != nil {
			return err
		}
		list, inC, ipcs := all[0], all[1], all[2]
		lists[n], loops[n] = list, inC
		t.row(fmt.Sprint(n), list.time().asTime(), spread{median: list.time().median / float64(n)}.short(),
			inC.time().asTime(), ratio(list, inC).asRatio(), ipcs.time().asTime(), ratio(ipcs, list).asRatio())
		if n == 4096 {
			r.bar(bar{
				what: "List of 4096 segments / 16 times List of 256", limit: 1.10, got: perSegment(lists),
				note: "C loop " + perSegment(loops).asRatio() + "; the two were not measured in the same rounds",
			})
			r.bar(bar{what: "`ipcs -m` / List, of 4096 segments", limit: 5, least: true, got: ratio(ipcs, list)})
		}
	}
	s.text("List, a loop in C over the kernel's table that keeps nothing of what it reads, and the command, whose output is read to its end. " +
		"A sample of the first two begins with one that is not timed: the command before it has taken the caches.")
	s.table(t)
	return nil
}

// perSegment is what a segment costs among 4096, to one among 256.
func perSegment(by map[int]series) spread {
	return spreadOf(ratios(by[4096].ns, times(16, by[256].ns)))
}

// listed measures the ways to list n segments.
func (b *bench) listed(ctx context.Context, n int) ([]series, error) {
	e := b.effort
	e.rounds = max(e.rounds/2, 3) // ipcs takes its time
	e.sample *= 4                 // several lists of 4096
	return e.measure(ctx,
		warmed(each("List", func() error {
			segs, err := shm.List()
			return same(len(segs), n, err)
		})),
		warmed(timed("C loop", func(times int) error {
			found, err := bare.LoopList(times)
			return same(found, n, err)
		})),
		each("ipcs", func() error {
			out, err := exec.CommandContext(ctx, "ipcs", "-m").Output()
			return same(bytes.Count(out, []byte("\n0x")), n, err)
		}))
}

// firstTouch measures the first store to each page of a segment.
func (b *bench) firstTouch(ctx context.Context, _ *report, s *section) (err error) {
	b.progress("growth", 3, 5, "first touch")
	const size = 64 << 20
	huge, why, restore := reserveHugePages(size)
	defer func() { err = errors.Join(err, restore()) }()
	contenders := []contender{
		touched("segment, 4 KiB pages", size, 0),
		touchedPrivate("private memory", size),
	}
	if huge {
		contenders = append(contenders, touched("segment, 2 MiB pages", size, shm.SHM_HUGETLB|shm.SHM_HUGE_2MB))
	}
	e := b.effort
	e.rounds = max(e.rounds/3, 3)
	all, err := e.measure(ctx, contenders...)
	if err != nil {
		return err
	}
	t := newTable("memory", "first touch of "+asSize(size), "of 4 KiB of it", "to 4 KiB pages")
	for _, one := range all {
		t.row(one.name, one.time().asTime(), spread{median: one.time().median * 4096 / size}.short(), ratio(one, all[0]).asRatio())
	}
	s.text("A store to every 4 KiB of a segment that is new. Every store to a page that was not there is a fault, and the kernel clears the page.%s", why)
	s.table(t)
	return nil
}

const touchStep = 4096

// touched makes a segment for each sample: a page is touched for the first
// time only once.
func touched(name string, size int, flags shm.GetFlag) contender {
	one := func() (d time.Duration, err error) {
		var made objects
		defer made.close(&err)
		a, err := made.segment(size, flags)
		if err != nil {
			return 0, err
		}
		return touch(a.Bytes())
	}
	return contender{name: name, sample: func(n int) (time.Duration, error) { return sum(n, one) }}
}

func touchedPrivate(name string, size int) contender {
	one := func() (d time.Duration, err error) {
		var made objects
		defer made.close(&err)
		mem, err := made.anonymous(size)
		if err != nil {
			return 0, err
		}
		return touch(mem)
	}
	return contender{name: name, sample: func(n int) (time.Duration, error) { return sum(n, one) }}
}

// touch stores to every page and counts what was stored, outside of the time.
func touch(mem []byte) (time.Duration, error) {
	start := time.Now()
	for i := 0; i < len(mem); i += touchStep {
		mem[i] = 1
	}
	d := time.Since(start)
	return d, same(bytes.Count(mem, []byte{1}), len(mem)/touchStep, nil)
}

func sum(n int, one func() (time.Duration, error)) (total time.Duration, err error) {
	for range n {
		d, err := one()
		if err != nil {
			return 0, err
		}
		total += d
	}
	return total, nil
}
