//go:build linux && cgo

package pshared_test

import (
	"syscall"
	"testing"
)

// storm sends signals to threads that wait, one a millisecond to each, until
// each has been woken up a hundred times. (The signal is one that every Go
// program has a handler for.)
func storm(t *testing.T, threads map[int]int) {
	t.Helper()
	before := map[int]int{}
	for tid, pid := range threads {
		before[tid] = switches(t, pid, tid)
	}
	eventually(t, "all were woken up by signals", func() bool {
		all := true
		for tid, pid := range threads {
			_, _, errno := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(pid), uintptr(tid), uintptr(syscall.SIGURG))
			if errno != 0 {
				t.Fatal(errno)
			}
			all = all && switches(t, pid, tid) >= before[tid]+100
		}
		return all
	})
}

// TestSignals: signals do not end a wait, on the main thread, where the libc
// calls answer EINTR, and on others; and the wake-up that comes among them is
// not lost.
func TestSignals(t *testing.T) {
	const long = 1_000_000
	var ends []func()
	threads := map[int]int{}
	for _, w := range []struct {
		at     part
		hold   string // by a peer in C, so that it waits
		letGo  string
		waits  []any
		unlock string
	}{
		{theMutex, "mutex_lock", "mutex_unlock", []any{"mutex_lock", theMutex}, "mutex_unlock"},
		{theMutex, "mutex_lock", "mutex_unlock", []any{"mutex_timedlock", theMutex, long}, "mutex_unlock"},
		{theSem, "sem_getvalue", "sem_post", []any{"sem_wait", theSem}, ""},
		{theSem, "sem_getvalue", "sem_post", []any{"sem_timedwait", theSem, long}, ""},
		{theRWLock, "rwlock_wrlock", "rwlock_unlock", []any{"rwlock_rdlock", theRWLock}, "rwlock_unlock"},
		{theRWLock, "rwlock_wrlock", "rwlock_unlock", []any{"rwlock_timedrdlock", theRWLock, long}, "rwlock_unlock"},
		{theRWLock, "rwlock_rdlock", "rwlock_unlock", []any{"rwlock_wrlock", theRWLock}, "rwlock_unlock"},
		{theRWLock, "rwlock_rdlock", "rwlock_unlock", []any{"rwlock_timedwrlock", theRWLock, long}, "rwlock_unlock"},
		{theCond, "", "cond_signal", []any{"await", theCond, theMutex, theCount, 1, 0}, "mutex_unlock"},
		{theCond, "", "cond_signal", []any{"await", theCond, theMutex, theCount, 1, long}, "mutex_unlock"},
	} {
		for _, main := range []bool{true, false} {
			a := segment(t)
			initObjects(a)
			c, p := startC(t, a), startGo(t, a)
			if w.hold != "" {
				c.ok(w.hold, w.at)
			}
			command := w.waits
			if !main {
				command = append([]any{"thread"}, command...)
			}
			p.ask(command[0].(string), command[1:]...)
			tid := p.waits(w.at)
			if main != (tid == p.PID()) {
				t.Fatalf("%v waits on thread %d of process %d", command, tid, p.PID())
			}
			threads[tid] = p.PID()
			ends = append(ends, func() {
				c.ok("store", 64, theCount, 1)
				c.ok(w.letGo, w.at)
				p.answered()
				if main && w.unlock != "" {
					at := w.at
					if at == theCond {
						at = theMutex
					}
					p.ok(w.unlock, at)
				}
			})
		}
	}
	storm(t, threads)
	for _, end := range ends {
		end()
	}
}
