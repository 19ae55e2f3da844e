//go:build linux && cgo

package pshared_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
)

// TestMutexesOfC: Go uses whatever mutex a C program has initialised.
func TestMutexesOfC(t *testing.T) {
	for _, kind := range []struct {
		name       string
		attributes []any
		robust     bool
		again      error // what the owner's second Lock answers; nil if it locks again
	}{
		{"normal", []any{"shared", "normal"}, false, shm.ErrBusy},
		{"errorcheck", []any{"shared", "errorcheck"}, false, shm.ErrBusy},
		{"recursive", []any{"shared", "recursive"}, false, nil},
		{"inherit", []any{"shared", "inherit"}, false, shm.ErrBusy},
		{"robust", []any{"shared", "robust"}, true, shm.ErrBusy},
		{"robust_recursive", []any{"shared", "robust", "recursive"}, true, nil},
		{"robust_inherit", []any{"shared", "robust", "errorcheck", "inherit"}, true, shm.ErrBusy},
	} {
		t.Run(kind.name, func(t *testing.T) {
			a := segment(t)
			c := startC(t, a)
			c.ok("mutex_init", append([]any{theMutex}, kind.attributes...)...)
			m := openMutex(a)
			if m.Robust() != kind.robust {
				t.Errorf("Robust: %v", m.Robust())
			}
			for _, way := range ways {
				useMutex(t, a, m, c, way.name, func() error { return way.take(t, m) })
			}
			if kind.robust {
				owner := startC(t, a)
				owner.ok("mutex_lock", theMutex)
				g := newGoroutine(t)
				waiter := g.start(func() error { return m.LockContext(cancellable(t)) })
				wait(t, a, theMutex)
				owner.die()
				mend(t, a, m, g, result(t, waiter))
			}
			ok(t, m.Lock())
			if err := m.TryLock(); !errors.Is(err, kind.again) || (err == nil) != (kind.again == nil) {
				t.Errorf("TryLock by the owner: %v, want %v", err, kind.again)
			} else if err == nil {
				ok(t, m.Lock(), m.Unlock(), m.Unlock())
				c.refuses(syscall.EBUSY, "mutex_trylock", theMutex)
			}
			wantIs(t, m.Destroy(), shm.ErrBusy)
			ok(t, m.Unlock(), m.Destroy())
		})
	}
}

// TestRecursiveOwnerDied: a robust and recursive mutex of C that is locked twice
// after its owner's death, and not made consistent, is given back twice all the
// same: nothing stays held.
func TestRecursiveOwnerDied(t *testing.T) {
	a := segment(t)
	c := startC(t, a)
	c.ok("mutex_init", theMutex, "shared", "robust", "recursive")
	owner := startC(t, a)
	owner.ok("mutex_lock", theMutex)
	owner.die()
	m := openMutex(a)
	wantIs(t, m.Lock(), pshared.ErrOwnerDied)
	ok(t, m.Lock())
	wantIs(t, a.Detach(), shm.ErrBusy)
	if err := m.Unlock(); glibc(t) != 0 {
		wantIs(t, err, pshared.ErrNotRecoverable)
	} else { // musl tells who comes next
		ok(t, err)
	}
	wantIs(t, a.Detach(), shm.ErrBusy)
	ok(t, m.Unlock())
	wantIs(t, m.Lock(), pshared.ErrNotRecoverable)
	ok(t, m.Destroy(), a.Detach())
}

// useMutex takes the mutex in one of the ways while it is free, and while C
// has it.
func useMutex(t *testing.T, a *shm.Attachment, m *pshared.Mutex, c *peer, name string, take func() error) {
	t.Helper()
	g := newGoroutine(t)
	ok(t, g.do(take))
	c.ask("mutex_lock", theMutex)
	c.waits(theMutex)
	ok(t, g.do(m.Unlock))
	c.answered()
	if name == "TryLock" {
		wantIs(t, g.do(take), shm.ErrBusy)
		c.ok("mutex_unlock", theMutex)
		return
	}
	waiter := g.start(take)
	wait(t, a, theMutex)
	c.ok("mutex_unlock", theMutex)
	ok(t, result(t, waiter), g.do(m.Unlock))
}

// TestNotShared: what only the threads of one process may use is not opened,
// nor memory that nobody has initialised.
func TestNotShared(t *testing.T) {
	for _, c := range []struct {
		name string
		init []any // the command that initialises it so
		open func(a *shm.Attachment) error
	}{
		{"mutex", []any{"mutex_init", theMutex}, openMutexErr},
		{"mutex/recursive", []any{"mutex_init", theMutex, "recursive"}, openMutexErr},
		{"mutex/inherit", []any{"mutex_init", theMutex, "inherit"}, openMutexErr},
		{"sem", []any{"sem_init", theSem, 1}, openSemErr},
		{"cond", []any{"cond_init", theCond}, openCondErr},
		{"rwlock", []any{"rwlock_init", theRWLock}, openRWLockErr},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := segment(t)
			if c.name != "sem" || glibc(t) != 0 { // musl's of value 0 is all zeros
				wantIs(t, c.open(a), pshared.ErrNotShared)
			}
			p := startC(t, a)
			p.ok(c.init[0].(string), c.init[1:]...)
			wantIs(t, c.open(a), pshared.ErrNotShared)
			p.ok(c.init[0].(string), append(c.init[1:], "shared")...)
			ok(t, c.open(a))
		})
	}
}

// TestRobustNotShared: glibc makes every robust mutex process-shared. What is
// opened is of use.
func TestRobustNotShared(t *testing.T) {
	a := segment(t)
	c := startC(t, a)
	c.ok("mutex_init", theMutex, "robust", "errorcheck")
	m, err := pshared.OpenMutex(a, int(theMutex.off))
	if errors.Is(err, pshared.ErrNotShared) {
		t.Skip("this libc keeps robust mutexes to one process: ", err)
	}
	ok(t, err)
	useMutex(t, a, m, c, "Lock", m.Lock)
}

// The errors of opening each object of the record.

func openMutexErr(a *shm.Attachment) error {
	return lastOf(pshared.OpenMutex(a, int(theMutex.off)))
}

func openSemErr(a *shm.Attachment) error {
	return lastOf(pshared.OpenSem(a, int(theSem.off)))
}

func openCondErr(a *shm.Attachment) error {
	return lastOf(pshared.OpenCond(a, int(theCond.off)))
}

func openRWLockErr(a *shm.Attachment) error {
	return lastOf(pshared.OpenRWLock(a, int(theRWLock.off)))
}

// lastOf returns the error of a call that has other results.
func lastOf[T any](_ T, err error) error { return err }
