//go:build linux && cgo

package sem_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

func TestStructsAreC(t *testing.T) {
	mirrors := map[string]cstruct.Member{}
	cstruct.Layout[sem.Op](mirrors, "sembuf", "Num sem_num", "Op sem_op", "Flags sem_flg")
	cstruct.Layout[sem.SemidDS](mirrors, "semid_ds", "Perm sem_perm", "Otime sem_otime", "Ctime sem_ctime",
		"Nsems sem_nsems")
	cstruct.Layout[sem.LimitsInfo](mirrors, "seminfo", "Semmap semmap", "Semmni semmni", "Semmns semmns",
		"Semmnu semmnu", "Semmsl semmsl", "Semopm semopm", "Semume semume", "Semusz semusz", "Semvmx semvmx", "Semaem semaem")
	compiled := compiledLayout(t)
	if _, ok := compiled["semid_ds.sem_nsems"]; !ok {
		t.Log("musl has another sem_nsems: a short, of the same value")
		delete(mirrors, "semid_ds.sem_nsems")
	}
	if diff := cmp.Diff(compiled, mirrors); diff != "" {
		t.Errorf("the structs differ (-C +Go):\n%s", diff)
	}

	// SEM_INFO gives two members of the same struct another meaning.
	usage := map[string]cstruct.Member{}
	cstruct.Layout[sem.UsageInfo](usage, "seminfo", "UsedIDs semusz", "UsedSems semaem")
	for name, got := range usage {
		if want := compiled[name]; got != want {
			t.Errorf("UsageInfo: %s is at %+v, in C at %+v", name, got, want)
		}
	}
}

func compiledLayout(t *testing.T) map[string]cstruct.Member {
	t.Helper()
	answer, err := startC(t).Do("semlayout")
	ok(t, err)
	compiled := map[string]cstruct.Member{}
	for ; len(answer) >= 4; answer = answer[4:] {
		compiled[answer[0]] = cstruct.Member{
			Offset: uintptr(atoi(t, answer[1])), Size: uintptr(atoi(t, answer[2])), Signed: answer[3] == "1",
		}
	}
	return compiled
}

// TestSameBytes: what the kernel tells a C program it tells Go, in every byte.
func TestSameBytes(t *testing.T) {
	needPrivateNS(t)
	c := startC(t)
	id := get(t, testKey, 3, shm.IPC_CREAT|0o640)
	ok(t, id.Op(sem.Op{Num: 1, Op: 5}))
	removed := newSet(t, 0)
	newSet(t, 0, 0)
	remove(t, removed) // an empty slot in the middle

	ds := stat(t, id)
	_, raw := c.raw("semstat %d", id)
	cstruct.SameBytes(t, "IPC_STAT", raw, &ds)
	if ds.Nsems != 3 || ds.Perm.Key != testKey || ds.Perm.Mode != 0o640 || ds.Otime == 0 {
		t.Errorf("not the status of the set: %+v", ds)
	}

	limits, err := sem.Limits()
	ok(t, err)
	_, raw = c.raw("semipcinfo")
	cstruct.SameBytes(t, "IPC_INFO", raw, &limits)

	usage, err := sem.Usage()
	ok(t, err)
	highest, raw := c.raw("seminfo")
	cstruct.SameBytes(t, "SEM_INFO", raw, &usage)

	empty, used := 0, 0
	for index := range highest + 1 {
		goID, ds, err := sem.StatIndex(index)
		anyID, anyDS, errAny := sem.StatIndexAny(index)
		if errors.Is(err, fs.ErrNotExist) && errors.Is(errAny, fs.ErrNotExist) {
			c.refuses(syscall.EINVAL, "semstatidx %d", index)
			c.refuses(syscall.EINVAL, "semstatany %d", index)
			empty++
			continue
		}
		ok(t, errors.Join(err, errAny))
		used++
		cID, raw := c.raw("semstatidx %d", index)
		cstruct.SameBytes(t, "SEM_STAT", raw, &ds)
		cAnyID, raw := c.raw("semstatany %d", index)
		cstruct.SameBytes(t, "SEM_STAT_ANY", raw, &anyDS)
		if int(goID) != cID || int(anyID) != cAnyID {
			t.Errorf("slot %d: ids %d, %d in Go and %d, %d in C", index, goID, anyID, cID, cAnyID)
		}
	}
	if empty == 0 || used != 2 {
		t.Errorf("%d slots are empty and %d used, want 1 or more and 2", empty, used)
	}
}

