//go:build linux && cgo

package sem_test

import (
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// A Go peer runs its commands on the main thread, where signals go to first.
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

// peer is a process on the other side, in C (../ctest/peer_sem.c) or in Go
// (gopeer_test.go). Both take the same commands; an OP is the three words
// NUM OP FLAGS:
//
//	semget KEY N FLAGS           ok ID
//	semop ID OP...               ok
//	semtimedop ID NS OP...       ok
//	semopthread ID OP...         ok; on a thread that ends after it
//	getval, getpid ID NUM        ok VALUE
//	getncnt, getzcnt ID NUM      ok VALUE
//	setval ID NUM VALUE          ok
//	getall ID                    ok VALUE...
//	setall ID VALUE...           ok
//	semstat ID                   ok RESULT BYTES, the struct's bytes in hex
//	semstatidx, semstatany INDEX the same
//	semipcinfo, seminfo          the same
//	semset ID UID GID MODE       ok
//	semrmid ID                   ok
//	semopen KEY MODE VALUE...    ok ID CREATED; by the rule of sem_otime
//	semrace GATE KEY MODE VALUE...
//	                             ok ID CREATED VALUE...; waits until semaphore
//	                             0 of the set GATE is 0, does semopen, and
//	                             reads the values
//	setuid UID GID               ok; without supplementary groups
//	kill                         ends, by SIGKILL
//
// the C peer alone:
//
//	semuntil ID                  never ok; locks and unlocks until an errno
//	semlayout                    ok, of each member: NAME OFFSET SIZE SIGNED
//
// and the Go peer alone, on a Mutex that is semaphore 0 of the set:
//
//	lock, unlock ID              ok
//	cancels ID                   ok; goroutines lock it, many in vain
//	guarded, unguarded ID        ok; goroutines write to a Go variable
//
// The methods fail the test when the peer answers an error.
type peer struct {
	*cpeer.Peer
	t    *testing.T
	lang string
}

func startC(t *testing.T) *peer {
	t.Helper()
	return start(t, "C", cpeer.Command(cpeer.Program(t, "../ctest")))
}

func startGo(t *testing.T) *peer { t.Helper(); return start(t, "Go", goPeerCmd()) }

func goPeerCmd() *exec.Cmd {
	cmd := ipcns.Self()
	cmd.Env = append(cmd.Environ(), asPeer+"=1")
	return cmd
}

// start starts a peer. One that does not answer in a minute is killed, which
// ends the test that waits for it.
func start(t *testing.T, lang string, cmd *exec.Cmd) *peer {
	t.Helper()
	p := &peer{cpeer.Start(t, cmd), t, lang}
	watchdog := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { watchdog.Stop() })
	return p
}

// patience is how long a test waits for what it knows will come.
const patience = time.Minute

// pairs are the processes of the two sides, by their languages.
var pairs = []struct {
	name string
	a, b func(t *testing.T) *peer
}{
	{"C_C", startC, startC},
	{"C_Go", startC, startGo},
	{"Go_C", startGo, startC},
	{"Go_Go", startGo, startGo},
}

// forPairs runs a test with each pair of peers.
func forPairs(t *testing.T, run func(t *testing.T, a, b *peer)) {
	t.Helper()
	for _, pair := range pairs {
		t.Run(pair.name, func(t *testing.T) { run(t, pair.a(t), pair.b(t)) })
	}
}

// number is a command that answers a number, or nothing.
func (p *peer) number(format string, args ...any) int {
	p.t.Helper()
	n, err := p.Number(format, args...)
	p.check(err, format, args)
	return int(n)
}

func (p *peer) check(err error, format string, args []any) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s peer: "+format+": %v", append(append([]any{p.lang}, args...), err)...)
	}
}

// refuses fails the test unless the peer answers with the errno.
func (p *peer) refuses(want syscall.Errno, format string, args ...any) {
	p.t.Helper()
	if _, err := p.Do(format, args...); !errors.Is(err, want) {
		p.t.Fatalf("%s peer: "+format+": %v, want %v", append(append([]any{p.lang}, args...), err, want)...)
	}
}

// done waits for the answer to what was asked before.
func (p *peer) done() {
	p.t.Helper()
	_, err := p.Answer()
	p.check(err, "what was asked", nil)
}

// die kills the peer.
func (p *peer) die() {
	p.t.Helper()
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	p.End()
}

func (p *peer) id(format string, args ...any) sem.ID {
	p.t.Helper()
	return sem.ID(p.number(format, args...))
}

// values is a command that answers numbers.
func (p *peer) values(format string, args ...any) []int {
	p.t.Helper()
	answer, err := p.Do(format, args...)
	p.check(err, format, args)
	return numbers(p.t, answer)
}

func numbers(t *testing.T, words []string) []int {
	t.Helper()
	values := make([]int, len(words))
	for i, word := range words {
		values[i] = atoi(t, word)
	}
	return values
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// raw is a command that answers a result and the bytes of a struct.
func (p *peer) raw(format string, args ...any) (int, []byte) {
	p.t.Helper()
	answer, err := p.Do(format, args...)
	p.check(err, format, args)
	bytes, err := hex.DecodeString(answer[1])
	if err != nil {
		p.t.Fatal(err)
	}
	return atoi(p.t, answer[0]), bytes
}

func (p *peer) stat(id sem.ID) sem.SemidDS {
	p.t.Helper()
	_, raw := p.raw("semstat %d", id)
	return cstruct.FromBytes[sem.SemidDS](p.t, raw)
}

// testKey is a key of the private namespace.
const testKey shm.Key = 0x5e9
