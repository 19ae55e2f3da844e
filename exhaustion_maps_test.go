//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

// withMaxMapCount runs a test in a process of its own that can have
// vm.max_map_count mappings.
func withMaxMapCount(t *testing.T, run func(t *testing.T, limit string)) {
	t.Helper()
	if ipcns.BuiltWith("-race", "-asan", "-msan") {
		t.Skip("a sanitizer needs mappings of its own")
	}
	ipcns.Run(t, func(t *testing.T) {
		limit := sysctl(t, "vm/max_map_count")
		if atoi(t, limit) > 1<<18 {
			t.Skip("to reach it takes long: vm.max_map_count is ", limit)
		}
		run(t, limit)
	})
}

// TestExhaustedMappings: a process has vm.max_map_count mappings, and each call
// that needs one more says so. What can be done again then works; a Detach in a
// Reservation is the end of the Attachment, and Release gives the memory back.
func TestExhaustedMappings(t *testing.T) {
	withMaxMapCount(t, func(t *testing.T, limit string) {
		page := os.Getpagesize()
		lba := max(shm.SHMLBA(), page)
		id := get(t, shm.IPC_PRIVATE, lba, 0o600)
		r := reserve(t, 2*lba)
		inside := attachAt(t, id, r.Addr(), shm.SHM_REMAP)
		between := reserveBetween(t)
		calls := map[string]func() error{
			"attach":  attachOnce(id, 0, 0),
			"remap":   attachOnce(id, r.Addr()+uintptr(lba), shm.SHM_REMAP),
			"reserve": reserveOnce(page),
			"detach":  inside.Detach,
			"release": between.Release,
		}
		failed := map[string]error{}
		full := fillMappings(t, atoi(t, limit))
		for name, call := range calls {
			failed[name] = call()
		}
		nattch := stat(t, id).Nattch
		full.room(t)

		const call = `\(.*\): cannot allocate memory: `
		noRoom := `no room in the address space(, or no such address)?: RLIMIT_AS is unlimited, vm.max_map_count is ` + limit
		wantError(t, failed["attach"], `shmat`+call+noRoom, syscall.ENOMEM)
		wantError(t, failed["remap"], `shmat`+call+noRoom, syscall.ENOMEM)
		wantError(t, failed["reserve"], `mmap`+call+noRoom, syscall.ENOMEM)
		wantError(t, failed["detach"], `mmap`+call+`the segment is still mapped in its Reservation: vm.max_map_count is `+limit, syscall.ENOMEM)
		wantError(t, failed["release"], `munmap`+call+`it would split a mapping: vm.max_map_count is `+limit, syscall.ENOMEM)
		if n := mapped(t, id); n != 1 || nattch != 1 {
			t.Errorf("%d mappings and nattch %d, but for the failed Detach there are none", n, nattch)
		}
		for _, name := range []string{"attach", "remap", "reserve", "release"} {
			if err := calls[name](); err != nil {
				t.Errorf("%s, with room: %v", name, err)
			}
		}
		if err := inside.Detach(); !errors.Is(err, shm.ErrDetached) {
			t.Errorf("Detach again: %v", err)
		}
		if err := r.Release(); err != nil || mapped(t, id) != 0 || stat(t, id).Nattch != 0 {
			t.Errorf("after Release: %v, %d mappings, nattch %d", err, mapped(t, id), stat(t, id).Nattch)
		}
	})
}

