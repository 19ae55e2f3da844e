//go:build linux

package ipcns

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// emulator names the program that this process and its children run under, if
// any: qemu-user's.
const emulator = "SHM_TEST_EXEC"

// Emulated tells whether this process runs under an emulator.
func Emulated() bool { return os.Getenv(emulator) != "" }

// defects are what qemu-user 7.2 does otherwise than the kernel, with the tests
// of each package that see it, and what was seen.
var defects = []struct {
	what  string
	tests map[string][]string
}{
	{
		"its rows are what the kernel does, and it is the emulator that would be tested",
		map[string][]string{"shm": {"TestConformance"}},
	},
	{
		"SHM_STAT_ANY and SEM_STAT_ANY are EINVAL: List falls back to what may be read",
		map[string][]string{
			"shm": {"TestSameBytes", "ExampleList", "ErrorsAlone$", "TestInjectedErrors/attach,_but_no_IPC_STAT", "TestAllocations", "TestSoakLifetime"},
			"sem": {"TestKey", "TestSameBytes", "TestProc", "ExampleList", "TestIpcs", "TestLsipc", "TestIpcmkAndIpcrm"},
		},
	},
	{
		"IPC_STAT and IPC_SET take 16 bits of a mode that has 32: on big-endian ports those that are 0",
		map[string][]string{
			"sem": {"TestOtherUserErrors", "TestGetOrCreate$", "TestGetOrCreateAsNobody", "TestControl", "TestOtherUser", "TestHere"},
		},
	},
	{
		"set_robust_list(2) is ENOSYS: nobody learns that the owner of a mutex died",
		map[string][]string{
			"pshared": {
				"OwnerDied", "TestNotRecoverable", "TestDestroyAfterDeath", "Ends$", "TestHazard", "TestWakeUps", "TestMutexErrors",
				"TestMutexesOfC",
			},
		},
	},
	{
		"an attachment with SHM_EXEC is mapped without",
		map[string][]string{"shm": {"FuzzAttachAt"}},
	},
	{
		"sequentially consistent accesses are not: between two programs in C, too, neither sees the other's store in some rounds of a million",
		map[string][]string{"shm": {"TestInterop/.*/store_buffering"}},
	},
	{
		"semop(2) of no operations, at no address, is EFAULT instead of EINVAL",
		map[string][]string{"sem": {"TestOpErrors", "FuzzOp"}},
	},
	{
		"the address of a fault in a signal's siginfo is that of the page at most, or none",
		map[string][]string{"shm": {"TestReadOnlyFault", "TestFaultInReadAt"}},
	},
	{
		"execve(2) of a program of the port is ENOEXEC: the tests build programs and run them",
		map[string][]string{
			"shm":     {"TestMismatchDoesNotBuild", "TestTimeBits", "TestReadme"},
			"layout":  {"TestGenerate"},
			"pshared": {"TestRaceDetector"},
		},
	},
	{
		"a goroutine that is locked to the main thread runs on another one of the kernel's",
		map[string][]string{"pshared": {"TestSignals"}},
	},
	{
		"a process takes a tenth of a second to start: what starts hundreds takes minutes",
		map[string][]string{
			"shm":     {"TestEveryFault"},
			"sem":     {"TestEveryFault", "TestGetOrCreateRace"},
			"pshared": {"TestEveryFault"},
		},
	},
	{
		"clone(2) and unshare(2) know no namespaces, no MADV_DONTFORK, and no limits of the program's own memory",
		map[string][]string{"shm": {"TestExhausted", "TestContainer"}},
	},
}

// skipDefects leaves out the tests that would see what the emulator does, and
// says which and why.
func skipDefects() {
	if !Emulated() {
		return
	}
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".test")
	var skip []string
	for _, d := range defects {
		if tests := d.tests[name]; len(tests) > 0 {
			fmt.Printf("ipcns: skipped under %s: %s: %s\n", os.Getenv(emulator), strings.Join(tests, " "), d.what)
			skip = append(skip, tests...)
		}
	}
	flag.Parse()
	if err := flag.Set("test.skip", strings.Join(skip, "|")); err != nil {
		panic(err)
	}
}
