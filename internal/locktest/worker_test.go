//go:build linux && cgo

package locktest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/pshared"
	"github.com/gosysv/shm/sem"
)

// asWorker is the environment variable that makes the test binary a worker.
const asWorker = "LOCK_TEST_WORKER"

// A worker's main goroutine stays on the main thread, where signals do what
// they do to a C program.
func init() {
	if os.Getenv(asWorker) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		serve(os.Stdin, os.Stdout)
		return
	}
	ipcns.Main(m, cpeer.Remove)
}

// worker is a process that contends for a lock, in C (ctest/locker.c) or in Go
// (below). Both take the same commands; KIND is a lock, SLOT where its first
// thread tells what it does:
//
//	attach SHMID SEMID                ok
//	init                              ok; the objects in the segment
//	count KIND SLOT THREADS ROUNDS    ok; counts in threads, the main one among them
//	storm KIND SLOT THREADS ROUNDS    ok SIGNALS; counts until stop is set, and then
//	                                  so often
//	survivor KIND SLOT                ok; locks and mutates until stop is set
//	victim KIND SLOT THREADS PAUSE    none; locks and mutates, with pauses of so
//	                                  many nanoseconds, until it is killed
//	try KIND                          ok; locks and unlocks without waiting
//
// and the one in C alone:
//
//	layout                            ok, of each member: NAME OFFSET SIZE
//	value                             ok VALUE; of the semaphore
type worker struct {
	*cpeer.Peer
	lang    string
	process *os.Process
}

