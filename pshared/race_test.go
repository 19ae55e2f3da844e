//go:build linux && cgo

package pshared_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gosysv/shm/internal/ipcns"
)

// TestGuarded: what these locks guard may be a plain Go variable.
func TestGuarded(t *testing.T) {
	o := initObjects(segment(t))
	ok(t, o.s.Post())
	for _, c := range []struct {
		name         string
		lock, unlock func() error
	}{
		{"Mutex.Lock", o.m.Lock, o.m.Unlock},
		{"Mutex.LockContext", func() error { return o.m.LockContext(t.Context()) }, o.m.Unlock},
		{"Sem", o.s.Wait, o.s.Post},
		{"RWLock", o.rw.Lock, o.rw.Unlock},
	} {
		t.Run(c.name, func(t *testing.T) {
			const goroutines, rounds = 4, 500
			var group sync.WaitGroup
			n := 0
			for range goroutines {
				group.Add(1)
				go func() {
					defer group.Done()
					for range rounds {
						if err := c.lock(); err != nil {
							t.Error(err)
							return
						}
						n++
						if err := c.unlock(); err != nil {
							t.Error(err)
						}
					}
				}()
			}
			group.Wait()
			if n != goroutines*rounds {
				t.Errorf("counted %d, want %d", n, goroutines*rounds)
			}
		})
	}
}

// racing is a program of which two goroutines use a plain Go variable, one
// after the other, or at the same time. What brings them together is in the
// segment, where the race detector does not look.
const racing = `package main

import (
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
)

type record struct {
	Mutex    pshared.MutexT
	RWLock   pshared.RWLockT
	Sem      pshared.SemT
	Together atomic.Uint32
}

var (
	r *record
	n int // what is raced for
)

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// together waits for the other goroutine to come here.
func together() {
	r.Together.Add(1)
	for r.Together.Load() < 2 {
		runtime.Gosched()
	}
}

func nothing() error { return nil }

func main() {
	id := must(shm.Get(shm.IPC_PRIVATE, 4096, shm.IPC_CREAT|0o600))
	a := must(id.Attach(0))
	check(id.Remove())
	r = must(shm.View[record](a, 0))
	m := must(pshared.InitMutex(a, int(unsafe.Offsetof(r.Mutex))))
	rw := must(pshared.InitRWLock(a, int(unsafe.Offsetof(r.RWLock))))
	s := must(pshared.InitSem(a, int(unsafe.Offsetof(r.Sem)), 1))

	lock, unlock, meet := m.Lock, m.Unlock, func() {}
	switch os.Args[1] {
	case "sem":
		lock, unlock = s.Wait, s.Post
	case "rwlock":
		lock, unlock = rw.Lock, rw.Unlock
	case "no lock":
		lock, unlock = nothing, nothing
	case "readers that write":
		lock, unlock, meet = rw.RLock, rw.Unlock, together
	}
	done := make(chan bool)
	for range 2 {
		go func() {
			for range 100 {
				check(lock())
				meet()
				n++
				check(unlock())
			}
			done <- true
		}()
	}
	<-done
	<-done
}
`

// TestRaceDetector: under -race the locks cause no false report, and hide no
// race.
func TestRaceDetector(t *testing.T) {
	source, program := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "racing")
	ok(t, os.WriteFile(source, []byte(racing), 0o600))
	if out, err := exec.Command("go", "build", "-race", "-o", program, source).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "-race") { // no such port, or no race runtime
			t.Skipf("needs -race: %s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct {
		mode string
		race bool
	}{
		{"mutex", false},
		{"sem", false},
		{"rwlock", false},
		{"no lock", true},
		{"readers that write", true},
	} {
		t.Run(c.mode, func(t *testing.T) {
			cmd := ipcns.Emulate(program, c.mode)
			cmd.Env = append(cmd.Environ(), "GORACE=atexit_sleep_ms=0")
			out, err := cmd.CombinedOutput()
			if raced := strings.Contains(string(out), "DATA RACE"); raced != c.race || (err != nil) != c.race {
				t.Errorf("race reported: %v, want %v; %v\n%s", raced, c.race, err, out)
			}
		})
	}
}
