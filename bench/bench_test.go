//go:build linux && cgo

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			exit(role(os.Args[2:]))
		}
	}
	ipcns.Main(m)
}

// brief is an effort that shows that a measurement works, and no more.
var brief = effort{rounds: 3, sample: 100 * time.Microsecond}

// clean closes objects at the end of a test.
func clean(t *testing.T) *objects {
	t.Helper()
	var made objects
	t.Cleanup(func() {
		var err error
		if made.close(&err); err != nil {
			t.Error(err)
		}
	})
	return &made
}

// All groups, briefly: each has its section, its tables and its bars.
func TestGroups(t *testing.T) {
	b := &bench{effort: brief, quick: true, start: time.Now()}
	var r report
	if err := b.measure(t.Context(), "", &r); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	results, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## Bars", "## Call cost", "## Data", "## Round trip", "## Throughput", "## Growth", "## Locks",
		"| Stat | x/sys/unix |", "| 16 MiB |", "| 64 GiB |", "| 10000 |",
		"| robust mutex | C loop |", "| 4 in one process | sem.Mutex |", "| 2 processes | sem.Mutex and semop |",
	} {
		if !strings.Contains(string(results), want) {
			t.Errorf("RESULTS.md has no %q", want)
		}
	}
	if strings.Contains(string(results), "NaN") || strings.Contains(string(results), "Inf") {
		t.Error("RESULTS.md has a number that is none")
	}
	for _, file := range []string{"roundtrip.svg", "throughput.svg"} {
		svg, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(svg), "<svg") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Every call that is measured does what it is taken for, and what verifies it
// is not blind.
func TestCalls(t *testing.T) {
	calls, err := theCalls(clean(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		for _, contender := range c.contenders {
			if _, err := contender.once(10); err != nil {
				t.Errorf("%s, %s: %v", c.name, contender.name, err)
			}
		}
	}
	if _, err := getCall(0x7fffff01, 1).contenders[0].once(1); err == nil {
		t.Error("a Get of no segment was taken for one")
	}
}

func TestCopyIsVerified(t *testing.T) {
	p := path{make([]byte, 100), make([]byte, 100)}
	nothing := p.contender("nothing", func(int) error { return nil })
	if _, err := nothing.once(1); err == nil {
		t.Error("no copy was taken for one")
	}
	short := path{p.dst[:99], p.src[:99]}
	if _, err := p.contender("short", short.inC).once(1); err == nil {
		t.Error("a copy without its last byte was taken for one")
	}
	for _, work := range []func(int) error{p.inGo, p.inC} {
		if _, err := p.contender("copy", work).once(3); err != nil {
			t.Error(err)
		}
	}
}

func TestMachineCode(t *testing.T) {
	listing, err := sameCode()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CALL RECORD", "readSegment", "addSegment"} {
		if !strings.Contains(listing, want) {
			t.Errorf("no %q in:\n%s", want, listing)
		}
	}
	// The comparison can tell functions apart.
	pairs := codePairs
	defer func() { codePairs = pairs }()
	codePairs = []codePair{{"not the same", "readSegment", "writeHeap"}}
	if _, err := sameCode(); err == nil {
		t.Error("a read and a write were taken for the same")
	}
}

func TestObjectsAreRemoved(t *testing.T) {
	var made objects
	a, err := made.segment(100, 0)
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	made.later(func() error { return failed })
	err = nil
	made.close(&err)
	if !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if a.Bytes() != nil {
		t.Error("still attached")
	}
	if _, err := a.ID().Stat(); !errors.Is(err, shm.ErrRemoved) {
		t.Errorf("still there: %v", err)
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{effort: brief, quick: true, start: time.Now()}
	n := 0
	stopping := timed("stopping", func(int) error {
		if n++; n == 4 {
			cancel()
		}
		time.Sleep(time.Millisecond)
		return nil
	})
	if _, err := b.effort.measure(ctx, stopping); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := b.measure(ctx, "", new(report)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// An interrupt ends the program, whatever it is at, and leaves nothing.
func TestInterrupted(t *testing.T) {
	program := buildSelf(t)
	before := sysvObjects(t)
	for _, group := range []string{"roundtrip", "throughput", "growth"} {
		cmd := ipcnsCommand(t, program, "-quick", "-run", group)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, stderr, "2/")
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: %v", group, cmd.ProcessState)
		}
		if after := sysvObjects(t); after != before {
			t.Errorf("%s: left behind:\n%s", group, after)
		}
	}
}
