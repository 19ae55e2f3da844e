//go:build linux && cgo

package shm_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
)

// TestPriorArt has the mistakes that bindings of System V shared memory were
// seen to make, one a subtest.
func TestPriorArt(t *testing.T) {
	needPrivateNS(t)

	t.Run("a second detach unmaps another segment", func(t *testing.T) {
		addr := freeAddr(t)
		a := attachAt(t, get(t, shm.IPC_PRIVATE, 4096, 0o600), addr, 0)
		detach(t, a)
		b := attachAt(t, get(t, shm.IPC_PRIVATE, 4096, 0o600), addr, 0) // the same place
		if err := a.Detach(); !errors.Is(err, shm.ErrDetached) {
			t.Errorf("got %v, want ErrDetached", err)
		}
		if a.Bytes() != nil {
			t.Error("the stale handle shows the other segment")
		}
		b.Bytes()[0] = 1 // faults if it is gone
	})
	t.Run("detaching nothing panics", func(t *testing.T) {
		var a shm.Attachment
		if err := a.Detach(); !errors.Is(err, shm.ErrDetached) {
			t.Errorf("got %v, want ErrDetached", err)
		}
	})
	t.Run("locking is IPC_SET and sets mode 0", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o640)
		if err := id.LockPages(); err != nil {
			t.Fatal(err)
		}
		if ds := stat(t, id); ds.Perm.Mode != 0o640|shm.SHM_LOCKED {
			t.Errorf("mode %v", ds.Perm.Mode)
		}
	})
	t.Run("a size over 4 GiB is cut", func(t *testing.T) {
		if math.MaxInt == math.MaxInt32 {
			t.Skip("sizes of this port end at 2 GiB")
		}
		needOvercommit(t, "01")
		size := uint64(4<<30 + 4096)
		id := get(t, shm.IPC_PRIVATE, int(size), shm.SHM_NORESERVE|0o600)
		if a := attach(t, id, 0); uint64(stat(t, id).Segsz) != size || uint64(a.Len()) != size {
			t.Errorf("%d bytes, Len %d", stat(t, id).Segsz, a.Len())
		}
	})
	t.Run("a size is rounded up, so that a C program's segment is too small", func(t *testing.T) {
		c := startC(t)
		id := c.get(testKey, 128, shm.IPC_CREAT|0o600)
		defer c.remove(id)
		if got := get(t, testKey, 128, 0); got != id {
			t.Errorf("opened %d, want %d", got, id)
		}
		if n := attach(t, id, 0).Len(); n != 128 {
			t.Errorf("Len %d, want 128", n)
		}
	})
	t.Run("reads go past the end", func(t *testing.T) {
		a := newAttachment(t, 100, 0)
		if n, err := a.ReadAt(make([]byte, 4096), 0); n != 100 || !errors.Is(err, io.EOF) {
			t.Errorf("read %d, %v", n, err)
		}
	})
	t.Run("a short write is no error", func(t *testing.T) {
		a := newAttachment(t, 100, 0)
		if n, err := a.WriteAt(make([]byte, 101), 0); n != 100 || !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("wrote %d, %v", n, err)
		}
	})
	t.Run("seeking from the end has the wrong sign", func(t *testing.T) {
		a := newAttachment(t, 100, 0)
		a.Bytes()[99] = 'z'
		r := io.NewSectionReader(a, 0, int64(a.Len()))
		if _, err := r.Seek(-1, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(r); string(rest) != "z" || err != nil {
			t.Errorf("read %q, %v", rest, err)
		}
	})
	t.Run("flags of 0 create", func(t *testing.T) {
		_, err := shm.Get(testKey, 4096, 0)
		wantErrno(t, err, syscall.ENOENT)
	})
	t.Run("NORESERVE comes to shmat as RDONLY", func(t *testing.T) {
		a := attach(t, get(t, shm.IPC_PRIVATE, 1, shm.SHM_NORESERVE|0o600), 0)
		a.Bytes()[0] = 1
		if a.ReadOnly() {
			t.Error("read-only")
		}
	})
	t.Run("a failed attach destroys the segment, and is no error", func(t *testing.T) {
		id := get(t, testKey, 4096, shm.IPC_CREAT|0o600)
		mine := attach(t, id, 0)
		copy(mine.Bytes(), "precious")
		a, err := id.AttachAt(uintptr(mine.Pointer()), 0) // taken
		wantErrno(t, err, syscall.EINVAL)
		if a != nil {
			t.Error("an attachment beside the error")
		}
		if ds := stat(t, id); ds.Removed() || ds.Nattch != 1 || !bytes.HasPrefix(mine.Bytes(), []byte("precious")) {
			t.Errorf("after the failed attach: %+v", ds)
		}
	})
	t.Run("a keyed segment cannot be opened, only private ones", func(t *testing.T) {
		id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
		if got := get(t, testKey, 0, 0); got != id {
			t.Errorf("opened %d, want %d", got, id)
		}
	})
	t.Run("nattch is segsz", func(t *testing.T) {
		a := newAttachment(t, 77, 0)
		if ds, err := a.Stat(); err != nil || ds.Nattch != 1 || ds.Segsz != 77 {
			t.Errorf("%+v, %v", ds, err)
		}
	})
	t.Run("keys of ftok are unsigned", func(t *testing.T) {
		key, err := shm.Ftok(".", 0x80)
		if err != nil || key >= 0 {
			t.Errorf("key %d, %v", key, err)
		}
	})
	t.Run("id 0 is taken for an error", func(t *testing.T) {
		alone(func(t *testing.T) {
			id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
			if id != 0 {
				t.Fatalf("id %d", id)
			}
			attach(t, id, 0).Bytes()[0] = 1
		})(t)
	})
}
