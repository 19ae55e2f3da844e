//go:build linux && cgo

package sem_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/sem"
)

// A set that is removed beneath those who use it, at any moment. In each round
// each goroutine makes a call again and again, in Go and in C, until it says that
// the set is removed; nothing else may go wrong, and nobody is left waiting.

const removedRounds = 50

// untilRemoved has goroutines make the calls until each says so, and removes the
// set after each has worked once.
func untilRemoved(t *testing.T, id sem.ID, calls map[string]func() error) {
	t.Helper()
	var begun sync.WaitGroup
	waits := map[string]func() error{}
	for name, call := range calls {
		begun.Add(1)
		waits[name] = async(t, func() error {
			err := call()
			begun.Done()
			for err == nil || errors.Is(err, shm.ErrBusy) {
				runtime.Gosched() // leave room for the others
				err = call()
			}
			return err
		})
	}
	begun.Wait()
	remove(t, id)
	for name, wait := range waits {
		if err := wait(); !errors.Is(err, shm.ErrRemoved) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, there := procTable(t)[id]; there {
		t.Errorf("still there: %v", left)
	}
}

// TestMutexRemovedRace: the set is removed under a lock that goroutines, two
// Mutexes and a C process contend for. It goes on to exclude those of one Mutex:
// what it guards is a plain Go variable.
func TestMutexRemovedRace(t *testing.T) {
	c := startC(t)
	for range removedRounds {
		id := made(t, c, 1)
		one, other := sem.NewMutex(id, 0), sem.NewMutex(id, 0)
		n, locks := 0, make(chan int, 8)
		guarded := func(lock func() error) func() error {
			times := 0
			return func() error {
				err := lock()
				if err == nil {
					n++
					times++
					err = one.Unlock()
				}
				if errors.Is(err, shm.ErrRemoved) {
					locks <- times
				}
				return err
			}
		}
		lockContext := func() error { return one.LockContext(t.Context()) }
		c.Ask("semuntil %d", id)
		untilRemoved(t, id, map[string]func() error{
			"Lock":          guarded(one.Lock),
			"Lock too":      guarded(one.Lock),
			"TryLock":       guarded(one.TryLock),
			"LockContext":   guarded(lockContext),
			"another Mutex": func() error { return lockAndUnlock(t.Context(), other) },
		})
		total := 0
		for range 4 {
			total += <-locks
		}
		if n != total {
			t.Errorf("locked %d times, and what it guards says %d", total, n)
		}
		if _, err := c.Answer(); !errors.Is(err, syscall.EIDRM) && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("C: %v", err)
		}
		for name, err := range lockErrs(t, one) {
			if !errors.Is(err, shm.ErrRemoved) {
				t.Errorf("%s, after all: %v", name, err)
			}
		}
		wantErrno(t, one.Unlock(), syscall.EPERM)
	}
}

// TestRemovedRace: the same with all that can be done to a set.
func TestRemovedRace(t *testing.T) {
	for range removedRounds {
		id := newSet(t, 1, 0)
		ds := stat(t, id)
		untilRemoved(t, id, map[string]func() error{
			"Op":              func() error { return errors.Join(id.Op(down), id.Op(up)) },
			"OpContext":       func() error { return id.OpContext(t.Context(), sem.Op{Num: 1}) },
			"Value":           func() error { return lastOf(id.Value(0)) },
			"Values":          func() error { return lastOf(id.Values()) },
			"SetValue":        func() error { return id.SetValue(1, 0) },
			"PID":             func() error { return lastOf(id.PID(0)) },
			"WaitingIncrease": func() error { return lastOf(id.WaitingIncrease(0)) },
			"WaitingZero":     func() error { return lastOf(id.WaitingZero(0)) },
			"Stat":            func() error { return lastOf(id.Stat()) },
			"Set":             func() error { return id.Set(&ds) },
			"List":            func() error { return listed(id) },
		})
	}
}

// listed tells, like the calls, whether the set is listed.
func listed(id sem.ID) error {
	sets, err := sem.List()
	if err != nil {
		return err
	}
	for _, s := range sets {
		if s.ID == id {
			return nil
		}
	}
	return fmt.Errorf("not listed: %w", shm.ErrRemoved)
}