// start starts a worker in Go or in C. If the test fails, it is not expected to
// end by itself.
func start(t *testing.T, lang string) worker {
	t.Helper()
	cmd := ipcns.Self()
	if lang == "C" {
		cmd = cpeer.Command(cpeer.Build(t, "../../ctest/locker.c", "-pthread"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	cmd.Env = append(cmd.Environ(), asWorker+"=1")
	w := worker{cpeer.Start(t, cmd), lang, cmd.Process}
	t.Cleanup(func() {
		if t.Failed() {
			_ = w.process.Kill() // it may have ended long since
		}
	})
	return w
}

// goWorker is the worker in Go.
type goWorker struct {
	a       *shm.Attachment
	s       *shared
	set     sem.ID
	words   cpeer.Words // of the command that are not taken yet
	kind    string
	first   int
	signals atomic.Int64
}

func serve(in io.Reader, out io.Writer) {
	if syscall.Getpid() != syscall.Gettid() {
		fmt.Fprintln(out, "not on the main thread")
		return
	}
	var w goWorker
	for lines := bufio.NewScanner(in); lines.Scan(); {
		w.words = strings.Fields(lines.Text())
		err := w.run(w.word())
		var errno syscall.Errno
		switch {
		case errors.As(err, &errno):
			fmt.Fprintln(out, "err", int(errno))
		case err != nil:
			fmt.Fprintln(out, err)
		default:
			fmt.Fprintln(out, "ok", w.signals.Load())
		}
	}
}

func (w *goWorker) word() string { return w.words.Next() }

func (w *goWorker) int() int {
	n, _ := strconv.Atoi(w.word())
	return n
}

func (w *goWorker) run(command string) (err error) {
	switch command {
	case "attach":
		id := shm.ID(w.int())
		w.set = sem.ID(w.int())
		if w.a, err = id.Attach(0); err != nil {
			return err
		}
		w.s, err = shm.View[shared](w.a, 0)
		return err
	case "init":
		return initObjects(w.a, w.s)
	}
	w.kind, w.first = w.word(), w.int()
	l, err := openLock(w.kind, w.a, w.s, w.set)
	if err != nil {
		return err
	}
	switch command {
	case "count":
		return w.count(l)
	case "storm":
		return w.storm(l)
	case "survivor":
		return w.threads(1, true, l, (*thread).survive)
	case "victim":
		threads, pause := w.int(), time.Duration(w.int())
		return w.threads(threads, true, l, func(th *thread) error { return th.beKilled(pause) })
	case "try":
		if err := l.(interface{ TryLock() error }).TryLock(); err != nil {
			return err
		}
		return l.Unlock()
	}
	return fmt.Errorf("unknown command %s", command)
}

func (w *goWorker) count(l lock) error {
	threads, rounds := w.int(), w.int()
	return w.threads(threads, false, l, func(th *thread) error {
		th.waitForStart()
		return th.count(rounds, l.Lock)
	})
}

// storm counts through a lock of its own in the main goroutine, and else with
// and without a context by turns.
func (w *goWorker) storm(l lock) error {
	arrived := make(chan os.Signal, 4096)
	signal.Notify(arrived, syscall.SIGUSR1)
	go func() {
		for range arrived {
			w.signals.Add(1)
		}
	}()
	threads, rounds := w.int(), w.int()
	return w.threads(threads, true, l, func(th *thread) error {
		if th.index == 0 {
			own, err := openLock(w.kind, w.a, w.s, w.set)
			if err != nil {
				return err
			}
			th.l = own
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		th.waitForStart()
		for i := 0; th.s.stop.Load() == 0; i++ {
			lock := th.l.Lock
			if i%2 == 1 {
				lock = func() error { return th.l.LockContext(ctx) }
			}
			if err := th.count(16, lock); err != nil {
				return err
			}
		}
		return th.count(rounds, th.l.Lock)
	})
}

// thread is what a worker's thread is in C: a goroutine, with a slot.
type thread struct {
	*slot
	s     *shared
	l     lock
	kind  string
	index int
	mine  uint32
}

// threads runs body in so many goroutines, the main one among them or not, and
// returns an error of theirs.
func (w *goWorker) threads(n int, main bool, l lock, body func(*thread) error) error {
	errs := make([]error, n)
	run := func(i int) {
		th := &thread{&w.s.slots[w.first+i], w.s, l, w.kind, i, uint32(w.first + i + 1)}
		errs[i] = body(th)
		var errno syscall.Errno
		if errs[i] != nil {
			errno = syscall.EPROTO // an error, if it has no number
			errors.As(errs[i], &errno)
			fmt.Fprintf(os.Stderr, "thread %d: %v\n", w.first+i, errs[i])
		}
		th.error.Store(uint32(errno))
		th.phase.Store(idle)
	}
	var others sync.WaitGroup
	for i := range n {
		if i == 0 && main {
			continue
		}
		others.Add(1)
		go func() {
			defer others.Done()
			run(i)
		}()
	}
	if main {
		run(0)
	}
	others.Wait()
	return errors.Join(errs...)
}

func (th *thread) waitForStart() {
	th.s.ready.Add(1)
	for th.s.start.Load() == 0 {
		time.Sleep(100 * time.Microsecond)
	}
}

// count counts: the two numbers are the same, for who has the lock.
func (th *thread) count(rounds int, lock func() error) error {
	rw, _ := th.l.(*pshared.RWLock)
	for i := 1; i <= rounds; i++ {
		if err := lock(); err != nil {
			return err
		}
		n := th.s.count
		if i%256 == 0 { // who comes in now takes the same number
			_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
		}
		if th.s.twin != n {
			th.torn.Add(1)
		}
		th.s.count, th.s.twin = n+1, n+1
		th.taken.Add(1)
		if err := th.l.Unlock(); err != nil {
			return err
		}
		if rw != nil && i%8 == 0 {
			if err := th.look(rw); err != nil {
				return err
			}
		}
	}
	return nil
}

func (th *thread) look(rw *pshared.RWLock) error {
	if err := rw.RLock(); err != nil {
		return err
	}
	if th.s.count != th.s.twin {
		th.torn.Add(1)
	}
	return rw.Unlock()
}

func (th *thread) survive() error {
	for th.s.stop.Load() == 0 {
		if only := th.s.only.Load(); only != 0 && only != th.mine {
			th.phase.Store(parked)
		} else if err := th.lockAndMutate(0); err != nil {
			return err
		}
		time.Sleep(100 * time.Microsecond)
	}
	return nil
}

func (th *thread) beKilled(pause time.Duration) error {
	for {
		if err := th.lockAndMutate(pause); err != nil {
			return err
		}
		spin(pause)
	}
}

func (th *thread) lockAndMutate(pause time.Duration) error {
	th.phase.Store(locking)
	err := th.l.Lock()
	notice := errors.Is(err, pshared.ErrOwnerDied)
	if err != nil && !notice {
		return err
	}
	th.phase.Store(holding)
	if err := th.inspect(notice); err != nil {
		return err
	}
	th.phase.Store(mutating)
	th.s.record.mutate(pause)
	th.phase.Store(mutated)
	th.s.held = 0
	th.taken.Add(1) // with the lock: not from before the death of the last owner
	th.phase.Store(unlocking)
	if err := th.l.Unlock(); err != nil {
		return err
	}
	th.phase.Store(idle)
	return nil
}

// inspect looks at what the lock guards, and mends it. A robust mutex must
// have told of an owner that has died with it, and without such a one nothing
// is torn.
func (th *thread) inspect(notice bool) error {
	left, torn := th.s.held != 0, !th.s.record.whole()
	th.s.held = th.mine
	if notice {
		th.notices.Add(1)
	}
	if left {
		th.left.Add(1)
	}
	if torn {
		th.torn.Add(1)
	}
	if torn && !left || left && !notice && th.kind == psharedMutex {
		th.unnoticed.Add(1)
	}
	if torn {
		th.s.record.mutate(0)
	}
	if notice {
		return th.l.(*pshared.Mutex).Consistent()
	}
	return nil
}
