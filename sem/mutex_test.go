//go:build linux && cgo

package sem_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// queue is where goroutines wait for others of their process.
const queue = "sem.(*Mutex).queue"

// lockErrs are the errors of all ways to lock.
func lockErrs(t *testing.T, mu *sem.Mutex) map[string]error {
	t.Helper()
	lockContext := func() error { return mu.LockContext(t.Context()) }
	return map[string]error{
		"Lock":        async(t, mu.Lock)(),
		"TryLock":     async(t, mu.TryLock)(),
		"LockContext": async(t, lockContext)(),
	}
}

func TestMutex(t *testing.T) {
	id := newSet(t, 9, 1)
	mu := sem.NewMutex(id, 1)
	ways := map[string]func() error{
		"Lock":        mu.Lock,
		"TryLock":     mu.TryLock,
		"LockContext": func() error { return mu.LockContext(t.Context()) },
	}
	for name, lock := range ways {
		t.Run(name, func(t *testing.T) {
			ok(t, lock())
			wantValues(t, id, 9, 0)
			if err := mu.TryLock(); !errors.Is(err, shm.ErrBusy) {
				t.Errorf("TryLock of a locked one: %v", err)
			}
			wantErrno(t, id.Op(sem.Op{Num: 1, Op: -1, Flags: sem.IPC_NOWAIT}), syscall.EAGAIN)
			ok(t, mu.Unlock())
			wantValues(t, id, 9, 1)
			wantError(t, mu.Unlock(), `semop\(id=\d+, \{1 \+1 SEM_UNDO\}\): operation not permitted: this Mutex is not locked`,
				syscall.EPERM, fs.ErrPermission)
			wantValues(t, id, 9, 1)
		})
	}
}

func TestMutexErrors(t *testing.T) {
	id := newSet(t, 1)
	for _, num := range []int{-1, 65536, math.MinInt, math.MaxInt} {
		for name, err := range lockErrs(t, sem.NewMutex(id, num)) {
			if err == nil {
				t.Fatal(name)
			}
			wantError(t, err, `semop\(id=\d+, semnum=`+strconv.Itoa(num)+`\): file too large: no set has a semaphore of that number`, syscall.EFBIG)
		}
	}
	for name, err := range lockErrs(t, sem.NewMutex(id, 1)) {
		if err == nil {
			t.Fatal(name)
		}
		wantError(t, err, `(semop|semtimedop)\(.*\): file too large: the set has 1 semaphores`, syscall.EFBIG)
	}
	// None of them is locked now.
	wantErrno(t, sem.NewMutex(id, 1).Unlock(), syscall.EPERM)
	wantValues(t, id, 1)
}

// TestMutexRemoved: the set is removed under a lock that is held.
func TestMutexRemoved(t *testing.T) {
	id := newSet(t, 1)
	mu := sem.NewMutex(id, 0)
	ok(t, mu.Lock())
	remove(t, id)
	removed := `(semop|semtimedop)\(.*\): invalid argument: no such set: it is removed, or never was`
	wantError(t, mu.Unlock(), removed, syscall.EINVAL, shm.ErrRemoved)
	wantErrno(t, mu.Unlock(), syscall.EPERM)
	for range 2 {
		for _, err := range lockErrs(t, mu) {
			wantError(t, err, removed, syscall.EINVAL, shm.ErrRemoved)
		}
	}
}

// TestMutexRemovedWhileQueued: the set is removed while goroutines queue. None
// of them is left waiting.
func TestMutexRemovedWhileQueued(t *testing.T) {
	id := newSet(t, 0)
	mu := sem.NewMutex(id, 0)
	const goroutines = 10
	var waits []func() error
	for range goroutines {
		waits = append(waits, async(t, mu.Lock))
	}
	awaitIn(t, queue, goroutines-1)
	awaitWaiting(t, id, 0, 1)
	remove(t, id)
	for _, wait := range waits {
		if err := wait(); !errors.Is(err, shm.ErrRemoved) {
			t.Errorf("got %v", err)
		}
	}
}

// TestMutexThreads: locked and unlocked by different goroutines and threads,
// one of which has ended meanwhile.
func TestMutexThreads(t *testing.T) {
	id := newSet(t, 1)
	mu := sem.NewMutex(id, 0)
	for range 3 {
		ok(t, onThreadOfItsOwn(mu.Lock))
		wantValues(t, id, 0)
		ok(t, onThreadOfItsOwn(mu.Unlock))
		ok(t, mu.TryLock())
		ok(t, onThreadOfItsOwn(mu.Unlock))
		wantValues(t, id, 1)
	}
}

