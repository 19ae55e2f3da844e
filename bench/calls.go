//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"slices"
)

// Names of contenders, which are what the ratios are found by.
const (
	thisPackage = "this package"
	bareShim    = "bare shim"
	cLoop       = "C loop"
	xsys        = "x/sys/unix"
	gen2        = "gen2brain/shm"
)

// call is a call of the libc and the ways to make it.
type call struct {
	name       string
	contenders []contender
	bars       map[string]float64 // contender -> what this package may cost beside it
	note       func(all []series) string
}

// callCost measures what the calls cost.
func (b *bench) callCost(ctx context.Context, r *report) (err error) {
	var made objects
	defer made.close(&err)
	calls, err := theCalls(&made)
	if err != nil {
		return err
	}
	s := r.section("Call cost")
	s.text("The last column is what this package takes for each unit of time of that row. " +
		"A *bare shim* is a C function that makes the libc's call and returns -errno, behind one cgo crossing; " +
		"*C loop* is the libc's call in a loop in C. An empty crossing is what cgo itself costs.")
	t, err := b.callTable(ctx, r, "call cost", calls, xsys, gen2)
	if err != nil {
		return err
	}
	s.table(t)
	s.text("\"—\": it has no such call. x/sys/unix and gen2brain/shm make the system call without cgo, " +
		"and both, like this package, ask for the size after an attach (IPC_STAT), for shmat does not tell it; the two bare shims do not.")
	return nil
}

// callTable measures calls, of which the first contender is this package. absent
// are those of whom the table says so where they have no such call.
func (b *bench) callTable(ctx context.Context, r *report, what string, calls []call, absent ...string) (*table, error) {
	t := newTable("call", "by", "time", "allocs", "bytes", thisPackage+" / this")
	for i, c := range calls {
		b.progress(what, i, len(calls), c.name)
		all, err := b.effort.measure(ctx, c.contenders...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		for i := range all {
			if err := countAllocs(&all[i], c.contenders[i], 1000); err != nil {
				return nil, err
			}
		}
		callRows(t, c, all, absent)
		note := ""
		if c.note != nil {
			note = c.note(all)
		}
		for _, other := range all[1:] {
			if limit, ok := c.bars[other.name]; ok {
				r.bar(bar{what: c.name + " / " + other.name, limit: limit, got: ratio(all[0], other), note: note})
			}
		}
	}
	return t, nil
}

// callRows adds a row for each contender.
func callRows(t *table, c call, all []series, absent []string) {
	for _, s := range all {
		beside := ""
		if s.name != all[0].name {
			beside = ratio(all[0], s).asRatio()
		}
		t.row(c.name, s.name, s.time().asTime(), fmt.Sprintf("%.0f", s.allocs), fmt.Sprintf("%.0f", s.bytes), beside)
	}
	if len(all) == 1 {
		return
	}
	for _, name := range absent {
		if !slices.ContainsFunc(all, func(s series) bool { return s.name == name }) {
			t.row(c.name, name, "—", "", "", "")
		}
	}
}
