//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
)

// One segment twice in a row: what is written past the end of the first
// attachment is at the beginning.
func TestReservationRing(t *testing.T) {
	size := 4 * shm.SHMLBA()
	id := get(t, shm.IPC_PRIVATE, size, 0o600)
	r := reserve(t, 2*size)
	first := attachAt(t, id, r.Addr(), shm.SHM_REMAP)
	second := attachAt(t, id, r.Addr()+uintptr(size), shm.SHM_REMAP)
	if got := uintptr(second.Pointer()); got != r.Addr()+uintptr(size) {
		t.Fatalf("attached at %#x, not at %#x", got, r.Addr()+uintptr(size))
	}
	copy(second.Bytes(), "wrapped")
	if got := string(first.Bytes()[:7]); got != "wrapped" {
		t.Errorf("read %q at the beginning", got)
	}
	if ds := stat(t, id); ds.Nattch != 2 {
		t.Errorf("nattch %d, want 2", ds.Nattch)
	}
}

func reserve(t *testing.T, size int) *shm.Reservation {
	t.Helper()
	r, err := shm.Reserve(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Release(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// protection returns the permissions of the mapping that begins at addr, by
// /proc/self/maps: "---p" for reserved space, "" for none.
func protection(t *testing.T, addr uintptr) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var perms string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perms); err != nil {
			t.Fatal(err)
		}
		if from <= addr && addr < to {
			return perms
		}
	}
	return ""
}

func TestReservationLifetime(t *testing.T) {
	page := os.Getpagesize()
	id := get(t, shm.IPC_PRIVATE, 100, 0o600)
	r, err := shm.Reserve(page + 1)
	if err != nil {
		t.Fatal(err)
	}
	if r.Len() != 2*page || r.Addr()%uintptr(shm.SHMLBA()) != 0 {
		t.Errorf("Len %d, Addr %#x", r.Len(), r.Addr())
	}
	if got := protection(t, r.Addr()); got != "---p" {
		t.Errorf("reserved space is mapped %q", got)
	}
	a := attachAt(t, id, r.Addr(), shm.SHM_REMAP)
	if got := protection(t, r.Addr()); got != "rw-s" {
		t.Errorf("the attachment is mapped %q", got)
	}
	if err := r.Release(); !errors.Is(err, shm.ErrBusy) {
		t.Errorf("Release with an attachment inside: %v", err)
	}
	// Detach leaves no hole that the heap could fill.
	detach(t, a)
	if got := protection(t, r.Addr()); got != "---p" {
		t.Errorf("after Detach the space is mapped %q", got)
	}
	if ds := stat(t, id); ds.Nattch != 0 {
		t.Errorf("after Detach nattch is %d", ds.Nattch)
	}
	a = attachAt(t, id, r.Addr(), shm.SHM_REMAP|shm.SHM_RDONLY) // again
	if !a.ReadOnly() {
		t.Error("not read-only")
	}
	detach(t, a)
	for range 2 {
		if err := r.Release(); err != nil {
			t.Error(err)
		}
	}
	if _, err := id.AttachAt(r.Addr(), shm.SHM_REMAP); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("SHM_REMAP in a released Reservation: %v", err)
	}
}

func TestReserveRefused(t *testing.T) {
	for size, want := range map[int]syscall.Errno{
		0: syscall.EINVAL, -1: syscall.EINVAL, math.MinInt: syscall.EINVAL,
		math.MaxInt: syscall.ENOMEM, math.MaxInt &^ 0xfffff: syscall.ENOMEM,
	} {
		r, err := shm.Reserve(size)
		if err == nil && math.MaxInt == math.MaxInt32 { // there may be room for 2 GiB
			err = errors.Join(want, r.Release())
		}
		wantErrno(t, err, want)
	}
}

// SHM_REMAP is refused before the call wherever it could replace what is not
// a free part of a Reservation, and nothing changes then.
func TestRemapRefused(t *testing.T) {
	page := shm.SHMLBA()
	id := get(t, shm.IPC_PRIVATE, 2*page, 0o600)
	r := reserve(t, 4*page)
	inside := attachAt(t, id, r.Addr(), shm.SHM_REMAP)
	outside := attach(t, id, 0)
	heap := new([1 << 20]byte)
	before := stat(t, id)
	addr := func(p *byte) uintptr { return uintptr(unsafe.Pointer(p)) }
	for _, c := range []struct {
		where string
		addr  uintptr
		flags shm.AttachFlag
		hint  string
	}{
		{"NULL", 0, 0, "only inside a Reservation"},
		{"the heap", addr(&heap[1<<19]) &^ uintptr(page-1), 0, "only inside a Reservation"},
		{"an attachment", addr(&outside.Bytes()[0]), 0, "only inside a Reservation"},
		{"an attachment inside", r.Addr(), 0, "a segment is attached there"},
		{"half an attachment inside", r.Addr() + uintptr(page), 0, "a segment is attached there"},
		{"before the Reservation", r.Addr() - uintptr(page), 0, "only inside a Reservation"},
		{"over the end", r.Addr() + 3*uintptr(page), 0, "reach beyond the Reservation"},
		{"after the end", r.Addr() + 4*uintptr(page), 0, "only inside a Reservation"},
		{"not rounded", r.Addr() + uintptr(page) + 1, 0, "not a multiple of SHMLBA"},
		{"rounded", r.Addr() + 2*uintptr(page) + 1, shm.SHM_RND, "no SHM_RND"},
	} {
		_, err := id.AttachAt(c.addr, shm.SHM_REMAP|c.flags)
		wantErrno(t, err, syscall.EINVAL)
		if err != nil && !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: %v, want %q", c.where, err, c.hint)
		}
	}
	if after := stat(t, id); after != before {
		t.Errorf("the refused calls changed the segment: %+v, and before %+v", after, before)
	}
	inside.Bytes()[0], outside.Bytes()[1], heap[1<<19] = 1, 1, 1
	_, err := id.Attach(shm.SHM_REMAP)
	wantErrno(t, err, syscall.EINVAL)

	small := get(t, shm.IPC_PRIVATE, 1, 0o600)
	_, err = small.AttachAt(r.Addr()+2*uintptr(page)+1, shm.SHM_REMAP)
	wantErrno(t, err, syscall.EINVAL)
	remove(t, small)
	_, err = small.AttachAt(r.Addr()+2*uintptr(page), shm.SHM_REMAP)
	if !errors.Is(err, shm.ErrRemoved) {
		t.Errorf("a removed segment: %v", err)
	}
}

// The mapping of a segment of huge pages is longer than its size says.
func TestRemapHugePages(t *testing.T) {
	id, err := shm.Get(shm.IPC_PRIVATE, 1, shm.SHM_HUGETLB|shm.SHM_NORESERVE|0o600)
	if err != nil {
		t.Skipf("no huge pages: %v", err)
	}
	defer remove(t, id)
	r := reserve(t, 4<<20)
	hugeAligned := (r.Addr() + 2<<20 - 1) &^ (2<<20 - 1)
	_, err = id.AttachAt(hugeAligned, shm.SHM_REMAP)
	wantErrno(t, err, syscall.EINVAL)
	if err != nil && !strings.Contains(err.Error(), "huge pages") {
		t.Error(err)
	}
	if got := protection(t, hugeAligned); got != "---p" {
		t.Errorf("the reserved space is mapped %q", got)
	}
}
