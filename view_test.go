//go:build linux && cgo

package shm_test

import (
	"errors"
	"math"
	"strings"
	"structs"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
)

func TestView(t *testing.T) {
	type point struct {
		_    structs.HostLayout
		X, Y int32
		Name [8]byte
	}
	a := newAttachment(t, 100, 0)
	p, err := shm.View[point](a, 16)
	if err != nil {
		t.Fatal(err)
	}
	p.X, p.Y = 1, -1
	copy(p.Name[:], "origin")
	if got := string(a.Bytes()[24:30]); got != "origin" {
		t.Errorf("the segment has %q", got)
	}
	if uintptr(unsafe.Pointer(p)) != uintptr(a.Pointer())+16 {
		t.Error("the view is elsewhere")
	}
	words, err := shm.Slice[uint32](a, 16, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(words) != 2 || words[0] != 1 || words[1] != math.MaxUint32 {
		t.Errorf("the slice has %d", words)
	}
	n, err := shm.View[atomic.Uint64](a, 96-8)
	if err != nil {
		t.Fatal(err)
	}
	if n.Add(3) != 3 {
		t.Errorf("the counter is at %d", n.Load())
	}
}

func TestViewBounds(t *testing.T) {
	const size = 100 // of a page that has 4096
	a := newAttachment(t, size, 0)
	for _, c := range []struct {
		off, n int
		want   error
	}{
		{0, size / 4, nil},
		{0, size/4 + 1, shm.ErrBounds},
		{size - 4, 1, nil},
		{size - 3, 1, shm.ErrBounds},
		{size, 0, nil},
		{size, 1, shm.ErrBounds},
		{size + 1, 0, shm.ErrBounds},
		{-1, 1, shm.ErrBounds},
		{-4, 1, shm.ErrBounds},
		{0, -1, shm.ErrBounds},
		{4, math.MaxInt, shm.ErrBounds},
		{0, math.MaxInt/4 + 1, shm.ErrBounds}, // 4n overflows
		{math.MaxInt, 1, shm.ErrBounds},
		{math.MinInt, 1, shm.ErrBounds},
		{1, 1, shm.ErrAlign},
		{2, 1, shm.ErrAlign},
	} {
		s, err := shm.Slice[int32](a, c.off, c.n)
		if !errors.Is(err, c.want) {
			t.Errorf("Slice(%d, %d): %v, want %v", c.off, c.n, err, c.want)
		}
		if err == nil && len(s) != c.n {
			t.Errorf("Slice(%d, %d): len %d", c.off, c.n, len(s))
		}
		if c.n != 1 {
			continue
		}
		if p, err := shm.View[int32](a, c.off); !errors.Is(err, c.want) || (err == nil) != (p != nil) {
			t.Errorf("View(%d): %v, %v, want %v", c.off, p, err, c.want)
		}
	}
	if _, err := shm.Slice[struct{}](a, size, 1000); err != nil {
		t.Errorf("values of no size: %v", err)
	}
}

func TestViewTypes(t *testing.T) {
	type inner struct {
		OK  int
		Bad [2]*int
	}
	a := newAttachment(t, 4096, 0)
	for _, c := range []struct {
		view func() error
		want string // in the error; "" for none
	}{
		{viewOf[bool](a), ""},
		{viewOf[uintptr](a), ""},
		{viewOf[complex128](a), ""},
		{viewOf[struct{}](a), ""},
		{viewOf[[3][5]float32](a), ""},
		{viewOf[[0]func()](a), ""}, // makes a struct incomparable, holds nothing
		{viewOf[atomic.Int64](a), ""},
		{viewOf[atomic.Bool](a), ""},
		{viewOf[struct {
			n atomic.Uint32
			b [16]byte
		}](a), ""},
		{viewOf[string](a), "string is a string, which holds a Go pointer"},
		{viewOf[[]byte](a), "holds a Go pointer"},
		{viewOf[map[int]int](a), "holds a Go pointer"},
		{viewOf[any](a), "holds a Go pointer"},
		{viewOf[error](a), "holds a Go pointer"},
		{viewOf[chan int](a), "holds a Go pointer"},
		{viewOf[func()](a), "holds a Go pointer"},
		{viewOf[*int](a), "holds a Go pointer"},
		{viewOf[unsafe.Pointer](a), "holds a Go pointer"},
		{viewOf[atomic.Pointer[int]](a), "holds a Go pointer"},
		{viewOf[atomic.Value](a), "holds a Go pointer"},
		{viewOf[inner](a), "inner.Bad[0] is a *int, which holds a Go pointer"},
		{viewOf[[4]struct{ i inner }](a), "[0].i.Bad[0] is a *int"},
		{viewOf[sync.Mutex](a), "is a sync.Mutex, which works in one process only"},
		{viewOf[struct{ mu sync.RWMutex }](a), ".mu is a sync.RWMutex"},
		{viewOf[struct{ once [2]sync.Once }](a), ".once[0] is a sync.Once"},
		{viewOf[sync.WaitGroup](a), "is a sync.WaitGroup"},
	} {
		for range 2 { // the second time from the cache
			err := c.view()
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.Is(err, shm.ErrType) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		}
	}
}

func viewOf[T any](a *shm.Attachment) func() error {
	return func() error {
		_, err := shm.View[T](a, 0)
		return err
	}
}
