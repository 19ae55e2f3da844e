//go:build linux && cgo

package sem_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/errtest"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// wantError is [errtest.Want] of what errors can be here.
func wantError(t *testing.T, err error, pattern string, errno syscall.Errno, is ...error) {
	t.Helper()
	errtest.Want(t, err, pattern, errno, []error{fs.ErrExist, fs.ErrNotExist, fs.ErrPermission, shm.ErrRemoved}, is)
}

// lastOf returns the error of a call that has other results.
func lastOf[T any](_ T, err error) error { return err }

// The errors of semget(2), semop(2) and semctl(2) that can be provoked are in
// the tests below, each with its whole text. Of those in the manual pages these
// cannot be:
//   - ENOMEM of semget and semop: the kernel must be out of memory. TestFaults
//     has it from a libc that lies.
//   - EFAULT of semop, GETALL and SETALL: what crosses is Go's own memory.
//   - EINTR of semop: the call is made again, as TestSignals shows.
//   - EIDRM of semctl: the set must be removed within the call. TestFaults
//     has it.
//   - EINVAL for a command that the kernel does not know: there is none here.

// deadSet returns the id of a set that is removed.
func deadSet(t *testing.T) sem.ID {
	t.Helper()
	id := get(t, shm.IPC_PRIVATE, 1, 0o600)
	remove(t, id)
	return id
}

func getErr(key shm.Key, n int, flags shm.GetFlag) error { return lastOf(sem.Get(key, n, flags)) }

func TestGetErrors(t *testing.T) {
	needPrivateNS(t)
	id := get(t, testKey, 2, shm.IPC_CREAT|0o600)
	const other = testKey + 1
	for _, c := range []struct {
		err     error
		pattern string
		errno   syscall.Errno
		is      error
	}{
		{getErr(other, 1, 0o600), `semget\(key=0x000005ea, nsems=1, 0600\): no such file or directory`, syscall.ENOENT, fs.ErrNotExist},
		{getErr(testKey, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600), `semget\(key=0x000005e9, nsems=1, IPC_CREAT\|IPC_EXCL\|0600\): file exists`, syscall.EEXIST, fs.ErrExist},
		{getErr(testKey, 3, 0o600), `semget\(key=0x000005e9, nsems=3, 0600\): invalid argument: the set has 2 semaphores`, syscall.EINVAL, nil},
		{getErr(other, 0, shm.IPC_CREAT|0o600), `semget\(.* nsems=0, .*\): invalid argument: a new set has at least 1 semaphore`, syscall.EINVAL, nil},
		{getErr(shm.IPC_PRIVATE, 0, 0o600), `semget\(key=0x00000000, nsems=0, 0600\): invalid argument: a new set has at least 1 semaphore`, syscall.EINVAL, nil},
		{getErr(shm.IPC_PRIVATE, -1, 0o600), `semget\(.* nsems=-1, 0600\): invalid argument: the number of semaphores is negative`, syscall.EINVAL, nil},
		{getErr(shm.IPC_PRIVATE, 32001, 0o600), `semget\(.* nsems=32001, 0600\): invalid argument: semmsl is 32000 semaphores`, syscall.EINVAL, nil},
		{getErr(other, 1, shm.IPC_CREAT|shm.SHM_NORESERVE|0o600), `semget\(.*IPC_CREAT\|SHM_NORESERVE\|0600\): invalid argument: semget knows IPC_CREAT, IPC_EXCL and permissions only`, syscall.EINVAL, nil},
	} {
		wantError(t, c.err, c.pattern, c.errno, c.is)
	}
	if math.MaxInt > math.MaxInt32 {
		n := math.MaxInt
		wantError(t, getErr(other, n, shm.IPC_CREAT|0o600),
			`semget\(.*\): invalid argument: more semaphores than an int of C counts`, syscall.EINVAL)
	}
	if table := procTable(t); len(table) != 1 || table[id] == nil {
		t.Errorf("sets: %v", table)
	}
	// Any number up to the set's own finds it.
	for n := range 3 {
		if got, err := sem.Get(testKey, n, 0o600); got != id || err != nil {
			t.Errorf("with %d semaphores: %d, %v", n, got, err)
		}
	}
}

