//go:build linux && cgo

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
	"github.com/gosysv/shm/sem"
	"golang.org/x/sys/unix"
)

// One of two processes that talk, in Go: peer/peer.c is the same in C, and
// tells how it is started and what it is asked.

// shared is the head of the segment: words on cache lines of their own. The
// messages follow.
type shared struct {
	words [2]struct {
		number, _ atomic.Uint32
		_         [56]byte
	} // of the last message to the responder, and back
	head struct {
		count, _ atomic.Uint32
		_        [56]byte
	} // slots filled
	tail struct {
		count, _ atomic.Uint32
		_        [56]byte
	} // and emptied
	emptyWait struct {
		flag, _ atomic.Uint32
		_       [56]byte
	} // the consumer sleeps, for a slot filled
	fullWait struct {
		flag, _ atomic.Uint32
		_       [56]byte
	} // the producer sleeps, for one emptied
}

// locked is a count and a lock, behind the head. Another lock that guards it
// is the last of the semaphores.
type locked struct {
	_     pshared.MutexT
	count uint64
}

const (
	lockedAt   = 1024
	area       = 5120 // of requests, or of the slots: not at the words' offset in a page
	largest    = 1 << 20
	slotsBytes = 8 * largest
	mostSlots  = 1024
	stampSize  = 8
)

// segmentSize is that of the segment of two peers.
const segmentSize = area + slotsBytes

// message is a struct msgbuf; pipes and sockets use its text only.
type message struct {
	kind int
	text [largest]byte
}

// peer is the state of a side.
type peer struct {
	*shared
	locked            *locked
	mutex             *pshared.Mutex
	semMutex          *sem.Mutex
	areas             [2][]byte // of requests and of replies
	slots             []byte
	semaphores, queue int32
	known             []byte // what messages are made of
	out, in           *message
	seen              uint32 // what this side saw last of the other's count
}

// transport sends a message, which is made where the transport wants it, and
// receives one. to is 0 for the responder, 1 for the initiator; number counts
// from 1.
type transport struct {
	send, receive func(p *peer, to int, number uint32, stamp uint64, size int) error
	loops         map[string]loop // of roles, where they are written out
}

// loop does the messages from number first to last, and returns the sum of
// these numbers.
type loop func(p *peer, first, last uint32, size int) (sum uint64, err error)

var errMessage = errors.New("not the message that was expected")

// stamp is at the head of a message. (One load or store: the compiler makes
// five of a binary.NativeEndian.PutUint64 of a number that was a uint32.)
func stamp(text []byte) *uint64 { return (*uint64)(unsafe.Pointer(&text[:stampSize][0])) }

// fill fills text with the message.
func (p *peer) fill(text []byte, number uint64) {
	*stamp(text) = number
	copy(text[stampSize:], p.known[stampSize:])
}

// check compares the whole message.
func (p *peer) check(text []byte, number uint64) error {
	if *stamp(text) != number || !bytes.Equal(text[stampSize:], p.known[stampSize:len(text)]) {
		return errMessage
	}
	return nil
}

// roleFuncs are what one message takes of each role.
var roleFuncs = map[string]func(p *peer, t transport, number uint32, size int) error{
	"ping": func(p *peer, t transport, number uint32, size int) error {
		if err := t.send(p, 0, number, uint64(number), size); err != nil {
			return err
		}
		return t.receive(p, 1, number, ^uint64(number), size)
	},
	"pong": func(p *peer, t transport, number uint32, size int) error {
		if err := t.receive(p, 0, number, uint64(number), size); err != nil {
			return err
		}
		return t.send(p, 1, number, ^uint64(number), size)
	},
	"produce": func(p *peer, t transport, number uint32, size int) error {
		return t.send(p, 0, number, uint64(number), size)
	},
	"take": func(p *peer, t transport, number uint32, size int) error {
		if number == 1 { // not before the other side is there
			for p.head.count.Add(1); p.head.count.Load() < 2; {
				relax()
			}
		}
		return t.send(p, 0, number, 0, size)
	},
	"consume": func(p *peer, t transport, number uint32, size int) error {
		return t.receive(p, 0, number, uint64(number), size)
	},
}

