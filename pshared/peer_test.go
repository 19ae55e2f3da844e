//go:build linux && cgo

package pshared_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/pshared"
)

// init keeps the commands of a peer in Go on the main thread, as those of the
// C peer are.
func init() {
	if os.Getenv(asPeer) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(asPeer) != "" {
		servePeer(os.Stdin, os.Stdout)
		return
	}
	ipcns.Main(m, cpeer.Remove)
}

// record is what the segment of a test has.
type record struct {
	Mutex  pshared.MutexT
	Sem    pshared.SemT
	Cond   pshared.CondT
	RWLock pshared.RWLockT
	Count  uint64
}

// part is a part of the record: where it lies in the segment.
type part struct {
	off, size uintptr
}

var (
	theMutex  = part{unsafe.Offsetof(record{}.Mutex), unsafe.Sizeof(record{}.Mutex)}
	theSem    = part{unsafe.Offsetof(record{}.Sem), unsafe.Sizeof(record{}.Sem)}
	theCond   = part{unsafe.Offsetof(record{}.Cond), unsafe.Sizeof(record{}.Cond)}
	theRWLock = part{unsafe.Offsetof(record{}.RWLock), unsafe.Sizeof(record{}.RWLock)}
	theCount  = part{unsafe.Offsetof(record{}.Count), unsafe.Sizeof(record{}.Count)}
)

// segment makes and attaches the segment of a test.
func segment(t testing.TB) *shm.Attachment {
	t.Helper()
	id, err := shm.Get(shm.IPC_PRIVATE, int(unsafe.Sizeof(record{})), shm.IPC_CREAT|0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := id.Remove(); err != nil {
			t.Error(err)
		}
	})
	a, err := id.Attach(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // nothing may have been left locked
		if err := a.Detach(); err != nil && !errors.Is(err, shm.ErrDetached) {
			t.Error(err)
		}
	})
	return a
}

// must returns what a call returned, which may not have failed.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ok fails the test if one of the calls has failed.
func ok(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// wantIs fails the test unless the error is each of the targets.
func wantIs(t testing.TB, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("got error %v, want %v", err, target)
		}
	}
}

func initMutex(a *shm.Attachment) *pshared.Mutex {
	return must(pshared.InitMutex(a, int(theMutex.off)))
}

func openMutex(a *shm.Attachment) *pshared.Mutex {
	return must(pshared.OpenMutex(a, int(theMutex.off)))
}

func initSem(a *shm.Attachment, value uint) *pshared.Sem {
	return must(pshared.InitSem(a, int(theSem.off), value))
}

func initCond(a *shm.Attachment) *pshared.Cond {
	return must(pshared.InitCond(a, int(theCond.off)))
}

func initRWLock(a *shm.Attachment) *pshared.RWLock {
	return must(pshared.InitRWLock(a, int(theRWLock.off)))
}

// peer is a process on the other side that has attached the segment of a test,
// in C (../ctest) or in Go (gopeer_test.go). Its commands are functions of the
// libc without pthread_, with the addresses that they take; it runs them on
// its main thread:
//
//	mutex_init MUTEX ATTRIBUTE...            shared robust normal errorcheck recursive inherit
//	mutex_lock, trylock, unlock, consistent, destroy MUTEX
//	mutex_timedlock MUTEX MILLISECONDS       in Go: LockContext
//	sem_init SEM VALUE [shared]
//	sem_wait, trywait, post, destroy SEM
//	sem_timedwait SEM MILLISECONDS
//	sem_getvalue SEM                         ok VALUE
//	cond_init COND [shared]
//	cond_wait COND MUTEX
//	cond_signal, broadcast, destroy COND
//	rwlock_init RWLOCK [shared]
//	rwlock_rdlock, tryrdlock, wrlock, trywrlock, unlock, destroy RWLOCK
//	rwlock_timedrdlock, timedwrlock RWLOCK MILLISECONDS
//	mutex_count LOCK COUNT TIMES             each time: locks, adds 1, unlocks
//	sem_count, rwlock_count                  likewise
//	turns COND MUTEX COUNT ROLE ROUNDS       counts up in turns, role 0 or 1
//	thread COMMAND...                        in a thread that ends with it
//
// and the C peer alone, besides those of ../peer_test.go:
//
//	cond_init COND shared monotonic          by that clock, as InitCond does
//	ptlayout                                 ok, of each type: NAME SIZE ALIGNMENT
//	libc                                     ok MAJOR MINOR, of glibc
//
// and the Go peer alone:
//
//	await COND MUTEX COUNT VALUE MS          locks, and waits until COUNT is VALUE:
//	                                         WaitContext or, if MS is 0, Wait
//	goexit                                   ends the main goroutine; another
//	                                         takes over
type peer struct {
	*cpeer.Peer
	t     testing.TB
	base  uintptr
	limit *time.Timer
}

// maximum is how long a peer lives: longer than any test that passes.
const maximum = 60 * time.Second

func startC(t testing.TB, a *shm.Attachment) *peer {
	t.Helper()
	return start(t, a, "C")
}

func startGo(t testing.TB, a *shm.Attachment) *peer {
	t.Helper()
	return start(t, a, "Go")
}

