//go:build linux && cgo

package shm_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

var (
	_ io.ReaderAt = (*shm.Attachment)(nil)
	_ io.WriterAt = (*shm.Attachment)(nil)
)

// newAttachment attaches a private segment.
func newAttachment(t *testing.T, size int, flags shm.AttachFlag) *shm.Attachment {
	t.Helper()
	return attach(t, get(t, shm.IPC_PRIVATE, size, 0o600), flags)
}

// mapped tells whether the kernel has an attachment of the segment in this
// process, by /proc/self/maps.
func mapped(t *testing.T, id shm.ID) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line) // range perms offset device inode name
		if len(fields) > 5 && strings.HasPrefix(fields[5], "/SYSV") && fields[4] == strconv.Itoa(int(id)) {
			n++
		}
	}
	return n
}

// unmapBehind unmaps memory without the package's knowledge.
func unmapBehind(t *testing.T, addr, size uintptr) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_MUNMAP, addr, size, 0); errno != 0 {
		t.Fatal(errno)
	}
}

func TestAttachment(t *testing.T) {
	id := get(t, shm.IPC_PRIVATE, 100, 0o600)
	a := attach(t, id, 0)
	b := attach(t, id, shm.SHM_RDONLY)
	if a.ID() != id || a.Len() != 100 || a.ReadOnly() || !b.ReadOnly() {
		t.Errorf("ID %d, Len %d, ReadOnly %v and %v", a.ID(), a.Len(), a.ReadOnly(), b.ReadOnly())
	}
	if len(a.Bytes()) != 100 || cap(a.Bytes()) != 100 || unsafe.Pointer(&a.Bytes()[0]) != a.Pointer() {
		t.Error("Bytes is not the segment")
	}
	copy(a.Bytes(), "hello")
	if got := string(b.Bytes()[:5]); got != "hello" {
		t.Errorf("the other attachment reads %q", got)
	}
	if n := mapped(t, id); n != 2 {
		t.Errorf("%d mappings, want 2", n)
	}
	if ds, err := a.Stat(); err != nil || ds.Nattch != 2 {
		t.Errorf("Stat: %+v, %v", ds, err)
	}
	detach(t, a)
	detach(t, b)
	if n := mapped(t, id); n != 0 {
		t.Errorf("%d mappings after Detach", n)
	}
}

// After Detach every method says so, and none faults.
func TestDetached(t *testing.T) {
	a := newAttachment(t, 100, 0)
	detach(t, a)
	var zero shm.Attachment // never attached
	for _, a := range []*shm.Attachment{a, &zero} {
		_, readErr := a.ReadAt(make([]byte, 1), 0)
		_, writeErr := a.WriteAt([]byte{1}, 0)
		_, statErr := a.Stat()
		_, viewErr := shm.View[byte](a, 0)
		_, sliceErr := shm.Slice[byte](a, 0, 0)
		for _, err := range []error{a.Detach(), a.Hold(), readErr, writeErr, statErr, viewErr, sliceErr} {
			if !errors.Is(err, shm.ErrDetached) {
				t.Errorf("got %v, want ErrDetached", err)
			}
		}
		if a.Bytes() != nil || a.Pointer() != nil {
			t.Error("Bytes or Pointer is not nil")
		}
	}
	if a.Len() != 100 || a.ReadOnly() {
		t.Error("Len or ReadOnly changed")
	}
}

