//go:build linux && cgo

package pshared

import (
	"context"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ctxwait"
)

// RWLock is a pthread_rwlock_t in a segment, and not safe when processes die: a
// writer that is killed blocks everybody for ever, a reader that is killed all
// writers, and nobody is told. There is no robust one. It is here because
// programs that are ported have one; new code should use a [Mutex], or package
// [github.com/gosysv/shm/sem].
//
// Its methods may be called from many goroutines at once, each of which unlocks
// what it has locked. The goroutine is bound to its thread meanwhile, and the
// attachment held.
type RWLock struct {
	object
	rw   *RWLockT
	held atomic.Int32 // by goroutines, through this RWLock
}

// InitRWLock initialises a read-write lock off bytes into the segment, as
// process-shared (pthread_rwlock_init). See [InitMutex].
//
// Errors: [shm.ErrBounds], [shm.ErrAlign], [shm.ErrReadOnly],
// [shm.ErrDetached]; those of pthread_rwlock_init(3).
func InitRWLock(a *shm.Attachment, off int) (*RWLock, error) {
	rw, o, err := locate[RWLockT](a, off)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	if errno := rw.init(); errno != 0 {
		return nil, o.failed("pthread_rwlock_init", errno)
	}
	return &RWLock{object: o, rw: rw}, nil
}

// OpenRWLock opens the read-write lock off bytes into the segment, which
// somebody has initialised, in Go or in C, with PTHREAD_PROCESS_SHARED.
//
// Errors: [ErrNotShared]; those of [InitRWLock].
func OpenRWLock(a *shm.Attachment, off int) (*RWLock, error) {
	rw, o, err := open[RWLockT](a, off)
	if err != nil {
		return nil, err
	}
	a.Release()
	return &RWLock{object: o, rw: rw}, nil
}

// RLock takes the lock for reading, with others who read, and waits until it
// can (pthread_rwlock_rdlock). What a goroutine has locked for reading it should
// not lock again: if a writer waits, that may block for ever.
//
// Errors: EDEADLK if this goroutine has it for writing; EAGAIN for too many
// readers; [shm.ErrDetached].
func (rw *RWLock) RLock() error {
	return rw.lock(context.Background(), "pthread_rwlock_rdlock", (*RWLockT).rdLock)
}

// RLockContext is [RWLock.RLock] that waits until the context is done at most
// (pthread_rwlock_clockrdlock).
//
// Errors are those of RLock and of ctx.Err.
func (rw *RWLock) RLockContext(ctx context.Context) error {
	return rw.lock(ctx, "pthread_rwlock_clockrdlock", (*RWLockT).rdLock)
}

// TryRLock takes the lock for reading if it need not wait
// (pthread_rwlock_tryrdlock).
//
// Errors: [shm.ErrBusy] if it would have to (EBUSY); those of [RWLock.RLock].
func (rw *RWLock) TryRLock() error {
	return rw.try("pthread_rwlock_tryrdlock", (*RWLockT).tryRDLock)
}

// Lock takes the lock for writing, alone, and waits until it can
// (pthread_rwlock_wrlock).
//
// Errors: EDEADLK if this goroutine has it for writing already (for reading,
// it blocks for ever); [shm.ErrDetached].
func (rw *RWLock) Lock() error {
	return rw.lock(context.Background(), "pthread_rwlock_wrlock", (*RWLockT).wrLock)
}

// LockContext is [RWLock.Lock] that waits until the context is done at most
// (pthread_rwlock_clockwrlock).
//
// Errors are those of Lock and of ctx.Err.
func (rw *RWLock) LockContext(ctx context.Context) error {
	return rw.lock(ctx, "pthread_rwlock_clockwrlock", (*RWLockT).wrLock)
}

// TryLock takes the lock for writing if it need not wait
// (pthread_rwlock_trywrlock).
//
// Errors: [shm.ErrBusy] if it would have to (EBUSY); those of [RWLock.Lock].
func (rw *RWLock) TryLock() error {
	return rw.try("pthread_rwlock_trywrlock", (*RWLockT).tryWRLock)
}

func (rw *RWLock) lock(ctx context.Context, call string, lock func(*RWLockT, time.Duration) syscall.Errno) error {
	if err := rw.pin(); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return rw.taken(call, lock(rw.rw, forever))
	}
	errno, err := ctxwait.Do(ctx, syscall.ETIMEDOUT, func(d time.Duration) syscall.Errno { return lock(rw.rw, d) })
	if err != nil {
		rw.unpin()
		return err
	}
	return rw.taken(call, errno)
}

func (rw *RWLock) try(call string, try func(*RWLockT) syscall.Errno) error {
	if err := rw.pin(); err != nil {
		return err
	}
	errno := try(rw.rw)
	if errno == syscall.EBUSY {
		rw.unpin()
		return shm.ErrBusy
	}
	return rw.taken(call, errno)
}

func (rw *RWLock) taken(call string, errno syscall.Errno) error {
	if errno != 0 {
		rw.unpin()
		return rw.failed(call, errno)
	}
	rw.held.Add(1)
	return nil
}

// Unlock gives back what this goroutine has locked, for reading or for writing
// (pthread_rwlock_unlock). The libc does not check that it has: an Unlock too
// many, while other goroutines of this process have the lock, takes it from
// them or, if one has it for writing, spoils the lock for all processes.
//
// Errors: EPERM (fs.ErrPermission), and nothing done, if no goroutine of this
// process has it; [shm.ErrDetached].
func (rw *RWLock) Unlock() error {
	if err := rw.a.Hold(); err != nil {
		return err
	}
	defer rw.a.Release()
	for {
		n := rw.held.Load()
		if n == 0 {
			return rw.failed("pthread_rwlock_unlock", syscall.EPERM)
		}
		if rw.held.CompareAndSwap(n, n-1) {
			break
		}
	}
	if errno := rw.rw.unlock(); errno != 0 {
		rw.held.Add(1)
		return rw.failed("pthread_rwlock_unlock", errno)
	}
	rw.unpin()
	return nil
}

// Destroy ends the lock (pthread_rwlock_destroy): its memory may be used for
// something else, or be initialised again. Nobody may have it or be waiting for
// it.
//
// Errors: [shm.ErrBusy] if somebody has it; [shm.ErrDetached].
func (rw *RWLock) Destroy() error {
	if err := rw.TryLock(); err != nil {
		return err
	}
	if err := rw.Unlock(); err != nil {
		return err
	}
	if err := rw.a.Hold(); err != nil {
		return err
	}
	defer rw.a.Release()
	if errno := rw.rw.destroy(); errno != 0 {
		return rw.failed("pthread_rwlock_destroy", errno)
	}
	return nil
}
