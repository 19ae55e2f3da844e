//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
)

var shmatRows = []row{
	{50, "at NULL: at a page of the kernel's choice, nattch 1", func(t *testing.T) {
		a := newAttachment(t, 1, 0)
		if addr := uintptr(a.Pointer()); addr == 0 || addr%uintptr(os.Getpagesize()) != 0 {
			t.Errorf("at %#x", addr)
		}
		wantNattch(t, a.ID(), 1)
	}},
	{51, "at a free address: there", func(t *testing.T) {
		id, free := get(t, shm.IPC_PRIVATE, 1, 0o600), freeAddr(t)
		wantAt(t, attachAt(t, id, free, 0), free)
	}},
	{52, "at an address that is no multiple of SHMLBA: EINVAL", func(t *testing.T) {
		id, free := get(t, shm.IPC_PRIVATE, 1, 0o600), freeAddr(t)
		attachFails(t, syscall.EINVAL, id, free+1, 0)
		attachFails(t, syscall.EINVAL, id, free+uintptr(shm.SHMLBA())/2, 0)
	}},
	{53, "the same with SHM_RND: rounded down to SHMLBA, which is mostly a page", func(t *testing.T) {
		id, free := get(t, shm.IPC_PRIVATE, 1, 0o600), freeAddr(t)
		wantAt(t, attachAt(t, id, free+uintptr(shm.SHMLBA())-1, shm.SHM_RND), free)
		switch runtime.GOARCH {
		case "amd64", "arm64", "riscv64":
			if shm.SHMLBA() != os.Getpagesize() {
				t.Errorf("SHMLBA is %d", shm.SHMLBA())
			}
		}
	}},
	{54, "at an address in use, even one that may not be touched: EINVAL", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		attachFails(t, syscall.EINVAL, id, reserve(t, 1).Addr(), 0)
		attachFails(t, syscall.EINVAL, id, uintptr(newAttachment(t, 1, 0).Pointer()), 0)
	}},
	{55, "the same with SHM_REMAP: replaced, in a Reservation; refused elsewhere: EINVAL", func(t *testing.T) {
		id, r := get(t, shm.IPC_PRIVATE, 1, 0o600), reserve(t, 1)
		wantAt(t, attachAt(t, id, r.Addr(), shm.SHM_REMAP), r.Addr())
		attachFails(t, syscall.EINVAL, id, uintptr(newAttachment(t, 1, 0).Pointer()), shm.SHM_REMAP)
	}},
	{56, "at NULL with SHM_REMAP: EINVAL", func(t *testing.T) {
		attachFails(t, syscall.EINVAL, get(t, shm.IPC_PRIVATE, 1, 0o600), 0, shm.SHM_REMAP)
	}},
	{57, "at 1 with SHM_REMAP|SHM_RND: EINVAL, and here without SHM_REMAP too", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		attachFails(t, syscall.EINVAL, id, 1, shm.SHM_REMAP|shm.SHM_RND)
		attachFails(t, syscall.EINVAL, id, 1, shm.SHM_RND)
	}},
	{59, "at an address below vm.mmap_min_addr without CAP_SYS_RAWIO: EPERM", systemWide(func(t *testing.T) {
		id, low := get(t, shm.IPC_PRIVATE, 1, 0o600), shm.SHMLBA()
		if atoi(t, sysctl(t, "vm/mmap_min_addr")) <= low {
			needInitialUserNS(t)
			needCaps(t, capSysRawIO)
			minAddr, restore := openSysctl(t, "vm/mmap_min_addr")
			defer restore()
			if _, err := fmt.Fprint(minAddr, 2*low); err != nil {
				t.Fatal(err)
			}
		}
		t.Run("dropped", func(t *testing.T) { // the rest needs it, to restore
			dropCaps(t, capSysRawIO)
			attachFails(t, syscall.EPERM, id, uintptr(low), 0)
		})
	})},
	{60, "at addresses that no process has: EINVAL, where the end wraps, or ENOMEM", func(t *testing.T) {
		switch runtime.GOARCH {
		case "amd64", "arm64", "riscv64":
		default:
			t.Skip("needs to know what addresses this machine has not")
		}
		page := os.Getpagesize()
		id := get(t, shm.IPC_PRIVATE, page, 0o600)
		attachFails(t, syscall.EINVAL, id, -uintptr(page), 0)
		for _, addr := range []uint64{1 << 63, 1 << 56} { // the kernel's; above the largest address space
			attachFails(t, syscall.ENOMEM, id, uintptr(addr), 0)
		}
	}},
	{61, "over a part of an attachment: EINVAL; in a Reservation SHM_REMAP does not replace one either", func(t *testing.T) {
		lba := uintptr(shm.SHMLBA())
		id, r := get(t, shm.IPC_PRIVATE, 2*int(lba), 0o600), reserve(t, 3*int(lba))
		a := attachAt(t, id, r.Addr(), shm.SHM_REMAP)
		attachFails(t, syscall.EINVAL, id, r.Addr()+lba, 0)
		attachFails(t, syscall.EINVAL, id, r.Addr()+lba, shm.SHM_REMAP)
		wantNattch(t, id, 1)
		detach(t, a)
		attachAt(t, id, r.Addr()+lba, shm.SHM_REMAP)
	}},
	{62, "the id -1, one never used, one removed: EINVAL", func(t *testing.T) {
		attachFails(t, syscall.EINVAL, -1, 0, 0)
		for _, id := range []shm.ID{math.MaxInt32, staleID(t)} {
			_, err := id.Attach(0)
			wantErrno(t, err, syscall.EINVAL)
			wantRemoved(t, err)
		}
	}},
	{63, "an id that is removed meanwhile: EIDRM or EINVAL", func(t *testing.T) {
		seen := map[syscall.Errno]int{}
		for range 1000 {
			seen[attachWhileRemoved(t)]++
		}
		t.Log(seen)
		delete(seen, syscall.EIDRM)
		delete(seen, syscall.EINVAL)
		if len(seen) > 0 {
			t.Errorf("others: %v", seen)
		}
	}},
	{64, "another user on a 0600 segment, to read or to write: EACCES", asNobody(
		func(t *testing.T) shm.ID { return get(t, shm.IPC_PRIVATE, 1, 0o600) },
		func(t *testing.T, id shm.ID) {
			attachFails(t, syscall.EACCES, id, 0, 0)
			attachFails(t, syscall.EACCES, id, 0, shm.SHM_RDONLY)
		},
	)},
	{65, "another user on a 0644 segment: attached to read; to write: EACCES", asNobody(
		func(t *testing.T) shm.ID { return get(t, shm.IPC_PRIVATE, 1, 0o644) },
		func(t *testing.T, id shm.ID) {
			attach(t, id, shm.SHM_RDONLY)
			attachFails(t, syscall.EACCES, id, 0, 0)
		},
	)},
	{67, "another user with SHM_EXEC on a 0666 segment: EACCES; on a 0667 one: attached", asNobody(
		func(t *testing.T) [2]shm.ID {
			return [...]shm.ID{get(t, shm.IPC_PRIVATE, 1, 0o666), get(t, shm.IPC_PRIVATE, 1, 0o667)}
		},
		func(t *testing.T, ids [2]shm.ID) {
			attachFails(t, syscall.EACCES, ids[0], 0, shm.SHM_EXEC)
			attach(t, ids[1], shm.SHM_EXEC)
		},
	)},
	{68, "SHM_EXEC: code in the segment runs", func(t *testing.T) {
		id := codeSegment(t)
		if got := call(attach(t, id, shm.SHM_EXEC|shm.SHM_RDONLY)); got != 42 {
			t.Errorf("it returned %d", got)
		}
	}},
	{69, "without SHM_EXEC: SIGSEGV; it runs after mprotect(PROT_EXEC)", func(t *testing.T) {
		a := attach(t, codeSegment(t), 0)
		wantFault(t, uintptr(a.Pointer()), func() { call(a) })
		if err := syscall.Mprotect(a.Bytes(), syscall.PROT_READ|syscall.PROT_EXEC); err != nil {
			t.Fatal(err)
		}
		if got := call(a); got != 42 {
			t.Errorf("it returned %d", got)
		}
	}},
	{70, "SHM_RDONLY: loads work, a store: SIGSEGV", func(t *testing.T) {
		a := newAttachment(t, 100, shm.SHM_RDONLY)
		b := a.Bytes()
		if b[99] != 0 {
			t.Error("not zero")
		}
		wantFault(t, uintptr(a.Pointer())+99, func() { b[99] = 1 })
	}},
	{71, "SHM_RDONLY, then mprotect(PROT_WRITE): EACCES", func(t *testing.T) {
		a := newAttachment(t, os.Getpagesize(), shm.SHM_RDONLY)
		wantErrno(t, syscall.Mprotect(a.Bytes(), syscall.PROT_READ|syscall.PROT_WRITE), syscall.EACCES)
	}},
	{72, "to write, then mprotect to read only and back: a store faults, and then does not", func(t *testing.T) {
		a := newAttachment(t, os.Getpagesize(), 0)
		b := a.Bytes()
		if err := syscall.Mprotect(b, syscall.PROT_READ); err != nil {
			t.Fatal(err)
		}
		wantFault(t, uintptr(a.Pointer()), func() { b[0] = 1 })
		if err := syscall.Mprotect(b, syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
			t.Fatal(err)
		}
		b[0] = 1
	}},
	{74, "five times: at five addresses, nattch 5", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		addrs := map[unsafe.Pointer]bool{}
		for range 5 {
			addrs[attach(t, id, 0).Pointer()] = true
		}
		if len(addrs) != 5 {
			t.Errorf("addresses %v", addrs)
		}
		wantNattch(t, id, 5)
	}},
	{75, "a removed segment that is still attached: attached once more", func(t *testing.T) {
		a := newAttachment(t, 100, 0)
		copy(a.Bytes(), "hello")
		remove(t, a.ID())
		if got := string(attach(t, a.ID(), 0).Bytes()[:5]); got != "hello" {
			t.Errorf("read %q", got)
		}
	}},
	{76, "the last page after the end of the segment: shared memory, too", func(t *testing.T) {
		a := newAttachment(t, 1, 0)
		last := func(a *shm.Attachment) *byte { return (*byte)(unsafe.Add(a.Pointer(), os.Getpagesize()-1)) }
		*last(a) = 1
		if got := *last(attach(t, a.ID(), 0)); got != 1 {
			t.Errorf("read %d", got)
		}
	}},
	{77, "past the last page: SIGSEGV before a page that may not be touched, silence before another attachment", func(t *testing.T) {
		lba := shm.SHMLBA()
		r := reserve(t, 2*lba)
		a := attachAt(t, get(t, shm.IPC_PRIVATE, lba, 0o600), r.Addr(), shm.SHM_REMAP)
		past := (*byte)(unsafe.Add(a.Pointer(), lba))
		wantFault(t, uintptr(unsafe.Pointer(past)), func() { *past = 1 })
		neighbour := attachAt(t, get(t, shm.IPC_PRIVATE, 1, 0o600), r.Addr()+uintptr(lba), shm.SHM_REMAP)
		*past = 1
		if neighbour.Bytes()[0] != 1 {
			t.Error("the store went elsewhere")
		}
	}},
	{78, "more than RLIMIT_AS leaves: ENOMEM", alone(func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1<<30, shm.SHM_NORESERVE|0o600)
		limitAddressSpace(t)
		attachFails(t, syscall.ENOMEM, id, 0, 0)
	})},
	{79, "more than vm.max_map_count mappings: ENOMEM", alone(func(t *testing.T) {
		limit := atoi(t, sysctl(t, "vm/max_map_count"))
		if limit > 1<<17 {
			t.Skipf("vm.max_map_count is %d: it would take too long", limit)
		}
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		growHeap()
		var attached []*shm.Attachment
		a, err := id.Attach(0)
		for ; err == nil; a, err = id.Attach(0) {
			attached = append(attached, a)
		}
		for _, a := range attached[len(attached)/2:] { // Go needs mappings, too
			detach(t, a)
		}
		if errors.Is(err, syscall.ENFILE) {
			t.Skip("fs.file-max came first: ", err)
		}
		wantErrno(t, err, syscall.ENOMEM)
		if n := len(attached); n > limit || n < limit/2 {
			t.Errorf("attached %d times, the limit is %d", n, limit)
		}
		attach(t, id, 0) // there is room again
	})},
	{80, "mlockall(MCL_FUTURE) and more than RLIMIT_MEMLOCK, without CAP_IPC_LOCK: EAGAIN", alone(func(t *testing.T) {
		const mclFuture = 2
		id := get(t, shm.IPC_PRIVATE, 8<<20, 0o600)
		setRlimit(t, rlimitMemlock, 4<<20)
		dropCaps(t, capIPCLock)
		if err := syscall.Mlockall(mclFuture); err != nil {
			t.Fatal(err)
		}
		_, err := id.Attach(0)
		if err := syscall.Munlockall(); err != nil {
			t.Fatal(err)
		}
		wantErrno(t, err, syscall.EAGAIN)
	})},
	{82, "a flag that nobody knows: ignored", func(t *testing.T) {
		const unknown shm.AttachFlag = 0x40000000
		newAttachment(t, 1, unknown).Bytes()[0] = 1
	}},
	{83, "the effects: atime, lpid, which is no thread's id, nattch", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		before := kernelTime(t)
		a, err := attachInThread(id)
		if err != nil {
			t.Fatal(err)
		}
		defer detach(t, a)
		ds := stat(t, id)
		wantSince(t, "atime", ds.Atime, before)
		if ds.Lpid != int32(os.Getpid()) || ds.Nattch != 1 || ds.Dtime != 0 {
			t.Errorf("%+v", ds)
		}
	}},
}