func TestReadWriteAt(t *testing.T) {
	const size = 5000
	a := newAttachment(t, size, 0)
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * 7)
	}
	if n, err := a.WriteAt(content, 0); n != size || err != nil {
		t.Fatalf("WriteAt: %d, %v", n, err)
	}
	if err := iotest.TestReader(io.NewSectionReader(a, 0, size), content); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		off                int64
		len                int
		wantRead           int
		readErr, writerErr error
	}{
		{0, size, size, nil, nil},
		{size - 1, 1, 1, nil, nil},
		{size - 1, 2, 1, io.EOF, io.ErrShortWrite},
		{size, 1, 0, io.EOF, io.ErrShortWrite},
		{size + 1, 1, 0, io.EOF, io.ErrShortWrite},
		{1 << 62, 1, 0, io.EOF, io.ErrShortWrite},
		{0, 0, 0, nil, nil},
		{size, 0, 0, io.EOF, nil},
		{-1, 1, 0, shm.ErrBounds, shm.ErrBounds},
		{-1 << 63, 0, 0, shm.ErrBounds, shm.ErrBounds},
	} {
		p := bytes.Repeat([]byte{0xaa}, c.len)
		n, err := a.ReadAt(p, c.off)
		if n != c.wantRead || !errors.Is(err, c.readErr) {
			t.Errorf("ReadAt(%d bytes, %d): %d, %v", c.len, c.off, n, err)
		}
		if n > 0 && !bytes.Equal(p[:n], content[c.off:][:n]) {
			t.Errorf("ReadAt(%d bytes, %d) read other bytes", c.len, c.off)
		}
		if n, err := a.WriteAt(p, c.off); n != c.wantRead || !errors.Is(err, c.writerErr) {
			t.Errorf("WriteAt(%d bytes, %d): %d, %v", c.len, c.off, n, err)
		}
	}
	if !bytes.Equal(a.Bytes(), content) {
		t.Error("the content changed: WriteAt did not write what ReadAt read")
	}
	// Past the exact size the last page goes on, but is nobody's.
	tail := unsafe.Slice((*byte)(a.Pointer()), 8192)[size:]
	if bytes.ContainsFunc(tail, func(r rune) bool { return r != 0 }) {
		t.Error("WriteAt wrote past the end of the segment")
	}
}

func TestReadOnly(t *testing.T) {
	id := get(t, shm.IPC_PRIVATE, 100, 0o600)
	copy(attach(t, id, 0).Bytes(), "hello")
	a := attach(t, id, shm.SHM_RDONLY)
	if n, err := a.WriteAt([]byte("damage"), 0); n != 0 || !errors.Is(err, shm.ErrReadOnly) {
		t.Errorf("WriteAt: %d, %v", n, err)
	}
	p := make([]byte, 5)
	if _, err := a.ReadAt(p, 0); err != nil || string(p) != "hello" {
		t.Errorf("ReadAt: %q, %v", p, err)
	}
}

// A store to a read-only attachment is a fault: of the process or, where
// debug.SetPanicOnFault was called, a panic that says where.
func TestReadOnlyFault(t *testing.T) {
	a := newAttachment(t, 100, shm.SHM_RDONLY)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		fault, ok := recover().(interface {
			runtime.Error
			Addr() uintptr
		})
		if !ok || fault.Addr() != uintptr(a.Pointer())+7 {
			t.Errorf("recovered %v", fault)
		}
	}()
	a.Bytes()[7] = 1
	t.Error("the store did not fault")
}

func TestReadOnlyFaultIsFatal(t *testing.T) {
	out := ipcns.Crash(t, func(t *testing.T) {
		id, err := shm.Get(shm.IPC_PRIVATE, 100, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		a, err := id.Attach(shm.SHM_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		if err := id.Remove(); err != nil {
			t.Fatal(err)
		}
		a.Bytes()[7] = 1
	})
	if !strings.Contains(out, "TestReadOnlyFaultIsFatal.func1(") {
		t.Errorf("the trace does not name the test:\n%s", out)
	}
}

// A fault inside ReadAt that is recovered leaves no lock behind.
func TestFaultInReadAt(t *testing.T) {
	a := newAttachment(t, 100, shm.SHM_RDONLY)
	func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() { _ = recover() }()
		_, _ = a.ReadAt(a.Bytes(), 1) // stores to the segment itself
		t.Error("the copy did not fault")
	}()
	detach(t, a) // would wait for ever
}

func TestHold(t *testing.T) {
	a := newAttachment(t, 100, 0)
	for range 2 {
		if err := a.Hold(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := a.Detach(); !errors.Is(err, shm.ErrBusy) {
			t.Fatalf("Detach while held: %v", err)
		}
		a.Bytes()[0] = 1 // still there
		a.Release()
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Release without Hold did not panic")
			}
		}()
		a.Release()
	}()
	detach(t, a)
}

// An attachment that the collector takes stays attached: slices that still
// lead into it cannot be seen.
func TestNothingDetachesByItself(t *testing.T) {
	id := get(t, shm.IPC_PRIVATE, 100, 0o600)
	mem := func() []byte {
		a, err := id.Attach(0)
		if err != nil {
			t.Fatal(err)
		}
		return a.Bytes()
	}()
	for range 3 {
		runtime.GC()
	}
	mem[0] = 1
	if n := mapped(t, id); n != 1 {
		t.Errorf("%d mappings, want 1", n)
	}
	// Nobody has the handle any more; the kernel knows the address.
	unmapBehind(t, uintptr(unsafe.Pointer(unsafe.SliceData(mem))), 4096)
}
