//go:build linux && cgo

package pshared_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
)

// cancellable is a context that can be cancelled, and is not.
func cancellable(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}

// ways are how Go takes a mutex.
var ways = []struct {
	name  string
	waits bool
	take  func(t testing.TB, m *pshared.Mutex) error
}{
	{"Lock", true, func(_ testing.TB, m *pshared.Mutex) error { return m.Lock() }},
	{"TryLock", false, func(_ testing.TB, m *pshared.Mutex) error { return m.TryLock() }},
	{"LockContext", true, func(t testing.TB, m *pshared.Mutex) error { return m.LockContext(cancellable(t)) }},
}

// TestOwnerDied: who takes the mutex of a process that was killed learns it,
// and has the mutex.
func TestOwnerDied(t *testing.T) {
	for _, language := range []string{"C", "Go"} {
		for _, way := range ways {
			t.Run(language+"/"+way.name, func(t *testing.T) {
				a := segment(t)
				m := initMutex(a)
				owner := start(t, a, language)
				owner.ok("mutex_lock", theMutex)
				owner.die()
				g := newGoroutine(t)
				mend(t, a, m, g, g.do(func() error { return way.take(t, m) }))
			})
			if !way.waits {
				continue
			}
			t.Run(language+"/"+way.name+"_waits", func(t *testing.T) {
				a := segment(t)
				m := initMutex(a)
				owner := start(t, a, language)
				owner.ok("mutex_lock", theMutex)
				g := newGoroutine(t)
				took := g.start(func() error { return way.take(t, m) })
				wait(t, a, theMutex)
				owner.die()
				mend(t, a, m, g, result(t, took))
			})
		}
	}
}

// mend is what a goroutine does after it took the mutex of one who died.
func mend(t *testing.T, a *shm.Attachment, m *pshared.Mutex, g goroutine, err error) {
	t.Helper()
	wantIs(t, err, pshared.ErrOwnerDied, syscall.EOWNERDEAD)
	if errors.Is(err, pshared.ErrNotRecoverable) {
		t.Errorf("%v: means ErrNotRecoverable too", err)
	}
	witness := startC(t, a)
	witness.refuses(syscall.EBUSY, "mutex_trylock", theMutex)
	wantIs(t, a.Detach(), shm.ErrBusy)
	ok(t, g.do(m.Consistent), g.do(m.Unlock))
	witness.ok("mutex_lock", theMutex)
	witness.ok("mutex_unlock", theMutex)
	ok(t, g.do(m.Lock), g.do(m.Unlock))
}

// TestGoOwnerDied: a process in C learns of the death of one in Go.
func TestGoOwnerDied(t *testing.T) {
	for _, take := range []string{"mutex_lock", "mutex_trylock", "mutex_timedlock"} {
		for _, waits := range []bool{false, true} {
			if waits && take == "mutex_trylock" {
				continue
			}
			t.Run(fmt.Sprintf("%s/waits=%v", take, waits), func(t *testing.T) {
				a := segment(t)
				owner, c := startGo(t, a), startC(t, a)
				owner.ok("mutex_init", theMutex)
				owner.ok("mutex_lock", theMutex)
				if waits {
					c.ask(take, theMutex, 60_000)
					c.waits(theMutex)
				}
				owner.die()
				if !waits {
					c.ask(take, theMutex, 60_000)
				}
				_, err := c.Answer()
				wantIs(t, err, syscall.EOWNERDEAD)
				c.ok("mutex_consistent", theMutex)
				c.ok("mutex_unlock", theMutex)
				m := openMutex(a)
				ok(t, m.Lock(), m.Unlock())
			})
		}
	}
}

// TestNotRecoverable: a mutex that is unlocked in an inconsistent state is lost
// to both sides, also to who waits for it then, until it is made anew.
func TestNotRecoverable(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	for _, breaker := range []string{"C", "Go"} {
		t.Run(breaker, func(t *testing.T) {
			a := segment(t)
			m := initMutex(a)
			owner, c := startC(t, a), startC(t, a)
			owner.ok("mutex_lock", theMutex)
			owner.die()
			breaks := start(t, a, breaker)
			breaks.refuses(syscall.EOWNERDEAD, "mutex_lock", theMutex)
			// The libc wakes up the first, one in Go the next.
			waiter := newGoroutine(t).start(m.Lock)
			wait(t, a, theMutex)
			c.ask("mutex_lock", theMutex)
			c.waits(theMutex)
			breaks.ok("mutex_unlock", theMutex)
			wantIs(t, result(t, waiter), pshared.ErrNotRecoverable, syscall.ENOTRECOVERABLE)
			_, err := c.Answer()
			wantIs(t, err, syscall.ENOTRECOVERABLE)

			for _, way := range ways {
				err := way.take(t, m)
				wantIs(t, err, pshared.ErrNotRecoverable, syscall.ENOTRECOVERABLE)
				if errors.Is(err, pshared.ErrOwnerDied) {
					t.Errorf("%v: means ErrOwnerDied too", err)
				}
			}
			wantIs(t, m.Unlock(), syscall.EPERM)
			c.refuses(syscall.ENOTRECOVERABLE, "mutex_lock", theMutex)

			ok(t, m.Destroy())
			m = initMutex(a)
			ok(t, m.Lock())
			c.refuses(syscall.EBUSY, "mutex_trylock", theMutex)
			ok(t, m.Unlock())
			c.ok("mutex_lock", theMutex)
			c.ok("mutex_unlock", theMutex)
		})
	}
}

