//go:build linux && cgo

package locktest_test

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
	"github.com/gosysv/shm/sem"
)

// The kinds of lock, as the commands name them.
const (
	semMutex      = "sem.Mutex" // in C, plain semop with SEM_UNDO
	psharedMutex  = "pshared.Mutex"
	psharedSem    = "pshared.Sem"
	psharedRWLock = "pshared.RWLock"
	psharedCond   = "pshared.Cond"
	none          = "none"
)

var kinds = []string{semMutex, psharedMutex, psharedSem, psharedRWLock, psharedCond}

type lock interface {
	Lock() error
	LockContext(ctx context.Context) error
	Unlock() error
}

// openLock opens the lock of a kind, with its object in the segment or its
// semaphore in the set.
func openLock(kind string, a *shm.Attachment, s *shared, set sem.ID) (lock, error) {
	switch kind {
	case semMutex:
		return sem.NewMutex(set, 0), nil
	case psharedMutex:
		return pshared.OpenMutex(a, int(unsafe.Offsetof(s.mutex)))
	case psharedSem:
		object, err := pshared.OpenSem(a, int(unsafe.Offsetof(s.sem)))
		return semLock{object}, err
	case psharedRWLock:
		return pshared.OpenRWLock(a, int(unsafe.Offsetof(s.rwlock)))
	case psharedCond:
		mutex, err := pshared.OpenMutex(a, int(unsafe.Offsetof(s.mutex)))
		if err != nil {
			return nil, err
		}
		cond, err := pshared.OpenCond(a, int(unsafe.Offsetof(s.cond)))
		return condLock{mutex, cond, &s.busy}, err
	case none:
		return noLock{}, nil
	}
	return nil, fmt.Errorf("no lock is called %q", kind)
}

// initObjects initialises the objects in the segment.
func initObjects(a *shm.Attachment, s *shared) error {
	if _, err := pshared.InitMutex(a, int(unsafe.Offsetof(s.mutex))); err != nil {
		return err
	}
	if _, err := pshared.InitSem(a, int(unsafe.Offsetof(s.sem)), 1); err != nil {
		return err
	}
	if _, err := pshared.InitRWLock(a, int(unsafe.Offsetof(s.rwlock))); err != nil {
		return err
	}
	_, err := pshared.InitCond(a, int(unsafe.Offsetof(s.cond)))
	return err
}

// semLock is a semaphore of value 1.
type semLock struct{ *pshared.Sem }

func (l semLock) Lock() error                           { return l.Wait() }
func (l semLock) LockContext(ctx context.Context) error { return l.WaitContext(ctx) }
func (l semLock) Unlock() error                         { return l.Post() }

// condLock is a flag that is waited for with a condition variable.
type condLock struct {
	mutex *pshared.Mutex
	cond  *pshared.Cond
	busy  *uint32
}

func (l condLock) Lock() error { return l.LockContext(context.Background()) }

func (l condLock) LockContext(ctx context.Context) error {
	if err := l.mutex.LockContext(ctx); err != nil {
		return err
	}
	for *l.busy != 0 {
		if err := l.cond.WaitContext(ctx, l.mutex); err != nil {
			return err
		}
	}
	*l.busy = 1
	return l.mutex.Unlock()
}

func (l condLock) Unlock() error {
	if err := l.mutex.Lock(); err != nil {
		return err
	}
	*l.busy = 0
	if err := l.cond.Signal(); err != nil {
		return err
	}
	return l.mutex.Unlock()
}

// noLock is the control.
type noLock struct{}

func (noLock) Lock() error                       { return nil }
func (noLock) LockContext(context.Context) error { return nil }
func (noLock) Unlock() error                     { return nil }
