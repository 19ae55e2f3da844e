//go:build linux && cgo

package sem_test

import (
	"context"
	"errors"
	"math"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm/sem"
)

var (
	up   = sem.Op{Num: 0, Op: +1}
	down = sem.Op{Num: 0, Op: -1}
)

func TestOpTimeout(t *testing.T) {
	id := newSet(t, 0)
	const d = 30 * time.Millisecond
	began := time.Now()
	wantErrno(t, id.OpTimeout(d, down), syscall.EAGAIN)
	if took := time.Since(began); took < d {
		t.Errorf("gave up after %v, want %v", took, d)
	}
	ok(t, id.OpTimeout(0, up)) // without waiting
	ok(t, id.OpTimeout(-1, down))
	for _, d := range []time.Duration{time.Hour, math.MaxInt64} {
		waited := async(t, func() error { return id.OpTimeout(d, down) })
		awaitWaiting(t, id, 0, 1)
		ok(t, id.Op(up))
		ok(t, waited())
	}
	wantValues(t, id, 0)
}

func TestOpContext(t *testing.T) {
	id := newSet(t, 1)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	over, cancelOver := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelOver()
	for _, op := range []sem.Op{up, down, {Op: -1, Flags: sem.IPC_NOWAIT}} { // none of them would wait
		if err := id.OpContext(cancelled, op); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", op, err)
		}
		if err := id.OpContext(over, op); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v: %v", op, err)
		}
	}
	wantValues(t, id, 1)

	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		ok(t, id.OpContext(ctx, down))
		ok(t, id.OpContext(ctx, up))
		ok(t, id.OpContext(ctx, sem.Op{Op: -1, Flags: sem.IPC_NOWAIT}))
		waited := async(t, func() error { return id.OpContext(ctx, down) })
		awaitWaiting(t, id, 0, 1)
		ok(t, id.Op(sem.Op{Op: 2}))
		ok(t, waited())
	}

	wantValues(t, id, 1)
	const d = 30 * time.Millisecond
	began := time.Now()
	short, cancelShort := context.WithTimeout(t.Context(), d)
	defer cancelShort()
	if err := id.OpContext(short, sem.Op{Op: -2}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at the deadline: %v", err)
	}
	if took := time.Since(began); took < d {
		t.Errorf("gave up after %v, want %v", took, d)
	}
	wantValues(t, id, 1)
}

// TestCancel: a wait ends soon after its context is cancelled, and takes
// nothing.
func TestCancel(t *testing.T) {
	id := newSet(t, 1)
	best := time.Duration(math.MaxInt64)
	for range 5 { // the machine may have something else to do
		ctx, cancel := context.WithCancel(t.Context())
		waited := async(t, func() error { return id.OpContext(ctx, sem.Op{Op: -2}) })
		awaitWaiting(t, id, 0, 1)
		began := time.Now()
		cancel()
		if err := waited(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		best = min(best, time.Since(began))
		if n := waiting(t, id, 0); n != 0 {
			t.Errorf("GETNCNT %d", n)
		}
	}
	wantValues(t, id, 1)
	if best > 100*time.Millisecond {
		t.Errorf("cancelled after %v at best", best)
	}
}

// TestCancelMixed: an operation that may wait is cancelled beside one that may
// not: the kernel waits for the first that is not possible.
func TestCancelMixed(t *testing.T) {
	id := newSet(t, 0, 0)
	ctx, cancel := context.WithCancel(t.Context())
	waited := async(t, func() error {
		return id.OpContext(ctx, sem.Op{Num: 0, Op: -1}, sem.Op{Num: 1, Op: -1, Flags: sem.IPC_NOWAIT})
	})
	awaitWaiting(t, id, 0, 1)
	cancel()
	if err := waited(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	waited = async(t, func() error {
		return id.OpContext(ctx, sem.Op{Num: 0, Op: -1}, sem.Op{Num: 1, Op: -1, Flags: sem.IPC_NOWAIT})
	})
	awaitWaiting(t, id, 0, 1)
	ok(t, id.Op(sem.Op{Num: 0, Op: 1})) // now it is the other one's turn
	wantErrno(t, waited(), syscall.EAGAIN)
	wantValues(t, id, 1, 0)
}

// TestWakeUps: who waits with a context that can be cancelled looks at it 20
// times a second at most, and who has none does not wake up.
func TestWakeUps(t *testing.T) {
	preloaded(t, "", func(t *testing.T) {
		t.Run("with a context", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			perSecond := wakeUps(t, func(id sem.ID) error { return id.OpContext(ctx, down) }, cancel)
			if perSecond > 20 || perSecond == 0 {
				t.Errorf("%.1f wake-ups a second", perSecond)
			}
		})
		t.Run("without", func(t *testing.T) {
			perSecond := wakeUps(t, func(id sem.ID) error { return id.OpContext(context.Background(), down) }, func() {})
			if perSecond != 0 {
				t.Errorf("%.1f wake-ups a second", perSecond)
			}
		})
	})
}

// wakeUps counts for a second how often a waiting thread returns from the
// kernel: the calls that end.
func wakeUps(t *testing.T, wait func(id sem.ID) error, cancel func()) (perSecond float64) {
	t.Helper()
	id := newSet(t, 0)
	tid := make(chan int, 1)
	waited := async(t, func() error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- syscall.Gettid()
		return wait(id)
	})
	waiter := <-tid
	awaitWaiting(t, id, 0, 1)
	began := time.Now()
	before, _ := calls(t)
	switchesBefore := switches(t, os.Getpid(), waiter)
	time.Sleep(time.Second) // what is measured is what happens meanwhile
	after, _ := calls(t)
	switched := switches(t, os.Getpid(), waiter) - switchesBefore
	perSecond = float64(after-before) / time.Since(began).Seconds()
	// Another authority: the thread has gone to sleep as often.
	if (switched == 0) != (after == before) {
		t.Errorf("%d calls, and the thread has slept %d times", after-before, switched)
	}
	cancel()
	ok(t, id.Op(up))
	if err := waited(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	return perSecond
}

// storm sends a signal every millisecond until it is told to stop.
func storm(t *testing.T, send func() error) (stop func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for ticker := time.NewTicker(time.Millisecond); err == nil; {
			select {
			case <-done:
				ended <- nil
				return
			case <-ticker.C:
				err = send()
			}
		}
		ended <- err
	}()
	return func() {
		t.Helper()
		close(done)
		ok(t, <-ended)
	}
}

