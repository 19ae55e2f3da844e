//go:build linux && cgo

package main

import (
	"sync/atomic"
	"unsafe"

	"github.com/gosysv/shm/bench/bare"
)

// Round trips through the segment, spinning. These loops are written out:
// calls through pointers, one to send and one to receive, would be a third of
// what is measured. In peer.c the compiler does that.

func (p *peer) spinPing(first, last uint32, size int) (sum uint64, err error) {
	request, reply := p.areas[0][:size], p.areas[1][:size]
	asked, answered := &p.words[0].number, &p.words[1].number
	for number := first; number <= last; number++ {
		p.fill(request, uint64(number))
		asked.Store(number)
		wait(answered, number)
		if err := p.check(reply, ^uint64(number)); err != nil {
			return sum, err
		}
		sum += uint64(number)
	}
	return sum, nil
}

func (p *peer) spinPong(first, last uint32, size int) (sum uint64, err error) {
	request, reply := p.areas[0][:size], p.areas[1][:size]
	asked, answered := &p.words[0].number, &p.words[1].number
	for number := first; number <= last; number++ {
		wait(asked, number)
		if err := p.check(request, uint64(number)); err != nil {
			return sum, err
		}
		p.fill(reply, ^uint64(number))
		answered.Store(number)
		sum += uint64(number)
	}
	return sum, nil
}

// wait spins until the word has the number.
func wait(w *atomic.Uint32, number uint32) {
	for w.Load() != number {
		relax()
	}
}

// The same loops in C, in this process and on its attachment: what a round
// trip between Go and C takes longer than that is compiled code.

func (p *peer) spinPingInC(first, last uint32, size int) (sum uint64, err error) {
	return p.spinInC(bare.Ping, first, last, size)
}

func (p *peer) spinPongInC(first, last uint32, size int) (sum uint64, err error) {
	return p.spinInC(bare.Pong, first, last, size)
}

func (p *peer) spinInC(loop func(t *bare.Talk, first, last uint32) (uint64, error), first, last uint32, size int) (uint64, error) {
	return loop(&bare.Talk{
		Words: [2]uintptr{uintptr(unsafe.Pointer(&p.words[0])), uintptr(unsafe.Pointer(&p.words[1]))},
		Texts: [2]uintptr{uintptr(unsafe.Pointer(&p.areas[0][0])), uintptr(unsafe.Pointer(&p.areas[1][0]))},
		Known: uintptr(unsafe.Pointer(&p.known[0])),
		Size:  uintptr(size),
	}, first, last)
}
