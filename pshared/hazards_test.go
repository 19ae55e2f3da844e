//go:build linux && cgo

package pshared_test

import (
	"math"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
)

// What the documentation says is wrong with these objects when a process dies,
// shown. Each call that hangs is a peer's, in C and in Go, and ends with it.

// hangs fails the test unless a peer that was given a command waits for a part
// of the record, and still does after a while. It is killed then.
func hangs(t *testing.T, p *peer, at part) {
	t.Helper()
	p.waits(at)
	const while = 300 * time.Millisecond
	for end := time.Now().Add(while); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if len(waiting(t, p.PID(), p.base, at)) == 0 {
			t.Errorf("peer %d: it went on", p.PID())
			break
		}
	}
	p.die()
}

// forBoth runs a test with peers in C, and with peers in Go.
func forBoth(t *testing.T, run func(t *testing.T, a *shm.Attachment, start func() *peer)) {
	for _, language := range []string{"C", "Go"} {
		t.Run(language, func(t *testing.T) {
			a := segment(t)
			initObjects(a)
			run(t, a, func() *peer { return start(t, a, language) })
		})
	}
}

// needGlibc skips the test of what only glibc 2.first to 2.last do. (musl finds
// fewer mistakes: what is EINVAL, EPERM or EDEADLK in glibc may be a wait
// without end there.)
func needGlibc(t *testing.T, first, last int) {
	t.Helper()
	if minor := glibc(t); minor < first || minor > last {
		t.Skipf("shows with glibc 2.%d to 2.%d, and this is 2.%d (0 is musl)", first, last, minor)
	}
}

// glibc returns the x of glibc 2.x, and 0 where the libc is another one.
func glibc(t testing.TB) int {
	t.Helper()
	answer, err := startC(t, nil).Do("libc")
	ok(t, err)
	return must(strconv.Atoi(answer[1]))
}

// TestHazardCond: one who was killed while it waited makes later calls hang. The
// first signal is for the dead. The next has to wait until the dead has seen it.
func TestHazardCond(t *testing.T) {
	needGlibc(t, 25, 40)
	waits := func(p *peer) {
		p.ok("mutex_lock", theMutex)
		p.ask("cond_wait", theCond, theMutex)
		p.waits(theCond)
	}
	for _, call := range []string{"cond_signal", "cond_broadcast"} {
		t.Run(call, func(t *testing.T) {
			forBoth(t, func(t *testing.T, _ *shm.Attachment, start func() *peer) {
				killed, waiter, waker := start(), start(), start()
				waits(killed)
				killed.die()
				waker.ok(call, theCond)
				waits(waiter)
				waker.ask(call, theCond)
				hangs(t, waker, theCond)
				waiter.die()
			})
		})
	}
	t.Run("cond_destroy", func(t *testing.T) {
		forBoth(t, func(t *testing.T, _ *shm.Attachment, start func() *peer) {
			killed, destroyer := start(), start()
			waits(killed)
			killed.die()
			destroyer.ask("cond_destroy", theCond)
			hangs(t, destroyer, theCond)
		})
	})
}

// TestHazardRWLock: a dead writer blocks all, a dead reader all writers.
func TestHazardRWLock(t *testing.T) {
	for _, c := range []struct{ died, waits string }{
		{"rwlock_wrlock", "rwlock_rdlock"},
		{"rwlock_wrlock", "rwlock_wrlock"},
		{"rwlock_rdlock", "rwlock_wrlock"},
	} {
		t.Run(c.died+"/"+c.waits, func(t *testing.T) {
			forBoth(t, func(t *testing.T, _ *shm.Attachment, start func() *peer) {
				dies, waits := start(), start()
				dies.ok(c.died, theRWLock)
				dies.die()
				waits.ask(c.waits, theRWLock)
				hangs(t, waits, theRWLock)
			})
		})
	}
}

// TestHazardNotRobust: the owner of a mutex that is not robust takes it along.
func TestHazardNotRobust(t *testing.T) {
	forBoth(t, func(t *testing.T, a *shm.Attachment, start func() *peer) {
		startC(t, a).ok("mutex_init", theMutex, "shared", "errorcheck")
		dies, waits := start(), start()
		dies.ok("mutex_lock", theMutex)
		dies.die()
		waits.ask("mutex_lock", theMutex)
		hangs(t, waits, theMutex)
	})
}

// TestHazardSem: nobody gives back what a dead process has taken.
func TestHazardSem(t *testing.T) {
	forBoth(t, func(t *testing.T, a *shm.Attachment, start func() *peer) {
		s := initSem(a, 1)
		dies, waits := start(), start()
		dies.ok("sem_wait", theSem)
		dies.die()
		if v, err := s.Value(); v != 0 || err != nil {
			t.Errorf("Value: %d, %v", v, err)
		}
		waits.ask("sem_wait", theSem)
		hangs(t, waits, theSem)
	})
}

// TestHazardNotRecoverable: of the programs in C that wait for a mutex when it
// becomes not recoverable, glibc tells one. Each later Lock of anybody tells
// another. And a pthread_mutex_trylock leaves it locked.
func TestHazardNotRecoverable(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	a := segment(t)
	m := initMutex(a)
	dies, breaks := startC(t, a), startC(t, a)
	dies.ok("mutex_lock", theMutex)
	dies.die()
	breaks.refuses(syscall.EOWNERDEAD, "mutex_lock", theMutex)
	var waiters [3]*peer
	for i := range waiters {
		waiters[i] = startC(t, a)
		waiters[i].ask("mutex_lock", theMutex)
		waiters[i].waits(theMutex)
	}
	breaks.ok("mutex_unlock", theMutex)
	_, err := waiters[0].Answer()
	wantIs(t, err, syscall.ENOTRECOVERABLE)
	hangs(t, waiters[1], theMutex)

	wantIs(t, m.Lock(), pshared.ErrNotRecoverable)
	_, err = waiters[2].Answer()
	wantIs(t, err, syscall.ENOTRECOVERABLE)

	for range 3 { // TryLock is not pthread_mutex_trylock
		wantIs(t, m.TryLock(), pshared.ErrNotRecoverable)
	}
	breaks.refuses(syscall.ENOTRECOVERABLE, "mutex_trylock", theMutex)
	waits := startC(t, a)
	waits.ask("mutex_lock", theMutex)
	hangs(t, waits, theMutex)
}
