//go:build linux && cgo

package sem_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// preloaded runs a test in a process of its own, with a library before the
// libc: see ../ctest/faults_sem.c.
func preloaded(t *testing.T, faults string, run func(t *testing.T)) {
	t.Helper()
	if os.Getenv("COUNTS") == "" { // not in the process of its own
		counts := filepath.Join(t.TempDir(), "counts")
		ok(t, os.WriteFile(counts, make([]byte, 16), 0o600))
		cpeer.Preload(t, "../ctest/faults_sem.c")
		t.Setenv("FAULTS", faults)
		t.Setenv("COUNTS", counts)
	}
	ipcns.Run(t, run)
}

// calls returns how many calls of semop and semtimedop this process has made
// that are over, and how many of them a signal has ended.
func calls(t *testing.T) (all, interrupted int) {
	t.Helper()
	counts, err := os.ReadFile(os.Getenv("COUNTS"))
	ok(t, err)
	return int(binary.NativeEndian.Uint64(counts)), int(binary.NativeEndian.Uint64(counts[8:]))
}

// rule has a call fail with the errno. The command of semget is its flags.
func rule(call string, command int, errno syscall.Errno) string {
	return fmt.Sprintf("%s %d %d;", call, command, int(errno))
}

// The commands of semctl.
const (
	ipcSet     = 1
	ipcStat    = 2
	ipcInfo    = 3
	getAll     = 13
	setAll     = 17
	semStat    = 18
	semInfo    = 19
	semStatAny = 20
)

const creatExcl = int(shm.IPC_CREAT | shm.IPC_EXCL)

