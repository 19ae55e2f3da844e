//go:build linux && cgo

package pshared_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
)

// objects are all the objects of a record, initialised.
type objects struct {
	m    *pshared.Mutex
	s    *pshared.Sem
	cond *pshared.Cond
	rw   *pshared.RWLock
}

func initObjects(a *shm.Attachment) objects {
	return objects{initMutex(a), initSem(a, 0), initCond(a), initRWLock(a)}
}

// calls are all the methods that return an error.
func (o objects) calls(ctx context.Context) map[string]func() error {
	return map[string]func() error{
		"Mutex.Lock":          o.m.Lock,
		"Mutex.TryLock":       o.m.TryLock,
		"Mutex.LockContext":   func() error { return o.m.LockContext(ctx) },
		"Mutex.Unlock":        o.m.Unlock,
		"Mutex.Consistent":    o.m.Consistent,
		"Mutex.Destroy":       o.m.Destroy,
		"Sem.Wait":            o.s.Wait,
		"Sem.TryWait":         o.s.TryWait,
		"Sem.WaitContext":     func() error { return o.s.WaitContext(ctx) },
		"Sem.Post":            o.s.Post,
		"Sem.Value":           func() error { return lastOf(o.s.Value()) },
		"Sem.Destroy":         o.s.Destroy,
		"Cond.Wait":           func() error { return o.cond.Wait(o.m) },
		"Cond.WaitContext":    func() error { return o.cond.WaitContext(ctx, o.m) },
		"Cond.Signal":         o.cond.Signal,
		"Cond.Broadcast":      o.cond.Broadcast,
		"Cond.Destroy":        o.cond.Destroy,
		"RWLock.RLock":        o.rw.RLock,
		"RWLock.TryRLock":     o.rw.TryRLock,
		"RWLock.RLockContext": func() error { return o.rw.RLockContext(ctx) },
		"RWLock.Lock":         o.rw.Lock,
		"RWLock.TryLock":      o.rw.TryLock,
		"RWLock.LockContext":  func() error { return o.rw.LockContext(ctx) },
		"RWLock.Unlock":       o.rw.Unlock,
		"RWLock.Destroy":      o.rw.Destroy,
	}
}

// detached fails the test unless every call says that the memory is gone.
func (o objects) detached(t *testing.T, a *shm.Attachment) {
	t.Helper()
	for name, call := range o.calls(cancellable(t)) {
		if err := call(); !errors.Is(err, shm.ErrDetached) {
			t.Errorf("%s after Detach: %v", name, err)
		}
	}
	for name, err := range initAndOpen(a, 0) {
		if !errors.Is(err, shm.ErrDetached) {
			t.Errorf("%s after Detach: %v", name, err)
		}
	}
}

// initAndOpen is what each Init and Open answers at an offset.
func initAndOpen(a *shm.Attachment, off int) map[string]error {
	return map[string]error{
		"InitMutex":  lastOf(pshared.InitMutex(a, off)),
		"InitSem":    lastOf(pshared.InitSem(a, off, 0)),
		"InitCond":   lastOf(pshared.InitCond(a, off)),
		"InitRWLock": lastOf(pshared.InitRWLock(a, off)),
		"OpenMutex":  lastOf(pshared.OpenMutex(a, off)),
		"OpenSem":    lastOf(pshared.OpenSem(a, off)),
		"OpenCond":   lastOf(pshared.OpenCond(a, off)),
		"OpenRWLock": lastOf(pshared.OpenRWLock(a, off)),
	}
}

// TestDetachWhileLocked: what is locked keeps the attachment, and after Detach
// nothing touches the memory.
func TestDetachWhileLocked(t *testing.T) {
	a := segment(t)
	o := initObjects(a)
	calls := o.calls(cancellable(t))
	for _, lock := range []string{
		"Mutex.Lock", "Mutex.TryLock", "Mutex.LockContext",
		"RWLock.Lock", "RWLock.TryLock", "RWLock.LockContext",
		"RWLock.RLock", "RWLock.TryRLock", "RWLock.RLockContext",
	} {
		unlock := o.rw.Unlock
		if lock[0] == 'M' {
			unlock = o.m.Unlock
		}
		g1, g2 := newGoroutine(t), newGoroutine(t)
		ok(t, g1.do(calls[lock]))
		wantIs(t, a.Detach(), shm.ErrBusy)
		if lock[0] == 'R' && lock[7:] != "Lock" && g2.do(calls["RWLock.TryRLock"]) == nil {
			ok(t, g1.do(unlock)) // the first of two readers
			wantIs(t, a.Detach(), shm.ErrBusy)
			g1 = g2
		}
		ok(t, g1.do(unlock))
	}
	ok(t, a.Detach())
	o.detached(t, a)
}

