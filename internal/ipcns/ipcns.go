//go:build linux

// Package ipcns runs a test binary in a private IPC namespace, so that its
// tests can neither touch nor leave a System V object outside, and may set the
// namespace's own sysctls.
package ipcns

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// Environment variables of test processes.
const (
	// present says that the process is in a private namespace already. It
	// is set by hand where the kernel cannot be asked for one, as under
	// qemu-user.
	present = "SHM_TEST_IPCNS"
	// childTest is the name of the test that Run or Crash started this
	// process for.
	childTest = "SHM_TEST_CHILD"
)

// Private tells whether this process is in a private IPC namespace. Tests
// that use keys, limits or sysctls must skip where it is not.
func Private() bool { return os.Getenv(present) != "" }

// Main is the body of a TestMain. It runs the tests in a private IPC
// namespace, in a child process, and fails if they leave a System V object or
// an attachment behind. Where the kernel refuses the namespace it says so and
// runs them here. The cleanups are called after the tests.
func Main(m *testing.M, cleanups ...func()) {
	if !Private() {
		status, err := inNamespace()
		if err == nil {
			os.Exit(status)
		}
		fmt.Printf("ipcns: no private IPC namespace (%v): tests that need one will be skipped\n", err)
	}
	skipDefects()
	before := objects()
	status := m.Run()
	for _, cleanup := range cleanups {
		cleanup()
	}
	if os.Getenv(childTest) != "" {
		os.Exit(status) // what is left ends with the process and its namespace
	}
	if left := leftBehind(before); left != "" {
		fmt.Printf("FAIL: left behind:\n%s", left)
		status = max(status, 1)
	}
	os.Exit(status)
}

// inNamespace runs this program again, in a namespace of its own, and returns
// its exit status; an error means that it did not start.
func inNamespace() (int, error) {
	// The child is killed when this thread ends, that is, with the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := Self(os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	Isolate(cmd)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) && !exit.Exited() {
		fmt.Println("FAIL:", err)
		return 2, nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// Self returns a command that runs this program again, with args. It is killed
// when the thread that started it ends.
func Self(args ...string) *exec.Cmd {
	path := "/proc/self/exe" // works where the path cannot be searched, too
	if Emulated() {
		path = os.Args[0]
	}
	cmd := Emulate(path, args...)
	if os.Getenv("GORACE") == "" { // the race detector would sleep for a second at every exit
		cmd.Env = append(cmd.Environ(), "GORACE=atexit_sleep_ms=0")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Emulate returns a command that runs a program, under the emulator where
// there is one.
func Emulate(program string, args ...string) *exec.Cmd {
	if e := os.Getenv(emulator); e != "" {
		return exec.Command(e, append([]string{program}, args...)...)
	}
	return exec.Command(program, args...)
}

// Isolate makes cmd, when it starts, the first process of an IPC namespace of
// its own. Without the privilege for that it gets a user namespace too, whose
// root is the present user.
func Isolate(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.Env = append(cmd.Environ(), present+"=1")
	if Emulated() { // which knows no namespaces: a native program makes it
		unshare, err := exec.LookPath("unshare")
		cmd.Path, cmd.Err = unshare, err
		cmd.Args = append([]string{"unshare", "--ipc"}, cmd.Args...)
		return
	}
	attr := cmd.SysProcAttr
	attr.Cloneflags |= syscall.CLONE_NEWIPC
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
}

// BuiltWith tells whether the test was built with one of the flags: "-race",
// "-asan", "-msan".
func BuiltWith(flags ...string) bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return slices.Contains(flags, s.Key) && s.Value == "true"
	})
}

// Run runs body in a process of its own, started for this test only and in an
// IPC namespace of its own: what body does to its limits, its credentials or
// the namespace's sysctls ends with it. The test fails if it fails there, and
// is skipped if it is skipped there or the kernel refuses the namespace. What the test does before Run is done in
// both processes.
func Run(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(childTest) == t.Name() {
		body(t)
		return
	}
	cmd := again(t)
	Isolate(cmd)
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skip("needs an IPC namespace of its own: ", err)
	}
	if err != nil {
		t.Fatalf("in a process of its own: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP: "+t.Name()+" ") {
		t.Skipf("in a process of its own:\n%s", out)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatalf("it did not run in a process of its own:\n%s", out)
	}
}

// Crash runs body in a process of its own, in this namespace, and returns what
// that printed. The test fails unless the process is killed by a fault.
func Crash(t *testing.T, body func(t *testing.T)) string {
	t.Helper()
	if os.Getenv(childTest) == t.Name() {
		body(t)
		fmt.Println("survived")
		os.Exit(0)
	}
	out, err := again(t).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "fatal error: fault") {
		t.Fatalf("no fault in a process of its own: %v\n%s", err, out)
	}
	return string(out)
}

// again returns a command that runs this test, and no other, once more.
func again(t *testing.T) *exec.Cmd {
	pattern := regexp.QuoteMeta(t.Name())
	pattern = "^" + strings.ReplaceAll(pattern, "/", "$/^") + "$"
	cmd := Self("-test.run="+pattern, "-test.v", "-test.count=1")
	if f := flag.Lookup("test.gocoverdir"); f != nil && f.Value.String() != "" {
		cmd.Args = append(cmd.Args, "-test.gocoverdir="+f.Value.String())
	}
	cmd.Env = append(cmd.Environ(), childTest+"="+t.Name())
	return cmd
}

// SetUser changes the user, for good, of the thread of this goroutine, which it
// keeps. (The libc's functions do so for all threads. musl's, up to 1.2.3, has
// each handle a signal for that on the stack of its goroutine, which is too
// small: go.dev/issue/39857.)
func SetUser(uid, gid int, groups ...int) error {
	runtime.LockOSThread()
	list := make([]uint32, len(groups)+1) // one that is not empty has an address
	for i, g := range groups {
		list[i] = uint32(g)
	}
	setgroups := uintptr(syscall.SYS_SETGROUPS)
	if runtime.GOARCH == "386" || runtime.GOARCH == "arm" {
		setgroups = 206 // setgroups32
	}
	if _, _, errno := syscall.RawSyscall(setgroups, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0); errno != 0 {
		return os.NewSyscallError("setgroups", errno)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); errno != 0 {
		return os.NewSyscallError("setresgid", errno)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	return nil
}

// objects returns the System V objects of the namespace: a line of /proc each,
// under its kind and id. In a namespace that is shared with others, only the
// segments that this process made.
func objects() map[string]string {
	found := map[string]string{}
	for _, kind := range []string{"shm", "sem", "msg"} {
		table, err := os.ReadFile("/proc/sysvipc/" + kind)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(table)), "\n")
		for _, line := range lines[1:] {
			fields := strings.Fields(line) // key id perms … and for shm size cpid
			if Private() || kind == "shm" && fields[4] == fmt.Sprint(os.Getpid()) {
				found[kind+" "+fields[1]] = line
			}
		}
	}
	return found
}

// leftBehind lists the objects that were not there before, and this process's
// attachments.
func leftBehind(before map[string]string) string {
	var left strings.Builder
	for id, line := range objects() {
		if _, ok := before[id]; !ok {
			fmt.Fprintf(&left, "  %s: %s\n", id, line)
		}
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "/SYSV") {
			fmt.Fprintf(&left, "  attached: %s", line)
		}
	}
	return left.String()
}
