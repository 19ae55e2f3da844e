//go:build linux && cgo

package shm_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
)

// Everything at once on one attachment while it is detached, for the race
// detector too; and beside it another segment, which comes to be mapped where
// the first one was.

// raceSize is so much that a copy takes longer than a Detach.
const raceSize = 64 << 10

// filled makes a segment full of one byte.
func filled(t *testing.T, with byte) shm.ID {
	t.Helper()
	id := get(t, shm.IPC_PRIVATE, raceSize, 0o600)
	a := attach(t, id, 0)
	copy(a.Bytes(), bytes.Repeat([]byte{with}, raceSize))
	detach(t, a)
	return id
}

// wantFull fails the test unless all that an attachment shows is one byte.
func wantFull(t *testing.T, a *shm.Attachment, with byte) {
	t.Helper()
	if bytes.Count(a.Bytes(), []byte{with}) != raceSize {
		t.Errorf("segment %d: not full of %q", a.ID(), with)
	}
}

// raced are calls on an attachment, of a segment that is full of 'a'.
func raced(a *shm.Attachment, id shm.ID) map[string]func() error {
	as := bytes.Repeat([]byte{'a'}, raceSize)
	trust := shm.Trust{UIDs: []int{os.Geteuid()}, GIDs: []int{os.Getegid()}, Perm: 0o600, Size: raceSize}
	buf := make([]byte, raceSize)
	holds := 0
	return map[string]func() error{
		"ReadAt": func() error {
			_, err := a.ReadAt(buf, 0)
			if err == nil && !bytes.Equal(buf, as) {
				return errors.New("it has read another segment")
			}
			return err
		},
		"WriteAt": func() error { return lastOf(a.WriteAt(as, 0)) },
		"Stat":    func() error { return lastOf(a.Stat()) },
		"Check":   func() error { return a.Check(trust) },
		"View":    func() error { return lastOf(shm.View[atomic.Uint64](a, 8)) },
		"Slice":   func() error { return lastOf(shm.Slice[uint32](a, 0, raceSize/4)) },
		"Hold": func() error {
			// Not all the time: nobody could detach.
			if holds++; holds%4 > 0 && a.Pointer() != nil {
				return nil
			}
			return held(a)
		},
		"the rest": func() error {
			mem, p := a.Bytes(), a.Pointer()
			if a.ID() != id || a.Len() != raceSize || a.ReadOnly() || len(mem) != 0 && len(mem) != raceSize {
				return fmt.Errorf("ID %d, Len %d, ReadOnly %v, %d bytes", a.ID(), a.Len(), a.ReadOnly(), len(mem))
			}
			if first := unsafe.Pointer(unsafe.SliceData(mem)); p != nil && first != p {
				return fmt.Errorf("Bytes begins at %p, and later Pointer is %p", first, p)
			}
			if p == nil {
				return shm.ErrDetached
			}
			return nil
		},
	}
}

// held uses all there is while the attachment is held: none of it can fail, but
// for Detach.
func held(a *shm.Attachment) error {
	if err := a.Hold(); err != nil {
		return err
	}
	defer a.Release()
	if err := a.Detach(); !errors.Is(err, shm.ErrBusy) {
		return errors.New("held, and Detach answers: " + fmt.Sprint(err))
	}
	word, errView := shm.View[[8]byte](a, 8)
	all, errSlice := shm.Slice[byte](a, 0, raceSize)
	err := errors.Join(errView, errSlice, lastOf(a.Stat()), lastOf(a.ReadAt(make([]byte, 8), 8)))
	if err != nil {
		return errors.New("held, and: " + fmt.Sprint(err)) // not to be taken for ErrDetached
	}
	all[0], a.Bytes()[raceSize-1] = 'a', 'a'
	if string(word[:]) != "aaaaaaaa" {
		return fmt.Errorf("held, and a View shows %q", word)
	}
	return nil
}

