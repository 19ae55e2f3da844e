//go:build linux && cgo

package pshared_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gosysv/shm"
)

// ctxWait is a wait with a context, which lasts until a peer in C lets it go on.
type ctxWait struct {
	at    part
	hold  string // what the peer does first, so that it waits
	letGo string
	wait  func(ctx context.Context, o objects, n *uint64) error
	end   func(o objects) error // gives back what it has then
}

var ctxWaits = map[string]ctxWait{
	"Mutex.LockContext": {
		theMutex, "mutex_lock", "mutex_unlock",
		func(ctx context.Context, o objects, _ *uint64) error { return o.m.LockContext(ctx) },
		func(o objects) error { return o.m.Unlock() },
	},
	"Sem.WaitContext": {
		theSem, "sem_getvalue", "sem_post",
		func(ctx context.Context, o objects, _ *uint64) error { return o.s.WaitContext(ctx) },
		func(objects) error { return nil },
	},
	"RWLock.LockContext": {
		theRWLock, "rwlock_rdlock", "rwlock_unlock",
		func(ctx context.Context, o objects, _ *uint64) error { return o.rw.LockContext(ctx) },
		func(o objects) error { return o.rw.Unlock() },
	},
	"RWLock.RLockContext": {
		theRWLock, "rwlock_wrlock", "rwlock_unlock",
		func(ctx context.Context, o objects, _ *uint64) error { return o.rw.RLockContext(ctx) },
		func(o objects) error { return o.rw.Unlock() },
	},
	"Cond.WaitContext": {
		theCond, "", "cond_signal",
		func(ctx context.Context, o objects, n *uint64) error {
			if err := o.m.Lock(); err != nil {
				return err
			}
			for *n == 0 {
				if err := o.cond.WaitContext(ctx, o.m); err != nil {
					return err
				}
			}
			return nil
		},
		func(o objects) error { return o.m.Unlock() },
	},
}

// TestContexts: a wait ends with its context, soon, and goes on to its end
// under one that does not end.
func TestContexts(t *testing.T) {
	for name, w := range ctxWaits {
		t.Run(name, func(t *testing.T) {
			a := segment(t)
			o, n := initObjects(a), must(shm.View[uint64](a, int(theCount.off)))
			c := startC(t, a)
			if w.hold != "" {
				c.ok(w.hold, w.at)
			}
			g := newGoroutine(t)
			start := func(ctx context.Context) <-chan error {
				return g.start(func() error { return w.wait(ctx, o, n) })
			}
			failed := func(err, want error) {
				t.Helper()
				wantIs(t, err, want)
				if w.at == theCond { // it has the mutex again, as after any wait
					ok(t, g.do(o.m.Unlock))
				}
			}

			done, cancel := context.WithCancel(context.Background())
			cancel()
			failed(result(t, start(done)), context.Canceled)
			late, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Hour))
			defer cancel()
			failed(result(t, start(late)), context.DeadlineExceeded)

			const d = 150 * time.Millisecond
			begin := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			failed(result(t, start(ctx)), context.DeadlineExceeded)
			if waited := time.Since(begin); waited < d {
				t.Errorf("it waited for %v, with %v to wait", waited, d)
			}

			var took []time.Duration
			for range 5 {
				ctx, cancel := context.WithCancel(context.Background())
				ended := start(ctx)
				wait(t, a, w.at)
				begin := time.Now()
				cancel()
				err := result(t, ended)
				took = append(took, time.Since(begin))
				failed(err, context.Canceled)
			}
			// The machine may have something else to do, but not each time.
			if t.Logf("cancelled, it ended after %v", took); slices.Min(took) > 100*time.Millisecond {
				t.Error("want 100ms at most")
			}

			ended := start(cancellable(t))
			slept := switches(t, os.Getpid(), wait(t, a, w.at))
			eventually(t, "it has looked at its context a few times", func() bool {
				return switches(t, os.Getpid(), wait(t, a, w.at)) > slept+3
			})
			c.ok("store", 64, theCount, 1)
			c.ok(w.letGo, w.at)
			ok(t, result(t, ended), g.do(func() error { return w.end(o) }))
		})
	}
}

