//go:build linux && cgo

package shm_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
)

func TestMain(m *testing.M) {
	if os.Getenv(asPeer) != "" {
		servePeer(os.Stdin, os.Stdout)
		return
	}
	ipcns.Main(m, cpeer.Remove)
}

// peer is a process on the other side, in C (ctest/peer.c) or in Go
// (gopeer_test.go). Both take the same commands:
//
//	ftok PROJ PATH               ok KEY
//	get KEY SIZE FLAGS           ok ID
//	at ID ADDR FLAGS             ok ADDR
//	dt ADDR                      ok
//	stat ID                      ok RESULT BYTES, the struct's bytes in hex
//	shmstat, shmstatany INDEX    the same
//	status ID                    ok, the members of the struct, as numbers
//	ipcinfo, shminfo             the same
//	set ID UID GID MODE          ok
//	rmid, lock, unlock ID        ok
//	read ADDR LEN                ok BYTES
//	write ADDR BYTES             ok
//	fill ADDR LEN SEED           ok; a pattern
//	sum ADDR LEN                 ok SUM
//	load WIDTH ADDR              ok VALUE; atomic, of 32 or 64 bits
//	store WIDTH ADDR VALUE       ok; likewise
//	add WIDTH ADDR TIMES         ok; likewise, of 1
//	litmus mp ADDR ROLE ROUNDS   ok TORN
//	litmus sb ADDR ROLE ROUNDS   ok
//	lifetime ROLE ROUNDS SEED    ok, of each: CALL ERRNO TIMES; lifetime_test.go
//	setuid UID GID               ok; without supplementary groups
//	exit CODE                    ends
//	kill                         ends, by SIGKILL
//
// and the C peer alone:
//
//	layout                       ok, of each member: NAME OFFSET SIZE SIGNED
//	private LEN                  ok ADDR, of private memory filled with 'p'
//	fork                         ok PID; the child takes over until it ends,
//	                             then ok STATUS, negative: the signal
//	spawn                        ok PID; of a child that only waits
//	reap PID                     ok STATUS; kills that child
//	dontfork ADDR LEN            ok; children do not inherit that memory
//	exec PATH                    none, or an errno; the program takes over
//	dropcap CAP                  ok; without that capability, for good
//	setns PATH                   ok; in the namespace of that file of /proc
//
// and the Go peer alone:
//
//	check ID UID MODE SIZE       ok, and what is not as it must be, if anything
//
// The methods fail the test when the peer answers an error.
type peer struct {
	*cpeer.Peer
	t    *testing.T
	lang string
}

func startC(t *testing.T) *peer { t.Helper(); return startCIn(t, 0) }

func startGo(t *testing.T) *peer { t.Helper(); return startGoIn(t, 0) }

// startCIn and startGoIn start a peer in new namespaces, as clone(2) names
// them.
func startCIn(t *testing.T, namespaces uintptr) *peer {
	t.Helper()
	cmd := cpeer.Command(cpeer.Program(t, "ctest"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	return &peer{cpeer.Start(t, cmd), t, "C"}
}

func startGoIn(t *testing.T, namespaces uintptr) *peer {
	t.Helper()
	return &peer{cpeer.Start(t, goPeerCmd(namespaces)), t, "Go"}
}

func goPeerCmd(namespaces uintptr) *exec.Cmd {
	cmd := ipcns.Self()
	cmd.SysProcAttr.Cloneflags = namespaces
	cmd.Env = append(cmd.Environ(), asPeer+"=1")
	return cmd
}

// number is a command that answers a number, or nothing.
func (p *peer) number(format string, args ...any) int64 {
	p.t.Helper()
	n, err := p.Number(format, args...)
	if err != nil {
		p.t.Fatalf("%s peer: "+format+": %v", append(append([]any{p.lang}, args...), err)...)
	}
	return n
}

// refuses fails the test unless the peer answers with the errno.
func (p *peer) refuses(want syscall.Errno, format string, args ...any) {
	p.t.Helper()
	if _, err := p.Do(format, args...); !errors.Is(err, want) {
		p.t.Fatalf("%s peer: "+format+": %v, want %v", append(append([]any{p.lang}, args...), err, want)...)
	}
}

func (p *peer) get(key shm.Key, size int, flags shm.GetFlag) shm.ID {
	p.t.Helper()
	return shm.ID(p.number("get %d %d %d", key, size, uint32(flags)))
}

// An address in a peer: its words may be wider than those of this process.
type address = uint64

func (p *peer) attach(id shm.ID, flags shm.AttachFlag) address {
	p.t.Helper()
	return address(p.number("at %d 0 %d", id, flags))
}

func (p *peer) detach(addr address) { p.t.Helper(); p.number("dt %d", addr) }

func (p *peer) remove(id shm.ID) { p.t.Helper(); p.number("rmid %d", id) }

func (p *peer) setuid(uid, gid int) { p.t.Helper(); p.number("setuid %d %d", uid, gid) }

func (p *peer) set(id shm.ID, uid, gid int, mode shm.Mode) {
	p.t.Helper()
	p.number("set %d %d %d %d", id, uid, gid, uint32(mode))
}

func (p *peer) fill(addr address, size, seed int) {
	p.t.Helper()
	p.number("fill %d %d %d", addr, size, seed)
}

func (p *peer) sum(addr address, size int) uint64 {
	p.t.Helper()
	return uint64(p.number("sum %d %d", addr, size))
}

func (p *peer) write(addr address, s string) { p.t.Helper(); p.number("write %d %x", addr, s) }

func (p *peer) read(addr address, size int) string {
	p.t.Helper()
	answer, err := p.Do("read %d %d", addr, size)
	if err != nil {
		p.t.Fatalf("%s peer: read: %v", p.lang, err)
	}
	return string(unhex(p.t, answer[0]))
}

// raw is a command that answers a result and the bytes of a struct.
func (p *peer) raw(format string, args ...any) (int, []byte) {
	p.t.Helper()
	answer, err := p.Do(format, args...)
	if err != nil {
		p.t.Fatalf("%s peer: "+format+": %v", append(append([]any{p.lang}, args...), err)...)
	}
	result, err := strconv.Atoi(answer[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return result, unhex(p.t, answer[1])
}

// stat is the status as the peer sees it, whatever its struct looks like.
func (p *peer) stat(id shm.ID) (ds shm.ShmidDS) {
	p.t.Helper()
	answer, err := p.Do("status %d", id)
	if err != nil {
		p.t.Fatalf("%s peer: status %d: %v", p.lang, id, err)
	}
	members := []any{
		(*int32)(&ds.Perm.Key), &ds.Perm.UID, &ds.Perm.GID, &ds.Perm.CUID, &ds.Perm.CGID, (*uint32)(&ds.Perm.Mode),
		&ds.Perm.Seq, &ds.Segsz, &ds.Atime, &ds.Dtime, &ds.Ctime, &ds.Cpid, &ds.Lpid, &ds.Nattch,
	}
	if n, err := fmt.Sscan(strings.Join(answer, " "), members...); n != len(members) {
		p.t.Fatalf("%s peer: status %d: %q: %v", p.lang, id, answer, err)
	}
	return ds
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
