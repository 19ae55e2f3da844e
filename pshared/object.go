//go:build linux && cgo

package pshared

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/gosysv/shm"
)

// Errors of this package, to be compared with [errors.Is].
var (
	// ErrOwnerDied: the thread that had the robust mutex ended without
	// unlocking it. The caller HAS the mutex now, and what it guards may be
	// half written: mend that, call Consistent, Unlock. (EOWNERDEAD)
	ErrOwnerDied = errors.New("pshared: the owner of the mutex died")
	// ErrNotRecoverable: somebody has unlocked the robust mutex after its
	// owner's death without calling Consistent. Nobody can have it again; it
	// must be destroyed and initialised anew. (ENOTRECOVERABLE)
	ErrNotRecoverable = errors.New("pshared: the mutex is not recoverable")
	// ErrNotShared: the object was not initialised as process-shared, or not
	// at all. Processes that use it all the same do not wake each other up.
	ErrNotShared = errors.New("pshared: not initialised as process-shared")
)

// object is where an object lies.
type object struct {
	a   *shm.Attachment
	off int
}

// image is what all the images have.
type image[T any] interface {
	*T
	isShared() (bool, syscall.Errno)
}

// locate returns the object at the offset, with the attachment held: the caller
// releases it.
func locate[T any](a *shm.Attachment, off int) (*T, object, error) {
	if err := a.Hold(); err != nil {
		return nil, object{}, err
	}
	p, err := shm.View[T](a, off)
	if err == nil && a.ReadOnly() {
		err = shm.ErrReadOnly
	}
	if err != nil {
		a.Release()
		return nil, object{}, err
	}
	return p, object{a, off}, nil
}

// open is locate of an object that somebody has initialised as process-shared.
func open[T any, P image[T]](a *shm.Attachment, off int) (*T, object, error) {
	p, o, err := locate[T](a, off)
	if err != nil {
		return nil, object{}, err
	}
	shared, errno := P(p).isShared()
	switch {
	case errno != 0:
		err = o.failed("initialisation for comparison", errno)
	case !shared:
		err = fmt.Errorf("%w: %T at offset %d of segment %d", ErrNotShared, p, off, a.ID())
	default:
		return p, o, nil
	}
	a.Release()
	return nil, object{}, err
}

// pin binds the goroutine to its thread, which is to own a lock, and keeps the
// memory.
func (o object) pin() error {
	if err := o.a.Hold(); err != nil {
		return err
	}
	runtime.LockOSThread()
	return nil
}

func (o object) unpin() {
	runtime.UnlockOSThread()
	o.a.Release()
}

// failed is the error of a call.
func (o object) failed(call string, errno syscall.Errno) error {
	e := &shm.Error{Op: call, Args: fmt.Sprintf("id=%d, offset=%d", o.a.ID(), o.off), Errno: errno}
	switch errno {
	case syscall.EOWNERDEAD:
		e.Means = ErrOwnerDied
		e.Hint = "the lock is taken; mend what it guards, and call Consistent"
	case syscall.ENOTRECOVERABLE:
		e.Means = ErrNotRecoverable
		e.Hint = "it was unlocked after its owner's death without Consistent"
	case syscall.EDEADLK:
		e.Hint = "this goroutine has it already"
	case syscall.EPERM:
		e.Hint = "this goroutine does not have it"
	case syscall.EINVAL:
		e.Hint = "it is not initialised, or destroyed, or in another state than the call needs"
	}
	return e
}