func TestOpErrors(t *testing.T) {
	id, full := newSet(t, 0, 5), newSet(t, sem.SEMVMX, 0)
	limits, err := sem.Limits()
	ok(t, err)
	down := sem.Op{Num: 0, Op: -1}
	nowait := sem.Op{Num: 0, Op: -1, Flags: sem.IPC_NOWAIT}
	soon := func(f func() error) error { t.Helper(); return async(t, f)() }
	for _, c := range []struct {
		err     error
		pattern string
		errno   syscall.Errno
		is      error
	}{
		{id.Op(), `semop\(id=\d+\): invalid argument: there is no operation`, syscall.EINVAL, nil},
		{id.OpTimeout(time.Hour), `semtimedop\(id=\d+\): invalid argument: there is no operation`, syscall.EINVAL, nil},
		{id.OpContext(t.Context()), `semtimedop\(id=\d+\): invalid argument: there is no operation`, syscall.EINVAL, nil},
		{id.Op(nowait), `semop\(id=\d+, \{0 -1 IPC_NOWAIT\}\): resource temporarily unavailable`, syscall.EAGAIN, nil},
		{soon(func() error { return id.OpTimeout(time.Hour, nowait) }), `semtimedop\(id=\d+, \{0 -1 IPC_NOWAIT\}\): resource temporarily unavailable`, syscall.EAGAIN, nil},
		{soon(func() error { return id.OpContext(t.Context(), sem.Op{Num: 1, Op: -1}, nowait) }), `semtimedop\(id=\d+, \{1 -1\}, \{0 -1 IPC_NOWAIT\}\): resource temporarily unavailable`, syscall.EAGAIN, nil},
		{id.Op(sem.Op{Num: 1, Flags: sem.IPC_NOWAIT}), `semop\(id=\d+, \{1 \+0 IPC_NOWAIT\}\): resource temporarily unavailable`, syscall.EAGAIN, nil},
		{id.OpTimeout(time.Millisecond, down), `semtimedop\(id=\d+, \{0 -1\}\): resource temporarily unavailable`, syscall.EAGAIN, nil},
		{id.OpTimeout(0, down), `semtimedop\(id=\d+, \{0 -1\}\): resource temporarily unavailable`, syscall.EAGAIN, nil},
		{id.OpTimeout(math.MinInt64, down), `semtimedop\(id=\d+, \{0 -1\}\): resource temporarily unavailable`, syscall.EAGAIN, nil},
		{id.Op(sem.Op{Num: 2, Op: 1}), `semop\(id=\d+, \{2 \+1\}\): file too large: the set has 2 semaphores`, syscall.EFBIG, nil},
		{id.OpTimeout(1, sem.Op{Num: 65535}), `semtimedop\(id=\d+, \{65535 \+0\}\): file too large: the set has 2 semaphores`, syscall.EFBIG, nil},
		{full.Op(sem.Op{Num: 1, Op: 1}, sem.Op{Num: 0, Op: 1}), `semop\(id=\d+, \{1 \+1\}, \{0 \+1\}\): numerical result out of range: a value, and what a process has to undo, is at most 32767`, syscall.ERANGE, nil},
		{id.Op(make([]sem.Op, limits.Semopm+1)...), `semop\(id=\d+, \{0 \+0\}, \{0 \+0\}, \{0 \+0\}, \{0 \+0\}, … \d+ in all\): argument list too long: semopm is ` + fmt.Sprint(limits.Semopm), syscall.E2BIG, nil},
		{deadSet(t).Op(down), `semop\(id=\d+, \{0 -1\}\): invalid argument: no such set: it is removed, or never was`, syscall.EINVAL, shm.ErrRemoved},
		{deadSet(t).OpTimeout(1, down), `semtimedop\(.*\): invalid argument: no such set: it is removed, or never was`, syscall.EINVAL, shm.ErrRemoved},
		{deadSet(t).OpContext(t.Context(), down), `semtimedop\(.*\): invalid argument: no such set: it is removed, or never was`, syscall.EINVAL, shm.ErrRemoved},
		{sem.ID(-1).Op(down), `semop\(id=-1, \{0 -1\}\): invalid argument: no id is negative`, syscall.EINVAL, nil},
	} {
		wantError(t, c.err, c.pattern, c.errno, c.is)
	}
	wantValues(t, id, 0, 5)
	wantValues(t, full, sem.SEMVMX, 0)
}