// answer is what a side has to say of a command: the times by CLOCK_MONOTONIC,
// in nanoseconds, and the sum of the numbers of the messages between them.
type answer struct {
	start, end int64
	sum        uint64
}

// command does what one command asks.
func (p *peer) command(role, name string, size int, warm, count uint32) (answer, error) {
	one, knownRole := roleFuncs[role]
	t, knownTransport := transports[name]
	if !knownRole || !knownTransport || size < stampSize || size > largest {
		return answer{}, unix.EINVAL
	}
	do := t.loops[role]
	if do == nil {
		do = func(p *peer, first, last uint32, size int) (sum uint64, err error) {
			for number := first; number <= last; number++ {
				if err := one(p, t, number, size); err != nil {
					return sum, fmt.Errorf("message %d: %w", number, err)
				}
				sum += uint64(number)
			}
			return sum, nil
		}
	}
	p.seen = 0
	if _, err := do(p, 1, warm, size); err != nil {
		return answer{}, err
	}
	a := answer{start: monotonic()}
	var err error
	a.sum, err = do(p, warm+1, warm+count, size)
	a.end = monotonic()
	return a, err
}

func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // Linux has this clock
	}
	return t.Nano()
}

// peerMain is the program: CPU SHMID SEMID MSGID.
func peerMain(args []string) (err error) {
	if len(args) != 4 {
		return errors.New("usage: peer CPU SHMID SEMID MSGID")
	}
	var n [4]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(args[i]); err != nil {
			return err
		}
	}
	if err := pin(n[0]); err != nil {
		return err
	}
	a, err := shm.ID(n[1]).Attach(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Detach()) }()
	p, err := newPeer(a, n[2], n[3])
	if err != nil {
		return err
	}
	return p.serve()
}

func newPeer(a *shm.Attachment, semaphores, queue int) (*peer, error) {
	head, err := shm.View[shared](a, 0)
	if err != nil {
		return nil, err
	}
	guarded, err := shm.View[locked](a, lockedAt)
	if err != nil {
		return nil, err
	}
	mutex, err := pshared.OpenMutex(a, lockedAt)
	if err != nil {
		return nil, err
	}
	mem := a.Bytes()
	p := newMessages()
	p.shared, p.slots = head, mem[area:]
	p.locked, p.mutex, p.semMutex = guarded, mutex, sem.NewMutex(sem.ID(semaphores), 2)
	p.areas = [2][]byte{mem[area : area+largest], mem[area+largest:]}
	p.semaphores, p.queue = int32(semaphores), int32(queue)
	return p, nil
}

// newMessages makes a peer that has messages, and nobody to send them to.
func newMessages() *peer {
	p := &peer{known: make([]byte, largest), out: new(message), in: new(message)}
	for i := range p.known {
		p.known[i] = byte(i*7 + i/251)
	}
	// None of their pages is to be the kernel's zeros.
	copy(p.out.text[:], p.known)
	copy(p.in.text[:], p.known)
	return p
}

// serve answers commands until there are no more.
func (p *peer) serve() error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var (
			role, name  string
			size        int
			warm, count uint32
		)
		if _, err := fmt.Sscan(lines.Text(), &role, &name, &size, &warm, &count); err != nil {
			return err
		}
		a, err := p.command(role, name, size, warm, count)
		if err != nil {
			fmt.Println("err", err)
			return err
		}
		fmt.Println("ok", a.start, a.end, a.sum)
	}
	return lines.Err()
}

// futex is futex(2) on a word that processes share.
func futex(w *atomic.Uint32, op, value uint32) error {
	for {
		_, _, err := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w)), uintptr(op), uintptr(value), 0, 0, 0)
		switch err {
		case 0, syscall.EAGAIN:
			return nil
		case syscall.EINTR:
		default:
			return err
		}
	}
}

// The operations of futex(2).
const (
	futexWait = 0
	futexWake = 1
)
