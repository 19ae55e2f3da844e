//go:build linux && cgo

package main

import "sync/atomic"

// One way through the segment: slots, each filled by one side and emptied by
// the other, and a count of each. number, which counts from 1, tells the slot.

func slotCount(size int) uint32 { return uint32(min(slotsBytes/size, mostSlots)) }

func (p *peer) slot(number uint32, size int) []byte {
	at := int((number-1)%slotCount(size)) * size
	return p.slots[at : at+size]
}

// hasRoom looks at the other side's count again only when what it saw last is
// used up.
func (p *peer) hasRoom(number uint32, size int) bool {
	if number-p.seen <= slotCount(size) {
		return true
	}
	p.seen = p.tail.count.Load()
	return number-p.seen <= slotCount(size)
}

func (p *peer) isFilled(number uint32) bool {
	if int32(p.seen-number) >= 0 {
		return true
	}
	p.seen = p.head.count.Load()
	return int32(p.seen-number) >= 0
}

func (p *peer) slotsSpinSend(_ int, number uint32, stamp uint64, size int) error {
	for !p.hasRoom(number, size) {
		relax()
	}
	p.fill(p.slot(number, size), stamp)
	p.head.count.Store(number)
	return nil
}

func (p *peer) slotsSpinReceive(_ int, number uint32, stamp uint64, size int) error {
	for !p.isFilled(number) {
		relax()
	}
	err := p.check(p.slot(number, size), stamp)
	p.tail.count.Store(number)
	return err
}

// The copies that a program makes whose data are elsewhere.

func (p *peer) slotsCopySend(_ int, number uint32, stamp uint64, size int) error {
	p.fill(p.out.text[:size], stamp)
	for !p.hasRoom(number, size) {
		relax()
	}
	copy(p.slot(number, size), p.out.text[:size])
	p.head.count.Store(number)
	return nil
}

func (p *peer) slotsCopyReceive(_ int, number uint32, stamp uint64, size int) error {
	for !p.isFilled(number) {
		relax()
	}
	copy(p.in.text[:size], p.slot(number, size))
	p.tail.count.Store(number)
	return p.check(p.in.text[:size], stamp)
}

// With a futex a side that finds nothing to do says so in a flag, looks again,
// and sleeps for as long as the flag is set: the other clears it and wakes. (To
// sleep on the count would lose a wake-up: the other may clear the flag of the
// sleep before.)

func (p *peer) slotsFutexSend(_ int, number uint32, stamp uint64, size int) error {
	for !p.hasRoom(number, size) {
		p.fullWait.flag.Store(1)
		if p.hasRoom(number, size) {
			break
		}
		if err := futex(&p.fullWait.flag, futexWait, 1); err != nil {
			return err
		}
	}
	p.fill(p.slot(number, size), stamp)
	p.head.count.Store(number)
	return wake(&p.emptyWait.flag)
}

func (p *peer) slotsFutexReceive(_ int, number uint32, stamp uint64, size int) error {
	for !p.isFilled(number) {
		p.emptyWait.flag.Store(1)
		if p.isFilled(number) {
			break
		}
		if err := futex(&p.emptyWait.flag, futexWait, 1); err != nil {
			return err
		}
	}
	err := p.check(p.slot(number, size), stamp)
	p.tail.count.Store(number)
	if err != nil {
		return err
	}
	return wake(&p.fullWait.flag)
}

func wake(flag *atomic.Uint32) error {
	if flag.Load() == 0 {
		return nil
	}
	flag.Store(0)
	return futex(flag, futexWake, 1)
}
