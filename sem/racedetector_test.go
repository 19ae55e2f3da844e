//go:build linux && cgo

package sem_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// runGoPeer has a Go peer of its own do one command, and returns all that it
// printed.
func runGoPeer(t *testing.T, format string, args ...any) string {
	t.Helper()
	cmd := goPeerCmd()
	cmd.Stdin = strings.NewReader(fmt.Sprintf(format+"\n", args...))
	out, _ := cmd.CombinedOutput() // the race detector's exit status is in its words
	return string(out)
}

const dataRace = "WARNING: DATA RACE"

// TestGuarded: Go data guarded by a Mutex, by two Mutexes on one semaphore and
// by plain operations on it is whole, and the race detector does not report it.
func TestGuarded(t *testing.T) {
	id := newSet(t, 1)
	if out := runGoPeer(t, "guarded %d", id); out != "ok 0\n" {
		t.Errorf("got %s", out)
	}
	wantValues(t, id, 1)
}

// TestGuardedAcross: so is data that is guarded by a lock which another process
// has in between. With -race a report fails this test.
func TestGuardedAcross(t *testing.T) {
	c := startC(t)
	id := made(t, c, 1)
	const goroutines, times = 4, 100
	n := 0
	var waits []func() error
	for range goroutines {
		mu := sem.NewMutex(id, 0)
		waits = append(waits, async(t, func() error {
			for range times {
				if err := mu.Lock(); err != nil {
					return err
				}
				n++
				if err := mu.Unlock(); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for range times {
		c.number("semop %d 0 -1 %d", id, undo)
		c.number("semop %d 0 1 %d", id, undo)
	}
	for _, wait := range waits {
		ok(t, wait())
	}
	if n != goroutines*times {
		t.Errorf("%d increments, want %d", n, goroutines*times)
	}
}

// TestUnguarded: a goroutine that has forgotten to lock is reported.
func TestUnguarded(t *testing.T) {
	if !ipcns.BuiltWith("-race") {
		t.Skip("needs the race detector: go test -race")
	}
	out := runGoPeer(t, "unguarded %d", newSet(t, 1))
	if !strings.Contains(out, dataRace) || !strings.Contains(out, "sem_test.unguarded") {
		t.Errorf("the race detector says nothing of it: %s", out)
	}
}
