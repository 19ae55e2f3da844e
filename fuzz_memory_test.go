//go:build linux && cgo

package shm_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/errtest"
)

// FuzzAttachAt attaches anywhere. What was asked of the kernel is in the
// process's memory map.
func FuzzAttachAt(f *testing.F) {
	for _, flags := range []shm.AttachFlag{0, shm.SHM_RDONLY, shm.SHM_EXEC, shm.SHM_RND, shm.SHM_REMAP, shm.SHM_RND | shm.SHM_RDONLY, math.MaxUint32, ^shm.SHM_REMAP} {
		for _, addr := range []uint64{0, 1, 4095, 4096, 0x10000, 0x10001, 0xc000000000, 1 << 40, 1<<40 + 1, 1<<47 - 4096, 1 << 63, math.MaxUint64} {
			f.Add(addr, uint32(flags), uint16(addr))
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, uint64, uint32, uint16) {
		return func(t *testing.T, where uint64, flags uint32, size uint16) {
			c, addr, flag := beside(t), uintptr(where), shm.AttachFlag(flags)
			id := c.get(shm.IPC_PRIVATE, int(size)+1, 0o700)
			defer c.remove(id)
			a, err := id.AttachAt(addr, flag)
			if err != nil {
				if n := mapped(t, id); n != 0 || c.stat(id).Nattch != 0 || a != nil {
					t.Errorf("%v, but %d mappings", err, n)
				}
				if flag&shm.SHM_REMAP != 0 { // over what the Go runtime has there
					if wantErrno(t, err, syscall.EINVAL); c.stat(id).Atime != 0 {
						t.Errorf("%v, after an shmat", err)
					}
				} else if addr == 0 { // else other things lie there in C
					_, inC := c.Do("at %d 0 %d", id, flags)
					errtest.Same(t, err, inC)
				}
				return
			}
			defer func() {
				if err := a.Detach(); err != nil || mapped(t, id) != 0 {
					t.Errorf("Detach: %v, %d mappings", err, mapped(t, id))
				}
			}()
			lba := uintptr(shm.SHMLBA())
			at := uintptr(a.Pointer())
			if at%lba != 0 || addr != 0 && at != addr && (flag&shm.SHM_RND == 0 || at != addr/lba*lba) {
				t.Errorf("attached at %#x, want %#x", at, addr)
			}
			perms := []byte("rwxs")
			if flag&shm.SHM_RDONLY != 0 {
				perms[1] = '-'
			}
			if flag&shm.SHM_EXEC == 0 {
				perms[2] = '-'
			}
			if got := protection(t, at); got != string(perms) || flag&shm.SHM_REMAP != 0 || mapped(t, id) != 1 {
				t.Errorf("the memory is %s, want %s; %d mappings", got, perms, mapped(t, id))
			}
			if a.Len() != int(size)+1 || a.ReadOnly() != (flag&shm.SHM_RDONLY != 0) || a.ID() != id {
				t.Errorf("id %v, %d bytes, read only %v", a.ID(), a.Len(), a.ReadOnly())
			}
		}
	})
}

