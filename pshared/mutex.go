//go:build linux && cgo

package pshared

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ctxwait"
)

// Mutex is a pthread_mutex_t in a segment, which threads of any process lock,
// in Go or in C. Its methods may be called from many goroutines at once, each
// of which unlocks what it has locked.
type Mutex struct {
	object
	m      *MutexT
	robust bool
	held   atomic.Int32 // by goroutines, through this Mutex
}

// InitMutex initialises a mutex off bytes into the segment, as process-shared,
// robust and error-checking (pthread_mutex_init). It must not be done twice, nor
// while another process may use the mutex: it is the task of who has made the
// segment ([shm.GetOrCreate] tells), before the others are told that it is
// ready.
//
// Errors: [shm.ErrBounds], [shm.ErrAlign], [shm.ErrReadOnly],
// [shm.ErrDetached]; those of pthread_mutex_init(3).
func InitMutex(a *shm.Attachment, off int) (*Mutex, error) {
	m, o, err := locate[MutexT](a, off)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	if errno := m.init(); errno != 0 {
		return nil, o.failed("pthread_mutex_init", errno)
	}
	return &Mutex{object: o, m: m, robust: true}, nil
}

// OpenMutex opens the mutex off bytes into the segment, which somebody has
// initialised, in Go or in C, with PTHREAD_PROCESS_SHARED. Of any type: that of
// a C program may be recursive, or not check for errors; see [Mutex.Robust].
//
// Errors: [ErrNotShared]; those of [InitMutex].
func OpenMutex(a *shm.Attachment, off int) (*Mutex, error) {
	m, o, err := open[MutexT](a, off)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	robust, errno := m.isRobust()
	if errno != 0 {
		return nil, o.failed("pthread_mutex_init", errno)
	}
	return &Mutex{object: o, m: m, robust: robust}, nil
}

// Robust tells whether the mutex is PTHREAD_MUTEX_ROBUST. If it is not, nobody
// learns of the death of an owner: all who want it wait for ever. And if one who
// waits is killed when it is woken up, the rest sleep until somebody else has to
// wait and unlocks.
func (m *Mutex) Robust() bool { return m.robust }

// Lock takes the mutex, and waits until it can (pthread_mutex_lock). The
// goroutine is bound to its thread until Unlock, and the attachment held. While
// it waits for a robust mutex it wakes up four times a second, for a wake-up can be
// lost when a process is killed; for others it does not wake up.
//
// [ErrOwnerDied] says that Lock HAS taken it, from somebody who died with it:
// what it guards may be torn. Any other error says that it has not:
//   - [ErrNotRecoverable]
//   - EDEADLK: this goroutine has it already. (A mutex that a C program has
//     initialised as PTHREAD_MUTEX_NORMAL blocks for ever instead, and one
//     that is recursive can be locked again.)
//   - EINVAL: it is destroyed.
//   - EAGAIN: a recursive mutex is locked too often.
//   - [shm.ErrDetached].
func (m *Mutex) Lock() error {
	if err := m.pin(); err != nil {
		return err
	}
	return m.taken("pthread_mutex_lock", m.lock())
}

// lock waits as long as it takes. Of a robust mutex a wake-up can be lost:
// when a thread that was woken up is killed before it has the mutex, and
// another one has taken it meanwhile, nobody knows of the rest that wait (seen
// with glibc 2.36 and Linux 6.18, in C alone too). So the rest look four times a
// second.
func (m *Mutex) lock() syscall.Errno {
	if !m.robust {
		return m.m.lock(forever)
	}
	errno := m.m.tryLock() // without a look at the clock
	for errno == syscall.ETIMEDOUT {
		errno = m.m.lock(250 * time.Millisecond)
	}
	return errno
}

// LockContext is [Mutex.Lock] that waits until the context is done at most
// (pthread_mutex_clocklock).
//
// Errors are those of Lock and of ctx.Err.
func (m *Mutex) LockContext(ctx context.Context) error {
	if ctx.Done() == nil {
		return m.Lock()
	}
	if err := m.pin(); err != nil {
		return err
	}
	errno, err := ctxwait.Do(ctx, syscall.ETIMEDOUT, func(d time.Duration) syscall.Errno { return m.m.lock(d) })
	if err != nil {
		m.unpin()
		return err
	}
	return m.taken("pthread_mutex_clocklock", errno)
}