// attachFails fails the test unless AttachAt fails with the errno.
func attachFails(t *testing.T, want syscall.Errno, id shm.ID, addr uintptr, flags shm.AttachFlag) {
	t.Helper()
	a, err := id.AttachAt(addr, flags)
	wantErrno(t, err, want)
	if err == nil {
		detach(t, a)
	}
}

func wantAt(t *testing.T, a *shm.Attachment, want uintptr) {
	t.Helper()
	if addr := uintptr(a.Pointer()); addr != want {
		t.Errorf("at %#x, want %#x", addr, want)
	}
}

// wantFault fails the test unless f faults, at the address.
func wantFault(t *testing.T, want uintptr, f func()) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		t.Helper()
		fault, ok := recover().(interface{ Addr() uintptr })
		switch {
		case !ok:
			t.Errorf("no fault, want one at %#x", want)
		case fault.Addr() != want:
			t.Errorf("a fault at %#x, want %#x", fault.Addr(), want)
		}
	}()
	f()
}

// freeAddr returns an address that is free, and so is much around it: what
// else the process maps meanwhile goes to the ends of that.
func freeAddr(t *testing.T) uintptr {
	t.Helper()
	r, err := shm.Reserve(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Release(); err != nil {
		t.Fatal(err)
	}
	return r.Addr() + 32<<20
}

// attachWhileRemoved attaches a segment again and again while it is removed,
// and returns the error that ends that.
func attachWhileRemoved(t *testing.T) syscall.Errno {
	t.Helper()
	id := get(t, shm.IPC_PRIVATE, 1, 0o600)
	started, failed := make(chan bool), make(chan error)
	go func() {
		for first := true; ; first = false {
			a, err := id.Attach(0)
			if first {
				started <- true
			}
			if err == nil {
				err = a.Detach()
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	<-started
	remove(t, id)
	err := <-failed
	var errno syscall.Errno
	errors.As(err, &errno)
	wantRemoved(t, err)
	return errno
}

// attachInThread attaches in a thread that is not the process's first.
func attachInThread(id shm.ID) (a *shm.Attachment, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if syscall.Gettid() == os.Getpid() {
			a, err = attachInThread(id) // while this one keeps the first
			return
		}
		a, err = id.Attach(0)
	}()
	<-done
	return a, err
}

// growHeap leaves the heap larger than what is alive, and uncollected: for a
// while Go needs neither memory nor threads of the kernel.
func growHeap() {
	garbage := make([][]byte, 4096)
	for i := range garbage {
		garbage[i] = make([]byte, 16<<10)
	}
	runtime.KeepAlive(garbage)
	runtime.GC()
	debug.SetGCPercent(-1)
}

// codeSegment makes a segment with a function that returns 42.
func codeSegment(t *testing.T) shm.ID {
	t.Helper()
	code := map[string]string{
		"amd64": "\xb8\x2a\x00\x00\x00\xc3",         // mov eax, 42; ret
		"arm64": "\x40\x05\x80\x52\xc0\x03\x5f\xd6", // mov w0, #42; ret
	}[runtime.GOARCH]
	if code == "" {
		t.Skip("needs machine code for ", runtime.GOARCH)
	}
	id := get(t, shm.IPC_PRIVATE, os.Getpagesize(), 0o700)
	a := attach(t, id, 0)
	copy(a.Bytes(), code)
	detach(t, a) // the instruction cache is filled by another attachment
	return id
}

// call calls the function at the beginning of an attachment.
func call(a *shm.Attachment) int {
	function := &struct{ code unsafe.Pointer }{a.Pointer()} // what a func value points to
	return (*(*func() int)(unsafe.Pointer(&function)))()
}
