// Package ctxwait makes calls that know timeouts obey contexts.
package ctxwait

import (
	"context"
	"syscall"
	"time"
)

// longest is how long a call waits at a time: it sees a context that is
// cancelled as much later at worst, and wakes up 16.7 times a second.
const longest = 60 * time.Millisecond

// Slice returns how long a call may wait now, or the context's error.
func Slice(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return longest, nil
	}
	slice := min(longest, time.Until(deadline))
	if slice <= 0 { // the context's own timer is yet to run
		return 0, context.DeadlineExceeded
	}
	return slice, nil
}

// Do calls wait, which blocks for the time it is given at most and answers
// expired when that is over, until it answers anything else or the context is
// done. Then it returns what it answered, or the context's error. EINTR is no
// answer.
func Do(ctx context.Context, expired syscall.Errno, wait func(time.Duration) syscall.Errno) (syscall.Errno, error) {
	for {
		slice, err := Slice(ctx)
		if err != nil {
			return 0, err
		}
		if errno := wait(slice); errno != expired && errno != syscall.EINTR {
			return errno, nil
		}
	}
}
