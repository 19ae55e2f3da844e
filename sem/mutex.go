//go:build linux && cgo

package sem

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gosysv/shm"
)

// Mutex is a lock between goroutines and processes, in Go or in C: the value
// of a semaphore, 1 when it is free and 0 when somebody has it. A C program
// takes it by semop(-1, SEM_UNDO) and gives it back by semop(+1, SEM_UNDO).
//
// It belongs to the process. Any goroutine may Unlock what another one has
// locked, and when the process ends, however it does, the kernel unlocks it.
// Whoever has it next is not told that its owner has died: let the data show
// whether it is whole.
//
// Goroutines queue for it inside the process, in the order in which they
// came: of all that wait, one waits in the kernel, and has a thread. Unlock
// hands it over to the next of them without a system call, until the process
// has had it for a millisecond; then it goes the way of the kernel, where other
// processes wait.
//
// Make one Mutex for a semaphore and share it. (Two are two queues: they
// exclude each other, by system calls.)
type Mutex struct {
	id  ID
	num uint16
	err error // of every operation: no set has a semaphore of the number

	// A token is in free while no goroutine of this process has the lock or
	// is taking it. Unlock hands the lock itself over through handOver, which
	// has no room: a send succeeds only while somebody receives.
	free     chan struct{}
	handOver chan struct{}

	waiting atomic.Int32 // goroutines that wait for one of the two
	locked  atomic.Bool
	since   time.Time // of the first hand-over since the semaphore was taken; of the lock's owner
}

// turn is how long a process may hand the lock over inside.
const turn = time.Millisecond

// NewMutex returns a Mutex that is semaphore num of the set, whose value should
// have been made 1, by [GetOrCreate]. It makes no call: what is wrong with the
// set or the number, Lock says.
func NewMutex(id ID, num int) *Mutex {
	m := &Mutex{id: id, num: uint16(num), free: make(chan struct{}, 1), handOver: make(chan struct{})}
	if num < 0 || num > math.MaxUint16 {
		m.err = numError(id, num)
	}
	m.free <- struct{}{}
	return m
}

// Lock takes the lock, and waits until it can.
//
// Errors are those of [ID.Op], and the lock is not taken: [shm.ErrRemoved] if
// the set is removed, also while Lock waits in the kernel.
func (m *Mutex) Lock() error { return m.lock(context.Background()) }

// LockContext is [Mutex.Lock] that waits until the context is done at most.
//
// Errors are those of Lock and of ctx.Err, and the lock is not taken.
func (m *Mutex) LockContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.lock(ctx)
}

func (m *Mutex) lock(ctx context.Context) error {
	select {
	case <-m.free:
	default:
		if handedOver, err := m.queue(ctx); handedOver || err != nil {
			return err
		}
	}
	return m.taken(m.op(ctx, -1, SEM_UNDO))
}

// queue waits for the token, or for the lock itself.
func (m *Mutex) queue(ctx context.Context) (handedOver bool, err error) {
	m.waiting.Add(1)
	defer m.waiting.Add(-1)
	select {
	case <-m.free:
		return false, nil
	case <-m.handOver:
		m.locked.Store(true)
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// TryLock takes the lock if nobody has it and nobody else in this process is
// taking it.
//
// Errors: [shm.ErrBusy] if somebody has or is, which costs no system call if it
// is this process; those of [Mutex.Lock].
func (m *Mutex) TryLock() error {
	select {
	case <-m.free:
	default:
		return shm.ErrBusy
	}
	err := m.taken(m.op(context.Background(), -1, SEM_UNDO|IPC_NOWAIT))
	if errors.Is(err, syscall.EAGAIN) {
		return shm.ErrBusy
	}
	return err
}

// taken ends the taking of the semaphore, by whoever has the token: it is
// locked, or the token goes back.
func (m *Mutex) taken(err error) error {
	if err != nil {
		m.free <- struct{}{}
		return err
	}
	m.locked.Store(true)
	return nil
}

// Unlock gives the lock back. Any goroutine of the process may do so.
//
// Errors: EPERM (fs.ErrPermission), and nothing done, if this Mutex is not
// locked; [shm.ErrRemoved], and it counts as unlocked; others of [ID.Op], such as
// EACCES, and it is still locked: Unlock can be tried again.
func (m *Mutex) Unlock() error {
	if !m.locked.CompareAndSwap(true, false) {
		return notLockedError(m.id, m.num)
	}
	if m.waiting.Load() > 0 && m.turnLasts() {
		select {
		case m.handOver <- struct{}{}:
			return nil
		default:
		}
	}
	m.since = time.Time{}
	err := m.op(context.Background(), +1, SEM_UNDO)
	if err != nil && !errors.Is(err, shm.ErrRemoved) {
		m.locked.Store(true)
		return err
	}
	m.free <- struct{}{}
	return err
}

// turnLasts tells whether the process may keep the semaphore. The clock is read
// only when there is somebody to keep it for.
func (m *Mutex) turnLasts() bool {
	if m.since.IsZero() {
		m.since = time.Now()
	}
	return time.Since(m.since) < turn
}

func (m *Mutex) op(ctx context.Context, delta int16, flags OpFlag) error {
	if m.err != nil {
		return m.err
	}
	return m.id.OpContext(ctx, Op{Num: m.num, Op: delta, Flags: flags})
}