// TryLock takes the mutex if nobody has it (pthread_mutex_timedlock, with a time
// in the past).
//
// Errors: [shm.ErrBusy] if somebody has it, the caller too; those of
// [Mutex.Lock].
func (m *Mutex) TryLock() error {
	if err := m.pin(); err != nil {
		return err
	}
	errno := m.m.tryLock()
	if errno == syscall.ETIMEDOUT || errno == syscall.EDEADLK { // the latter to the owner
		m.unpin()
		return shm.ErrBusy
	}
	return m.taken("pthread_mutex_timedlock", errno)
}

// taken ends the taking of the mutex.
func (m *Mutex) taken(call string, errno syscall.Errno) error {
	switch errno {
	case 0:
		m.held.Add(1)
		return nil
	case syscall.EOWNERDEAD:
		m.held.Add(1)
	case syscall.ENOTRECOVERABLE:
		m.lost()
	default:
		m.unpin()
	}
	return m.failed(call, errno)
}

// lost is the end of a goroutine's part in a mutex that is not recoverable.
// glibc wakes up only one of those who wait to tell it; another try wakes up the
// next.
func (m *Mutex) lost() {
	_ = m.m.tryLock()
	_ = m.m.unlock() // somebody may have made it anew by now
	m.unpin()
}

// Unlock gives the mutex back (pthread_mutex_unlock). The goroutine that has
// locked it must do so. After [ErrOwnerDied], without [Mutex.Consistent], it
// makes the mutex unusable for ever.
//
// Errors: EPERM (fs.ErrPermission), and nothing done, if the goroutine does not
// have it. (Where another goroutine of this process has it, and a C program has
// initialised it as PTHREAD_MUTEX_NORMAL and not robust, that cannot be told.)
// [ErrNotRecoverable] from a recursive one that was locked again after
// [ErrOwnerDied], without Consistent: one of the times is given back.
// [shm.ErrDetached].
func (m *Mutex) Unlock() error {
	if err := m.a.Hold(); err != nil { // a second one, for who does not have it
		return err
	}
	errno := syscall.EPERM
	if m.held.Load() > 0 {
		errno = m.m.unlock()
	}
	m.a.Release()
	// ENOTRECOVERABLE is of a recursive one, locked more than once since its
	// owner died: one of the times is given back.
	if errno == 0 || errno == syscall.ENOTRECOVERABLE {
		m.held.Add(-1)
		m.unpin()
	}
	if errno != 0 {
		return m.failed("pthread_mutex_unlock", errno)
	}
	return nil
}

// Consistent says that what the mutex guards is whole again, after
// [ErrOwnerDied] (pthread_mutex_consistent). The goroutine that has the mutex
// calls it before Unlock.
//
// Errors: EINVAL if no owner died, EPERM if no goroutine has the mutex;
// [shm.ErrDetached].
func (m *Mutex) Consistent() error {
	if err := m.a.Hold(); err != nil {
		return err
	}
	defer m.a.Release()
	errno := syscall.EPERM
	if m.held.Load() > 0 {
		errno = m.m.consistent()
	}
	if errno != 0 {
		return m.failed("pthread_mutex_consistent", errno)
	}
	return nil
}

// Destroy ends the mutex (pthread_mutex_destroy): its memory may be used for
// something else, or be initialised again. Nobody may be waiting for it.
//
// Errors: [shm.ErrBusy] if somebody has it; EINVAL if it is destroyed already;
// [shm.ErrDetached].
func (m *Mutex) Destroy() error {
	if m.held.Load() > 0 { // a recursive one could be locked again
		return shm.ErrBusy
	}
	// The libc destroys a robust mutex whoever has it.
	switch err := m.TryLock(); {
	case err == nil, errors.Is(err, ErrOwnerDied):
		// After it the mutex may be not recoverable: it ends anyhow.
		if err := m.Unlock(); err != nil && !errors.Is(err, ErrNotRecoverable) {
			return err
		}
	case !errors.Is(err, ErrNotRecoverable):
		return err
	}
	if err := m.a.Hold(); err != nil {
		return err
	}
	defer m.a.Release()
	if errno := m.m.destroy(); errno != 0 {
		return m.failed("pthread_mutex_destroy", errno)
	}
	return nil
}
