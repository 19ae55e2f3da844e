//go:build linux && cgo

package pshared_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/errtest"
	"github.com/gosysv/shm/pshared"
)

// What the manual pages list and no test provokes:
//
//   - EAGAIN, ENOMEM of the init functions: glibc takes no resource for an
//     object, nor for its attributes.
//   - EBUSY of the init functions: glibc does not look whether it is in use.
//   - EPERM of pthread_mutex_init, EINVAL of pthread_mutex_lock for a priority
//     ceiling: InitMutex has none, and one of C's needs a real-time thread.
//   - ENOSYS of sem_init: glibc for Linux has process-shared semaphores.
//   - EINVAL of the sem functions for what is no semaphore, of
//     pthread_cond_wait for two mutexes at once, of the pthread_cond and
//     pthread_rwlock functions for what is not initialised: glibc does not look.
//   - EBUSY of pthread_cond_destroy and pthread_rwlock_destroy: glibc waits,
//     and does not look.
//   - EINVAL of the timed functions for a wrong time: the package gives none.
//   - EINTR of the sem functions, ETIMEDOUT of all: they do not come out. See
//     TestSignals and TestContexts.
//   - EPERM of pthread_rwlock_unlock: glibc does not look. It is the package's.

// wantError is [errtest.Want] of what errors can be here.
func wantError(t *testing.T, err error, pattern string, errno syscall.Errno, is ...error) {
	t.Helper()
	errtest.Want(t, err, pattern, errno, []error{fs.ErrPermission, pshared.ErrOwnerDied, pshared.ErrNotRecoverable}, is)
}

const (
	notIts = `operation not permitted: this goroutine does not have it`
	has    = `resource deadlock avoided: this goroutine has it already`
	state  = `invalid argument: it is not initialised, or destroyed, or in another state than the call needs`
)

func TestMutexErrors(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	a := segment(t)
	m := initMutex(a)
	other := newGoroutine(t)
	for name, call := range map[string]func() error{"pthread_mutex_unlock": m.Unlock, "pthread_mutex_consistent": m.Consistent} {
		wantError(t, call(), name+`\(id=\d+, offset=0\): `+notIts, syscall.EPERM, fs.ErrPermission)
	}
	ok(t, m.Lock())
	wantError(t, other.do(m.Unlock), `pthread_mutex_unlock\(.*\): `+notIts, syscall.EPERM, fs.ErrPermission)
	wantError(t, m.Lock(), `pthread_mutex_lock\(.*\): `+has, syscall.EDEADLK)
	wantError(t, m.LockContext(cancellable(t)), `pthread_mutex_clocklock\(.*\): `+has, syscall.EDEADLK)
	wantIs(t, m.TryLock(), shm.ErrBusy)
	wantIs(t, other.do(m.TryLock), shm.ErrBusy)
	wantError(t, m.Consistent(), `pthread_mutex_consistent\(.*\): `+state, syscall.EINVAL)
	wantIs(t, m.Destroy(), shm.ErrBusy)
	wantIs(t, openMutex(a).Destroy(), shm.ErrBusy) // through another handle
	ok(t, m.Unlock())
	wantError(t, m.Unlock(), `pthread_mutex_unlock\(.*\): `+notIts, syscall.EPERM, fs.ErrPermission)

	c := startC(t, a)
	c.ok("mutex_lock", theMutex)
	wantError(t, m.Unlock(), `pthread_mutex_unlock\(.*\): `+notIts, syscall.EPERM, fs.ErrPermission)
	wantIs(t, m.Destroy(), shm.ErrBusy)
	c.die()
	wantError(t, m.Lock(), `pthread_mutex_lock\(.*\): owner died: the lock is taken; mend what it guards, and call Consistent`,
		syscall.EOWNERDEAD, pshared.ErrOwnerDied)
	ok(t, m.Unlock())
	wantError(t, m.Lock(), `pthread_mutex_lock\(.*\): state not recoverable: it was unlocked after its owner's death without Consistent`,
		syscall.ENOTRECOVERABLE, pshared.ErrNotRecoverable)

	ok(t, m.Destroy())
	for name, call := range map[string]func() error{
		"lock": m.Lock, "timedlock": m.TryLock, "clocklock": func() error { return m.LockContext(cancellable(t)) },
	} {
		wantError(t, call(), `pthread_mutex_`+name+`\(.*\): `+state, syscall.EINVAL)
	}
	wantError(t, m.Destroy(), `pthread_mutex_timedlock\(.*\): `+state, syscall.EINVAL)
}

