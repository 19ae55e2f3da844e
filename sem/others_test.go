//go:build linux && cgo

package sem_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/internal/others"
	"github.com/gosysv/shm/sem"
)

// What the tools of util-linux print is what this package tells, and perl, which
// has semget, semop and semctl built in, does what Go does.

// makeSets makes the sets that the tools are to tell of: one that is as new; one
// with values, and processes that wait; and one of another user.
func makeSets(t *testing.T) []sem.Set {
	t.Helper()
	get(t, -0x7fffffff, 1, shm.IPC_CREAT|0o600)
	used := get(t, testKey, 3, shm.IPC_CREAT|0o640)
	ok(t, used.SetValues([]uint16{0, 7, 32767}))
	startGo(t).number("semop %d 2 -1 0", used)
	for range 2 {
		startGo(t).Ask("semop %d 0 -1 0", used)
	}
	startGo(t).Ask("semop %d 1 0 0", used)
	awaitWaiting(t, used, 0, 2)
	awaitWaitingZero(t, used, 1, 1)
	t.Cleanup(func() { discard(t, used) }) // before the peers end, which wait
	theirs := newSet(t, 1, 2)
	ds := stat(t, theirs)
	ds.Perm.UID, ds.Perm.GID, ds.Perm.Mode = nobody, nobody, 0o604
	if err := theirs.Set(&ds); err != nil {
		t.Log("the owner stays: ", err)
	}
	sets, err := sem.List()
	if err != nil || len(sets) != 3 {
		t.Fatalf("%d sets, %v", len(sets), err)
	}
	return sets
}

func TestIpcs(t *testing.T) {
	ipcns.Run(t, func(t *testing.T) {
		sets := makeSets(t)
		for _, c := range []struct {
			option, heading string
			row             func(s *sem.Set) string
		}{
			{"-s", "key", func(s *sem.Set) string {
				return fmt.Sprintf("%v %d %s %o %d", s.Perm.Key, s.ID, others.Owner(s.Perm.UID), s.Perm.Mode.Perm(), s.Nsems)
			}},
			{"-st", "semid", func(s *sem.Set) string {
				return fmt.Sprintf("%d %s %s %s", s.ID, others.Owner(s.Perm.UID),
					others.Time(s.OpTime(), time.ANSIC), others.Time(s.ChangeTime(), time.ANSIC))
			}},
			{"-sc", "semid", func(s *sem.Set) string {
				p := &s.Perm
				return fmt.Sprintf("%d %o %s %s %s %s", s.ID, p.Mode.Perm(), others.User(p.CUID), others.Group(p.CGID), others.User(p.UID), others.Group(p.GID))
			}},
		} {
			others.SameRows(t, "ipcs "+c.option, sets, others.Rows(others.UtilLinux(t, "ipcs", c.option), c.heading), c.row)
		}
		var details []string
		for _, s := range sets {
			details = append(details, others.Flat(others.UtilLinux(t, "ipcs", "-s", "-i", fmt.Sprint(s.ID))))
		}
		others.SameRows(t, "ipcs -s -i ID", sets, details, func(s *sem.Set) string { return ipcsDetails(t, s) })
	})
}

// ipcsDetails is what ipcs -s -i prints of a set.
func ipcsDetails(t *testing.T, s *sem.Set) string {
	t.Helper()
	p := &s.Perm
	details := fmt.Sprintf("Semaphore Array semid=%d uid=%d gid=%d cuid=%d cgid=%d mode=%#o, access_perms=%#o "+
		"nsems = %d otime = %s ctime = %s semnum value ncount zcount pid",
		s.ID, p.UID, p.GID, p.CUID, p.CGID, p.Mode, p.Mode.Perm(), s.Nsems,
		others.Time(s.OpTime(), time.ANSIC), others.Time(s.ChangeTime(), time.ANSIC))
	values, err := s.ID.Values()
	ok(t, err)
	for num := range int(s.Nsems) {
		details += fmt.Sprint(" ", num)
		for _, ask := range []func(int) (int, error){s.ID.Value, s.ID.WaitingIncrease, s.ID.WaitingZero, s.ID.PID} {
			n, err := ask(num)
			ok(t, err)
			details += fmt.Sprint(" ", n)
		}
		if v, err := s.ID.Value(num); err != nil || v != int(values[num]) {
			t.Errorf("Value %d, %v; Values %d", v, err, values[num])
		}
	}
	return details
}