// FuzzReservation attaches in a Reservation, or beside it.
func FuzzReservation(f *testing.F) {
	for _, size := range []int{1, 4096, 4097, 1 << 20, 0, -1, math.MinInt, math.MaxInt, math.MaxInt - 4096, 1 << 30} {
		for _, off := range []uint64{0, 1, 4096, 8192, math.MaxUint64, math.MaxUint64 - 4095, 1 << 32} {
			f.Add(size, off, uint32(0), uint16(4095))
			f.Add(size, off, uint32(shm.SHM_RDONLY), uint16(4096))
			f.Add(size, off, uint32(shm.SHM_RND), uint16(0))
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, int, uint64, uint32, uint16) {
		return func(t *testing.T, size int, off uint64, flags uint32, bytes uint16) {
			c := beside(t)
			r, err := shm.Reserve(size)
			if err != nil {
				if !errors.Is(err, syscall.ENOMEM) && (size > 0 || !errors.Is(err, syscall.EINVAL)) || size > 0 && size < 1<<20 {
					t.Errorf("%d bytes: %v", size, err)
				}
				return
			}
			page, lba := syscall.Getpagesize(), uintptr(shm.SHMLBA())
			if r.Len() < size || r.Len()-size >= page || r.Len()%page != 0 || r.Addr()%lba != 0 {
				t.Errorf("for %d bytes, %d at %#x", size, r.Len(), r.Addr())
			}
			segsz := int(bytes) + 1
			id := c.get(shm.IPC_PRIVATE, segsz, 0o700)
			addr, flag := r.Addr()+uintptr(off), shm.AttachFlag(flags)|shm.SHM_REMAP
			off = uint64(uintptr(off))
			fits := off < uint64(r.Len()) && uint64(segsz) <= uint64(r.Len())-off && addr%lba == 0 && flag&shm.SHM_RND == 0

			a, err := id.AttachAt(addr, flag)
			if (err == nil) != fits || err != nil && !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%d bytes at %d of %d, %v: %v", segsz, off, r.Len(), flag, err)
			}
			if err == nil {
				if uintptr(a.Pointer()) != addr || a.Len() != segsz || mapped(t, id) != 1 {
					t.Errorf("%d bytes at %p, %d mappings", a.Len(), a.Pointer(), mapped(t, id))
				}
				if err := r.Release(); !errors.Is(err, shm.ErrBusy) {
					t.Errorf("Release: %v", err)
				}
				detach(t, a)
				if got := protection(t, addr); got != "---p" {
					t.Errorf("after Detach: %s", got)
				}
			}
			c.remove(id) // nobody is attached, or it would not go
			wantSegments(t, 0)
			if err := r.Release(); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzAccess reads and writes: the authority on the first is bytes.Reader, on
// the second a copy of the segment.
func FuzzAccess(f *testing.F) {
	for _, off := range []int64{0, 1, 99, 100, 101, 4095, 4096, -1, math.MaxInt64, math.MinInt64, math.MaxInt32 + 1} {
		for _, n := range []int{0, 1, 12, 13, 4096, -1, math.MaxInt, math.MinInt, math.MaxInt / 8} {
			f.Add(uint16(99), off, n, []byte("more than a few bytes"))
			f.Add(uint16(4095), off, n, []byte{})
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, uint16, int64, int, []byte) {
		return func(t *testing.T, size uint16, off int64, n int, data []byte) {
			c := beside(t)
			id := c.get(shm.IPC_PRIVATE, int(size)+1, 0o600)
			defer c.remove(id)
			a := attach(t, id, 0)
			defer detach(t, a)
			model := make([]byte, a.Len())
			copy(a.Bytes(), data)
			copy(model, data)

			got, want := make([]byte, len(data)+1), make([]byte, len(data)+1)
			read, err := a.ReadAt(got, off)
			wantRead, wantErr := bytes.NewReader(model).ReadAt(want, off)
			if off < 0 {
				wantErr = shm.ErrBounds
			}
			if read != wantRead || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
				t.Errorf("ReadAt %d: %d, %v, want %d, %v", off, read, err, wantRead, wantErr)
			}

			wrote, wantWritten := 0, 0
			if wantErr = nil; off >= 0 {
				wantWritten = copy(model[min(off, int64(len(model))):], data)
			}
			switch {
			case off < 0:
				wantErr = shm.ErrBounds
			case wantWritten < len(data):
				wantErr = io.ErrShortWrite
			}
			wrote, err = a.WriteAt(data, off)
			if wrote != wantWritten || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) || !bytes.Equal(a.Bytes(), model) {
				t.Errorf("WriteAt %d: %d, %v, want %d, %v", off, wrote, err, wantWritten, wantErr)
			}
			page := syscall.Getpagesize()
			rest := (page - a.Len()%page) % page
			if tail := unsafe.Slice((*byte)(unsafe.Add(a.Pointer(), a.Len())), rest); !bytes.Equal(tail, make([]byte, rest)) {
				t.Error("written beyond the end of the segment")
			}

			wantSlice[byte](t, a, int(off), n)
			wantSlice[uint16](t, a, int(off), n)
			wantSlice[[3]uint32](t, a, int(off), n)
			wantSlice[struct {
				a byte
				b uint64
			}](t, a, int(off), n)
			wantSlice[struct{}](t, a, int(off), n)
		}
	})
}

// wantSlice fails the test unless Slice and View give what is aligned and all in
// the segment, and nothing else.
func wantSlice[T any](t *testing.T, a *shm.Attachment, off, n int) {
	t.Helper()
	var value T
	size, align := uint64(unsafe.Sizeof(value)), uintptr(unsafe.Alignof(value))
	want := func(n int) error {
		switch {
		case off < 0 || n < 0 || off > a.Len(), size > 0 && uint64(n) > uint64(a.Len()-off)/size:
			return shm.ErrBounds
		case (uintptr(a.Pointer())+uintptr(off))%align != 0:
			return shm.ErrAlign
		}
		return nil
	}
	s, err := shm.Slice[T](a, off, n)
	if w := want(n); !errors.Is(err, w) || (err == nil) != (w == nil) {
		t.Errorf("Slice[%T](%d, %d) of %d: %v, want %v", value, off, n, a.Len(), err, w)
	}
	if err == nil && (len(s) != n || cap(s) != n || uintptr(unsafe.Pointer(unsafe.SliceData(s)))-uintptr(a.Pointer()) != uintptr(off)) {
		t.Errorf("Slice[%T](%d, %d): %d at %p", value, off, n, len(s), s)
	}
	v, err := shm.View[T](a, off)
	if w := want(1); !errors.Is(err, w) || (err == nil) != (w == nil) {
		t.Errorf("View[%T](%d) of %d: %v, want %v", value, off, a.Len(), err, w)
	}
	if (err == nil) != (v != nil) || v != nil && uintptr(unsafe.Pointer(v))-uintptr(a.Pointer()) != uintptr(off) {
		t.Errorf("View[%T](%d): %p, %v", value, off, v, err)
	}
}