// TestTooOften: a recursive mutex and a read-write lock count, and the counts
// end. Nobody can lock so often: the count is found by watching it, and set.
func TestTooOften(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	a := segment(t)
	startC(t, a).ok("mutex_init", theMutex, "shared", "recursive")
	m := openMutex(a)
	ok(t, m.Lock())
	count := changedBy(t, a, theMutex, func() { ok(t, m.Lock()) })
	was := *count
	*count = math.MaxUint32
	wantError(t, m.Lock(), `pthread_mutex_lock\(.*\): resource temporarily unavailable`, syscall.EAGAIN)
	wantError(t, m.TryLock(), `pthread_mutex_timedlock\(.*\): resource temporarily unavailable`, syscall.EAGAIN)
	*count = was
	ok(t, m.Unlock(), m.Unlock())
	wantIs(t, m.Unlock(), syscall.EPERM)

	rw := initRWLock(a)
	ok(t, rw.RLock())
	readers := changedBy(t, a, theRWLock, func() { ok(t, rw.RLock()) })
	was = *readers
	*readers = math.MaxInt32 &^ (was/2 - 1) // one more, of the two that it was, would reach the sign bit
	wantError(t, rw.RLock(), `pthread_rwlock_rdlock\(.*\): resource temporarily unavailable`, syscall.EAGAIN)
	wantError(t, rw.TryRLock(), `pthread_rwlock_tryrdlock\(.*\): resource temporarily unavailable`, syscall.EAGAIN)
	wantError(t, rw.RLockContext(cancellable(t)), `pthread_rwlock_clockrdlock\(.*\): resource temporarily unavailable`, syscall.EAGAIN)
	*readers = was
	ok(t, rw.Unlock(), rw.Unlock())
}

// changedBy returns the first word of an object that a call changes, and fails
// the test if it is not raised.
func changedBy(t *testing.T, a *shm.Attachment, at part, call func()) *uint32 {
	t.Helper()
	object := a.Bytes()[at.off : at.off+at.size]
	before := slices.Clone(object)
	call()
	for i := 0; i < len(object); i += 4 {
		was, is := binary.NativeEndian.Uint32(before[i:]), binary.NativeEndian.Uint32(object[i:])
		if is > was {
			return must(shm.View[uint32](a, int(at.off)+i))
		}
	}
	t.Skip("this libc does not count in a word")
	return nil
}

func TestSemErrors(t *testing.T) {
	a := segment(t)
	tooLarge := []uint{pshared.SEM_VALUE_MAX + 1, math.MaxUint32, math.MaxUint}
	if wide := tooLarge[1] + 1; wide != 0 { // an unsigned int in C would be 0
		tooLarge = append(tooLarge, wide)
	}
	for _, value := range tooLarge {
		wantError(t, lastOf(pshared.InitSem(a, int(theSem.off), value)), `sem_init\(id=\d+, offset=\d+\): `+state, syscall.EINVAL)
	}
	c := startC(t, a)
	c.refuses(syscall.EINVAL, "sem_init", theSem, uint64(pshared.SEM_VALUE_MAX)+1, "shared") // as in C
	s := initSem(a, pshared.SEM_VALUE_MAX)
	wantError(t, s.Post(), `sem_post\(.*\): value too large for defined data type`, syscall.EOVERFLOW)
	c.refuses(syscall.EOVERFLOW, "sem_post", theSem)
	if v, err := s.Value(); v != pshared.SEM_VALUE_MAX || err != nil {
		t.Errorf("Value: %d, %v", v, err)
	}
	ok(t, s.TryWait(), s.Post())
	s = initSem(a, 0)
	wantIs(t, s.TryWait(), shm.ErrBusy)
	ok(t, s.Destroy())
}