// TestDetachWhileWaitedFor: so does who waits, for each object in each way,
// and all at once.
func TestDetachWhileWaitedFor(t *testing.T) {
	a := segment(t)
	o := initObjects(a)
	c := startC(t, a)
	c.ok("mutex_lock", theMutex)
	c.ok("rwlock_wrlock", theRWLock)
	var waiters []<-chan error
	calls := o.calls(cancellable(t))
	wait := func(name string, at part, n int, end func() error) {
		waiters = append(waiters, newGoroutine(t).start(func() error {
			if err := calls[name](); err != nil {
				return err
			}
			return end()
		}))
		await(t, os.Getpid(), uintptr(a.Pointer()), at, n)
		wantIs(t, a.Detach(), shm.ErrBusy)
	}
	nothing := func() error { return nil }
	wait("Mutex.Lock", theMutex, 1, o.m.Unlock)
	wait("Mutex.LockContext", theMutex, 2, o.m.Unlock)
	wait("Sem.Wait", theSem, 1, nothing)
	wait("Sem.WaitContext", theSem, 2, nothing)
	wait("RWLock.RLock", theRWLock, 1, o.rw.Unlock)
	wait("RWLock.RLockContext", theRWLock, 2, o.rw.Unlock)
	wait("RWLock.Lock", theRWLock, 3, o.rw.Unlock)
	wait("RWLock.LockContext", theRWLock, 4, o.rw.Unlock)

	c.ok("mutex_unlock", theMutex)
	c.ok("rwlock_unlock", theRWLock)
	c.ok("sem_post", theSem)
	c.ok("sem_post", theSem)
	for _, w := range waiters {
		ok(t, result(t, w))
	}
	waiters = nil
	calls["wait"] = func() error { return errors.Join(o.m.Lock(), o.cond.Wait(o.m)) }
	wait("wait", theCond, 1, o.m.Unlock)
	c.ok("cond_broadcast", theCond)
	ok(t, result(t, waiters[0]), a.Detach())
	o.detached(t, a)
}

// TestCondOfAnotherSegment: the mutex's memory is kept too.
func TestCondOfAnotherSegment(t *testing.T) {
	a, b := segment(t), segment(t)
	m, cond := initMutex(a), initCond(b)
	g := newGoroutine(t)
	ok(t, g.do(m.Lock))
	waiter := g.start(func() error { return cond.Wait(m) })
	wait(t, b, theCond)
	wantIs(t, a.Detach(), shm.ErrBusy)
	wantIs(t, b.Detach(), shm.ErrBusy)
	ok(t, cond.Signal(), result(t, waiter), g.do(m.Unlock), a.Detach())
	wantIs(t, cond.Wait(m), shm.ErrDetached)
}

// lockAnd waits with the mutex locked, and returns so. What is locked cannot be
// detached.
func (o objects) lockAnd(wait func() error) func() error {
	return func() error {
		if err := o.m.Lock(); err != nil {
			return err
		}
		if err := wait(); err != nil {
			return errors.New("locked, and the wait says: " + err.Error())
		}
		return nil
	}
}

// TestDetachRace detaches beside goroutines that use all there is: it is
// refused or done, and nobody touches the memory after that.
func TestDetachRace(t *testing.T) {
	for range 50 {
		a := segment(t)
		o := initObjects(a)
		ok(t, o.s.Post())
		calls := o.calls(cancellable(t))
		calls["wait"] = o.lockAnd(calls["Cond.Wait"])
		calls["waitContext"] = o.lockAnd(calls["Cond.WaitContext"])
		calls["open"] = func() error { return lastOf(pshared.OpenMutex(a, int(theMutex.off))) }
		pairs := [][2]string{
			{"Mutex.Lock", "Mutex.Unlock"},
			{"Mutex.TryLock", "Mutex.Unlock"},
			{"Mutex.LockContext", "Mutex.Unlock"},
			{"RWLock.Lock", "RWLock.Unlock"},
			{"RWLock.TryLock", "RWLock.Unlock"},
			{"RWLock.LockContext", "RWLock.Unlock"},
			{"RWLock.RLock", "RWLock.Unlock"},
			{"RWLock.TryRLock", "RWLock.Unlock"},
			{"RWLock.RLockContext", "RWLock.Unlock"},
			{"Sem.Wait", "Sem.Post"},
			{"Sem.TryWait", "Sem.Post"},
			{"Sem.WaitContext", "Sem.Post"},
			{"wait", "Mutex.Unlock"}, // for whoever signals
			{"waitContext", "Mutex.Unlock"},
			{"Cond.Signal", "Cond.Broadcast"},
			{"Cond.Broadcast", "Sem.Value"},
			{"open", "open"},
			{"Mutex.Consistent", "Mutex.Consistent"}, // by one who has nothing locked
			{"Mutex.Unlock", "Mutex.Unlock"},         // likewise
		}
		begun, done := make(chan bool, len(pairs)), make(chan error, len(pairs))
		for _, pair := range pairs {
			go func() {
				for rounds := 0; ; rounds++ {
					if rounds == 2 {
						begun <- true
					}
					err := calls[pair[0]]()
					if err == nil {
						err = calls[pair[1]]()
					}
					switch {
					case errors.Is(err, shm.ErrDetached):
						done <- nil
						return
					case pair[0] == "Mutex.Consistent" && errors.Is(err, syscall.EINVAL): // somebody has it
					case err != nil && !errors.Is(err, shm.ErrBusy) && !errors.Is(err, syscall.EPERM):
						done <- err
						return
					}
					// Leave room for a Detach between what all do.
					time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
				}
			}()
		}
		for range pairs {
			<-begun
		}
		eventually(t, "detached", func() bool {
			err := a.Detach()
			if err != nil && !errors.Is(err, shm.ErrBusy) {
				t.Error(err)
			}
			return err == nil
		})
		for range pairs {
			ok(t, result(t, done))
		}
		o.detached(t, a)
	}
}
