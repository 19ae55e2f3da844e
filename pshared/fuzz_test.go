//go:build linux && cgo

package pshared_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/pshared"
)

// fuzzedKinds are the objects, with the attributes that the C peer gives one
// that is to be as Init makes it.
var fuzzedKinds = []struct {
	name, attributes string
	size, align      uintptr
	init             func(a *shm.Attachment, off int, value uint) (destroyer, error)
	open             func(a *shm.Attachment, off int) (destroyer, error)
}{
	{
		"mutex", "shared robust errorcheck", unsafe.Sizeof(pshared.MutexT{}), unsafe.Alignof(pshared.MutexT{}),
		func(a *shm.Attachment, off int, _ uint) (destroyer, error) { return pshared.InitMutex(a, off) },
		func(a *shm.Attachment, off int) (destroyer, error) { return pshared.OpenMutex(a, off) },
	},
	{
		"sem", "shared", unsafe.Sizeof(pshared.SemT{}), unsafe.Alignof(pshared.SemT{}),
		func(a *shm.Attachment, off int, value uint) (destroyer, error) { return pshared.InitSem(a, off, value) },
		func(a *shm.Attachment, off int) (destroyer, error) { return pshared.OpenSem(a, off) },
	},
	{
		"cond", "shared monotonic", unsafe.Sizeof(pshared.CondT{}), unsafe.Alignof(pshared.CondT{}),
		func(a *shm.Attachment, off int, _ uint) (destroyer, error) { return pshared.InitCond(a, off) },
		func(a *shm.Attachment, off int) (destroyer, error) { return pshared.OpenCond(a, off) },
	},
	{
		"rwlock", "shared", unsafe.Sizeof(pshared.RWLockT{}), unsafe.Alignof(pshared.RWLockT{}),
		func(a *shm.Attachment, off int, _ uint) (destroyer, error) { return pshared.InitRWLock(a, off) },
		func(a *shm.Attachment, off int) (destroyer, error) { return pshared.OpenRWLock(a, off) },
	},
}

type destroyer interface{ Destroy() error }

const fuzzedSize = 256

// fuzzObjects fuzzes with a C peer beside: its init initialises an object in C,
// in a segment.
func fuzzObjects(f *testing.F, run func(t *testing.T, init func(a *shm.Attachment, kind uint8, off int, value uint64, attributes string), kind uint8, off int, value uint64, content []byte)) {
	f.Helper()
	shared := cpeer.StartFuzz(f, "../ctest")
	for kind := range uint8(len(fuzzedKinds)) {
		for _, off := range []int{0, 1, 4, 8, fuzzedSize - 32, fuzzedSize - 40, fuzzedSize - 48, fuzzedSize - 56, fuzzedSize, -1, -8, math.MaxInt, math.MaxInt - 7, math.MinInt} {
			f.Add(kind, off, uint64(off), []byte{})
			f.Add(kind, off, uint64(pshared.SEM_VALUE_MAX), bytes.Repeat([]byte{0xff}, fuzzedSize))
			f.Add(kind, off, uint64(pshared.SEM_VALUE_MAX+1), bytes.Repeat([]byte{0xa5}, fuzzedSize))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, off int, value uint64, content []byte) {
		c := shared.For(t)
		run(t, func(a *shm.Attachment, kind uint8, off int, value uint64, attributes string) {
			base := must(c.Number("at %d 0 0", a.ID()))
			command := fmt.Sprintf("%s_init %d", fuzzedKinds[kind].name, base+int64(off))
			if fuzzedKinds[kind].name == "sem" {
				command += fmt.Sprint(" ", value)
			}
			must(c.Number("%s %s", command, attributes))
			must(c.Number("dt %d", base))
		}, kind%uint8(len(fuzzedKinds)), off, value, content)
	})
}

// fuzzedSegment is a segment that begins with the content. It is detached at the
// end of the test, so that no object may hold it then.
func fuzzedSegment(t *testing.T, content []byte) *shm.Attachment {
	t.Helper()
	id := must(shm.Get(shm.IPC_PRIVATE, fuzzedSize, 0o600))
	a := must(id.Attach(0))
	t.Cleanup(func() { ok(t, a.Detach(), id.Remove()) })
	copy(a.Bytes(), content)
	return a
}

// refused is the error of what does not lie in the segment, or not there.
func refused(a *shm.Attachment, kind uint8, off int) error {
	k := fuzzedKinds[kind]
	switch {
	case off < 0 || off > fuzzedSize-int(k.size):
		return shm.ErrBounds
	case (uintptr(a.Pointer())+uintptr(off))%k.align != 0:
		return shm.ErrAlign
	}
	return nil
}

// FuzzInit: the object is that of C, bit for bit, and nothing beside it changes.
func FuzzInit(f *testing.F) {
	fuzzObjects(f, func(t *testing.T, initInC func(*shm.Attachment, uint8, int, uint64, string), kind uint8, off int, value uint64, content []byte) {
		a, inC, k := fuzzedSegment(t, content), fuzzedSegment(t, content), fuzzedKinds[kind]
		want := refused(a, kind, off)
		if want == nil && k.name == "sem" && uint(value) > pshared.SEM_VALUE_MAX {
			want = syscall.EINVAL
		}
		if want == nil && k.name == "sem" { // a sanitizer's sem_init clears all of it, the libc's a part
			clear(a.Bytes()[off : off+int(k.size)])
			clear(inC.Bytes()[off : off+int(k.size)])
		}
		object, err := k.init(a, off, uint(value))
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Fatalf("%s at %d: %v, want %v", k.name, off, err, want)
		}
		if err == nil {
			initInC(inC, kind, off, value, k.attributes)
		}
		if !bytes.Equal(a.Bytes(), inC.Bytes()) {
			t.Errorf("%s at %d:\n% x, in C\n% x", k.name, off, a.Bytes(), inC.Bytes())
		}
		if err == nil {
			_, err = k.open(a, off)
			ok(t, err, object.Destroy())
		}
	})
}

// FuzzOpen opens what C has initialised, or garbage, and only reads it.
func FuzzOpen(f *testing.F) {
	fuzzObjects(f, func(t *testing.T, initInC func(*shm.Attachment, uint8, int, uint64, string), kind uint8, off int, value uint64, content []byte) {
		a, k := fuzzedSegment(t, content), fuzzedKinds[kind]
		for _, attributes := range []string{"garbage", "", "shared"} {
			want := refused(a, kind, off)
			if attributes != "garbage" && want == nil {
				initInC(a, kind, off, min(value, pshared.SEM_VALUE_MAX), attributes)
				if attributes == "" {
					want = pshared.ErrNotShared
				}
			}
			before := bytes.Clone(a.Bytes())
			_, err := k.open(a, off)
			asExpected := errors.Is(err, want) && (err == nil) == (want == nil)
			if attributes == "garbage" && want == nil { // which may look like an object
				asExpected = err == nil || errors.Is(err, pshared.ErrNotShared)
			}
			if !asExpected {
				t.Errorf("%s at %d, %q: %v, want %v", k.name, off, attributes, err, want)
			}
			if !bytes.Equal(a.Bytes(), before) {
				t.Errorf("%s at %d, %q: changed", k.name, off, attributes)
			}
		}
	})
}