func TestCondErrors(t *testing.T) {
	a := segment(t)
	m, cond := initMutex(a), initCond(a)
	for _, held := range []bool{false, true} {
		if held { // by another goroutine
			g := newGoroutine(t)
			ok(t, g.do(m.Lock))
			defer g.do(m.Unlock)
		}
		wantError(t, cond.Wait(m), `pthread_cond_wait\(id=\d+, offset=\d+\): `+notIts, syscall.EPERM, fs.ErrPermission)
		wantError(t, cond.WaitContext(cancellable(t), m), `pthread_cond_clockwait\(.*\): `+notIts, syscall.EPERM, fs.ErrPermission)
	}
	ok(t, cond.Signal(), cond.Broadcast(), cond.Destroy()) // nobody waits
}

func TestRWLockErrors(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	a := segment(t)
	rw := initRWLock(a)
	wantError(t, rw.Unlock(), `pthread_rwlock_unlock\(id=\d+, offset=\d+\): `+notIts, syscall.EPERM, fs.ErrPermission)
	ok(t, rw.Lock())
	wantError(t, rw.Lock(), `pthread_rwlock_wrlock\(.*\): `+has, syscall.EDEADLK)
	wantError(t, rw.RLock(), `pthread_rwlock_rdlock\(.*\): `+has, syscall.EDEADLK)
	wantError(t, rw.LockContext(cancellable(t)), `pthread_rwlock_clockwrlock\(.*\): `+has, syscall.EDEADLK)
	wantError(t, rw.RLockContext(cancellable(t)), `pthread_rwlock_clockrdlock\(.*\): `+has, syscall.EDEADLK)
	for _, call := range []func() error{rw.TryLock, rw.TryRLock, rw.Destroy} {
		wantIs(t, call(), shm.ErrBusy)
	}
	ok(t, rw.Unlock())

	c := startC(t, a)
	c.ok("rwlock_rdlock", theRWLock)
	wantIs(t, rw.TryLock(), shm.ErrBusy)
	wantIs(t, rw.Destroy(), shm.ErrBusy)
	ok(t, rw.TryRLock())
	wantIs(t, rw.Destroy(), shm.ErrBusy)
	ok(t, rw.Unlock())
	wantIs(t, rw.Unlock(), syscall.EPERM) // what C has is not ours
	c.ok("rwlock_unlock", theRWLock)
	ok(t, rw.Destroy())
}

// TestPlaces: an object lies inside of a segment that can be written, where its
// alignment lets it.
func TestPlaces(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	a := segment(t)
	for off, want := range map[int]error{
		-8:               shm.ErrBounds,
		math.MinInt:      shm.ErrBounds,
		math.MaxInt:      shm.ErrBounds,
		a.Len() - 8:      shm.ErrBounds,
		a.Len():          shm.ErrBounds,
		1:                shm.ErrAlign,
		alignOfMutex / 2: shm.ErrAlign,
	} {
		for name, err := range initAndOpen(a, off) {
			if !errors.Is(err, want) {
				t.Errorf("%s at %d: %v, want %v", name, off, err, want)
			}
		}
	}
	ok(t, a.Detach())
	for name, err := range initAndOpen(a, 0) {
		if !errors.Is(err, shm.ErrDetached) {
			t.Errorf("%s after Detach: %v", name, err)
		}
	}

	b := segment(t)
	initObjects(b)
	readOnly, err := b.ID().Attach(shm.SHM_RDONLY)
	ok(t, err)
	for name, err := range initAndOpen(readOnly, 0) {
		if !errors.Is(err, shm.ErrReadOnly) {
			t.Errorf("%s read-only: %v", name, err)
		}
	}
	ok(t, readOnly.Detach())
	for name, err := range map[string]error{
		"mutex": openMutexErr(b), "sem": openSemErr(b), "cond": openCondErr(b), "rwlock": openRWLockErr(b),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const alignOfMutex = int(unsafe.Alignof(pshared.MutexT{}))
