//go:build linux && cgo

package shm_test

import (
	"encoding/binary"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
)

// Programs of the other width, 32 bits beside 64 or the reverse, in C: the
// structs of their calls are others, the segments are the same.

// startOtherWidth starts such a peer, built with flags.
func startOtherWidth(t *testing.T, flags ...string) *peer {
	t.Helper()
	cc := "i686-linux-gnu-gcc"
	if unsafe.Sizeof(uintptr(0)) == 4 {
		cc = "x86_64-linux-gnu-gcc"
	}
	if _, err := exec.LookPath(cc); err != nil {
		t.Skip("needs a compiler of the other width: ", err)
	}
	return &peer{cpeer.Start(t, exec.Command(cpeer.ProgramBy(t, cc, "ctest", append(flags, "-static")...))), t, "C"}
}

// TestNativeC runs the cases of TestInterop with Go under an emulator and C that
// is this machine's own.
func TestNativeC(t *testing.T) {
	needPrivateNS(t)
	if !ipcns.Emulated() {
		t.Skip("this is no emulator: Go and C are both of this machine")
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the numbers in a segment are big-endian here, and little-endian in C")
	}
	native := func(t *testing.T) *peer {
		t.Helper()
		return &peer{cpeer.Start(t, exec.Command(cpeer.ProgramBy(t, "cc", "ctest"))), t, "C"}
	}
	interopBeside(t, "Go_C", startGo, native)
	interopBeside(t, "C_Go", native, startGo)
}

// interopBeside runs the cases that any two programs can share.
func interopBeside(t *testing.T, name string, creator, opener func(*testing.T) *peer) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		for _, c := range interopCases() {
			if c.name == "sparse" || strings.HasPrefix(c.name, "permissions/") {
				continue // more than 32 bits can address (see TestTooLargeFor32Bits); the same for any width
			}
			t.Run(c.name, func(t *testing.T) { c.run(t, creator(t), opener(t)) })
		}
	})
}

// TestOtherWidth runs the cases of TestInterop with a peer of the other width,
// and on 32 bits also one that was built with times of 64.
func TestOtherWidth(t *testing.T) {
	needPrivateNS(t)
	if ipcns.Emulated() {
		t.Skip("the other width of an emulated port is no program of this machine's")
	}
	other := func(t *testing.T) *peer { t.Helper(); return startOtherWidth(t) }
	time64 := func(t *testing.T) *peer {
		t.Helper()
		return startOtherWidth(t, "-D_TIME_BITS=64", "-D_FILE_OFFSET_BITS=64")
	}
	interopBeside(t, "Go_other", startGo, other)
	interopBeside(t, "other_Go", other, startGo)
	interopBeside(t, "time64_Go", time64, startGo)
}

// TestTooLargeFor32Bits: a 32-bit program cannot attach what it cannot address,
// and says so. Here C is the other width, and makes segments for Go to attach.
func TestTooLargeFor32Bits(t *testing.T) {
	needPrivateNS(t)
	needOvercommit(t, "01")
	if unsafe.Sizeof(uintptr(0)) == 8 {
		gib5 := int64(5 << 30)
		id, err := shm.Get(shm.IPC_PRIVATE, int(gib5), shm.SHM_NORESERVE|0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer remove(t, id)
		startOtherWidth(t).refuses(syscall.ENOMEM, "at %d 0 0", id)
		return
	}
	c := startOtherWidth(t)
	for size, want := range map[string][]syscall.Errno{
		"2684354560": {syscall.EOVERFLOW, syscall.ENOMEM}, // 2.5 GiB: more than an int counts, if there is room at all
		"5368709120": {syscall.ENOMEM},
	} {
		id := shm.ID(c.number("get 0 %s %d", size, uint32(shm.SHM_NORESERVE|0o600)))
		a, err := id.Attach(0)
		if a != nil || !slices.ContainsFunc(want, func(errno syscall.Errno) bool { return errors.Is(err, errno) }) || !strings.HasPrefix(err.Error(), "shmat(id=") {
			t.Errorf("%s bytes: %v, %v", size, a, err)
		}
		if status, err := c.Do("status %d", id); err != nil || status[len(status)-1] != "0" {
			t.Errorf("%s bytes: left attached: %v, %v", size, status, err)
		}
		c.remove(id)
	}
}
