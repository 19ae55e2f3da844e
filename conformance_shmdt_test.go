//go:build linux && cgo

package shm_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

var shmdtRows = []row{
	{90, "an attachment: nattch one less, dtime, lpid", func(t *testing.T) {
		a := newAttachment(t, 1, 0)
		startGo(t).attach(a.ID(), 0) // lpid is that process's now
		before := kernelTime(t)
		detach(t, a)
		ds := stat(t, a.ID())
		wantSince(t, "dtime", ds.Dtime, before)
		if ds.Lpid != int32(os.Getpid()) || ds.Nattch != 1 {
			t.Errorf("%+v", ds)
		}
	}},
	{93, "a touch after it: SIGSEGV", func(t *testing.T) {
		free := freeAddr(t)
		a := attachAt(t, get(t, shm.IPC_PRIVATE, 100, 0o600), free, 0)
		b := a.Bytes()
		detach(t, a)
		wantFault(t, free+99, func() { b[99]++ })
	}},
	{94, "write(2) from there after it: EFAULT", func(t *testing.T) {
		a := attachAt(t, get(t, shm.IPC_PRIVATE, 100, 0o600), freeAddr(t), 0)
		b := a.Bytes()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(r.Close(), w.Close()); err != nil {
				t.Error(err)
			}
		})
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		detach(t, a)
		_, err = w.Write(b)
		wantErrno(t, err, syscall.EFAULT)
	}},
	{95, "after munmap of the first page: the rest is unmapped, nattch 0", func(t *testing.T) {
		page, free := uintptr(os.Getpagesize()), freeAddr(t)
		a := attachAt(t, get(t, shm.IPC_PRIVATE, 3*int(page), 0o600), free, 0)
		unmapBehind(t, free, page)
		wantNattch(t, a.ID(), 1)
		detach(t, a)
		wantNattch(t, a.ID(), 0)
		for i := range 3 * page / page {
			if got := protection(t, free+i*page); got != "" {
				t.Errorf("page %d is mapped %q", i, got)
			}
		}
	}},
	{98, "munmap of all of it: nattch 0, and EINVAL to a Detach then", func(t *testing.T) {
		page, free := uintptr(os.Getpagesize()), freeAddr(t)
		a := attachAt(t, get(t, shm.IPC_PRIVATE, 3*int(page), 0o600), free, 0)
		unmapBehind(t, free, 3*page)
		wantNattch(t, a.ID(), 0)
		wantErrno(t, a.Detach(), syscall.EINVAL)
		if err := a.Detach(); !errors.Is(err, shm.ErrDetached) {
			t.Errorf("%v, want ErrDetached", err)
		}
	}},
	{100, "mremap to a larger size: a touch past the segment: SIGBUS; shmdt unmaps all of it", func(t *testing.T) {
		out := ipcns.Crash(t, func(t *testing.T) {
			a := grown(t)
			remove(t, a.ID()) // with the process
			*(*byte)(unsafe.Add(a.Pointer(), os.Getpagesize())) = 1
		})
		if !strings.Contains(out, "SIGBUS") {
			t.Errorf("another fault:\n%s", out)
		}
		a := grown(t)
		past := uintptr(a.Pointer()) + uintptr(os.Getpagesize())
		if got := protection(t, past); got != "rw-s" {
			t.Errorf("the second page is mapped %q", got)
		}
		detach(t, a)
		wantNattch(t, a.ID(), 0)
		if got := protection(t, past); got != "" {
			t.Errorf("the second page is still mapped %q", got)
		}
	}},
	{101, "an attachment in a Reservation: the range stays reserved, unlike after an shmdt", func(t *testing.T) {
		id, r := get(t, shm.IPC_PRIVATE, 1, 0o600), reserve(t, 1)
		detach(t, attachAt(t, id, r.Addr(), shm.SHM_REMAP))
		wantNattch(t, id, 0)
		if got := protection(t, r.Addr()); got != "---p" {
			t.Errorf("it is mapped %q", got)
		}
		attachFails(t, syscall.EINVAL, id, r.Addr(), 0)
		attachAt(t, id, r.Addr(), shm.SHM_REMAP)
	}},
	{102, "the data: there at the next attach", func(t *testing.T) {
		a := newAttachment(t, 100, 0)
		copy(a.Bytes(), "hello")
		detach(t, a)
		wantNattch(t, a.ID(), 0)
		if got := string(attach(t, a.ID(), shm.SHM_RDONLY).Bytes()[:5]); got != "hello" {
			t.Errorf("read %q", got)
		}
	}},
}

// grown attaches a segment of a page and makes the mapping longer behind the
// package's back, where it is.
func grown(t *testing.T) *shm.Attachment {
	t.Helper()
	page, free := uintptr(os.Getpagesize()), freeAddr(t)
	a := attachAt(t, get(t, shm.IPC_PRIVATE, int(page), 0o600), free, 0)
	if _, _, err := syscall.Syscall6(syscall.SYS_MREMAP, free, page, 2*page, 0, 0, 0); err != 0 {
		t.Fatal(err)
	}
	return a
}
