//go:build linux && cgo

package main

import (
	"io"
	"syscall"
	"unsafe"

	"github.com/gosysv/shm/bench/bare"
	"golang.org/x/sys/unix"
)

var transports = map[string]transport{
	"spin":        {loops: map[string]loop{"ping": (*peer).spinPing, "pong": (*peer).spinPong}},
	"spin-in-c":   {loops: map[string]loop{"ping": (*peer).spinPingInC, "pong": (*peer).spinPongInC}},
	"futex":       {send: (*peer).futexSend, receive: (*peer).futexReceive},
	"semaphore":   {send: (*peer).semSend, receive: (*peer).semReceive},
	"pipe":        {send: (*peer).pipeSend, receive: (*peer).pipeReceive},
	"socket":      {send: (*peer).socketSend, receive: (*peer).socketReceive},
	"queue":       {send: (*peer).queueSend, receive: (*peer).queueReceive},
	"slots-spin":  {send: (*peer).slotsSpinSend, receive: (*peer).slotsSpinReceive},
	"slots-copy":  {send: (*peer).slotsCopySend, receive: (*peer).slotsCopyReceive},
	"slots-futex": {send: (*peer).slotsFutexSend, receive: (*peer).slotsFutexReceive},
	"mutex":       {send: (*peer).mutexCount, receive: (*peer).mutexCount},
	"semop":       {send: (*peer).semopCount, receive: (*peer).semopCount},
}

// Round trips through the segment.

func (p *peer) futexSend(to int, number uint32, stamp uint64, size int) error {
	p.fill(p.areas[to][:size], stamp)
	p.words[to].number.Store(number)
	return futex(&p.words[to].number, futexWake, 1)
}

func (p *peer) futexReceive(to int, number uint32, stamp uint64, size int) error {
	w := &p.words[to].number
	for now := w.Load(); now != number; now = w.Load() {
		if err := futex(w, futexWait, now); err != nil {
			return err
		}
	}
	return p.check(p.areas[to][:size], stamp)
}

func (p *peer) semChange(to int, by int16) error {
	for {
		r := bare.Semop(p.semaphores, uint16(to), by)
		if r != -int32(syscall.EINTR) {
			return shim(r)
		}
	}
}

func (p *peer) semSend(to int, _ uint32, stamp uint64, size int) error {
	p.fill(p.areas[to][:size], stamp)
	return p.semChange(to, 1)
}

func (p *peer) semReceive(to int, _ uint32, stamp uint64, size int) error {
	if err := p.semChange(to, -1); err != nil {
		return err
	}
	return p.check(p.areas[to][:size], stamp)
}

// What the kernel copies.

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func readAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Read(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		data = data[n:]
	}
	return nil
}

// The file descriptors that a peer is started with.
const (
	pipeIn  = 3
	pipeOut = 4
	socket  = 5
)

func (p *peer) fdSend(fd int, stamp uint64, size int) error {
	p.fill(p.out.text[:size], stamp)
	return writeAll(fd, p.out.text[:size])
}

func (p *peer) fdReceive(fd int, stamp uint64, size int) error {
	if err := readAll(fd, p.in.text[:size]); err != nil {
		return err
	}
	return p.check(p.in.text[:size], stamp)
}

func (p *peer) pipeSend(_ int, _ uint32, stamp uint64, size int) error {
	return p.fdSend(pipeOut, stamp, size)
}

func (p *peer) pipeReceive(_ int, _ uint32, stamp uint64, size int) error {
	return p.fdReceive(pipeIn, stamp, size)
}

func (p *peer) socketSend(_ int, _ uint32, stamp uint64, size int) error {
	return p.fdSend(socket, stamp, size)
}

func (p *peer) socketReceive(_ int, _ uint32, stamp uint64, size int) error {
	return p.fdReceive(socket, stamp, size)
}

func (p *peer) queueSend(to int, _ uint32, stamp uint64, size int) error {
	p.fill(p.out.text[:size], stamp)
	p.out.kind = to + 1
	for {
		r := bare.Msgsnd(p.queue, uintptr(unsafe.Pointer(p.out)), size)
		if r != -int32(syscall.EINTR) {
			return shim(r)
		}
	}
}

func (p *peer) queueReceive(to int, _ uint32, stamp uint64, size int) error {
	for {
		r := bare.Msgrcv(p.queue, uintptr(unsafe.Pointer(p.in)), size, to+1)
		switch {
		case r == -int32(syscall.EINTR):
			continue
		case r < 0:
			return shim(r)
		case int(r) != size:
			return errMessage
		}
		return p.check(p.in.text[:size], stamp)
	}
}

// Locks, which carry no message: both ways count.

func (p *peer) mutexCount(_ int, _ uint32, _ uint64, _ int) error { return p.countUnder(p.mutex) }

func (p *peer) semopCount(_ int, _ uint32, _ uint64, _ int) error { return p.countUnder(p.semMutex) }

func (p *peer) countUnder(l lock) error {
	if err := l.Lock(); err != nil {
		return err
	}
	p.locked.count++
	return l.Unlock()
}

// lock is what the Mutexes of packages sem and pshared have in common.
type lock interface {
	Lock() error
	Unlock() error
}
