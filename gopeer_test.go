//go:build linux && cgo

package shm_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/ipcns"
)

// asPeer is the environment variable that makes the test binary a peer.
const asPeer = "SHM_TEST_PEER"

// goPeer is the peer of peer_test.go in Go. It does all it does through the
// package's API.
type goPeer struct {
	words    cpeer.Words // of the command that are not taken yet
	attached []*shm.Attachment
}

func servePeer(in io.Reader, out io.Writer) {
	var p goPeer
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.words = strings.Fields(lines.Text())
		answer, err := p.run(p.word())
		var errno syscall.Errno
		switch {
		case errors.As(err, &errno):
			fmt.Fprintln(out, "err", int(errno))
		case err != nil:
			fmt.Fprintln(out, err)
		default:
			fmt.Fprintln(out, "ok", answer)
		}
	}
}

func (p *goPeer) word() string { return p.words.Next() }

func (p *goPeer) uint() uint64 {
	w := p.word()
	if strings.HasPrefix(w, "-") {
		n, _ := strconv.ParseInt(w, 0, 64)
		return uint64(n)
	}
	n, _ := strconv.ParseUint(w, 0, 64)
	return n
}

func (p *goPeer) int() int { return int(p.uint()) }

func (p *goPeer) id() shm.ID { return shm.ID(p.int()) }

func (p *goPeer) run(command string) (string, error) {
	switch command {
	case "ftok":
		proj := p.int()
		key, err := shm.Ftok(p.word(), proj)
		return fmt.Sprint(int32(key)), err
	case "get":
		key, size := shm.Key(p.int()), p.int()
		id, err := shm.Get(key, size, shm.GetFlag(p.uint()))
		return fmt.Sprint(int32(id)), err
	case "at":
		id, addr := p.id(), uintptr(p.uint())
		a, err := id.AttachAt(addr, shm.AttachFlag(p.uint()))
		if err != nil {
			return "", err
		}
		p.attached = append(p.attached, a)
		return fmt.Sprint(uintptr(a.Pointer())), nil
	case "dt":
		a, _, err := p.find(uintptr(p.uint()))
		if err != nil {
			return "", err
		}
		return "0", a.Detach()
	case "set":
		var ds shm.ShmidDS
		id := p.id()
		ds.Perm.UID, ds.Perm.GID, ds.Perm.Mode = uint32(p.uint()), uint32(p.uint()), shm.Mode(p.uint())
		return "0", id.Set(&ds)
	case "rmid":
		return "0", p.id().Remove()
	case "lock":
		return "0", p.id().LockPages()
	case "unlock":
		return "0", p.id().UnlockPages()
	case "stat":
		ds, err := p.id().Stat()
		return rawAnswer(0, &ds), err
	case "status":
		ds, err := p.id().Stat()
		perm := &ds.Perm
		return fmt.Sprint(int32(perm.Key), perm.UID, perm.GID, perm.CUID, perm.CGID, uint32(perm.Mode), perm.Seq,
			ds.Segsz, ds.Atime, ds.Dtime, ds.Ctime, ds.Cpid, ds.Lpid, ds.Nattch), err
	case "shmstat":
		id, ds, err := shm.StatIndex(p.int())
		return rawAnswer(int(id), &ds), err
	case "shmstatany":
		id, ds, err := shm.StatIndexAny(p.int())
		return rawAnswer(int(id), &ds), err
	case "ipcinfo":
		info, err := shm.Limits()
		return rawAnswer(0, &info), err
	case "shminfo":
		info, err := shm.Usage()
		return rawAnswer(0, &info), err
	case "setuid":
		uid, gid := p.int(), p.int()
		return "0", ipcns.SetUser(uid, gid)
	case "check":
		return p.check(p.id())
	case "lifetime":
		role, rounds := p.int(), p.int()
		return lifetime(role, rounds, p.uint())
	case "exit":
		os.Exit(p.int())
	case "kill":
		return "", syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return p.memory(command)
}

func rawAnswer[T any](result int, v *T) string { return fmt.Sprintf("%d %x", result, cstruct.Bytes(v)) }

// check tells what Check finds.
func (p *goPeer) check(id shm.ID) (string, error) {
	a, err := id.Attach(0)
	if err != nil {
		return "", err
	}
	defer a.Detach()
	err = a.Check(shm.Trust{UIDs: []int{p.int()}, Perm: shm.Mode(p.uint()), Size: p.int()})
	if errors.Is(err, shm.ErrUntrusted) {
		return err.Error(), nil
	}
	return "", err
}

// find returns the attachment that an address is in, and its offset there.
func (p *goPeer) find(addr uintptr) (*shm.Attachment, int, error) {
	for _, a := range p.attached {
		base := uintptr(a.Pointer())
		if base != 0 && base <= addr && addr < base+uintptr(a.Len()) {
			return a, int(addr - base), nil
		}
	}
	return nil, 0, syscall.EINVAL
}

// memory runs the commands that touch a segment. A fault is EFAULT.
func (p *goPeer) memory(command string) (answer string, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			answer, err = "", syscall.EFAULT
		}
	}()
	var kind string
	switch command {
	case "load", "store", "add", "litmus":
		kind = p.word()
	}
	a, off, err := p.find(uintptr(p.uint()))
	if err != nil {
		return "", err
	}
	switch command {
	case "read":
		return hex.EncodeToString(a.Bytes()[off : off+p.int()]), nil
	case "write":
		b, err := hex.DecodeString(p.word())
		copy(a.Bytes()[off:], b)
		return "0", err
	case "fill":
		mem := a.Bytes()[off : off+p.int()]
		seed := p.uint()
		for i := range mem {
			mem[i] = byte((uint64(i) + seed) * 0x9e3779b97f4a7c15 >> 56)
		}
		return "0", nil
	case "sum":
		h := uint64(0xcbf29ce484222325)
		for _, b := range a.Bytes()[off : off+p.int()] {
			h = (h ^ uint64(b)) * 0x100000001b3
		}
		return fmt.Sprint(h), nil
	case "litmus":
		return p.litmus(kind, a, off)
	}
	if kind == "32" {
		v, err := shm.View[atomic.Uint32](a, off)
		if err != nil {
			return "", err
		}
		return atomicOp(p, command, v), nil
	}
	v, err := shm.View[atomic.Uint64](a, off)
	if err != nil {
		return "", err
	}
	return atomicOp(p, command, v), nil
}

