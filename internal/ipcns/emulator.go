//go:build linux

package ipcns

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// emulator names the program that this process and its children run under, if
// any: qemu-user's.
const emulator = "SHM_TEST_EXEC"

// Emulated tells whether this process runs under an emulator.
func Emulated() bool { return os.Getenv(emulator) != "" }

// defects are what qemu-user 7.2 does otherwise than the kernel, with the tests
// of each package that see it, and what was seen. A port is a GOARCH; without
// any, it is all of them.
var defects = []struct {
	what  string
	ports string
	tests map[string][]string
}{
	{
		what:  "its rows are what the kernel does, and it is the emulator that would be tested",
		tests: map[string][]string{"shm": {"TestConformance"}},
	},
	{
		what: "SHM_STAT_ANY and SEM_STAT_ANY are EINVAL: List falls back to what may be read, hints do not tell whose a set is, and SETALL reads the set before",
		tests: map[string][]string{
			"shm": {"TestSameBytes", "ExampleList", "ErrorsAlone$", "TestInjectedErrors/attach,_but_no_IPC_STAT", "TestAllocations", "TestSoakLifetime"},
			"sem": {"TestKey", "TestSameBytes", "TestProc", "ExampleList", "TestIpcs", "TestLsipc", "TestIpcmkAndIpcrm", "TestOtherUserErrors", "TestGetOrCreateAsNobody"},
		},
	},
	{
		what:  "IPC_STAT and IPC_SET take 16 bits of a mode that has 32: those that are 0 on a big-endian port",
		ports: "s390x",
		tests: map[string][]string{
			"shm": {
				"TestInterop/.*/(bookkeeping|removed|permissions)", "TestInjectedErrors/kernel_before_4.17",
				"TestPriorArt/locking_is_IPC_SET", "TestPerlCreates", "TestIpcs$", "TestLsipc$", "TestIpcmk", "TestIpcrm",
				"TestSquatter", "TestModeOpenedUp", "ReplacedBeforeAttach", "TestBothGroupsCount", "TestGroupLikeOthers", "FuzzID",
				"Example$", "ExampleAttachment_Check",
			},
			"sem": {
				"TestGetOrCreate$", "TestControl", "TestOtherUser", "TestHere", "FuzzID",
			},
		},
	},
	{
		what:  "IPC_STAT cuts a size to 32 bits, and shmat attaches so much of a segment",
		ports: "arm mips mipsle",
		tests: map[string][]string{"shm": {"TestTooLargeFor32Bits"}},
	},
	{
		what:  "shmat at an address is EINVAL where it has detached another, for it keeps the room",
		ports: "arm mips mipsle mips64 mips64le",
		tests: map[string][]string{"shm": {"TestPriorArt/a_second_detach"}},
	},
	{
		what:  "shmat at an address outside of user space is EINVAL instead of ENOMEM",
		ports: "mips64 mips64le",
		tests: map[string][]string{"shm": {"TestAttachErrors"}},
	},
	{
		what:  "the pages of a process are those of the emulator in /proc/PID/pagemap",
		tests: map[string][]string{"shm": {"TestSameFrames", "TestForkCopiesOnWrite"}},
	},
	{
		what:  "set_robust_list(2) is ENOSYS, and glibc refuses there to initialise a robust mutex: ENOTSUP",
		ports: "riscv64",
		tests: map[string][]string{
			"pshared": {
				"TestContexts", "TestBackground", "TestNoAllocations", "TestThreads", "TestDetach", "TestCond", "TestTooOften",
				"TestPlaces", "TestInjectedErrors", "TestInterop/.*/(mutex|cond)", "TestNotShared/mutex", "TestRobustNotShared", "TestGuarded",
				"Example", "Fuzz",
			},
		},
	},
	{
		what: "set_robust_list(2) is ENOSYS: nobody learns that the owner of a mutex died",
		tests: map[string][]string{
			"pshared": {
				"OwnerDied", "TestNotRecoverable", "TestDestroyAfterDeath", "Ends$", "TestHazard", "TestWakeUps", "TestMutexErrors",
				"TestMutexesOfC",
			},
		},
	},
	{
		what:  "an attachment with SHM_EXEC is mapped without",
		tests: map[string][]string{"shm": {"FuzzAttachAt"}},
	},
	{
		what:  "sequentially consistent accesses are not: between two programs in C, too, neither sees the other's store in some rounds of a million",
		tests: map[string][]string{"shm": {"Test(Interop|NativeC)/.*/store_buffering"}},
	},
	{
		what:  "semop(2) of no operations, at no address, is EFAULT instead of EINVAL",
		tests: map[string][]string{"sem": {"TestOpErrors", "FuzzOp"}},
	},
	{
		what:  "the address of a fault in a signal's siginfo is that of the page at most, or none",
		tests: map[string][]string{"shm": {"TestReadOnlyFault", "TestFaultInReadAt"}},
	},
	{
		what: "execve(2) of a program of the port is ENOEXEC: the tests build programs and run them",
		tests: map[string][]string{
			"shm":     {"TestMismatchDoesNotBuild", "TestTimeBits", "TestReadme"},
			"layout":  {"TestGenerate", "TestAuthority"},
			"pshared": {"TestRaceDetector"},
		},
	},
	{
		what:  "a goroutine that is locked to the main thread runs on another one of the kernel's",
		tests: map[string][]string{"pshared": {"TestSignals"}},
	},
	{
		what: "a process takes a tenth of a second to start: what starts hundreds takes minutes",
		tests: map[string][]string{
			"shm":     {"TestEveryFault"},
			"sem":     {"TestEveryFault", "TestGetOrCreateRace"},
			"pshared": {"TestEveryFault"},
		},
	},
	{
		what:  "clone(2) and unshare(2) know no namespaces, no MADV_DONTFORK, and no limits of the program's own memory",
		tests: map[string][]string{"shm": {"TestExhausted", "TestNearlyExhausted", "TestContainer"}},
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
		if d.ports != "" && !slices.Contains(strings.Fields(d.ports), runtime.GOARCH) {
			continue
		}
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