// TestProc: List, StatIndex and Usage tell what /proc/sysvipc/sem tells, for
// no set, some, and more than List has room for at first.
func TestProc(t *testing.T) {
	needPrivateNS(t)
	for n, made := range []int{0, 5, 64, 65, 200} {
		t.Run(strconv.Itoa(made), func(t *testing.T) {
			for i := range made {
				id := get(t, shm.IPC_PRIVATE, 1+i%7, 0o600)
				ok(t, id.Op(sem.Op{Num: 0, Op: int16(n)}))
			}
			compareWithProc(t, made)
		})
	}
}

func compareWithProc(t *testing.T, made int) {
	t.Helper()
	table := procTable(t)
	sets, err := sem.List()
	ok(t, err)
	usage, err := sem.Usage()
	ok(t, err)
	if len(sets) != made || len(table) != made || int(usage.UsedIDs) != made {
		t.Fatalf("%d sets in List, %d in /proc, %d in Usage, want %d", len(sets), len(table), usage.UsedIDs, made)
	}
	total := 0
	for _, s := range sets {
		p := &s.Perm
		got := []string{
			fmt.Sprint(int32(p.Key)), fmt.Sprint(s.ID), fmt.Sprintf("%o", uint32(p.Mode)), fmt.Sprint(s.Nsems),
			fmt.Sprint(p.UID), fmt.Sprint(p.GID), fmt.Sprint(p.CUID), fmt.Sprint(p.CGID),
			fmt.Sprint(s.Otime), fmt.Sprint(s.Ctime),
		}
		if !slices.Equal(got, table[s.ID]) {
			t.Errorf("got %v, /proc %v", got, table[s.ID])
		}
		total += int(s.Nsems)
	}
	if int(usage.UsedSems) != total {
		t.Errorf("%d semaphores in use, want %d", usage.UsedSems, total)
	}
}

// TestSysctl: the limits are those of kernel.sem.
func TestSysctl(t *testing.T) {
	ipcns.Run(t, func(t *testing.T) {
		setLimits(t, 11, 222, 33, 44)
		got, err := sem.Limits()
		ok(t, err)
		if got.Semmsl != 11 || got.Semmns != 222 || got.Semopm != 33 || got.Semmni != 44 || got.Semvmx != sem.SEMVMX {
			t.Errorf("%+v", got)
		}
	})
}

func TestStatusMethods(t *testing.T) {
	before := time.Now().Add(-time.Second) // the kernel's clock is coarse
	id := newSet(t, 0)
	ds := stat(t, id)
	if !ds.OpTime().IsZero() {
		t.Errorf("OpTime %v before any semop", ds.OpTime())
	}
	ok(t, id.Op(sem.Op{Op: 1}))
	ds = stat(t, id)
	for name, got := range map[string]time.Time{"OpTime": ds.OpTime(), "ChangeTime": ds.ChangeTime()} {
		if got.Before(before.Truncate(time.Second)) || got.After(time.Now()) {
			t.Errorf("%s %v, and it is %v", name, got, time.Now())
		}
	}
	if math.MaxInt > math.MaxInt32 {
		far := int64(1 << 40) // beyond 2038
		ds.Otime = int(far)
		if got := ds.OpTime(); got.Unix() != far {
			t.Errorf("OpTime %v", got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		v    interface{ String() string }
		want string
	}{
		{sem.OpFlag(0), "0"},
		{sem.IPC_NOWAIT | sem.SEM_UNDO, "IPC_NOWAIT|SEM_UNDO"},
		{sem.SEM_UNDO | 1, "SEM_UNDO|01"},
		{sem.OpFlag(-1 << 15), "0100000"},
		{sem.Op{Num: 0, Op: -1, Flags: sem.SEM_UNDO}, "{0 -1 SEM_UNDO}"},
		{sem.Op{Num: 3, Op: 2}, "{3 +2}"},
		{sem.Op{Num: 65535, Op: 0, Flags: sem.IPC_NOWAIT}, "{65535 +0 IPC_NOWAIT}"},
	} {
		if got := c.v.String(); got != c.want {
			t.Errorf("%T: got %q, want %q", c.v, got, c.want)
		}
	}
}