// TestNearlyExhaustedMappings: an attach in a Reservation needs some mappings
// more, for a moment. However many of them there are, it attaches or leaves
// nothing.
func TestNearlyExhaustedMappings(t *testing.T) {
	withMaxMapCount(t, func(t *testing.T, limit string) {
		size := 2 * max(shm.SHMLBA(), os.Getpagesize()) // one page can be protected without a split
		id := get(t, shm.IPC_PRIVATE, size, 0o600)
		r := reserve(t, 3*size)
		var errs []error
		var nattch []uint
		full := fillMappings(t, atoi(t, limit))
		for range 8 {
			a, err := id.AttachAt(r.Addr()+uintptr(size), shm.SHM_REMAP)
			if err == nil {
				err = a.Detach()
			}
			errs, nattch = append(errs, err), append(nattch, stat(t, id).Nattch)
			full.roomForOne(t)
		}
		full.room(t)
		calls := map[string]bool{}
		for i, err := range errs {
			var e *shm.Error
			switch {
			case nattch[i] != 0:
				t.Errorf("room for %d: nattch is %d: %v", i, nattch[i], err)
			case errors.As(err, &e) && strings.HasSuffix(e.Hint, "vm.max_map_count is "+limit):
				calls[e.Op] = true
			case err != nil:
				t.Errorf("room for %d: %v", i, err)
			}
		}
		if errs[len(errs)-1] != nil || !calls["shmat"] || !calls["mprotect"] {
			t.Errorf("attached with room: %v; calls without: %v", errs[len(errs)-1], calls)
		}
		for addr := r.Addr(); addr < r.Addr()+uintptr(r.Len()); addr += uintptr(os.Getpagesize()) {
			if got := protection(t, addr); got != "---p" {
				t.Errorf("%#x in the Reservation is mapped %q", addr, got)
			}
		}
	})
}

// reserveBetween returns a Reservation that is one mapping with others, before
// and after it, which the kernel has put beside it.
func reserveBetween(t *testing.T) *shm.Reservation {
	t.Helper()
	const size = 1 << 20 // more than the gaps between mappings
	var all []*shm.Reservation
	for range 5 {
		all = append(all, reserve(t, size))
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if from < r.Addr() && r.Addr()+size < to {
				return r
			}
		}
	}
	t.Skip("the kernel does not put Reservations beside each other")
	return nil
}

// full are mappings, as many as the kernel lets a process have.
type full struct {
	extra [][]byte
	mem   []byte // every other page of it is a mapping
	gone  int
	gc    int
}

// fillMappings makes mappings until the kernel refuses more. Until they are given
// back Go must need none: it has threads enough, and collects no garbage; and
// the test must use little memory.
func fillMappings(t *testing.T, limit int) *full {
	t.Helper()
	warmThreads()
	runtime.GC()
	f := &full{gc: debug.SetGCPercent(-1)}
	page := os.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, 2*limit*page, syscall.PROT_NONE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	f.mem = mem
	for i := 0; err == nil && i < len(mem); i += 2 * page {
		err = syscall.Mprotect(mem[i:i+page], syscall.PROT_READ)
	}
	// To split a mapping the kernel refuses one earlier than a new one.
	for prot := syscall.PROT_READ; len(f.extra) < 8; prot ^= syscall.PROT_READ { // two alike would be one
		more, errMore := syscall.Mmap(-1, 0, page, prot, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err = errMore; err != nil {
			break
		}
		f.extra = append(f.extra, more)
	}
	if !errors.Is(err, syscall.ENOMEM) {
		t.Fatalf("mappings without end: %v", err)
	}
	return f
}

// room gives all of the mappings back.
func (f *full) room(t *testing.T) {
	t.Helper()
	for _, mem := range append(f.extra, f.mem) {
		if err := syscall.Munmap(mem); err != nil {
			t.Error(err)
		}
	}
	debug.SetGCPercent(f.gc)
}

// roomForOne gives one mapping back.
func (f *full) roomForOne(t *testing.T) {
	t.Helper()
	page := uintptr(os.Getpagesize())
	unmapBehind(t, uintptr(unsafe.Pointer(&f.mem[0]))+uintptr(f.gone)*2*page, page)
	f.gone++
}

// warmThreads makes threads that Go keeps.
func warmThreads() {
	const n = 8
	var locked, done sync.WaitGroup
	locked.Add(n)
	done.Add(n)
	for range n {
		go func() {
			defer done.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			locked.Done()
			locked.Wait()
		}()
	}
	done.Wait()
}
