//go:build linux && cgo

package pshared_test

import (
	"errors"
	"syscall"
	"testing"
)

// TestInterop: what one process has initialised, two use; every kind of object
// for every pair of creator and opener, as TestInterop/Go_C/mutex.
func TestInterop(t *testing.T) {
	for _, pair := range []struct{ creator, opener string }{
		{"Go", "C"}, {"C", "Go"}, {"Go", "Go"}, {"C", "C"},
	} {
		t.Run(pair.creator+"_"+pair.opener, func(t *testing.T) {
			for _, c := range []struct {
				name string
				run  func(creator, opener *peer)
			}{
				{"mutex", interopMutex},
				{"sem", interopSem},
				{"cond", interopCond},
				{"rwlock", interopRWLock},
			} {
				t.Run(c.name, func(t *testing.T) {
					a := segment(t)
					c.run(start(t, a, pair.creator), start(t, a, pair.opener))
				})
			}
		})
	}
}

const times = 20_000

// countTogether: where two add to a plain number at once, some get lost, if
// nothing keeps them apart.
func countTogether(c, o *peer, command string, lock part) {
	c.t.Helper()
	c.ok("store", 64, theCount, 0)
	c.ask(command, lock, theCount, times)
	o.ask(command, lock, theCount, times)
	c.answered()
	o.answered()
	if n := o.ok("load", 64, theCount); n != 2*times {
		c.t.Errorf("%s: counted %d, want %d", command, n, 2*times)
	}
}

func interopMutex(c, o *peer) {
	c.ok("mutex_init", theMutex, "shared", "robust", "errorcheck")
	c.ok("mutex_lock", theMutex)
	o.refuses(syscall.EBUSY, "mutex_trylock", theMutex)
	o.refuses(syscall.ETIMEDOUT, "mutex_timedlock", theMutex, 10)
	o.refuses(syscall.EPERM, "mutex_unlock", theMutex)
	c.refuses(syscall.EDEADLK, "mutex_lock", theMutex)

	o.ask("mutex_lock", theMutex)
	o.waits(theMutex)
	c.ok("mutex_unlock", theMutex)
	o.answered()
	c.refuses(syscall.EBUSY, "mutex_trylock", theMutex)

	c.ask("mutex_timedlock", theMutex, 60_000)
	c.waits(theMutex)
	o.ok("mutex_unlock", theMutex)
	c.answered()
	c.ok("mutex_unlock", theMutex)

	o.ok("mutex_trylock", theMutex)
	o.ok("mutex_unlock", theMutex)
	countTogether(c, o, "mutex_count", theMutex)
	o.ok("mutex_destroy", theMutex)
	if glibc(c.t) != 0 { // musl's has not changed
		c.refuses(syscall.EINVAL, "mutex_lock", theMutex)
	}
}

func interopSem(c, o *peer) {
	// A try that fails has an errno in C, and is ErrBusy in Go.
	refused := func(p *peer) {
		p.t.Helper()
		if _, err := p.Do("%s", p.line("sem_trywait", []any{theSem})); !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EBUSY) {
			p.t.Errorf("sem_trywait: %v", err)
		}
	}
	c.ok("sem_init", theSem, 1, "shared")
	c.ok("sem_wait", theSem)
	refused(o)
	o.refuses(syscall.ETIMEDOUT, "sem_timedwait", theSem, 10)

	o.ask("sem_wait", theSem)
	o.waits(theSem)
	c.ok("sem_post", theSem)
	o.answered()
	refused(c)

	c.ask("sem_timedwait", theSem, 60_000)
	c.waits(theSem)
	o.ok("sem_post", theSem)
	c.answered()

	for _, p := range []*peer{c, o, o} { // who posts need not have waited
		p.ok("sem_post", theSem)
	}
	if v := o.ok("sem_getvalue", theSem); v != 3 {
		c.t.Errorf("the value is %d, want 3", v)
	}
	c.ok("sem_trywait", theSem)
	o.ok("sem_trywait", theSem)
	countTogether(c, o, "sem_count", theSem)
	o.ok("sem_destroy", theSem)
}

func interopCond(c, o *peer) {
	c.ok("mutex_init", theMutex, "shared", "robust", "errorcheck")
	c.ok("cond_init", theCond, "shared")
	for _, call := range []string{"cond_signal", "cond_broadcast"} {
		for _, p := range []struct{ waker, waiter *peer }{{c, o}, {o, c}} {
			p.waiter.ok("mutex_lock", theMutex)
			p.waiter.ask("cond_wait", theCond, theMutex)
			p.waiter.waits(theCond)
			p.waker.ok("mutex_lock", theMutex) // the waiter has unlocked it
			p.waker.ok(call, theCond)
			p.waker.ok("mutex_unlock", theMutex)
			p.waiter.answered()
			p.waker.refuses(syscall.EBUSY, "mutex_trylock", theMutex) // and locked it again
			p.waiter.ok("mutex_unlock", theMutex)
		}
	}
	const rounds = 2000
	c.ask("turns", theCond, theMutex, theCount, 0, rounds)
	o.ask("turns", theCond, theMutex, theCount, 1, rounds)
	c.answered()
	o.answered()
	if n := o.ok("load", 64, theCount); n != rounds {
		c.t.Errorf("counted %d in turns, want %d", n, rounds)
	}
	o.ok("cond_destroy", theCond)
}

func interopRWLock(c, o *peer) {
	c.ok("rwlock_init", theRWLock, "shared")
	c.ok("rwlock_rdlock", theRWLock)
	o.ok("rwlock_tryrdlock", theRWLock)
	o.refuses(syscall.EBUSY, "rwlock_trywrlock", theRWLock)
	o.ok("rwlock_unlock", theRWLock)
	o.refuses(syscall.ETIMEDOUT, "rwlock_timedwrlock", theRWLock, 10)

	o.ask("rwlock_wrlock", theRWLock)
	o.waits(theRWLock)
	c.ok("rwlock_unlock", theRWLock)
	o.answered()
	c.refuses(syscall.EBUSY, "rwlock_tryrdlock", theRWLock)
	c.refuses(syscall.EBUSY, "rwlock_trywrlock", theRWLock)
	c.refuses(syscall.ETIMEDOUT, "rwlock_timedrdlock", theRWLock, 10)

	for _, lock := range []string{"rdlock", "timedrdlock", "wrlock", "timedwrlock"} {
		c.ask("rwlock_"+lock, theRWLock, 60_000)
		c.waits(theRWLock)
		o.ok("rwlock_unlock", theRWLock)
		c.answered()
		c.ok("rwlock_unlock", theRWLock)
		o.ok("rwlock_trywrlock", theRWLock)
	}
	o.ok("rwlock_unlock", theRWLock)
	countTogether(c, o, "rwlock_count", theRWLock)
	o.ok("rwlock_destroy", theRWLock)
}
