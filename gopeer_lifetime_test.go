//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/gosysv/shm"
)

// The Go peer's part in the races of lifetime_test.go, as in
// ctest/peer_lifetime.c.

const (
	lifetimeKeys  = 3
	lifetimeRoles = 8
	mostAttached  = 4
	unit          = 512
	mostUnits     = 24
)

// stamped is what its creator writes into a segment: nothing there but is its
// id's. Words of the same kind follow, to the end.
type stamped struct {
	stamp atomic.Uint64 // of the id; 0 until the rest is written
	size  uint64
	key   int64
	slot  [lifetimeRoles]atomic.Uint64 // each written by one racer only
}

const stampedSize = 8 * (3 + lifetimeRoles)

func stamp(id shm.ID, i int) uint64 { return (uint64(id)+1)*0x9e3779b97f4a7c15 + uint64(i) }

// outcome is a call and how it ended: the errno, or 0.
type outcome struct {
	call  string
	errno syscall.Errno
}

type racer struct {
	role     int
	random   *rand.Rand
	outcomes map[outcome]int
	ids      [lifetimeKeys]shm.ID // the last one that was seen, or -1
	attached []*shm.Attachment
	wrong    error // the first thing that must not be
}

func lifetime(role, rounds int, seed uint64) (string, error) {
	r := racer{role: role, random: rand.New(rand.NewPCG(seed, 0)), outcomes: map[outcome]int{}}
	for k := range r.ids {
		r.ids[k] = -1
	}
	for i := 0; i < rounds && r.wrong == nil; i++ {
		r.step()
	}
	for len(r.attached) > 0 {
		r.detach(0)
	}
	var answer []string
	for o, times := range r.outcomes {
		answer = append(answer, fmt.Sprint(o.call, " ", int(o.errno), " ", times))
	}
	return strings.Join(answer, " "), r.wrong
}

func (r *racer) step() {
	k, what, n := r.random.IntN(lifetimeKeys), r.random.IntN(16), len(r.attached)
	id := r.ids[k]
	switch {
	case id < 0 || what < 2:
		r.find(k)
	case what < 6:
		r.attach(id)
	case what < 8 && n > 0:
		r.detach(r.random.IntN(n))
	case what < 10 && n > 0:
		r.check(r.attached[r.random.IntN(n)])
	case what == 10:
		_, err := id.Stat()
		r.counted("stat", err, shm.ErrRemoved)
	case what == 11:
		r.set(id)
	case what == 12:
		r.counted("remove", id.Remove(), shm.ErrRemoved)
	case what == 13:
		r.list()
	}
	if id < 0 || what > 13 {
		r.create(k)
	}
}

// counted counts how a call ended, and tells whether it did what it was to do. It
// may fail with what the error must be then, nil for any errno.
func (r *racer) counted(call string, err, is error) bool {
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) || err != nil && is != nil && !errors.Is(err, is) {
		r.must(false, "%s: %v", call, err)
	}
	r.outcomes[outcome{call, errno}]++
	return err == nil
}

func (r *racer) must(so bool, format string, args ...any) {
	if !so && r.wrong == nil {
		r.wrong = fmt.Errorf(format, args...)
	}
}

func (r *racer) create(k int) {
	size := unit * (1 + r.random.IntN(mostUnits))
	id, err := shm.Get(testKey+shm.Key(k), size, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	if !r.counted("create", err, fs.ErrExist) {
		return
	}
	r.ids[k] = id
	a := r.attach(id)
	if a == nil {
		return
	}
	p, body := r.view(a)
	r.must(p.stamp.Load() == 0, "segment %d: a new one is not empty", id)
	p.size, p.key = uint64(size), int64(testKey)+int64(k)
	for i := range body {
		body[i] = stamp(id, i)
	}
	p.stamp.Store(stamp(id, 0))
}

func (r *racer) find(k int) {
	id, err := shm.Get(testKey+shm.Key(k), r.random.IntN(2)*unit*mostUnits, 0)
	if r.counted("open", err, nil) {
		r.ids[k] = id
	}
}

// attach returns nil where there is no such segment any more.
func (r *racer) attach(id shm.ID) *shm.Attachment {
	if len(r.attached) == mostAttached {
		r.detach(r.random.IntN(mostAttached))
	}
	a, err := id.Attach(0)
	if !r.counted("attach", err, shm.ErrRemoved) {
		return nil
	}
	r.attached = append(r.attached, a)
	p, _ := r.view(a)
	p.slot[r.role].Store(stamp(id, r.role))
	return a
}

func (r *racer) detach(i int) {
	a := r.attached[i]
	r.check(a)
	err := a.Detach()
	r.must(err == nil, "%v", err)
	r.counted("detach", err, nil)
	r.attached[i] = r.attached[len(r.attached)-1]
	r.attached = r.attached[:len(r.attached)-1]
}

func (r *racer) set(id shm.ID) {
	ds, err := id.Stat()
	if !r.counted("stat", err, shm.ErrRemoved) {
		return
	}
	ds.Perm.Mode ^= 0o040
	r.counted("set", id.Set(&ds), shm.ErrRemoved)
}

// list: the table has its segments in order, and none but such as were made.
func (r *racer) list() {
	segs, err := shm.List()
	r.counted("list", err, nil)
	slot := -1
	for _, s := range segs {
		r.must(slot < indexOf(s.ID), "segment %d: listed out of order", s.ID)
		r.must(s.Segsz >= unit && s.Segsz%unit == 0, "segment %d: listed with size %d", s.ID, s.Segsz)
		r.must(s.Perm.Mode&0o737 == 0o600, "segment %d: listed with mode %v", s.ID, s.Perm.Mode)
		slot = indexOf(s.ID)
	}
}

// view is the stamp of a segment, and what follows it.
func (r *racer) view(a *shm.Attachment) (*stamped, []uint64) {
	p, errView := shm.View[stamped](a, 0)
	body, errSlice := shm.Slice[uint64](a, stampedSize, (a.Len()-stampedSize)/8)
	if err := errors.Join(errView, errSlice); err != nil {
		panic(err) // the peer ends, and its trace is shown
	}
	return p, body
}

// check: the attachment shows the segment of its id, whole, and no other.
func (r *racer) check(a *shm.Attachment) {
	ds, err := a.Stat()
	r.must(err == nil, "attached, and %v", err)
	var mine uint
	for _, other := range r.attached {
		if other.ID() == a.ID() {
			mine++
		}
	}
	r.must(ds.Nattch >= mine, "segment %d: nattch %d, attached here %d times", a.ID(), ds.Nattch, mine)
	r.must(ds.Segsz == uint(a.Len()), "segment %d: %d bytes, attached %d", a.ID(), ds.Segsz, a.Len())
	p, body := r.view(a)
	r.must(p.slot[r.role].Load() == stamp(a.ID(), r.role), "segment %d: another one's slot", a.ID())
	seen := p.stamp.Load()
	if seen == 0 {
		return
	}
	r.must(seen == stamp(a.ID(), 0), "segment %d: another one's stamp", a.ID())
	r.must(uint64(ds.Segsz) == p.size, "segment %d: %d bytes, made with %d", a.ID(), ds.Segsz, p.size)
	r.must(ds.Perm.Key == 0 || int64(ds.Perm.Key) == p.key, "segment %d: key %v, made with %#x", a.ID(), ds.Perm.Key, p.key)
	for i, word := range body {
		r.must(word == stamp(a.ID(), i), "segment %d: another one's bytes", a.ID())
	}
}