func TestLsipc(t *testing.T) {
	ipcns.Run(t, func(t *testing.T) {
		var want []map[string]string
		for _, s := range makeSets(t) {
			row := others.LsipcPerm(&s.Perm)
			maps.Copy(row, map[string]string{
				"ID": fmt.Sprint(s.ID), "NSEMS": fmt.Sprint(s.Nsems),
				"CTIME": others.LsipcTime(s.ChangeTime()), "OTIME": others.LsipcTime(s.OpTime()),
			})
			want = append(want, row)
		}
		others.SameAsLsipc(t, "semaphores", want)
	})
}

// The limits and the usage, by both tools.
func TestLimitsAndUsageOfTools(t *testing.T) {
	ipcns.Run(t, func(t *testing.T) {
		// lsipc 2.38 takes every set to be as large as the first.
		for range 2 {
			newSet(t, 0, 0, 0)
		}
		setLimits(t, 50, 1000, 40, 60)
		l, err := sem.Limits()
		ok(t, err)
		u, err := sem.Usage()
		ok(t, err)
		for option, want := range map[string]string{
			"-sl": fmt.Sprintf("------ Semaphore Limits -------- max number of arrays = %d max semaphores per array = %d "+
				"max semaphores system wide = %d max ops per semop call = %d semaphore max value = %d",
				l.Semmni, l.Semmsl, l.Semmns, l.Semopm, l.Semvmx),
			"-su": fmt.Sprintf("------ Semaphore Status -------- used arrays = %d allocated semaphores = %d", u.UsedIDs, u.UsedSems),
		} {
			if got := others.Flat(others.UtilLinux(t, "ipcs", option)); got != want {
				t.Errorf("ipcs %s:\n got %s\nwant %s", option, got, want)
			}
		}
		others.SameLimitsAsLsipc(t, "semaphores", map[string][2]string{
			"SEMMNI": {fmt.Sprint(l.Semmni), fmt.Sprint(u.UsedIDs)},
			"SEMMNS": {fmt.Sprint(l.Semmns), fmt.Sprint(u.UsedSems)},
			"SEMMSL": {fmt.Sprint(l.Semmsl), "-"},
			"SEMOPM": {fmt.Sprint(l.Semopm), "-"},
			"SEMVMX": {fmt.Sprint(l.Semvmx), "-"},
		})
	})
}

// What ipcmk makes Go uses and removes; what Go makes ipcrm removes, by its id, by
// its key, and all.
func TestIpcmkAndIpcrm(t *testing.T) {
	needPrivateNS(t)
	out := others.UtilLinux(t, "ipcmk", "--semaphore", "3", "--mode", "0640")
	var made sem.ID
	if _, err := fmt.Sscanf(out, "Semaphore id: %d", &made); err != nil {
		t.Fatalf("ipcmk printed %q", out)
	}
	ds := stat(t, made)
	if ds.Nsems != 3 || ds.Perm.Mode != 0o640 || int(ds.Perm.CUID) != os.Geteuid() || ds.Otime != 0 {
		t.Errorf("%+v", ds)
	}
	if got := get(t, ds.Perm.Key, 3, 0o600); got != made {
		t.Errorf("its key has set %d, want %d", got, made)
	}
	ok(t, made.Op(sem.Op{Num: 2, Op: +5}))
	wantValues(t, made, 0, 0, 5)
	remove(t, made)
	others.UtilLinuxFails(t, "ipcrm", "-s", fmt.Sprint(made))

	byID, byKey := newSet(t, 1), get(t, testKey, 1, shm.IPC_CREAT|0o600)
	others.UtilLinux(t, "ipcrm", "-s", fmt.Sprint(byID))
	others.UtilLinux(t, "ipcrm", "-S", testKey.String())
	for _, id := range []sem.ID{byID, byKey} {
		wantErrno(t, lastOf(id.Stat()), syscall.EINVAL)
	}
	newSet(t, 1)
	newSet(t, 1)
	others.UtilLinux(t, "ipcrm", "--all=sem")
	if sets, err := sem.List(); len(sets) != 0 || err != nil {
		t.Errorf("left: %+v, %v", sets, err)
	}
}