// detachRaced has goroutines make the calls, and three detach as soon as each
// call has worked, until all say that the attachment is detached. Exactly one
// Detach has done it.
func detachRaced(t *testing.T, a *shm.Attachment, id shm.ID) {
	t.Helper()
	var begun, ended sync.WaitGroup
	var detached atomic.Int32
	until := func(name string, call func() error) {
		defer ended.Done()
		var err error
		for err == nil || errors.Is(err, shm.ErrBusy) {
			runtime.Gosched() // leave room for the others
			err = call()
		}
		if !errors.Is(err, shm.ErrDetached) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, call := range raced(a, id) {
		begun.Add(1)
		ended.Add(1)
		go func() {
			if err := call(); err != nil {
				t.Errorf("%s, attached: %v", name, err)
			}
			begun.Done()
			until(name, call)
		}()
	}
	for range 3 {
		ended.Add(1)
		go func() {
			begun.Wait()
			until("Detach", func() error {
				err := a.Detach()
				if err == nil {
					detached.Add(1)
				}
				return err
			})
		}()
	}
	ended.Wait()
	if n := detached.Load(); n != 1 {
		t.Errorf("%d calls of Detach succeeded", n)
	}
}

// beside runs something again and again until the returned function is called.
func beside(again func()) (end func()) {
	var stop atomic.Bool
	done := make(chan bool)
	go func() {
		defer close(done)
		for !stop.Load() {
			again()
		}
	}()
	return func() {
		stop.Store(true)
		<-done
	}
}

func TestConcurrentDetach(t *testing.T) {
	as, bs := filled(t, 'a'), filled(t, 'b')
	var place atomic.Uintptr // of the first segment
	reused := 0
	end := beside(func() {
		if attachedIn(t, bs, place.Load(), 0) {
			reused++
		}
	})
	for range 500 {
		a, err := as.Attach(0)
		if err != nil {
			t.Fatal(err)
		}
		place.Store(uintptr(a.Pointer()))
		detachRaced(t, a, as)
	}
	end()
	if reused == 0 {
		t.Error("the other segment was never in the place of the first: the test shows little")
	}
	wantLeftFull(t, as, 'a')
	wantLeftFull(t, bs, 'b')
}

// attachedIn attaches a segment that is full of 'b' in the place of another one,
// and detaches it. It tells whether the place was free.
func attachedIn(t *testing.T, id shm.ID, place uintptr, flags shm.AttachFlag) bool {
	t.Helper()
	b, err := id.AttachAt(place, flags)
	if errors.Is(err, syscall.EINVAL) { // in use or, in a Reservation, released
		return false
	}
	if err != nil {
		t.Error(err)
		return false
	}
	wantFull(t, b, 'b')
	if err := b.Detach(); err != nil {
		t.Error(err)
	}
	return true
}

// wantLeftFull fails the test unless the kernel has no attachment of a segment
// any more, and nobody has written anything else into it.
func wantLeftFull(t *testing.T, id shm.ID, with byte) {
	t.Helper()
	if n := mapped(t, id); n != 0 {
		t.Errorf("segment %d: %d mappings left", id, n)
	}
	wantNattch(t, id, 0)
	wantFull(t, attach(t, id, shm.SHM_RDONLY), with)
}

// TestConcurrentDetachReserved: the same inside a Reservation, which somebody
// tries to release, and somebody to use for another segment.
func TestConcurrentDetachReserved(t *testing.T) {
	as, bs := filled(t, 'a'), filled(t, 'b')
	for range 50 {
		r := reserve(t, raceSize)
		a, err := as.AttachAt(r.Addr(), shm.SHM_REMAP)
		if err != nil {
			t.Fatal(err)
		}
		endUse := beside(func() { attachedIn(t, bs, r.Addr(), shm.SHM_REMAP) })
		endRelease := beside(func() {
			switch err := r.Release(); {
			case err == nil:
				if a.Bytes() != nil {
					t.Error("released below an attachment")
				}
			case !errors.Is(err, shm.ErrBusy):
				t.Error(err)
			}
		})
		detachRaced(t, a, as)
		endUse()
		endRelease()
		if err := r.Release(); err != nil {
			t.Error(err)
		}
	}
	wantLeftFull(t, as, 'a')
	wantLeftFull(t, bs, 'b')
}