// TestBackground: a context that never ends is none.
func TestBackground(t *testing.T) {
	a := segment(t)
	o := initObjects(a)
	ctx := context.Background()
	ok(t, o.m.LockContext(ctx), o.m.Unlock(), o.rw.LockContext(ctx), o.rw.Unlock(), o.rw.RLockContext(ctx), o.rw.Unlock(),
		o.s.Post(), o.s.WaitContext(ctx))
	g := newGoroutine(t)
	ok(t, g.do(o.m.Lock))
	waiter := g.start(func() error { return o.cond.WaitContext(ctx, o.m) })
	wait(t, a, theCond)
	ok(t, o.cond.Signal(), result(t, waiter), g.do(o.m.Unlock))
}

// TestWakeUps: who waits with a context that can end wakes up at most 20 times
// a second, who waits for a robust mutex without one 4 times, and others never.
func TestWakeUps(t *testing.T) {
	held, free, stalled := segment(t), segment(t), segment(t)
	initObjects(held)
	initObjects(free)
	holder, other := startC(t, held), startC(t, stalled)
	holder.ok("mutex_lock", theMutex)
	holder.ok("rwlock_wrlock", theRWLock)
	other.ok("mutex_init", theMutex, "shared", "errorcheck")
	other.ok("mutex_lock", theMutex)
	const long = 1_000_000
	waits := []struct {
		in      *shm.Attachment
		at      part
		command string
		more    []any
		most    float64 // wake-ups a second

		pid, tid, before int
	}{
		{in: held, at: theMutex, command: "mutex_lock", most: 5},
		{in: held, at: theMutex, command: "mutex_timedlock", more: []any{long}, most: 20},
		{in: stalled, at: theMutex, command: "mutex_lock"},
		{in: stalled, at: theMutex, command: "mutex_timedlock", more: []any{long}, most: 20},
		{in: held, at: theSem, command: "sem_wait"},
		{in: held, at: theSem, command: "sem_timedwait", more: []any{long}, most: 20},
		{in: held, at: theRWLock, command: "rwlock_rdlock"},
		{in: held, at: theRWLock, command: "rwlock_timedrdlock", more: []any{long}, most: 20},
		{in: held, at: theRWLock, command: "rwlock_wrlock"},
		{in: held, at: theRWLock, command: "rwlock_timedwrlock", more: []any{long}, most: 20},
		{in: free, at: theCond, command: "await", more: []any{theMutex, theCount, 1, 0}},
		{in: free, at: theCond, command: "await", more: []any{theMutex, theCount, 1, long}, most: 20},
	}
	for i := range waits {
		w := &waits[i]
		p := startGo(t, w.in)
		p.ask(w.command, append([]any{w.at}, w.more...)...)
		w.pid, w.tid = p.PID(), p.waits(w.at)
		defer p.die()
	}
	begin := time.Now()
	for i := range waits {
		w := &waits[i]
		w.before = switches(t, w.pid, w.tid)
	}
	time.Sleep(1200 * time.Millisecond)
	for _, w := range waits {
		n := switches(t, w.pid, w.tid) - w.before
		seconds := time.Since(begin).Seconds()
		t.Logf("%s: %d wake-ups in %.2f s", w.command, n, seconds)
		if float64(n) > w.most*seconds || n == 0 && w.most > 0 {
			t.Errorf("want %v a second at most", w.most)
		}
	}
}

// switches is how often a thread has gone to sleep.
func switches(t testing.TB, pid, tid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
	ok(t, err)
	_, n, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
	n, _, _ = strings.Cut(n, "\n")
	return must(strconv.Atoi(strings.TrimSpace(n)))
}
