//go:build linux && cgo

package locktest_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm/pshared"
)

const (
	slotCount = 32
	wordCount = 8
)

// Where a thread is.
const (
	idle = iota
	locking
	holding
	mutating
	mutated
	unlocking
	parked
	phases
)

var phaseNames = [phases]string{"idle", "locking", "holding", "mutating", "mutated", "unlocking", "parked"}

// slot is what a thread tells.
type slot struct {
	phase       atomic.Uint32
	taken       atomic.Uint32 // how often it has had the lock
	notices     atomic.Uint32 // of an owner's death
	left        atomic.Uint32 // marks of an owner that has died
	torn        atomic.Uint32 // structures that were not whole
	unnoticed   atomic.Uint32 // … and should not have been so
	interrupted atomic.Uint32 // calls, by a signal
	error       atomic.Uint32
}

// record is a structure that shows whether it is whole.
type record struct {
	seq   uint64
	words [wordCount]uint64
	sum   uint64
}

// shared is the segment: struct shared of ctest/locker.c.
type shared struct {
	ready  atomic.Uint32 // threads that wait for start
	start  atomic.Uint32
	stop   atomic.Uint32
	only   atomic.Uint32 // slot + 1 of the survivor that may lock
	held   uint32        // slot + 1 of who has the lock
	busy   uint32        // of the lock that is a condition variable
	count  uint64
	twin   uint64
	record record
	slots  [slotCount]slot
	mutex  pshared.MutexT
	sem    pshared.SemT
	rwlock pshared.RWLockT
	cond   pshared.CondT
}

// TestLayout: the segment is the same for the workers in Go and in C.
func TestLayout(t *testing.T) {
	answer, err := start(t, "C").Do("layout")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(members[shared](""), members[slot]("slot."), members[record]("record."))
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Errorf("the members' offsets and sizes (-Go +C):\n%s", diff)
	}
}

// members lists the members of a struct: name, offset and size.
func members[T any](prefix string) (words []string) {
	t := reflect.TypeFor[T]()
	for i := range t.NumField() {
		f := t.Field(i)
		words = append(words, prefix+f.Name, fmt.Sprint(f.Offset), fmt.Sprint(f.Type.Size()))
	}
	return words
}

func (r *record) fnv() uint64 {
	h := fnv.New64a()
	b := binary.NativeEndian.AppendUint64(nil, r.seq)
	for _, w := range r.words {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	h.Write(b)
	return h.Sum64()
}

func (r *record) whole() bool { return r.sum == r.fnv() }

func (r *record) mutate(pause time.Duration) {
	r.seq++
	for i := range r.words {
		spin(pause)
		r.words[i] = r.seq * uint64(i+1)
	}
	spin(pause)
	r.sum = r.fnv()
}

func spin(d time.Duration) {
	if d == 0 {
		return
	}
	begin := time.Now()
	for {
		if time.Since(begin) >= d {
			return
		}
	}
}
