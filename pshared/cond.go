//go:build linux && cgo

package pshared

import (
	"context"
	"syscall"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ctxwait"
)

// Cond is a pthread_cond_t in a segment, and not safe when processes die: one
// that is killed while it waits can make a later Signal or Broadcast of any
// process hang for ever, which nothing can end or mend. It is here because
// programs that are ported have one. New code should wait for a semaphore:
// [Sem], or package [github.com/gosysv/shm/sem].
//
// Its methods may be called from many goroutines at once.
type Cond struct {
	object
	c *CondT
}

// InitCond initialises a condition variable off bytes into the segment, as
// process-shared and with CLOCK_MONOTONIC (pthread_cond_init). See [InitMutex].
//
// Errors: [shm.ErrBounds], [shm.ErrAlign], [shm.ErrReadOnly],
// [shm.ErrDetached]; those of pthread_cond_init(3).
func InitCond(a *shm.Attachment, off int) (*Cond, error) {
	c, o, err := locate[CondT](a, off)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	if errno := c.init(); errno != 0 {
		return nil, o.failed("pthread_cond_init", errno)
	}
	return &Cond{o, c}, nil
}

// OpenCond opens the condition variable off bytes into the segment, which
// somebody has initialised, in Go or in C, with PTHREAD_PROCESS_SHARED.
//
// Errors: [ErrNotShared]; those of [InitCond].
func OpenCond(a *shm.Attachment, off int) (*Cond, error) {
	c, o, err := open[CondT](a, off)
	if err != nil {
		return nil, err
	}
	a.Release()
	return &Cond{o, c}, nil
}

// Wait unlocks the mutex, waits for a Signal or Broadcast, and locks it again
// (pthread_cond_wait). The goroutine must have locked the mutex. It may return
// without a signal: call it in a loop that looks at what it waits for.
//
// Errors are those of [Mutex.Lock]: after [ErrOwnerDied] the goroutine has the
// mutex, after [ErrNotRecoverable] not; EPERM if it did not have it. (Of a mutex
// that a C program has initialised as PTHREAD_MUTEX_NORMAL and not robust, that
// can be told only where no goroutine of this process has it.)
func (c *Cond) Wait(m *Mutex) error {
	return c.wait("pthread_cond_wait", m, forever)
}

// WaitContext is [Cond.Wait] that waits until the context is done at most
// (pthread_cond_clockwait). While it waits it returns nil about 17 times a
// second, as without a signal: a signal that came just then must not be waited
// for again, and only the caller's loop can tell. Taking the mutex again, at the
// end, knows no context.
//
// Errors are those of Wait and of ctx.Err; the goroutine has the mutex after
// the latter.
func (c *Cond) WaitContext(ctx context.Context, m *Mutex) error {
	if ctx.Done() == nil {
		return c.Wait(m)
	}
	d, err := ctxwait.Slice(ctx)
	if err != nil {
		return err
	}
	return c.wait("pthread_cond_clockwait", m, d)
}

func (c *Cond) wait(call string, m *Mutex, d time.Duration) error {
	if err := c.a.Hold(); err != nil {
		return err
	}
	defer c.a.Release()
	if err := m.a.Hold(); err != nil {
		return err
	}
	defer m.a.Release()
	if m.held.Load() == 0 {
		return c.failed(call, syscall.EPERM)
	}
	switch errno := c.c.wait(m.m, d); errno {
	case 0, syscall.ETIMEDOUT:
		return nil
	case syscall.ENOTRECOVERABLE:
		m.held.Add(-1)
		m.lost()
		return m.failed(call, errno)
	default:
		return m.failed(call, errno)
	}
}

// Signal wakes up one who waits, if there is one (pthread_cond_signal). It can
// hang for ever if one was killed before.
//
// Errors: [shm.ErrDetached].
func (c *Cond) Signal() error { return c.call("pthread_cond_signal", (*CondT).signal) }

// Broadcast wakes up all who wait (pthread_cond_broadcast). It can hang for ever
// if one was killed before.
//
// Errors: [shm.ErrDetached].
func (c *Cond) Broadcast() error { return c.call("pthread_cond_broadcast", (*CondT).broadcast) }

// Destroy ends the condition variable (pthread_cond_destroy). It waits for who
// has been woken up and has not returned yet, for ever if such a one was killed.
//
// Errors: [shm.ErrDetached].
func (c *Cond) Destroy() error { return c.call("pthread_cond_destroy", (*CondT).destroy) }

func (c *Cond) call(name string, call func(*CondT) syscall.Errno) error {
	if err := c.a.Hold(); err != nil {
		return err
	}
	defer c.a.Release()
	if errno := call(c.c); errno != 0 {
		return c.failed(name, errno)
	}
	return nil
}