// atomicOp runs load, store or add, and answers the value after it.
func atomicOp[T uint32 | uint64](p *goPeer, command string, v interface {
	Load() T
	Store(T)
	Add(T) T
},
) string {
	switch command {
	case "store":
		v.Store(T(p.uint()))
	case "add":
		for range p.uint() {
			v.Add(1)
		}
	}
	return fmt.Sprint(v.Load())
}

// litmus is struct litmus of ctest/peer.c, without what was seen.
type litmus struct {
	ready, vars [2]struct {
		word atomic.Uint32
		_    [60]byte
	}
	message [16]uint32
}

// await spins until the word is at least v.
func await(word *atomic.Uint32, v uint32) {
	for spins := uint(0); word.Load() < v; spins++ {
		if spins%128 == 127 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
		}
	}
}

func (p *goPeer) litmus(which string, a *shm.Attachment, off int) (string, error) {
	l, err := shm.View[litmus](a, off)
	if err != nil {
		return "", err
	}
	role, rounds := p.int(), p.int()
	if which == "mp" {
		return fmt.Sprint(l.messagePassing(role, rounds)), nil
	}
	seen, err := shm.Slice[uint32](a, off+litmusSize+4*role*rounds, rounds)
	if err != nil {
		return "", err
	}
	l.storeBuffering(role, seen)
	return "0", nil
}

func (l *litmus) messagePassing(role, rounds int) (torn int) {
	for i := uint32(1); i <= uint32(rounds); i++ {
		if role == 0 {
			for w := range l.message {
				l.message[w] = i
			}
			l.ready[0].word.Store(i)
			await(&l.ready[1].word, i)
			continue
		}
		await(&l.ready[0].word, i)
		if l.message != [16]uint32{i, i, i, i, i, i, i, i, i, i, i, i, i, i, i, i} {
			torn++
		}
		l.ready[1].word.Store(i)
	}
	return torn
}

func (l *litmus) storeBuffering(role int, seen []uint32) {
	for n := range seen {
		i := uint32(n + 1)
		l.ready[role].word.Store(i)
		await(&l.ready[1-role].word, i)
		l.vars[role].word.Store(i)
		seen[n] = l.vars[1-role].word.Load()
	}
}
