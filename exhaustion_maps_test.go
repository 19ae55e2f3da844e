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

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

// TestExhaustedMappings: a process has vm.max_map_count mappings, and each call
// that needs one more says so. What can be done again then works; a Detach in a
// Reservation is the end of the Attachment, and Release gives the memory back.
func TestExhaustedMappings(t *testing.T) {
	if ipcns.BuiltWith("-race", "-asan", "-msan") {
		t.Skip("a sanitizer needs mappings of its own")
	}
	ipcns.Run(t, func(t *testing.T) {
		limit := sysctl(t, "vm/max_map_count")
		if atoi(t, limit) > 1<<18 {
			t.Skip("to reach it takes long: vm.max_map_count is ", limit)
		}
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
		room := fillMappings(t, atoi(t, limit))
		for name, call := range calls {
			failed[name] = call()
		}
		nattch := stat(t, id).Nattch
		room()

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

// fillMappings makes mappings until the kernel refuses more, and returns a
// function that gives them back. Until then Go must need none: it has threads
// enough, and collects no garbage; and the test must use little memory.
func fillMappings(t *testing.T, limit int) (room func()) {
	t.Helper()
	warmThreads()
	runtime.GC()
	collect := debug.SetGCPercent(-1)
	page := os.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, 2*limit*page, syscall.PROT_NONE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < len(mem); i += 2 * page { // each is one more, and what is between
		err = syscall.Mprotect(mem[i:i+page], syscall.PROT_READ)
	}
	// To split a mapping the kernel refuses one earlier than a new one.
	var extra [][]byte
	for prot := syscall.PROT_READ; len(extra) < 8; prot ^= syscall.PROT_READ { // two alike would be one
		more, errMore := syscall.Mmap(-1, 0, page, prot, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err = errMore; err != nil {
			break
		}
		extra = append(extra, more)
	}
	if !errors.Is(err, syscall.ENOMEM) {
		t.Fatalf("mappings without end: %v", err)
	}
	return func() {
		for _, mem := range append(extra, mem) {
			if err := syscall.Munmap(mem); err != nil {
				t.Error(err)
			}
		}
		debug.SetGCPercent(collect)
	}
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
