//go:build linux && cgo

package pshared

import (
	"context"
	"syscall"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ctxwait"
)

// Sem is a sem_t in a segment: a count that anybody may raise, and that no one
// owns. What a process has taken from it when it dies is lost. So is a wake-up
// of one that is killed while it waits: others that wait sleep on, although the
// value is not 0, until the next Post. Its methods may be called from many
// goroutines at once.
type Sem struct {
	object
	s *SemT
}

// InitSem initialises a semaphore off bytes into the segment, as process-shared
// (sem_init). It must not be done twice, nor while another process may use the
// semaphore; see [InitMutex].
//
// Errors: EINVAL for a value over [SEM_VALUE_MAX]; [shm.ErrBounds],
// [shm.ErrAlign], [shm.ErrReadOnly], [shm.ErrDetached].
func InitSem(a *shm.Attachment, off int, value uint) (*Sem, error) {
	s, o, err := locate[SemT](a, off)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	errno := syscall.EINVAL
	if value <= SEM_VALUE_MAX {
		errno = s.init(value)
	}
	if errno != 0 {
		return nil, o.failed("sem_init", errno)
	}
	return &Sem{o, s}, nil
}

// OpenSem opens the semaphore off bytes into the segment, which somebody has
// initialised, in Go or in C by sem_init(&s, 1, value).
//
// Errors: [ErrNotShared]; [shm.ErrBounds], [shm.ErrAlign], [shm.ErrReadOnly],
// [shm.ErrDetached].
func OpenSem(a *shm.Attachment, off int) (*Sem, error) {
	s, o, err := open[SemT](a, off)
	if err != nil {
		return nil, err
	}
	a.Release()
	return &Sem{o, s}, nil
}

// Post raises the value by 1, or wakes up one who waits (sem_post).
//
// Errors: EOVERFLOW if the value is [SEM_VALUE_MAX]; [shm.ErrDetached].
func (s *Sem) Post() error { return s.call("sem_post", (*SemT).post) }

// Wait lowers the value by 1, and waits until it can (sem_wait). A signal does
// not end it.
//
// Errors: [shm.ErrDetached].
func (s *Sem) Wait() error {
	return s.call("sem_wait", func(s *SemT) syscall.Errno {
		for {
			if errno := s.wait(forever); errno != syscall.EINTR {
				return errno
			}
		}
	})
}

// WaitContext is [Sem.Wait] that waits until the context is done at most
// (sem_clockwait).
//
// Errors are those of Wait and of ctx.Err.
func (s *Sem) WaitContext(ctx context.Context) error {
	if ctx.Done() == nil {
		return s.Wait()
	}
	if err := s.a.Hold(); err != nil {
		return err
	}
	defer s.a.Release()
	errno, err := ctxwait.Do(ctx, syscall.ETIMEDOUT, func(d time.Duration) syscall.Errno { return s.s.wait(d) })
	if errno != 0 {
		return s.failed("sem_clockwait", errno)
	}
	return err
}

// TryWait lowers the value by 1 if it is not 0 (sem_trywait).
//
// Errors: [shm.ErrBusy] if it is 0 (EAGAIN); [shm.ErrDetached].
func (s *Sem) TryWait() error {
	if err := s.a.Hold(); err != nil {
		return err
	}
	defer s.a.Release()
	for {
		switch errno := s.s.tryWait(); errno {
		case 0:
			return nil
		case syscall.EAGAIN:
			return shm.ErrBusy
		case syscall.EINTR:
		default:
			return s.failed("sem_trywait", errno)
		}
	}
}

// Value returns the value (sem_getvalue): 0 while somebody waits.
//
// Errors: [shm.ErrDetached].
func (s *Sem) Value() (int, error) {
	if err := s.a.Hold(); err != nil {
		return 0, err
	}
	defer s.a.Release()
	value, errno := s.s.value()
	if errno != 0 {
		return 0, s.failed("sem_getvalue", errno)
	}
	return value, nil
}

// Destroy ends the semaphore (sem_destroy): its memory may be used for something
// else, or be initialised again. Nobody may be waiting for it.
//
// Errors: [shm.ErrDetached].
func (s *Sem) Destroy() error { return s.call("sem_destroy", (*SemT).destroy) }

// call makes a call, with the memory kept.
func (s *Sem) call(name string, call func(*SemT) syscall.Errno) error {
	if err := s.a.Hold(); err != nil {
		return err
	}
	defer s.a.Release()
	if errno := call(s.s); errno != 0 {
		return s.failed(name, errno)
	}
	return nil
}
