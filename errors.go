//go:build linux && cgo

package shm

import (
	"errors"
	"fmt"
	"syscall"
)

// Errors of this package, to be compared with [errors.Is].
var (
	// ErrDetached: the attachment is detached, and its memory gone.
	ErrDetached = errors.New("shm: the attachment is detached")
	// ErrReadOnly: a write to an attachment that is SHM_RDONLY.
	ErrReadOnly = errors.New("shm: the attachment is read-only")
	// ErrBusy: somebody still relies on what would go away (a Hold, an
	// attachment inside a Reservation), or has the lock that was tried.
	ErrBusy = errors.New("shm: still in use")
	// ErrRemoved: the id has no segment any more, or never had one; in package
	// sem, no set. (A negative number is no id at all: EINVAL alone.)
	ErrRemoved = errors.New("shm: removed")
	// ErrBounds: an offset or a length outside of the segment.
	ErrBounds = errors.New("shm: out of bounds")
	// ErrAlign: an offset at which the type cannot lie.
	ErrAlign = errors.New("shm: misaligned")
	// ErrType: a type whose values mean nothing to another process.
	ErrType = errors.New("shm: type cannot be shared")
	// ErrUntrusted: the segment is not what the caller said it must be.
	ErrUntrusted = errors.New("shm: not to be trusted")
	// ErrPartial: List returned the segments that the caller may read, and
	// there are others.
	ErrPartial = errors.New("shm: some segments could not be read")
)

// Error is a call of the libc that failed, or that was refused before it was
// made because it could only fail. It unwraps to Errno, so that errors.Is answers
// for the errno, and for fs.ErrExist, fs.ErrNotExist and fs.ErrPermission.
type Error struct {
	Op    string        // the call: "shmget"
	Args  string        // its arguments: "key=0x0000162e, size=8192, 0600"
	Errno syscall.Errno // what it answered
	Hint  string        // what was found to be the cause, or ""
	Means error         // what Errno stands for in this call, such as ErrRemoved, or nil
}

// Error gives the whole call, the errno's text and the hint:
//
//	shmget(key=0x0000162e, size=8192, 0600): invalid argument: the segment exists with 4096 bytes
func (e *Error) Error() string {
	s := fmt.Sprintf("%s(%s): %s", e.Op, e.Args, e.Errno.Error())
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// Unwrap returns Errno.
func (e *Error) Unwrap() error { return e.Errno }

// Is tells whether the error means the target: EINVAL can stand for
// [ErrRemoved] or, for a slot without a segment, for fs.ErrNotExist.
func (e *Error) Is(target error) bool { return e.Means != nil && e.Means == target }
