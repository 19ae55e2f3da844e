//go:build linux && cgo

package sem_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// newSet makes a set with the values, until the end of the test.
func newSet(t *testing.T, values ...uint16) sem.ID {
	t.Helper()
	id := get(t, shm.IPC_PRIVATE, len(values), 0o600)
	if err := id.SetValues(values); err != nil {
		t.Fatal(err)
	}
	return id
}

// get makes or finds a set. It goes away with the test.
func get(t *testing.T, key shm.Key, n int, flags shm.GetFlag) sem.ID {
	t.Helper()
	id, err := sem.Get(key, n, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { discard(t, id) })
	return id
}

func discard(t *testing.T, id sem.ID) {
	t.Helper()
	// Another user's test cannot remove it: the namespace does.
	if err := id.Remove(); err != nil && !errors.Is(err, shm.ErrRemoved) && !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

func remove(t *testing.T, id sem.ID) {
	t.Helper()
	ok(t, id.Remove())
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, id sem.ID) sem.SemidDS {
	t.Helper()
	ds, err := id.Stat()
	ok(t, err)
	return ds
}

// wantValues compares the values of a set.
func wantValues(t *testing.T, id sem.ID, want ...uint16) {
	t.Helper()
	got, err := id.Values()
	ok(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("values %v, want %v", got, want)
	}
}

func wantErrno(t *testing.T, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// eventually waits until the kernel says that it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaitWaiting waits until n operations wait for the semaphore to increase,
// awaitWaitingZero for its zero.
func awaitWaiting(t *testing.T, id sem.ID, num, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("GETNCNT of %d", n), func() bool { return waiting(t, id, num) == n })
}

func waiting(t *testing.T, id sem.ID, num int) int {
	t.Helper()
	n, err := id.WaitingIncrease(num)
	ok(t, err)
	return n
}

func awaitWaitingZero(t *testing.T, id sem.ID, num, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("GETZCNT of %d", n), func() bool {
		got, err := id.WaitingZero(num)
		ok(t, err)
		return got == n
	})
}

// awaitIn waits until n goroutines wait in a function of this program. The
// names of functions are those in the trace of a panic.
func awaitIn(t *testing.T, function string, n int) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	eventually(t, fmt.Sprintf("%d goroutines in %s", n, function), func() bool {
		found := 0
		for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			head, calls, _ := strings.Cut(g, "\n")
			if strings.Contains(calls, function) && (strings.Contains(head, "[select") || strings.Contains(head, "[sleep")) {
				found++
			}
		}
		return found == n
	})
}

// switches is how often a thread has gone to sleep.
func switches(t *testing.T, pid, tid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
	ok(t, err)
	_, after, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
	n, _, _ := strings.Cut(after, "\n")
	return atoi(t, strings.TrimSpace(n))
}

// async calls f in a goroutine, and returns a function that waits for what it
// answers.
func async(t *testing.T, f func() error) func() error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- f() }()
	return func() error {
		t.Helper()
		select {
		case err := <-result:
			return err
		case <-time.After(patience):
			t.Fatal("no answer")
			return nil
		}
	}
}

// procTable returns the lines of /proc/sysvipc/sem, in fields, under the ids:
// what the kernel tells everybody, by another way than the calls.
func procTable(t *testing.T) map[sem.ID][]string {
	t.Helper()
	table, err := os.ReadFile("/proc/sysvipc/sem")
	ok(t, err)
	sets := map[sem.ID][]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		fields := strings.Fields(line)
		sets[sem.ID(atoi(t, fields[1]))] = fields
	}
	return sets
}

// What a test may need of the process it runs in.

const nobody = 65534

// needOtherUsers skips the test unless it can become the user nobody.
func needOtherUsers(t *testing.T) {
	t.Helper()
	status, err := os.ReadFile("/proc/thread-self/status")
	ok(t, err)
	uids, err := os.ReadFile("/proc/self/uid_map")
	ok(t, err)
	_, after, _ := strings.Cut(string(status), "CapEff:")
	var effective, inside, outside, count uint64
	_, errStatus := fmt.Sscanf(after, "%x", &effective)
	_, err = fmt.Sscan(string(uids), &inside, &outside, &count)
	ok(t, errors.Join(errStatus, err))
	const capSetgid, capSetuid = 1 << 6, 1 << 7
	if effective&capSetgid == 0 || effective&capSetuid == 0 {
		t.Skip("needs CAP_SETUID and CAP_SETGID")
	}
	if inside > nobody || inside+count <= nobody {
		t.Skip("needs a second user, and this user namespace has none")
	}
}

// become changes the user of this goroutine for good.
func become(t *testing.T, uid, gid int) {
	t.Helper()
	ok(t, ipcns.SetUser(uid, gid))
}

// needPrivateNS skips the test where keys and limits are shared with other
// processes.
func needPrivateNS(t *testing.T) {
	t.Helper()
	if !ipcns.Private() {
		t.Skip("needs a private IPC namespace")
	}
}

// setLimits sets the sysctl kernel.sem of a namespace of one's own.
func setLimits(t *testing.T, semmsl, semmns, semopm, semmni int) {
	t.Helper()
	limits := fmt.Sprintf("%d %d %d %d", semmsl, semmns, semopm, semmni)
	if err := os.WriteFile("/proc/sys/kernel/sem", []byte(limits), 0); err != nil {
		t.Skip("needs to set kernel.sem: ", err)
	}
}
