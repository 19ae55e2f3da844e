//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// mode is a way for processes to talk, and what the report calls it.
type mode struct {
	transport, name string
	largest         int // message; 0: any
}

// talk is one mode, pairing and size of messages; talks are what was measured.
type (
	talk struct {
		mode    mode
		pairing string
		size    int
	}
	talks map[talk]series
)

// sampler is a measurement of a pair.
type sampler func(p *pair, ctx context.Context, transport string, size, n int) (time.Duration, error)

// batches is how often the pairs are started anew: see pairings.
const batches = 4

// talks measures pairs of all pairings, all modes, and messages of all sizes.
func (b *bench) talks(ctx context.Context, what string, modes []mode, sizes []int, sample sampler) (talks, error) {
	dir, err := os.MkdirTemp("", "shmbench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program, err := buildPeer(dir)
	if err != nil {
		return nil, err
	}
	got := talks{}
	for batch := range batches {
		if err := b.batch(ctx, fmt.Sprintf("%s, pairs %d/%d", what, batch+1, batches), program, modes, sizes, sample, got); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// batch measures pairs that it starts, and adds to got.
func (b *bench) batch(ctx context.Context, what, program string, modes []mode, sizes []int, sample sampler, got talks) (err error) {
	var made objects
	defer made.close(&err)
	pairs, err := b.pairs(ctx, &made, program)
	if err != nil {
		return err
	}
	e := b.effort
	e.rounds = max(e.rounds/batches, 1)
	for i, size := range sizes {
		b.progress(what, i, len(sizes), asSize(size))
		keys, contenders := contendersOf(ctx, pairs, modes, size, sample)
		all, err := e.measure(ctx, contenders...)
		if err != nil {
			return err
		}
		for i, s := range all {
			s.ns = append(got[keys[i]].ns, s.ns...)
			got[keys[i]] = s
		}
	}
	return nil
}

// contendersOf makes a contender of each mode and pair, for one size.
func contendersOf(ctx context.Context, pairs []*pair, modes []mode, size int, sample sampler) (keys []talk, contenders []contender) {
	for _, m := range modes {
		if m.largest != 0 && size > m.largest {
			continue
		}
		for _, p := range pairs {
			keys = append(keys, talk{m, p.name, size})
			contenders = append(contenders, contender{
				name: p.name + ", " + m.name, group: m.name,
				sample: func(n int) (time.Duration, error) {
					return sample(p, ctx, m.transport, size, n)
				},
			})
		}
	}
	return keys, contenders
}

// pairingTable has the time of C–C and beside it what the other pairs take.
func pairingTable(modes []mode, sizes []int, got talks) *table {
	t := newTable("through", "size", "C–C", "C–C again / C–C", "Go–C / C–C", "C–Go / C–C", "Go–Go / C–C")
	for _, m := range modes {
		for _, size := range sizes {
			base, ok := got[talk{m, "C–C", size}]
			if !ok {
				t.row(m.name, asSize(size), "—")
				continue
			}
			cells := []string{m.name, asSize(size), base.time().asTime()}
			for _, p := range pairings[1:] {
				cells = append(cells, ratio(got[talk{m, p.name, size}], base).asRatio())
			}
			t.row(cells...)
		}
	}
	return t
}

// besideTable has what the first mode takes, of one pairing, and how many
// times as long the others do.
func besideTable(modes []mode, sizes []int, got talks, pairing string, show func(ns float64, size int) string) *table {
	head := []string{"size", modes[0].name}
	for _, m := range modes[1:] {
		head = append(head, m.name)
	}
	t := newTable(head...)
	for _, size := range sizes {
		base := got[talk{modes[0], pairing, size}]
		cells := []string{asSize(size), show(base.time().median, size)}
		for _, m := range modes[1:] {
			other, ok := got[talk{m, pairing, size}]
			if !ok {
				cells = append(cells, "—")
				continue
			}
			cells = append(cells, ratio(other, base).asRatio())
		}
		t.row(cells...)
	}
	return t
}