// TestFaults: what the kernel here will not do, a preloaded library does.
func TestFaults(t *testing.T) {
	create := func() error {
		_, created, err := sem.GetOrCreate(testKey, 0o600, 1)
		if created {
			err = errors.Join(err, errors.New("created"))
		}
		return err
	}
	none := func(t *testing.T) {
		t.Helper()
		if left := procTable(t); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	}
	for _, c := range []struct {
		name, faults string
		run          func(t *testing.T)
	}{
		{"no memory for a set", rule("semget", creatExcl, syscall.ENOMEM), func(t *testing.T) {
			wantError(t, create(), `semget\(.*\): cannot allocate memory`, syscall.ENOMEM)
		}},
		{"no memory to undo", rule("semop", 0, syscall.ENOMEM), func(t *testing.T) {
			wantError(t, create(), `semop\(id=\d+, \{0 \+1\}\): cannot allocate memory`, syscall.ENOMEM)
			none(t) // what it had made
		}},
		{"no room to undo", rule("semop", 0, syscall.ENOSPC), func(t *testing.T) {
			mu := sem.NewMutex(newSet(t, 1), 0)
			for range 2 { // it can be tried again
				wantError(t, mu.Lock(), `semop\(.*\): no space left on device`, syscall.ENOSPC)
				wantError(t, mu.TryLock(), `semop\(.*\): no space left on device`, syscall.ENOSPC)
			}
		}},
		{"removed by another process while it is made", rule("semctl", setAll, syscall.EIDRM), func(t *testing.T) {
			wantError(t, create(), `semctl\(id=\d+, SETALL\): identifier removed: no such set: .*`, syscall.EIDRM, shm.ErrRemoved)
			none(t)
		}},
		{"removed within a call", rule("semctl", ipcStat, syscall.EIDRM), func(t *testing.T) {
			id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
			wantError(t, lastOf(id.Stat()), `semctl\(.*, IPC_STAT\): identifier removed: no such set: .*`, syscall.EIDRM, shm.ErrRemoved)
			wantError(t, lastOf(id.Values()), `semctl\(.*, GETALL\): identifier removed: no such set: .*`, syscall.EIDRM, shm.ErrRemoved)
		}},
		{"removed between the two calls of GETALL", rule("semctl", getAll, syscall.EIDRM), func(t *testing.T) {
			wantError(t, lastOf(newSet(t, 1).Values()), `semctl\(.*, GETALL\): identifier removed: no such set: .*`, syscall.EIDRM, shm.ErrRemoved)
		}},
		{"a slot that is being emptied", rule("semctl", semStat, syscall.EIDRM), func(t *testing.T) {
			newSet(t, 1)
			_, _, err := sem.StatIndex(0)
			wantError(t, err, `semctl\(index=0, SEM_STAT\): identifier removed: the slot has no set`, syscall.EIDRM, fs.ErrNotExist)
		}},
		{"always removed before it is opened", rule("semget", creatExcl, syscall.EEXIST), func(t *testing.T) {
			wantError(t, create(), `semget\(.*, 0600\): no such file or directory`, syscall.ENOENT, fs.ErrNotExist)
		}},
		{"a set that cannot be opened", rule("semget", creatExcl, syscall.EEXIST) + rule("semget", 0, syscall.ENOMEM), func(t *testing.T) {
			wantError(t, create(), `semget\(.*, 0600\): cannot allocate memory`, syscall.ENOMEM)
		}},
		{"an opener that cannot see whether it is initialised", rule("semctl", ipcStat, syscall.EIO), func(t *testing.T) {
			get(t, testKey, 1, shm.IPC_CREAT|0o600)
			wantError(t, create(), `semctl\(.*, IPC_STAT\): input/output error`, syscall.EIO)
		}},
		{"no limits for a hint", rule("semget", creatExcl, syscall.ENOSPC) + rule("semctl", ipcInfo, syscall.EIO), func(t *testing.T) {
			wantError(t, create(), `semget\(.*\): no space left on device`, syscall.ENOSPC)
			wantError(t, getErr(shm.IPC_PRIVATE, 32001, 0o600), `semget\(.*\): invalid argument`, syscall.EINVAL)
			wantError(t, newSet(t, 1).Op(make([]sem.Op, 501)...), `semop\(.*\): argument list too long`, syscall.E2BIG)
			wantError(t, lastOf(sem.Limits()), `semctl\(IPC_INFO\): input/output error`, syscall.EIO)
		}},
		{"no usage for a hint", rule("semget", creatExcl, syscall.ENOSPC) + rule("semctl", semInfo, syscall.EPERM), func(t *testing.T) {
			wantError(t, create(), `semget\(.*\): no space left on device`, syscall.ENOSPC)
			wantError(t, lastOf(sem.Usage()), `semctl\(SEM_INFO\): operation not permitted`, syscall.EPERM, fs.ErrPermission)
			wantError(t, lastOf(sem.List()), `semctl\(SEM_INFO\): operation not permitted`, syscall.EPERM, fs.ErrPermission)
		}},
		{"no status for a hint", rule("semctl", ipcStat, syscall.EIO) + rule("semctl", ipcSet, syscall.EPERM), func(t *testing.T) {
			id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
			wantError(t, id.Op(sem.Op{Num: 1}), `semop\(.*\): file too large`, syscall.EFBIG)
			wantError(t, id.Set(&sem.SemidDS{}), `semctl\(.*, IPC_SET\): operation not permitted`, syscall.EPERM, fs.ErrPermission)
		}},
		{"the list fails in the middle", rule("semctl", semStatAny, syscall.EIO), func(t *testing.T) {
			newSet(t, 1)
			wantError(t, lastOf(sem.List()), `semctl\(SEM_STAT_ANY\): input/output error`, syscall.EIO)
		}},
		{"a kernel before 4.17", rule("semctl", semStatAny, syscall.EINVAL), testOldKernel},
	} {
		t.Run(c.name, func(t *testing.T) { preloaded(t, c.faults, c.run) })
	}
}

// testOldKernel: without SEM_STAT_ANY the sets that may be read are listed.
func testOldKernel(t *testing.T) {
	readable, secret := get(t, testKey, 1, shm.IPC_CREAT|0o644), newSet(t, 1)
	if sets, err := sem.List(); len(sets) != 2 || err != nil {
		t.Errorf("as root: %v, %v", sets, err)
	}
	needOtherUsers(t)
	become(t, nobody, nobody)
	sets, err := sem.List()
	if len(sets) != 1 || sets[0].ID != readable || !errors.Is(err, shm.ErrPartial) {
		t.Errorf("as another user: %v, %v", sets, err)
	}
	// Neither is there a hint then.
	wantError(t, lastOf(secret.Stat()), `semctl\(.*\): permission denied`, syscall.EACCES, fs.ErrPermission)
	wantError(t, secret.SetValues([]uint16{1}), `semctl\(.*, SETALL\): permission denied`, syscall.EACCES, fs.ErrPermission)
}
