//go:build linux && cgo

package shm_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gosysv/shm"
)

// What "shared memory" means, by /proc/PID/pagemap: the two processes have the
// same physical pages, pages come when they are touched, and fork copies what
// is private but not what is shared.

// frames returns the physical frame of each page of a range of a process's
// addresses, or 0 where there is none yet.
func frames(t *testing.T, pid int, addr address, pages int) []uint64 {
	t.Helper()
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer pagemap.Close()
	entries := make([]uint64, pages)
	if _, err := pagemap.Seek(int64(addr/address(os.Getpagesize())*8), 0); err != nil {
		t.Fatal(err)
	}
	if err := binary.Read(pagemap, binary.NativeEndian, entries); err != nil {
		t.Fatal(err)
	}
	const present, frame = 1 << 63, 1<<55 - 1
	for i, e := range entries {
		if e&present == 0 {
			entries[i] = 0
			continue
		}
		if entries[i] &= frame; entries[i] == 0 {
			t.Skip("the kernel does not show physical addresses here")
		}
	}
	return entries
}

// needFrames skips the test where physical addresses are not shown, and
// where a page touched would bring its neighbours along.
func needFrames(t *testing.T) {
	t.Helper()
	needPrivateNS(t)
	needInitialUserNS(t)
	needCaps(t, capSysAdmin)
	const path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
	if mode, err := os.ReadFile(path); err == nil && !strings.Contains(string(mode), "[never]") {
		t.Skipf("%s is %s", path, mode)
	}
}

func TestSameFrames(t *testing.T) {
	needFrames(t)
	const pages = 64
	page := os.Getpagesize()
	id := get(t, shm.IPC_PRIVATE, pages*page, 0o600)
	a := attach(t, id, 0)
	c := startC(t)
	theirs := c.attach(id, 0)
	inGo := func() []uint64 { return frames(t, os.Getpid(), address(uintptr(a.Pointer())), pages) }
	inC := func() []uint64 { return frames(t, c.PID(), theirs, pages) }

	resident := func() uint {
		usage, err := shm.Usage()
		if err != nil {
			t.Fatal(err)
		}
		return usage.ShmRss
	}
	for i := range pages {
		if f, g := inGo()[i], inC()[i]; f != 0 || g != 0 {
			t.Fatalf("page %d is there before it was touched", i)
		}
	}
	if n := resident(); n != 0 {
		t.Errorf("%d pages resident before any was touched", n)
	}

	c.write(theirs+address(40*page), "x")
	if n := resident(); n != 1 {
		t.Errorf("%d pages resident after one was touched", n)
	}
	if inC()[40] == 0 {
		t.Error("the page that C wrote is not there")
	}
	for i, f := range inC() {
		if i != 40 && f != 0 {
			t.Errorf("page %d came along", i)
		}
	}

	for i := range pages {
		a.Bytes()[i*page] = byte(i) // one store a page, from Go
	}
	c.sum(theirs, pages*page) // and a load a page, from C
	ours, others := inGo(), inC()
	distinct := map[uint64]bool{}
	for i := range pages {
		if ours[i] == 0 || ours[i] != others[i] {
			t.Errorf("page %d: frame %#x in Go, %#x in C", i, ours[i], others[i])
		}
		distinct[ours[i]] = true
	}
	if len(distinct) != pages || resident() != pages {
		t.Errorf("%d frames and %d pages resident, want %d", len(distinct), resident(), pages)
	}
}

func TestForkCopiesOnWrite(t *testing.T) {
	needFrames(t)
	page := os.Getpagesize()
	id := get(t, shm.IPC_PRIVATE, page, 0o600)
	a := attach(t, id, 0)
	c := startC(t)
	parent := c.PID()
	shared := c.attach(id, 0)
	c.write(shared, "before")
	private := address(c.number("private %d", page))
	child := int(c.number("fork"))
	frame := func(pid int, addr address) uint64 { return frames(t, pid, addr, 1)[0] }

	// A child's page tables for shared memory are filled when it touches it.
	if got := c.read(shared, 6); got != "before" {
		t.Errorf("the child reads %q in the segment", got)
	}
	if f, g := frame(parent, private), frame(child, private); f != g || f == 0 {
		t.Errorf("private memory before a store: frame %#x, in the child %#x", f, g)
	}
	c.write(private, "child")
	c.write(shared, "after ")
	if f, g := frame(parent, private), frame(child, private); f == g {
		t.Errorf("private memory after a store has the same frame %#x", f)
	}
	if f, g := frame(parent, shared), frame(child, shared); f != g {
		t.Errorf("the segment: frame %#x, in the child %#x", f, g)
	}
	if got := string(a.Bytes()[:6]); got != "after " {
		t.Errorf("Go reads %q in the segment", got)
	}
	if f, g := frame(os.Getpid(), address(uintptr(a.Pointer()))), frame(child, shared); f != g {
		t.Errorf("the segment: frame %#x in Go, %#x in the child", f, g)
	}
	c.Ask("exit 0")
	if _, err := c.Answer(); err != nil {
		t.Fatal(err)
	}
	if got := c.read(private, 5); got != "ppppp" {
		t.Errorf("the parent reads %q in its private memory", got)
	}
	if got := c.read(shared, 6); got != "after " {
		t.Errorf("the parent reads %q in the segment", got)
	}
}
