//go:build linux && cgo

package pshared_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/pshared"
)

// asPeer is the environment variable that makes the test binary a peer.
const asPeer = "PSHARED_TEST_PEER"

// goPeer is the peer of peer_test.go in Go.
type goPeer struct {
	lines *bufio.Scanner
	out   io.Writer
	words cpeer.Words // of the command that are not taken yet
	a     *shm.Attachment

	// What was initialised or opened, by offset.
	mutexes map[int]*pshared.Mutex
	sems    map[int]*pshared.Sem
	conds   map[int]*pshared.Cond
	rwlocks map[int]*pshared.RWLock
}

func servePeer(in io.Reader, out io.Writer) {
	p := goPeer{
		lines:   bufio.NewScanner(in),
		out:     out,
		mutexes: map[int]*pshared.Mutex{},
		sems:    map[int]*pshared.Sem{},
		conds:   map[int]*pshared.Cond{},
		rwlocks: map[int]*pshared.RWLock{},
	}
	p.serve()
}

func (p *goPeer) serve() {
	for p.lines.Scan() {
		p.words = strings.Fields(p.lines.Text())
		name := p.word()
		if name == "goexit" {
			go func() {
				p.answer(0, nil)
				p.serve()
			}()
			runtime.Goexit()
		}
		p.answer(p.run(name))
	}
}

func (p *goPeer) answer(n int, err error) {
	var errno syscall.Errno
	switch {
	case err == nil:
		fmt.Fprintln(p.out, "ok", n)
	case errors.As(err, &errno):
		fmt.Fprintln(p.out, "err", int(errno))
	case errors.Is(err, shm.ErrBusy):
		fmt.Fprintln(p.out, "err", int(syscall.EBUSY))
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintln(p.out, "err", int(syscall.ETIMEDOUT))
	default:
		fmt.Fprintln(p.out, err)
	}
}

func (p *goPeer) word() string { return p.words.Next() }

func (p *goPeer) int() int { return must(strconv.Atoi(p.word())) }

// offset takes an address in the segment.
func (p *goPeer) offset() int {
	return int(must(strconv.ParseUint(p.word(), 0, 64)) - uint64(uintptr(p.a.Pointer())))
}