// TestRemovedWhileWaiting: each way of waiting ends when the set is removed.
func TestRemovedWhileWaiting(t *testing.T) {
	down := sem.Op{Num: 0, Op: -1}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for call, wait := range map[string]func(id sem.ID) error{
		`semop\(id=\d+, \{0 -1\}\)`:          func(id sem.ID) error { return id.Op(down) },
		`semop\(id=\d+, \{0 \+0\}\)`:         func(id sem.ID) error { return id.Op(sem.Op{Num: 0, Op: 0}) },
		`semtimedop\(id=\d+, \{0 -1\}\)`:     func(id sem.ID) error { return id.OpTimeout(math.MaxInt64, down) },
		`semtimedop\(id=\d+, .0 -1.\)`:       func(id sem.ID) error { return id.OpContext(ctx, down) },
		`semop\(id=\d+, \{0 -1 SEM_UNDO\}\)`: func(id sem.ID) error { return sem.NewMutex(id, 0).Lock() },
	} {
		t.Run(call, func(t *testing.T) {
			id := newSet(t, 0)
			if strings.Contains(call, `\+0`) {
				ok(t, id.SetValue(0, 1))
			}
			waited := async(t, func() error { return wait(id) })
			eventually(t, "the operation to wait", func() bool {
				zero, err := id.WaitingZero(0)
				ok(t, err)
				return waiting(t, id, 0)+zero == 1
			})
			remove(t, id)
			err := waited()
			var e *shm.Error
			if !errors.As(err, &e) || !errors.Is(err, shm.ErrRemoved) {
				t.Fatalf("got %v", err)
			}
			// Between two calls of OpContext the id is already unknown.
			wantError(t, err, call+`: (identifier removed|invalid argument): no such set: it is removed, or never was`, e.Errno, shm.ErrRemoved)
			if e.Errno != syscall.EIDRM && !strings.HasPrefix(call, "semtimedop") {
				t.Errorf("got %v, want EIDRM", e.Errno)
			}
		})
	}
}

// controlErrs are the errors of all commands with an id.
func controlErrs(id sem.ID) map[string]error {
	ds := sem.SemidDS{}
	return map[string]error{
		`IPC_STAT`:          lastOf(id.Stat()),
		`IPC_SET`:           id.Set(&ds),
		`IPC_RMID`:          id.Remove(),
		`GETALL`:            lastOf(id.Values()),
		`SETALL`:            id.SetValues([]uint16{0}),
		`semnum=0, GETVAL`:  lastOf(id.Value(0)),
		`semnum=0, GETPID`:  lastOf(id.PID(0)),
		`semnum=0, GETNCNT`: lastOf(id.WaitingIncrease(0)),
		`semnum=0, GETZCNT`: lastOf(id.WaitingZero(0)),
		`semnum=0, SETVAL`:  id.SetValue(0, 0),
	}
}

func TestControlErrors(t *testing.T) {
	for cmd, err := range controlErrs(deadSet(t)) {
		wantError(t, err, `semctl\(id=\d+, `+cmd+`\): invalid argument: no such set: it is removed, or never was`, syscall.EINVAL, shm.ErrRemoved)
	}
	for cmd, err := range controlErrs(-1) {
		wantError(t, err, `semctl\(id=-1, `+cmd+`\): invalid argument: no id is negative`, syscall.EINVAL)
	}
	id := newSet(t, 1, 2)
	for _, num := range []int{-1, 2, math.MaxInt32, math.MaxInt} {
		for cmd, err := range map[string]error{
			"GETVAL":  lastOf(id.Value(num)),
			"GETPID":  lastOf(id.PID(num)),
			"GETNCNT": lastOf(id.WaitingIncrease(num)),
			"GETZCNT": lastOf(id.WaitingZero(num)),
			"SETVAL":  id.SetValue(num, 0),
		} {
			wantError(t, err, fmt.Sprintf(`semctl\(id=\d+, semnum=%d, %s\): invalid argument: the set has 2 semaphores`, num, cmd), syscall.EINVAL)
		}
	}
	for _, value := range []int{-1, 32768, math.MaxInt} {
		wantError(t, id.SetValue(0, value), `semctl\(id=\d+, semnum=0, SETVAL\): numerical result out of range: a value is at most 32767`, syscall.ERANGE)
	}
	wantError(t, id.SetValues([]uint16{0, 32768}), `semctl\(id=\d+, SETALL\): numerical result out of range: a value is at most 32767`, syscall.ERANGE)
	for n, values := range [][]uint16{nil, {1}, 3: {1, 2, 3}} {
		if n != 2 {
			wantError(t, id.SetValues(values), fmt.Sprintf(`semctl\(id=\d+, SETALL\): invalid argument: %d values for 2 semaphores`, n), syscall.EINVAL)
		}
	}
	wantError(t, id.Set(nil), `semctl\(id=\d+, IPC_SET\): bad address: the \*SemidDS is nil`, syscall.EFAULT)
	ds := stat(t, id)
	ds.Perm.UID = math.MaxUint32 // (uid_t)-1 is nobody's, anywhere
	wantError(t, id.Set(&ds), `semctl\(id=\d+, IPC_SET\): invalid argument: the user namespace has no such uid or gid`, syscall.EINVAL)
	wantValues(t, id, 1, 2)
}