func start(t testing.TB, a *shm.Attachment, language string) *peer {
	t.Helper()
	cmd := ipcns.Self()
	cmd.Env = append(cmd.Environ(), asPeer+"=1")
	if language == "C" {
		cmd = cpeer.Command(cpeer.Program(t, "../ctest"))
	}
	p := &peer{t: t}
	t.Cleanup(func() { p.limit.Stop() }) // when it has ended, and not before
	p.Peer = cpeer.Start(t, cmd)
	p.limit = time.AfterFunc(maximum, func() { _ = syscall.Kill(p.PID(), syscall.SIGKILL) })
	t.Cleanup(func() { // a test that failed may have left it waiting
		if p.limit.Stop() {
			p.limit.Reset(time.Second)
		}
	})
	if a != nil {
		p.base = uintptr(p.ok("at", a.ID(), 0, 0))
	}
	return p
}

// line is a command: a part of the record is given as its address there.
func (p *peer) line(command string, args []any) string {
	line := command
	for _, arg := range args {
		if at, ok := arg.(part); ok {
			arg = p.base + at.off
		}
		line += fmt.Sprint(" ", arg)
	}
	return line
}

// ask sends a command and does not wait for the answer.
func (p *peer) ask(command string, args ...any) {
	p.t.Helper()
	p.Ask("%s", p.line(command, args))
}

// answered waits for the answer of a command that may not fail.
func (p *peer) answered() {
	p.t.Helper()
	if _, err := p.Answer(); err != nil {
		p.t.Fatalf("peer %d: %v", p.PID(), err)
	}
}

// ok is a command that may not fail, and answers a number or nothing.
func (p *peer) ok(command string, args ...any) int64 {
	p.t.Helper()
	n, err := p.Number("%s", p.line(command, args))
	if err != nil {
		p.t.Fatalf("peer %d: %s: %v", p.PID(), p.line(command, args), err)
	}
	return n
}

// refuses fails the test unless the peer answers the errno.
func (p *peer) refuses(want syscall.Errno, command string, args ...any) {
	p.t.Helper()
	if _, err := p.Do("%s", p.line(command, args)); !errors.Is(err, want) {
		p.t.Fatalf("peer %d: %s: %v, want %v", p.PID(), p.line(command, args), err, want)
	}
}

// die kills the peer, and waits until it is dead.
func (p *peer) die() {
	p.t.Helper()
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	p.End()
	p.limit.Stop()
}

// waits returns when a thread of the peer waits for a part of the record, and
// its id.
func (p *peer) waits(at part) int {
	p.t.Helper()
	return await(p.t, p.PID(), p.base, at, 1)[0]
}

// wait returns when a goroutine of this process waits for a part of the record,
// and its thread's id.
func wait(t testing.TB, a *shm.Attachment, at part) int {
	t.Helper()
	return await(t, os.Getpid(), uintptr(a.Pointer()), at, 1)[0]
}

// await returns when n threads of a process wait for a part of the record, and
// their ids.
func await(t testing.TB, pid int, base uintptr, at part, n int) (waiters []int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d threads of process %d wait", n, pid), func() bool {
		waiters = waiting(t, pid, base, at)
		return len(waiters) == n
	})
	return waiters
}

// waiting lists the threads of a process that are in futex(2) for a part of the
// record: what the kernel says of a thread that sleeps in a system call begins
// with its number and its first argument, which is the address waited for.
func waiting(t testing.TB, pid int, base uintptr, at part) (waiters []int) {
	t.Helper()
	bases := []uint64{uint64(base)}
	if ipcns.Emulated() { // the kernel knows other addresses
		bases = segmentsOf(t, pid)
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		fields := strings.Fields(string(content))
		if err != nil || len(fields) < 2 {
			continue // the thread ends, or runs
		}
		addr, err := strconv.ParseUint(fields[1], 0, 64)
		if err == nil && slices.ContainsFunc(bases, func(b uint64) bool { return addr-b-uint64(at.off) < uint64(at.size) }) {
			tid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				t.Fatal(err)
			}
			waiters = append(waiters, tid)
		}
	}
	return waiters
}

// segmentsOf lists the addresses of a process's attachments, as the kernel has
// them. (An emulator answers for it in /proc/PID/maps.)
func segmentsOf(t testing.TB, pid int) (addrs []uint64) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if start, _, _ := strings.Cut(line, "-"); strings.Contains(line, "/SYSV") {
			addr, err := strconv.ParseUint(start, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still not so: ", what)
		}
	}
}

// goroutine runs functions one after another, in a goroutine of its own: what
// one of them locks, another can unlock.
type goroutine struct {
	t    testing.TB
	work chan func()
}

func newGoroutine(t testing.TB) goroutine {
	g := goroutine{t, make(chan func())}
	go func() {
		for f := range g.work {
			f()
		}
	}()
	t.Cleanup(func() { close(g.work) })
	return g
}

// start starts a call, and returns where its error will come from.
func (g goroutine) start(f func() error) <-chan error {
	result := make(chan error, 1)
	g.work <- func() { result <- f() }
	return result
}

// do runs a call, and returns its error.
func (g goroutine) do(f func() error) error {
	g.t.Helper()
	return result(g.t, g.start(f))
}

// result waits for the error of a call.
func result(t testing.TB, from <-chan error) error {
	t.Helper()
	select {
	case err := <-from:
		return err
	case <-time.After(patience):
		t.Fatal("a call does not return")
		return nil
	}
}