// One side makes the set, the other opens it; values go both ways.
func TestPerlValues(t *testing.T) {
	needPrivateNS(t)
	for _, creator := range []string{"Go", "perl"} {
		t.Run(creator, func(t *testing.T) {
			p := others.StartPerl(t)
			var id sem.ID
			if creator == "Go" {
				id = get(t, testKey, 3, shm.IPC_CREAT|0o640)
				p.Eval("$id = semget(%d, 3, 0)", testKey)
			} else {
				p.Eval("$id = semget(%d, 3, %d)", testKey, shm.IPC_CREAT|shm.IPC_EXCL|0o640)
				id = get(t, testKey, 3, 0)
			}
			if got := p.Eval("$id"); got != fmt.Sprint(id) {
				t.Fatalf("perl has set %s, Go %d", got, id)
			}
			p.Eval("semctl($id, 0, %d, pack('S*', 1, 500, 32767))", setAll)
			wantValues(t, id, 1, 500, 32767)
			ok(t, id.SetValues([]uint16{9, 8, 7}))
			p.Eval("semctl($id, 0, %d, $all)", getAll)
			if got := p.Eval("join(' ', unpack('S*', $all))"); got != "9 8 7" {
				t.Errorf("perl reads %s", got)
			}
			p.Eval("semctl($id, 0, 0, 0)")
			wantErrno(t, lastOf(id.Stat()), syscall.EINVAL)
		})
	}
}

// perl and Go wait for each other, and what a perl has taken with SEM_UNDO comes
// back at its end.
func TestPerlOp(t *testing.T) {
	p := others.StartPerl(t)
	id := newSet(t, 0, 0)
	p.Ask("semop(%d, pack('S s s  S s s', 0, -2, 0, 1, 1, 0)) ? 1 : undef", id)
	awaitWaiting(t, id, 0, 1)
	ok(t, id.Op(sem.Op{Num: 0, Op: +3}))
	_, err := p.Answer()
	ok(t, err)
	wantValues(t, id, 1, 1)
	if pid, err := id.PID(1); pid != p.PID() || err != nil {
		t.Errorf("PID %d, %v; perl is %d", pid, err, p.PID())
	}

	op := async(t, func() error { return id.Op(sem.Op{Num: 1, Op: -2}) })
	awaitWaiting(t, id, 1, 1)
	p.Eval("semop(%d, pack('S s s', 1, 1, 0)) ? 1 : undef", id)
	ok(t, op())
	wantValues(t, id, 1, 0)

	_, err = p.Do("semop(%d, pack('S s s', 1, -1, %d)) ? 1 : undef", id, int(sem.IPC_NOWAIT))
	wantErrno(t, err, syscall.EAGAIN)
	p.Eval("semop(%d, pack('S s s', 0, -1, %d)) ? 1 : undef", id, int(sem.SEM_UNDO))
	wantValues(t, id, 0, 0)
	p.End()
	wantValues(t, id, 1, 0)
}

// A Mutex and a perl that does as docs/locks.md says exclude each other.
func TestPerlMutex(t *testing.T) {
	p := others.StartPerl(t)
	id := newSet(t, 1)
	mu := sem.NewMutex(id, 0)
	p.Eval("semop(%d, pack('S s s', 0, -1, %d)) ? 1 : undef", id, int(sem.SEM_UNDO))
	if err := mu.TryLock(); err == nil {
		t.Fatal("Go has what perl has")
	}
	lock := async(t, mu.Lock)
	awaitWaiting(t, id, 0, 1)
	p.Eval("semop(%d, pack('S s s', 0, 1, %d)) ? 1 : undef", id, int(sem.SEM_UNDO))
	ok(t, lock())
	_, err := p.Do("semop(%d, pack('S s s', 0, -1, %d)) ? 1 : undef", id, int(sem.SEM_UNDO|sem.IPC_NOWAIT))
	wantErrno(t, err, syscall.EAGAIN)
	ok(t, mu.Unlock())
}

// The status that perl is told is Go's in every byte; and what it sets, Go reads.
func TestPerlStatus(t *testing.T) {
	p := others.StartPerl(t)
	p.NeedSameStructs()
	id := newSet(t, 1, 2)
	ok(t, id.Op(sem.Op{Num: 0, Op: +1}))
	ds := stat(t, id)
	p.Eval("semctl(%d, 0, %d, $ds)", id, ipcStat)
	raw, err := hex.DecodeString(p.Eval("unpack('H*', $ds)"))
	ok(t, err)
	cstruct.SameBytes(t, "IPC_STAT by perl", raw, &ds)

	ds.Perm.Mode = 0o606
	p.Eval("semctl(%d, 0, %d, $new = pack('H*', '%x'))", id, ipcSet, cstruct.Bytes(&ds))
	if got := stat(t, id).Perm.Mode; got != 0o606 {
		t.Errorf("perl set mode %v", got)
	}
}