// TestMutexAndC: a C process takes the same lock by plain semop.
func TestMutexAndC(t *testing.T) {
	c := startC(t)
	id := made(t, c, 1)
	mu := sem.NewMutex(id, 0)
	lock, unlock := "semop %d 0 -1 4096", "semop %d 0 1 4096"
	if undo != 4096 {
		t.Fatal("another SEM_UNDO")
	}

	c.number(lock, id)
	if err := mu.TryLock(); !errors.Is(err, shm.ErrBusy) {
		t.Errorf("TryLock: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := mu.LockContext(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("LockContext: %v", err)
	}
	locked := async(t, mu.Lock)
	awaitWaiting(t, id, 0, 1)
	c.number(unlock, id)
	ok(t, locked())

	c.refuses(syscall.EAGAIN, "semop %d 0 -1 %d", id, undo|nowait)
	c.Ask(lock, id)
	awaitWaiting(t, id, 0, 1)
	ok(t, mu.Unlock())
	c.done()

	locked = async(t, mu.Lock)
	awaitWaiting(t, id, 0, 1)
	c.die() // and the kernel unlocks
	ok(t, locked())
	ok(t, mu.Unlock())
	wantValues(t, id, 1)
}

// TestMutexOwnerDies: a Go process ends with the lock, and C gets it.
func TestMutexOwnerDies(t *testing.T) {
	for how, end := range map[string]func(*peer){"killed": (*peer).die, "exits": func(p *peer) { p.End() }} {
		t.Run(how, func(t *testing.T) {
			c, g := startC(t), startGo(t)
			id := made(t, c, 1)
			g.number("lock %d", id)
			g.refuses(syscall.EPERM, "unlock %d", made(t, c, 1)) // another one
			c.Ask("semop %d 0 -1 %d", id, undo)
			awaitWaiting(t, id, 0, 1)
			end(g)
			c.done()
			wantValues(t, id, 0)
			c.number("semop %d 0 1 %d", id, undo)
		})
	}
}

// TestMutexContext: a context ends the wait in the queue and in the kernel, and
// the others get the lock.
func TestMutexContext(t *testing.T) {
	id := newSet(t, 1)
	mu := sem.NewMutex(id, 0)
	done, cancelDone := context.WithCancel(t.Context())
	cancelDone()
	if err := mu.LockContext(done); !errors.Is(err, context.Canceled) {
		t.Errorf("already cancelled: %v", err)
	}
	for name, kernelWaits := range map[string]bool{"in the kernel": true, "in the queue": false} {
		t.Run(name, func(t *testing.T) {
			ok(t, id.Op(down)) // somebody else's
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			first, rest := context.Background(), ctx
			if kernelWaits {
				first, rest = rest, first
			}
			waits := []func() error{async(t, func() error { return lockAndUnlock(first, mu) })}
			awaitWaiting(t, id, 0, 1)
			for range 5 {
				waits = append(waits, async(t, func() error { return lockAndUnlock(rest, mu) }))
			}
			awaitIn(t, queue, 5)
			cancel()
			cancelled, others := waits[1:], waits[:1]
			if kernelWaits {
				cancelled, others = others, cancelled
			}
			for _, wait := range cancelled {
				if err := wait(); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			}
			// The lock is not free yet, and the others still wait.
			awaitIn(t, queue, len(others)-1)
			awaitWaiting(t, id, 0, 1)
			ok(t, id.Op(up))
			for _, wait := range others {
				ok(t, wait())
			}
			wantValues(t, id, 1)
		})
	}
}

func lockAndUnlock(ctx context.Context, mu *sem.Mutex) error {
	if err := mu.LockContext(ctx); err != nil {
		return err
	}
	return mu.Unlock()
}

// TestMutexCancels: waiters that give up leave nothing behind, in the process,
// in the kernel, or to be undone.
func TestMutexCancels(t *testing.T) {
	c, g := startC(t), startGo(t)
	id := made(t, c, 1)
	g.Ask("cancels %d", id)
	for range 200 {
		c.number("semop %d 0 -1 %d", id, undo)
		c.number("semop %d 0 1 %d", id, undo)
	}
	g.done()
	wantValues(t, id, 1)
	if n := waiting(t, id, 0); n != 0 {
		t.Errorf("GETNCNT %d", n)
	}
	g.End()
	wantValues(t, id, 1)
	c.End()
	wantValues(t, id, 1)
}

// TestMutexHandOver: inside a process the lock goes from one goroutine to the
// next without a system call.
func TestMutexHandOver(t *testing.T) {
	preloaded(t, "", func(t *testing.T) {
		mu := sem.NewMutex(newSet(t, 1), 0)
		// Unlock may be interrupted for longer than a process keeps the lock.
		const attempts = 20
		for range attempts {
			ok(t, mu.Lock())
			next := async(t, mu.Lock)
			awaitIn(t, queue, 1)
			before, _ := calls(t)
			ok(t, mu.Unlock())
			ok(t, next())
			after, _ := calls(t)
			ok(t, mu.Unlock())
			if after == before {
				return
			}
		}
		t.Errorf("none of %d hand-overs was without a system call", attempts)
	})
}

// TestMutexContended: goroutines that contend make few system calls.
func TestMutexContended(t *testing.T) {
	preloaded(t, "", func(t *testing.T) {
		mu := sem.NewMutex(newSet(t, 1), 0)
		const goroutines, times = 8, 2000
		before, _ := calls(t)
		n := 0
		var wg sync.WaitGroup
		for range goroutines {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range times {
					if err := mu.Lock(); err != nil {
						t.Error(err)
						return
					}
					n++
					runtime.Gosched() // so that the others come to queue
					if err := mu.Unlock(); err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		wg.Wait()
		after, _ := calls(t)
		t.Logf("%d calls of semop for %d locks", after-before, n)
		if n != goroutines*times {
			t.Errorf("%d locks, want %d", n, goroutines*times)
		}
		// Each lock would be two calls.
		if after-before > n {
			t.Errorf("%d calls of semop for %d locks", after-before, n)
		}
	})
}

// TestMutexStarvation: goroutines that hand the lock to each other all the
// time do not keep another process from it.
func TestMutexStarvation(t *testing.T) {
	c := startC(t)
	id := made(t, c, 1)
	mu := sem.NewMutex(id, 0)
	var stop atomic.Bool
	var waits []func() error
	for range 4 {
		waits = append(waits, async(t, func() error {
			for !stop.Load() {
				if err := errors.Join(mu.Lock(), mu.Unlock()); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for range 20 {
		c.number("semop %d 0 -1 %d", id, undo)
		c.number("semop %d 0 1 %d", id, undo)
	}
	stop.Store(true)
	for _, wait := range waits {
		ok(t, wait())
	}
	wantValues(t, id, 1)
}

// TestMutexWaiters: a hundred goroutines that wait have one thread, and the
// kernel one waiter; each gets the lock.
func TestMutexWaiters(t *testing.T) {
	id := newSet(t, 1)
	mu, other := sem.NewMutex(id, 0), sem.NewMutex(id, 0)
	ok(t, other.Lock())
	before := threads(t)
	const goroutines = 100
	n := 0
	var waits []func() error
	for i := range goroutines {
		ctx := context.Background()
		if i%2 == 1 {
			ctx = t.Context()
		}
		waits = append(waits, async(t, func() error {
			if err := mu.LockContext(ctx); err != nil {
				return err
			}
			n++
			return mu.Unlock()
		}))
	}
	awaitIn(t, queue, goroutines-1)
	awaitWaiting(t, id, 0, 1)
	// The runtime may start some of its own.
	if after := threads(t); after > before+10 {
		t.Errorf("%d threads, and there were %d", after, before)
	}
	ok(t, other.Unlock())
	for _, wait := range waits {
		ok(t, wait())
	}
	if n != goroutines {
		t.Errorf("%d had the lock, want %d", n, goroutines)
	}
	wantValues(t, id, 1)
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	ok(t, err)
	return len(tasks)
}

// TestTwoMutexes: two of one semaphore exclude each other.
func TestTwoMutexes(t *testing.T) {
	id := newSet(t, 1)
	one, other := sem.NewMutex(id, 0), sem.NewMutex(id, 0)
	ok(t, one.Lock())
	if err := other.TryLock(); !errors.Is(err, shm.ErrBusy) {
		t.Errorf("TryLock: %v", err)
	}
	wantErrno(t, other.Unlock(), syscall.EPERM)
	locked := async(t, other.Lock)
	awaitWaiting(t, id, 0, 1)
	ok(t, one.Unlock())
	ok(t, locked())
	ok(t, other.Unlock())
	wantValues(t, id, 1)
}

func TestAllocs(t *testing.T) {
	if ipcns.BuiltWith("-race", "-asan", "-msan") {
		t.Skip("sanitizers allocate")
	}
	id := newSet(t, 1)
	mu := sem.NewMutex(id, 0)
	values := []uint16{1}
	ops := []sem.Op{{Op: 1}, {Op: -1}, {Op: 0, Flags: sem.SEM_UNDO}}[:2]
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Lock":        func() error { return errors.Join(mu.Lock(), mu.Unlock()) },
		"TryLock":     func() error { return errors.Join(mu.TryLock(), mu.Unlock()) },
		"LockContext": func() error { return errors.Join(mu.LockContext(ctx), mu.Unlock()) },
		"Op":          func() error { return id.Op(sem.Op{Op: 1}, sem.Op{Op: -1}) },
		"Op of many":  func() error { return id.Op(ops...) },
		"OpTimeout":   func() error { return id.OpTimeout(time.Hour, ops...) },
		"OpContext":   func() error { return id.OpContext(ctx, ops...) },
		"Value":       func() error { return lastOf(id.Value(0)) },
		"SetValue":    func() error { return id.SetValue(0, 1) },
		"SetValues":   func() error { return id.SetValues(values) },
		"Stat":        func() error { return lastOf(id.Stat()) },
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			allocs := testing.AllocsPerRun(100, func() {
				if e := call(); e != nil {
					err = e
				}
			})
			if allocs != 0 || err != nil {
				t.Errorf("%v allocations, %v", allocs, err)
			}
		})
	}
}
