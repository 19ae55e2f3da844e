//go:build linux && cgo

package shm_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

// row is a row of the conformance table: what the kernel and the libc do,
// measured in C, and shown here through this package. The numbers are stable
// names; conformance_*_test.go have the rows, a file a call or a subject.
type row struct {
	number int
	about  string // the call or set-up, and what is expected
	run    func(t *testing.T)
}

func TestConformance(t *testing.T) {
	needPrivateNS(t)
	rows := slices.Concat(shmgetRows, shmatRows, shmdtRows, shmctlRows, processRows, namespaceRows, ftokRows, hugePageRows)
	seen := map[int]bool{}
	for _, r := range rows {
		if seen[r.number] {
			t.Errorf("row %d is there twice", r.number)
		}
		seen[r.number] = true
		t.Run(strconv.Itoa(r.number), func(t *testing.T) {
			t.Log(r.about)
			r.run(t)
		})
	}
}

// alone is the run of a row that changes its process or its namespace: another
// user, fewer capabilities, a limit, a sysctl, an id that must be the first.
func alone(run func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { ipcns.Run(t, run) }
}

// asNobody is the run of a row that has a part of root's and one of another
// user's: what setup returns is what other gets.
func asNobody[T any](setup func(t *testing.T) T, other func(t *testing.T, made T)) func(t *testing.T) {
	return alone(func(t *testing.T) {
		needOtherUsers(t)
		made := setup(t)
		become(t, nobody, nobody)
		other(t, made)
	})
}

// get makes or finds a segment. One that it makes goes away with the test.
func get(t *testing.T, key shm.Key, size int, flags shm.GetFlag) shm.ID {
	t.Helper()
	id, err := shm.Get(key, size, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Another user's test cannot remove it: the namespace does.
		if err := id.Remove(); err != nil && !errors.Is(err, shm.ErrRemoved) && !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
	})
	return id
}

// attach attaches until the end of the test, unless the test detaches.
func attach(t *testing.T, id shm.ID, flags shm.AttachFlag) *shm.Attachment {
	t.Helper()
	return attachAt(t, id, 0, flags)
}

func attachAt(t *testing.T, id shm.ID, addr uintptr, flags shm.AttachFlag) *shm.Attachment {
	t.Helper()
	a, err := id.AttachAt(addr, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Detach(); err != nil && !errors.Is(err, shm.ErrDetached) {
			t.Error(err)
		}
	})
	return a
}

func detach(t *testing.T, a *shm.Attachment) {
	t.Helper()
	if err := a.Detach(); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, id shm.ID) {
	t.Helper()
	if err := id.Remove(); err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, id shm.ID) shm.ShmidDS {
	t.Helper()
	ds, err := id.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func wantErrno(t *testing.T, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// become changes the user of this goroutine for good.
func become(t *testing.T, uid, gid int, groups ...int) {
	t.Helper()
	if err := ipcns.SetUser(uid, gid, groups...); err != nil {
		t.Fatal(err)
	}
}

// setSysctl sets a sysctl until the end of the test.
func setSysctl(t *testing.T, name, value string) {
	t.Helper()
	path := "/proc/sys/" + name
	before, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(value), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(path, before, 0); err != nil && !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
	})
}

// procTable returns the lines of /proc/sysvipc/KIND, in fields: what the
// kernel tells everybody, by another way than the calls.
func procTable(t *testing.T, kind string) (rows [][]string) {
	t.Helper()
	table, err := os.ReadFile("/proc/sysvipc/" + kind)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		rows = append(rows, strings.Fields(line))
	}
	return rows[1:]
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
