//go:build linux

// Package faults has each call of the libc that an operation makes fail, one
// at a time, with each errno that it can have and some that it cannot, and
// checks that the operation tells which call and why, and leaves nothing behind.
//
// Which calls an operation makes nobody lists: it is run once, and watched.
package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
)

// controlFile is the environment variable that names the file that the test
// and the preloaded library share.
const controlFile = "CONTROL"

// shared is what the file holds.
type shared struct {
	control
	operations, faults int32 // that were tried
}

// control is struct control of ctest/faults_each.c.
type control struct {
	thread, at, again, err int32
	calls, failed          int32
	trace                  [128]struct {
		call    [44]byte
		command int32
	}
}

// Step is a call of the libc that an operation makes.
type Step struct {
	Call    string // "shmctl"
	Command string // "IPC_STAT", of shmctl and semctl
}

func (s Step) String() string { return strings.TrimSpace(s.Call + " " + s.Command) }

// Fault is a call that fails.
type Fault struct {
	Step
	N     int // of the calls of the operation, from 0
	Errno syscall.Errno
	Again bool // the calls like it, after it, fail too
}

func (f *Fault) String() string {
	if f == nil {
		return "without a fault"
	}
	s := fmt.Sprintf("call %d, %v: %v", f.N, f.Step, f.Errno)
	if f.Again {
		s += ", again and again"
	}
	return s
}

// Operation is one that has its calls fail.
type Operation struct {
	Name string

	// Run prepares what the operation needs, has it done by [Case.Do], looks
	// at what is left, and removes it. It runs once for each fault, in a
	// goroutine and on a thread of its own.
	Run func(c *Case)

	// Named is what errors name for the calls that the operation makes for
	// another one, if it does.
	Named string

	// Instead tells whether the operation returns something else than a
	// fault, and what: nil if it does without the call or makes it again.
	Instead func(f Fault) (instead bool, want error)
}

// Injector has calls of this process fail.
type Injector struct{ *shared }

// Run runs body in a process of its own, started for this test only and in an
// IPC namespace of its own, in which calls can be made to fail. source is the
// path of ctest/faults_each.c.
func Run(t *testing.T, source string, body func(t *testing.T, in *Injector)) {
	t.Helper()
	if os.Getenv(controlFile) == "" { // not in the process of its own
		path := filepath.Join(t.TempDir(), "control")
		if err := os.WriteFile(path, make([]byte, unsafe.Sizeof(shared{})), 0o600); err != nil {
			t.Fatal(err)
		}
		cpeer.Preload(t, source)
		t.Setenv(controlFile, path)
	}
	in := &Injector{mapShared(t)}
	ipcns.Run(t, func(t *testing.T) { body(t, in) })
	t.Logf("%d operations, %d faults", in.operations, in.faults)
}

func mapShared(t *testing.T) *shared {
	t.Helper()
	file, err := os.OpenFile(os.Getenv(controlFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mem, err := syscall.Mmap(int(file.Fd()), 0, int(unsafe.Sizeof(shared{})), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return (*shared)(unsafe.Pointer(unsafe.SliceData(mem)))
}

// Each runs the operations, a subtest each, without a fault and with each.
func (in *Injector) Each(t *testing.T, operations ...Operation) {
	t.Helper()
	for _, op := range operations {
		t.Run(op.Name, func(t *testing.T) { in.each(t, op) })
	}
}

func (in *Injector) each(t *testing.T, op Operation) {
	threads := map[int]bool{}
	in.run(t, op, nil, threads)
	steps := in.steps(t)
	t.Logf("calls %v", steps)
	in.operations++
	for n, step := range steps {
		list := errnos(step.Call)
		if len(list) == 0 {
			t.Errorf("no errnos are known of %v", step)
		}
		for _, errno := range list {
			in.run(t, op, &Fault{step, n, errno, false}, threads)
			switch errno {
			case syscall.EINTR, syscall.EAGAIN, syscall.ETIMEDOUT: // such a call is made until it works
			default:
				in.run(t, op, &Fault{step, n, errno, true}, threads)
			}
		}
	}
	bound(t, threads)
}

// steps are the calls that the last operation has made.
func (in *Injector) steps(t *testing.T) (steps []Step) {
	t.Helper()
	if in.calls == 0 || int(in.calls) > len(in.trace) {
		t.Fatalf("the operation has made %d calls", in.calls)
	}
	for _, s := range in.trace[:in.calls] {
		call, _, _ := strings.Cut(string(s.call[:]), "\x00")
		steps = append(steps, Step{call, commands[call][s.command]})
	}
	return steps
}

func (in *Injector) run(t *testing.T, op Operation, fault *Fault, threads map[int]bool) {
	t.Helper()
	before := left(t)
	c := &Case{t: t, in: in, op: op, fault: fault}
	done := make(chan struct{})
	go func() {
		defer close(done) // also where the test ends this goroutine
		runtime.LockOSThread()
		threads[syscall.Gettid()] = true
		op.Run(c)
		runtime.UnlockOSThread()
	}()
	<-done
	if fault != nil {
		in.faults++
	}
	if !c.did {
		t.Fatalf("%v: the operation was not done", fault)
	}
	if after := left(t); after != before {
		t.Errorf("%v: left behind:\n%s\nand before:\n%s", fault, after, before)
	}
}

// bound checks that no operation has left its goroutine bound to the thread:
// that ends together with such a goroutine, and with no other.
func bound(t *testing.T, threads map[int]bool) {
	t.Helper()
	for tid := range threads {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid)); err != nil {
			t.Errorf("a goroutine was bound to its thread for good: %v", err)
		}
	}
}

// left is what there is of objects, attachments and reserved addresses.
func left(t *testing.T) string {
	t.Helper()
	var s strings.Builder
	for _, kind := range []string{"shm", "sem"} {
		table, err := os.ReadFile("/proc/sysvipc/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
			fields := strings.Fields(line) // key id perms … and for shm size cpid lpid nattch
			fmt.Fprintln(&s, kind, fields[:3])
			if kind == "shm" {
				fmt.Fprintln(&s, "nattch", fields[6])
			}
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "/SYSV") {
			s.WriteString(line)
		}
	}
	return s.String()
}