// TestDestroyAfterDeath: a mutex whose owner died can be destroyed at once.
func TestDestroyAfterDeath(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	a := segment(t)
	m := initMutex(a)
	owner := startC(t, a)
	owner.ok("mutex_lock", theMutex)
	wantIs(t, m.Destroy(), shm.ErrBusy)
	owner.die()
	ok(t, m.Destroy())
	wantIs(t, m.Lock(), syscall.EINVAL)
}

// TestGoroutineEnds: one that ends with the mutex ends its thread, and all
// learn it; the attachment stays held.
func TestGoroutineEnds(t *testing.T) {
	for _, next := range []string{"the same process", "C", "Go"} {
		t.Run(next, func(t *testing.T) {
			a := segment(t)
			owner := startGo(t, a)
			owner.ok("mutex_init", theMutex)
			owner.ok("thread", "mutex_lock", theMutex)
			other := owner
			if next != "the same process" {
				other = start(t, a, next)
			}
			other.refuses(syscall.EOWNERDEAD, "mutex_lock", theMutex)
			other.ok("mutex_consistent", theMutex)
			other.ok("mutex_unlock", theMutex)
			owner.refuses(syscall.EBUSY, "dt", owner.base)
		})
	}
}

// TestThreadEnds: the same of a thread in C.
func TestThreadEnds(t *testing.T) {
	a := segment(t)
	m := initMutex(a)
	c := startC(t, a)
	c.ok("thread", "mutex_lock", theMutex)
	wantIs(t, m.Lock(), pshared.ErrOwnerDied)
	ok(t, m.Consistent(), m.Unlock())
}

// TestMainGoroutineEnds: the main thread of a Go program does not end with its
// goroutine, and keeps the mutex until the process ends.
func TestMainGoroutineEnds(t *testing.T) {
	a := segment(t)
	m := initMutex(a)
	owner, c := startGo(t, a), startC(t, a)
	owner.ok("mutex_lock", theMutex)
	owner.ok("goexit")
	eventually(t, "the main thread sleeps, its goroutine having ended", func() bool {
		wchan, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(owner.PID()), "task", fmt.Sprint(owner.PID()), "wchan"))
		ok(t, err)
		return strings.HasPrefix(string(wchan), "futex")
	})
	wantIs(t, m.TryLock(), shm.ErrBusy)
	c.refuses(syscall.EBUSY, "mutex_trylock", theMutex)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	wantIs(t, m.LockContext(ctx), context.DeadlineExceeded)
	owner.refuses(syscall.EBUSY, "mutex_trylock", theMutex) // another thread of the same process
	owner.refuses(syscall.EBUSY, "dt", owner.base)

	owner.die()
	wantIs(t, m.Lock(), pshared.ErrOwnerDied)
	ok(t, m.Consistent(), m.Unlock())
}

// TestCondOwnerDied: who waits for a condition gets the mutex back as by Lock.
func TestCondOwnerDied(t *testing.T) {
	for _, with := range []string{"Wait", "WaitContext"} {
		t.Run(with, func(t *testing.T) {
			a := segment(t)
			m, cond := initMutex(a), initCond(a)
			n := must(shm.View[uint64](a, int(theCount.off)))
			waitUntil1 := func() error {
				for *n != 1 {
					var err error
					if with == "Wait" {
						err = cond.Wait(m)
					} else {
						err = cond.WaitContext(cancellable(t), m)
					}
					if err != nil {
						return err
					}
				}
				return nil
			}
			g := newGoroutine(t)
			ok(t, g.do(m.Lock))
			waiter := g.start(waitUntil1)
			wait(t, a, theCond)
			owner := startC(t, a)
			owner.ok("mutex_lock", theMutex)
			owner.ok("cond_signal", theCond)
			owner.die()
			mend(t, a, m, g, result(t, waiter))

			// After this one the mutex is lost.
			ok(t, g.do(m.Lock))
			waiter = g.start(waitUntil1)
			wait(t, a, theCond)
			owner, breaker := startC(t, a), startC(t, a)
			owner.ok("mutex_lock", theMutex)
			owner.die()
			breaker.refuses(syscall.EOWNERDEAD, "mutex_lock", theMutex)
			breaker.ok("cond_signal", theCond)
			breaker.ok("mutex_unlock", theMutex)
			wantIs(t, result(t, waiter), pshared.ErrNotRecoverable, syscall.ENOTRECOVERABLE)
			wantIs(t, g.do(m.Unlock), syscall.EPERM)
		})
	}
}