// ctx takes a number of milliseconds: 0 is no context at all. (The context ends
// with the process.)
func (p *goPeer) ctx() context.Context {
	ms := p.int()
	if ms == 0 {
		return context.Background()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(ms)*time.Millisecond)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// found returns what is at the next offset, opened the first time.
func found[T any](p *goPeer, in map[int]*T, open func(*shm.Attachment, int) (*T, error)) *T {
	off := p.offset()
	if in[off] == nil {
		in[off] = must(open(p.a, off))
	}
	return in[off]
}

func (p *goPeer) mutex() *pshared.Mutex   { return found(p, p.mutexes, pshared.OpenMutex) }
func (p *goPeer) sem() *pshared.Sem       { return found(p, p.sems, pshared.OpenSem) }
func (p *goPeer) cond() *pshared.Cond     { return found(p, p.conds, pshared.OpenCond) }
func (p *goPeer) rwlock() *pshared.RWLock { return found(p, p.rwlocks, pshared.OpenRWLock) }

func (p *goPeer) run(command string) (int, error) {
	switch kind, call, _ := strings.Cut(command, "_"); kind {
	case "mutex":
		return 0, p.runMutex(call)
	case "sem":
		return p.runSem(call)
	case "cond":
		return 0, p.runCond(call)
	case "rwlock":
		return 0, p.runRWLock(call)
	}
	switch command {
	case "at":
		a, err := shm.ID(p.int()).Attach(0)
		if err != nil {
			return 0, err
		}
		p.a = a
		return int(uintptr(a.Pointer())), nil
	case "dt":
		return 0, p.a.Detach()
	case "load", "store":
		p.int() // the width: it is 64
		n := p.count()
		if command == "store" {
			*n = uint64(p.int())
		}
		return int(*n), nil
	case "turns":
		return 0, p.turns(p.cond(), p.mutex(), p.count(), p.int(), p.int())
	case "await":
		c, m, n, value := p.cond(), p.mutex(), p.count(), p.int()
		err := m.Lock()
		for ctx := p.ctx(); err == nil && int(*n) != value; {
			err = c.WaitContext(ctx, m)
		}
		return 0, err
	case "thread": // the main one is the main goroutine's
		type answer struct {
			n   int
			err error
		}
		done := make(chan answer)
		go func() {
			n, err := p.run(p.word())
			done <- answer{n, err}
		}()
		a := <-done
		return a.n, a.err
	}
	return 0, errors.New("unknown command: " + command)
}

func (p *goPeer) count() *uint64 { return must(shm.View[uint64](p.a, p.offset())) }

func (p *goPeer) runMutex(call string) (err error) {
	if call == "init" {
		off := p.offset()
		p.mutexes[off], err = pshared.InitMutex(p.a, off)
		return err
	}
	m := p.mutex()
	switch call {
	case "lock":
		return m.Lock()
	case "trylock":
		return m.TryLock()
	case "timedlock":
		return m.LockContext(p.ctx())
	case "unlock":
		return m.Unlock()
	case "consistent":
		return m.Consistent()
	case "destroy":
		return m.Destroy()
	case "count":
		return repeat(m.Lock, p.count(), m.Unlock, p.int())
	}
	return errors.New("unknown command: mutex_" + call)
}

func (p *goPeer) runSem(call string) (n int, err error) {
	if call == "init" {
		off := p.offset()
		p.sems[off], err = pshared.InitSem(p.a, off, uint(p.int()))
		return 0, err
	}
	s := p.sem()
	switch call {
	case "wait":
		return 0, s.Wait()
	case "trywait":
		return 0, s.TryWait()
	case "timedwait":
		return 0, s.WaitContext(p.ctx())
	case "post":
		return 0, s.Post()
	case "getvalue":
		return s.Value()
	case "destroy":
		return 0, s.Destroy()
	case "count":
		return 0, repeat(s.Wait, p.count(), s.Post, p.int())
	}
	return 0, errors.New("unknown command: sem_" + call)
}

func (p *goPeer) runCond(call string) (err error) {
	if call == "init" {
		off := p.offset()
		p.conds[off], err = pshared.InitCond(p.a, off)
		return err
	}
	c := p.cond()
	switch call {
	case "wait":
		return c.Wait(p.mutex())
	case "signal":
		return c.Signal()
	case "broadcast":
		return c.Broadcast()
	case "destroy":
		return c.Destroy()
	}
	return errors.New("unknown command: cond_" + call)
}

func (p *goPeer) runRWLock(call string) (err error) {
	if call == "init" {
		off := p.offset()
		p.rwlocks[off], err = pshared.InitRWLock(p.a, off)
		return err
	}
	rw := p.rwlock()
	switch call {
	case "rdlock":
		return rw.RLock()
	case "tryrdlock":
		return rw.TryRLock()
	case "timedrdlock":
		return rw.RLockContext(p.ctx())
	case "wrlock":
		return rw.Lock()
	case "trywrlock":
		return rw.TryLock()
	case "timedwrlock":
		return rw.LockContext(p.ctx())
	case "unlock":
		return rw.Unlock()
	case "destroy":
		return rw.Destroy()
	case "count":
		return repeat(rw.Lock, p.count(), rw.Unlock, p.int())
	}
	return errors.New("unknown command: rwlock_" + call)
}

// repeat adds 1 to a plain number in the segment, so many times, under a lock.
func repeat(lock func() error, n *uint64, unlock func() error, times int) error {
	for range times {
		if err := lock(); err != nil {
			return err
		}
		*n++
		if err := unlock(); err != nil {
			return err
		}
	}
	return nil
}

// turns is take_turns of ../ctest/peer_pshared.c.
func (*goPeer) turns(c *pshared.Cond, m *pshared.Mutex, n *uint64, role, rounds int) error {
	err := m.Lock()
	for err == nil && *n < uint64(rounds) {
		if *n%2 == uint64(role) {
			*n++
			err = c.Signal()
		} else {
			err = c.Wait(m)
		}
	}
	if err != nil {
		return err
	}
	return m.Unlock()
}