// TestSignals: a signal every millisecond to a thread that waits is no error,
// loses no wake-up and moves no deadline.
func TestSignals(t *testing.T) {
	preloaded(t, "", func(t *testing.T) {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGUSR1)
		defer signal.Stop(signals)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for name, wait := range map[string]func(id sem.ID) error{
			"Op":        func(id sem.ID) error { return id.Op(down) },
			"OpTimeout": func(id sem.ID) error { return id.OpTimeout(time.Hour, down) },
			"OpContext": func(id sem.ID) error { return id.OpContext(ctx, down) },
		} {
			t.Run(name, func(t *testing.T) { waitInStorm(t, wait) })
		}
		t.Run("deadline", func(t *testing.T) {
			const d = 100 * time.Millisecond
			began := time.Now()
			waitUntilDeadline := func(id sem.ID) error { return id.OpTimeout(d, down) }
			if err := inStorm(t, newSet(t, 0), waitUntilDeadline); !errors.Is(err, syscall.EAGAIN) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took < d || took > 50*d {
				t.Errorf("gave up after %v, want %v", took, d)
			}
		})
	})
}

// waitInStorm has one goroutine wait many times for what another one gives.
func waitInStorm(t *testing.T, wait func(id sem.ID) error) {
	t.Helper()
	const times, interruptions = 300, 100
	id := newSet(t, 0)
	_, before := calls(t)
	given := async(t, func() error {
		// The first one is not given before many signals have come.
		for {
			if _, now := calls(t); now-before >= interruptions {
				break
			}
			time.Sleep(time.Millisecond)
		}
		for range times {
			if err := id.Op(up); err != nil {
				return err
			}
			runtime.Gosched()
		}
		return nil
	})
	ok(t, inStorm(t, id, func(id sem.ID) error {
		for range times {
			if err := wait(id); err != nil {
				return err
			}
		}
		return nil
	}))
	ok(t, given())
	wantValues(t, id, 0)
}

// inStorm calls wait on a thread that gets a signal every millisecond.
func inStorm(t *testing.T, id sem.ID, wait func(id sem.ID) error) error {
	t.Helper()
	tid := make(chan int, 1)
	waited := async(t, func() error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- syscall.Gettid()
		return wait(id)
	})
	thread := <-tid
	stop := storm(t, func() error {
		_, _, errno := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(thread), uintptr(syscall.SIGUSR1))
		if errno != 0 {
			return errno
		}
		return nil
	})
	defer stop()
	return waited()
}

// TestSignalsOnMainThread: a signal to a process goes to its main thread
// first, which the Go peer waits on.
func TestSignalsOnMainThread(t *testing.T) {
	c, g := startC(t), startGo(t)
	id := made(t, c, 0)
	for _, cmd := range []string{"semop %d 0 -1 0", "semtimedop %d 3600000000000 0 -1 0"} {
		g.Ask(cmd, id)
		awaitWaiting(t, id, 0, 1)
		before := switches(t, g.PID(), g.PID())
		stop := storm(t, func() error { return syscall.Kill(g.PID(), syscall.SIGUSR1) })
		eventually(t, "signals to wake the thread up", func() bool {
			return switches(t, g.PID(), g.PID()) >= before+100
		})
		c.number("semop %d 0 1 0", id)
		g.done()
		for range 200 {
			g.Ask(cmd, id)
			c.number("semop %d 0 1 0", id)
			g.done()
		}
		stop()
		wantValues(t, id, 0)
	}
}
