//go:build linux

package faults

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
)

// Case is a run of an operation with one fault, or with none.
type Case struct {
	t     *testing.T
	in    *Injector
	op    Operation
	fault *Fault
	did   bool
}

// Do makes the calls of the operation, with the fault, and checks the error. It
// tells whether the operation has succeeded.
func (c *Case) Do(operation func() error) bool {
	c.t.Helper()
	c.in.control = control{at: -1}
	if f := c.fault; f != nil {
		c.in.at, c.in.err = int32(f.N), int32(f.Errno)
		if f.Again {
			c.in.again = 1
		}
	}
	c.in.thread = int32(syscall.Gettid())
	err := operation()
	c.in.thread = 0
	c.did = true
	if c.fault != nil && c.in.failed == 0 {
		c.Errorf("the call was not made: %v", err)
	}
	if instead, want := c.instead(); instead {
		if !errors.Is(err, want) {
			c.Errorf("got %v, want %v", err, want)
		}
	} else {
		c.wantFault(err)
	}
	return err == nil
}

// instead tells whether the error is to be another one than that of the call.
func (c *Case) instead() (bool, error) {
	if c.fault == nil {
		return true, nil
	}
	if c.op.Instead == nil {
		return false, nil
	}
	return c.op.Instead(*c.fault)
}

// wantFault checks that an error is that of the call that has failed, and means
// what its errno means.
func (c *Case) wantFault(err error) {
	c.t.Helper()
	f := c.fault
	var e *shm.Error
	if !errors.As(err, &e) || e.Errno != f.Errno || !errors.Is(err, f.Errno) {
		c.Errorf("got %v", err)
		return
	}
	named := c.op.Named != "" && strings.Contains(e.Op+" "+e.Args, c.op.Named)
	if !named && !names(e, f.Step) {
		c.Errorf("the error names another call: %v", err)
	}
	for _, target := range []error{fs.ErrExist, fs.ErrNotExist, fs.ErrPermission} {
		if f.Errno.Is(target) && !errors.Is(err, target) {
			c.Errorf("%v is not %v", err, target)
		}
	}
	// What is there is not called removed: EINVAL has other causes too, unless
	// it is all that the kernel answers to questions about the object.
	removed := f.Errno == syscall.EIDRM || f.Errno == syscall.EINVAL && f.Again
	if errors.Is(err, shm.ErrRemoved) && !removed {
		c.Errorf("%v is %v", err, shm.ErrRemoved)
	}
	if !strings.HasPrefix(err.Error(), fmt.Sprintf("%s(%s): %v", e.Op, e.Args, f.Errno)) {
		c.Errorf("the error is %q", err)
	}
}

// names tells whether an error names the call. An attribute of an object that
// is initialised has no name of its own there, nor has an object that is
// initialised to be compared with.
func names(e *shm.Error, step Step) bool {
	object, _, isAttr := strings.Cut(step.Call, "attr_")
	switch e.Op {
	case step.Call:
		return strings.Contains(e.Args, step.Command)
	case object + "_init":
		return isAttr
	case "initialisation for comparison":
		return isAttr || strings.HasSuffix(step.Call, "_init")
	}
	return false
}

// Alone is the run of an operation that needs nothing and leaves nothing: it
// can be done once more.
func Alone(operation func() error) func(c *Case) {
	return func(c *Case) {
		c.Do(operation)
		c.OK(operation())
	}
}

// OK fails the test for errors of calls around the operation.
func (c *Case) OK(errs ...error) {
	c.t.Helper()
	if err := errors.Join(errs...); err != nil {
		c.Errorf("%v", err)
	}
}

// Errorf fails the test, and says with which fault.
func (c *Case) Errorf(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf("%v: %s", c.fault, fmt.Sprintf(format, args...))
}

// T is the test, for its helpers.
func (c *Case) T() *testing.T { return c.t }
