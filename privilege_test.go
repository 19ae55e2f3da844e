//go:build linux && cgo

package shm_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gosysv/shm/internal/ipcns"
)

// What a test may need of the process it runs in. Being uid 0 says little:
// containers drop capabilities, and a user namespace may have one user only.

// Capabilities, from capabilities(7): their numbers.
const (
	capSetgid   = 6
	capSetuid   = 7
	capSetpcap  = 8
	capIPCLock  = 14
	capIPCOwner = 15
	capSysRawIO = 17
	capSysAdmin = 21
)

// needCaps skips the test unless this thread has the capabilities.
func needCaps(t *testing.T, caps ...int) {
	t.Helper()
	for _, c := range caps {
		if !hasCap(t, "thread-self", c) {
			t.Skipf("needs capability %d, see capabilities(7)", c)
		}
	}
}

// hasCap tells whether a process of /proc has a capability, in its effective set.
func hasCap(t *testing.T, process string, capability int) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "CapEff:")
	var effective uint64
	if _, err := fmt.Sscanf(after, "%x", &effective); err != nil {
		t.Fatal(err)
	}
	return effective>>capability&1 == 1
}

// dropCaps takes capabilities from this thread, and locks the rest of the test
// to it. They are a thread's, not a process's: other threads keep them.
func dropCaps(t *testing.T, caps ...int) {
	t.Helper()
	runtime.LockOSThread() // not unlocked: the thread must end with the test
	const version3 = 0x20080522
	head := struct {
		version uint32
		pid     int32
	}{version: version3}
	var sets [2]struct{ effective, permitted, inheritable uint32 }
	call := func(number uintptr) {
		t.Helper()
		if _, _, err := syscall.RawSyscall(number, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&sets)), 0); err != 0 {
			t.Fatal(err)
		}
	}
	call(syscall.SYS_CAPGET)
	for _, c := range caps {
		set := &sets[c/32]
		set.effective &^= 1 << (c % 32)
		set.permitted &^= 1 << (c % 32)
	}
	call(syscall.SYS_CAPSET)
}

// setRlimit sets this process's soft limit until the end of the test.
func setRlimit(t *testing.T, resource int, cur uint64) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(resource, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: cur, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(resource, &before); err != nil {
			t.Error(err)
		}
	})
}

// needOtherUsers skips the test unless it can become the user nobody.
func needOtherUsers(t *testing.T) {
	t.Helper()
	needCaps(t, capSetuid, capSetgid)
	var inside, outside, count uint64
	if _, err := fmt.Sscan(uidMap(t), &inside, &outside, &count); err != nil {
		t.Fatal(err)
	}
	if inside > nobody || inside+count <= nobody {
		t.Skip("needs a second user, and this user namespace has none")
	}
}

// uidMap tells which users this user namespace has: the first one's number
// inside and outside, and how many.
func uidMap(t *testing.T) string {
	t.Helper()
	uids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	return string(uids)
}

// needInitialUserNS skips the test in a user namespace, where capabilities do
// not count for what belongs to the whole system.
func needInitialUserNS(t *testing.T) {
	t.Helper()
	if !inInitialUserNS(t) {
		t.Skip("needs the initial user namespace")
	}
}

func inInitialUserNS(t *testing.T) bool {
	t.Helper()
	fields := strings.Fields(uidMap(t))
	return len(fields) == 3 && fields[2] == "4294967295"
}

// needHugePages skips the test where the kernel has no huge pages, or not for
// this process. That there are any left is another matter.
func needHugePages(t *testing.T) {
	t.Helper()
	needInitialUserNS(t)
	needCaps(t, capIPCLock)
	if _, err := os.Stat("/proc/sys/vm/nr_hugepages"); err != nil {
		t.Skip("needs huge pages: ", err)
	}
}

// needPrivateNS skips the test where keys, limits and sysctls are shared with
// other processes.
func needPrivateNS(t *testing.T) {
	t.Helper()
	if !ipcns.Private() {
		t.Skip("needs a private IPC namespace")
	}
}
