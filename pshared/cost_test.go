//go:build linux && cgo

package pshared_test

import (
	"os"
	"testing"

	"github.com/gosysv/shm/internal/ipcns"
)

// TestNoAllocations: what finds its object free allocates nothing.
func TestNoAllocations(t *testing.T) {
	if ipcns.BuiltWith("-race", "-asan", "-msan") {
		t.Skip("sanitizers allocate")
	}
	a := segment(t)
	o := initObjects(a)
	ctx := cancellable(t)
	for name, call := range map[string]func() error{
		"Mutex.Lock":          func() error { return both(o.m.Lock(), o.m.Unlock()) },
		"Mutex.TryLock":       func() error { return both(o.m.TryLock(), o.m.Unlock()) },
		"Mutex.LockContext":   func() error { return both(o.m.LockContext(ctx), o.m.Unlock()) },
		"Sem.Wait":            func() error { return both(o.s.Post(), o.s.Wait()) },
		"Sem.TryWait":         func() error { return both(o.s.Post(), o.s.TryWait()) },
		"Sem.WaitContext":     func() error { return both(o.s.Post(), o.s.WaitContext(ctx)) },
		"Sem.Value":           func() error { return lastOf(o.s.Value()) },
		"Cond.Signal":         func() error { return both(o.cond.Signal(), o.cond.Broadcast()) },
		"RWLock.RLock":        func() error { return both(o.rw.RLock(), o.rw.Unlock()) },
		"RWLock.TryRLock":     func() error { return both(o.rw.TryRLock(), o.rw.Unlock()) },
		"RWLock.RLockContext": func() error { return both(o.rw.RLockContext(ctx), o.rw.Unlock()) },
		"RWLock.Lock":         func() error { return both(o.rw.Lock(), o.rw.Unlock()) },
		"RWLock.TryLock":      func() error { return both(o.rw.TryLock(), o.rw.Unlock()) },
		"RWLock.LockContext":  func() error { return both(o.rw.LockContext(ctx), o.rw.Unlock()) },
	} {
		if n := testing.AllocsPerRun(100, func() { ok(t, call()) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// both returns the first of two errors.
func both(err1, err2 error) error {
	if err1 != nil {
		return err1
	}
	return err2
}

// TestThreads: who waits keeps a thread, and no more than one, with a context
// and without.
func TestThreads(t *testing.T) {
	const n = 20
	for name, w := range ctxWaits {
		if w.at == theCond { // its goroutines wait for the mutex, too
			continue
		}
		t.Run(name, func(t *testing.T) {
			a := segment(t)
			o := initObjects(a)
			c := startC(t, a)
			c.ok(w.hold, w.at)
			before := threads(t)
			var waiters []<-chan error
			for range n {
				waiters = append(waiters, newGoroutine(t).start(func() error {
					return both(w.wait(t.Context(), o, nil), w.end(o))
				}))
			}
			await(t, os.Getpid(), uintptr(a.Pointer()), w.at, n)
			// The runtime may start a few of its own at any time.
			if more := threads(t) - before; more > n+4 {
				t.Errorf("%d goroutines that wait took %d threads", n, more)
			}
			if w.at == theSem {
				for range n - 1 {
					c.ok(w.letGo, w.at)
				}
			}
			c.ok(w.letGo, w.at)
			for _, waiter := range waiters {
				ok(t, result(t, waiter))
			}
		})
	}
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	ok(t, err)
	return len(tasks)
}
