//go:build linux && cgo

package main

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startPairs starts the pairs for a test.
func startPairs(t *testing.T) []*pair {
	t.Helper()
	runtime.LockOSThread() // the peers are killed when this thread ends
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{cpus: []int{cpus[0], cpus[len(cpus)-1]}}
	program, err := buildPeer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pairs, err := b.pairs(t.Context(), clean(t), program)
	if err != nil {
		t.Fatal(err)
	}
	return pairs
}

// Every pairing hands the right messages over, every way and in every size,
// also when the numbers of slots and of messages are not multiples.
func TestPairs(t *testing.T) {
	queueLargest, _ := queueLimits()
	for _, p := range startPairs(t) {
		for _, size := range []int{8, 64, 1000, 4096, largest} {
			n := 100
			if size == 64 {
				n = 3*mostSlots + 1
			}
			for _, m := range roundTripModes(queueLargest) {
				if m.largest != 0 && size > m.largest {
					continue
				}
				if d, err := p.roundTrips(t.Context(), m.transport, size, 100); err != nil || d <= 0 {
					t.Fatalf("%s, %s, %d bytes: %v, %v", p.name, m.name, size, d, err)
				}
			}
			for _, m := range throughputModes(queueLargest) {
				if m.largest != 0 && size > m.largest {
					continue
				}
				if d, err := p.oneWay(t.Context(), m.transport, size, n); err != nil || d <= 0 {
					t.Fatalf("%s, %s, %d bytes: %v, %v", p.name, m.name, size, d, err)
				}
			}
		}
	}
}

// A peer in either language says so when a byte of a message is not right.
func TestPeerComparesAll(t *testing.T) {
	const size = 1000
	for _, at := range []int{0, 7, 8, 500, size - 1} {
		for _, p := range startPairs(t)[1:3] {
			a, err := newPeer(p.attachment, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			*p.head = shared{}
			if err := a.slotsSpinSend(0, 1, 1, size); err != nil {
				t.Fatal(err)
			}
			a.slots[at] ^= 0x10
			line := ask(t, p.first, "consume slots-spin 1000 0 1")
			if !strings.HasPrefix(line, "err") {
				t.Errorf("%s, byte %d: answered %q", p.pairing.first, at, line)
			}
		}
	}
}

// And when it is given what it does not know.
func TestPeerRefuses(t *testing.T) {
	for _, command := range []string{"sing spin 8 1 1", "ping pigeon 8 1 1", "ping spin 7 1 1", "ping spin 1048577 1 1"} {
		for _, p := range startPairs(t)[1:3] {
			if line := ask(t, p.first, command); !strings.HasPrefix(line, "err") {
				t.Errorf("%s: %q: answered %q", p.pairing.first, command, line)
			}
		}
	}
}

func ask(t *testing.T, s *side, command string) string {
	t.Helper()
	if _, err := s.stdin.WriteString(command + "\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-s.answers:
		return line
	case <-time.After(10 * time.Second):
		t.Fatalf("%q: no answer", command)
		return ""
	}
}

// A pair of which one has died is given up.
func TestPeerDies(t *testing.T) {
	for _, p := range startPairs(t)[2:4] {
		if err := p.second.cmd.Process.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := p.roundTrips(t.Context(), "spin", 8, 10); err == nil {
			t.Errorf("%s: went on", p.name)
		}
	}
}

func TestParseAnswer(t *testing.T) {
	for _, c := range []struct {
		line    string
		warm, n int
		ok      bool
	}{
		{"ok 10 30 6", 0, 3, true},
		{"ok 10 30 12", 2, 3, true}, // 3 + 4 + 5
		{"ok 10 30 7", 0, 3, false},
		{"err 74 2", 0, 3, false},
		{"", 0, 3, false},
	} {
		a, err := parseAnswer(c.line, c.warm, c.n)
		if (err == nil) != c.ok || c.ok && a.end-a.start != 20 {
			t.Errorf("%q: %v, %v", c.line, a, err)
		}
	}
}