func TestIndexErrors(t *testing.T) {
	for _, index := range []int{-1, 31999, math.MaxInt} {
		for cmd, stat := range map[string]func(int) (sem.ID, sem.SemidDS, error){"SEM_STAT": sem.StatIndex, "SEM_STAT_ANY": sem.StatIndexAny} {
			_, _, err := stat(index)
			wantError(t, err, fmt.Sprintf(`semctl\(index=%d, %s\): invalid argument: the slot has no set`, index, cmd), syscall.EINVAL, fs.ErrNotExist)
		}
	}
}

// TestOtherUserErrors: as another user, of whom there is one other.
func TestOtherUserErrors(t *testing.T) {
	ipcns.Run(t, func(t *testing.T) {
		needOtherUsers(t)
		secret := get(t, testKey, 2, shm.IPC_CREAT|0o600)
		readable := get(t, testKey+1, 2, shm.IPC_CREAT|0o604)
		own := get(t, testKey+2, 2, shm.IPC_CREAT|0o600)
		ds := stat(t, own)
		ds.Perm.UID, ds.Perm.Mode = nobody, 0
		ok(t, own.Set(&ds))
		become(t, nobody, nobody)

		denied := `: permission denied: the set is of uid 0, gid 0, mode 0600`
		wantError(t, getErr(testKey, 1, 0o600), `semget\(.*\)`+denied, syscall.EACCES, fs.ErrPermission)
		wantError(t, getErr(testKey, 3, 0), `semget\(.*\): invalid argument: the set has 2 semaphores`, syscall.EINVAL)
		wantError(t, secret.Op(sem.Op{Op: 1}), `semop\(id=\d+, \{0 \+1\}\)`+denied, syscall.EACCES, fs.ErrPermission)
		wantError(t, secret.Op(sem.Op{}), `semop\(id=\d+, \{0 \+0\}\)`+denied, syscall.EACCES, fs.ErrPermission)
		for cmd, err := range controlErrs(secret) {
			switch cmd {
			case "IPC_SET", "IPC_RMID":
				wantError(t, err, `semctl\(id=\d+, `+cmd+`\): operation not permitted: the set is of uid 0, gid 0, mode 0600`, syscall.EPERM, fs.ErrPermission)
			case "SETALL": // its size is known, and that it is not 1
				wantError(t, err, `semctl\(id=\d+, SETALL\): invalid argument: 1 values for 2 semaphores`, syscall.EINVAL)
			default:
				wantError(t, err, `semctl\(id=\d+, `+cmd+`\)`+denied, syscall.EACCES, fs.ErrPermission)
			}
		}
		wantError(t, secret.SetValues([]uint16{1, 2}), `semctl\(id=\d+, SETALL\)`+denied, syscall.EACCES, fs.ErrPermission)
		wantError(t, readable.Op(sem.Op{Op: 1}), `semop\(.*\): permission denied: the set is of uid 0, gid 0, mode 0604`, syscall.EACCES, fs.ErrPermission)
		ok(t, readable.Op(sem.Op{}))
		wantValues(t, readable, 0, 0)
		wantError(t, lastOf(own.Stat()), `semctl\(.*\): permission denied: the set is of uid 65534, gid 0, mode 0, created by uid 0, gid 0`, syscall.EACCES, fs.ErrPermission)

		testForbiddenSlots(t, secret)
		ok(t, own.Remove())
	})
}

// testForbiddenSlots: a set that may not be read can be listed.
func testForbiddenSlots(t *testing.T, secret sem.ID) {
	t.Helper()
	sets, err := sem.List()
	if len(sets) != 3 || err != nil {
		t.Errorf("List: %v, %v", sets, err)
	}
	for index := range 3 {
		id, ds, err := sem.StatIndexAny(index)
		ok(t, err)
		if id != secret {
			continue
		}
		if ds.Nsems != 2 {
			t.Errorf("SEM_STAT_ANY: %+v", ds)
		}
		_, _, err = sem.StatIndex(index)
		wantError(t, err, `semctl\(index=\d+, SEM_STAT\): permission denied`, syscall.EACCES, fs.ErrPermission)
	}
}
