//go:build linux && cgo

package shm_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
)

var shmctlRows = []row{
	{112, "the id or index -1: EINVAL", func(t *testing.T) {
		for _, call := range idCalls {
			wantErrno(t, call(-1), syscall.EINVAL)
		}
		for _, statIndex := range statIndexes {
			wantEmptySlot(t, statIndex, -1)
		}
	}},
	{113, "an id that was removed, or never used: EINVAL", func(t *testing.T) {
		for _, id := range []shm.ID{staleID(t), math.MaxInt32} {
			for _, call := range idCalls {
				err := call(id)
				wantErrno(t, err, syscall.EINVAL)
				wantRemoved(t, err)
			}
		}
	}},
	{114, "Stat while another removes: nil, EINVAL or EIDRM", func(t *testing.T) {
		var id atomic.Int32
		var stop atomic.Bool
		var wg sync.WaitGroup
		id.Store(int32(staleID(t)))
		seen := map[syscall.Errno]int{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !stop.Load() {
				_, err := shm.ID(id.Load()).Stat()
				if err != nil {
					wantRemoved(t, err)
				}
				var errno syscall.Errno
				errors.As(err, &errno)
				seen[errno]++
			}
		}()
		for range 20_000 {
			next, err := shm.Get(shm.IPC_PRIVATE, 1, 0o600)
			if err != nil {
				t.Error(err)
				break
			}
			id.Store(int32(next))
			if err := next.Remove(); err != nil {
				t.Error(err)
			}
		}
		stop.Store(true)
		wg.Wait()
		for errno, times := range seen {
			t.Logf("%d times %v", times, errno)
			if errno != 0 && errno != syscall.EINVAL && errno != syscall.EIDRM {
				t.Errorf("not documented: %v", errno)
			}
		}
	}},
	{115, "Set with nil: EFAULT, and the segment as it was", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		want := stat(t, id)
		wantErrno(t, id.Set(nil), syscall.EFAULT)
		wantSame(t, want, stat(t, id))
	}},
	{116, "Set with a stale id and nil: EFAULT comes first", func(t *testing.T) {
		// Of a negative id the kernel says EINVAL, but is not asked.
		for _, id := range []shm.ID{staleID(t), -1} {
			err := id.Set(nil)
			wantErrno(t, err, syscall.EFAULT)
			if errors.Is(err, shm.ErrRemoved) {
				t.Errorf("%v is ErrRemoved", err)
			}
		}
	}},
	{117, "Stat without read permission: EACCES", asStranger(func(t *testing.T, id shm.ID) {
		_, err := id.Stat()
		wantErrno(t, err, syscall.EACCES)
	})},
	{118, "StatIndex without read permission: EACCES", asStranger(func(t *testing.T, id shm.ID) {
		_, _, err := shm.StatIndex(indexOf(id))
		wantErrno(t, err, syscall.EACCES)
	})},
	{119, "StatIndexAny without any permission: the id and the status", asStranger(func(t *testing.T, id shm.ID) {
		got, ds, err := shm.StatIndexAny(indexOf(id))
		if got != id || ds.Perm.Key != testKey || err != nil {
			t.Errorf("id %d, %+v, %v; want id %d", got, ds, err, id)
		}
	})},
	{120, "Set and Remove by a stranger: EPERM", asStranger(func(t *testing.T, id shm.ID) {
		wantErrno(t, id.Set(&shm.ShmidDS{}), syscall.EPERM)
		wantErrno(t, id.Remove(), syscall.EPERM)
	})},
	{121, "LockPages and UnlockPages by a stranger: EPERM", asStranger(func(t *testing.T, id shm.ID) {
		wantErrno(t, id.LockPages(), syscall.EPERM)
		wantErrno(t, id.UnlockPages(), syscall.EPERM)
	})},
	{122, "Limits, Usage, List and /proc/sysvipc/shm show everybody all", asStranger(func(t *testing.T, id shm.ID) {
		if limits, err := shm.Limits(); limits.Shmmin != 1 || err != nil {
			t.Errorf("Limits: %+v, %v", limits, err)
		}
		if usage, err := shm.Usage(); usage.UsedIDs != 1 || err != nil {
			t.Errorf("Usage: %+v, %v", usage, err)
		}
		if segs, err := shm.List(); len(segs) != 1 || segs[0].ID != id || segs[0].Perm.Key != testKey || err != nil {
			t.Errorf("List: %+v, %v", segs, err)
		}
		if table := procTable(t, "shm"); len(table) != 1 || atoi(t, table[0][1]) != int(id) {
			t.Errorf("/proc/sysvipc/shm: %v", table)
		}
	})},
	{123, "what each capability is for, on the segment of another user", alone(func(t *testing.T) {
		needOtherUsers(t)
		needCaps(t, capIPCLock, capIPCOwner, capSysAdmin)
		other := startGo(t)
		other.setuid(nobody, nobody)
		for _, dropped := range []int{capIPCOwner, capSysAdmin, capIPCLock} {
			t.Run(strconv.Itoa(dropped), func(t *testing.T) {
				id := other.get(testKey, 1, shm.IPC_CREAT)
				dropCaps(t, dropped)
				for _, c := range []struct {
					needs int
					errno syscall.Errno
					err   error
				}{
					{capIPCOwner, syscall.EACCES, lastOf(shm.Get(testKey, 0, 0o400))},
					{capIPCOwner, syscall.EACCES, attachAndDetach(id)},
					{capIPCOwner, syscall.EACCES, lastOf(id.Stat())},
					{capIPCLock, syscall.EPERM, id.LockPages()},
					{capIPCLock, syscall.EPERM, id.UnlockPages()},
					{capSysAdmin, syscall.EPERM, id.Set(&shm.ShmidDS{})},
					{capSysAdmin, syscall.EPERM, id.Remove()},
				} {
					if c.needs == dropped {
						wantErrno(t, c.err, c.errno)
					} else if c.err != nil {
						t.Error(c.err)
					}
				}
			})
		}
	})},
	{124, "Set changes the owner, the permissions and ctime, and ignores the rest", func(t *testing.T) {
		needOtherUsers(t)
		id := get(t, testKey, 100, shm.IPC_CREAT|0o600)
		detach(t, attach(t, id, 0))
		want := stat(t, id)
		asked := shm.ShmidDS{
			Perm: shm.IpcPerm{
				Key: testKey + 1, Seq: want.Perm.Seq + 1, UID: nobody, GID: nobody, CUID: nobody, CGID: nobody,
				Mode: shm.SHM_DEST | shm.SHM_LOCKED | 0o640,
			},
			Segsz: 1, Atime: 1, Dtime: 1, Ctime: 1, Cpid: 1, Lpid: 1, Nattch: 1,
		}
		before := kernelTime(t)
		set(t, id, &asked)
		got := stat(t, id)
		wantSince(t, "ctime", got.Ctime, before)
		want.Perm.UID, want.Perm.GID, want.Perm.Mode, want.Ctime = nobody, nobody, 0o640, got.Ctime
		wantSame(t, want, got)
	}},
	{125, "Set with mode 07777: 0777 is stored", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		ds := stat(t, id)
		ds.Perm.Mode = 0o7777
		set(t, id, &ds)
		if mode := stat(t, id).Perm.Mode; mode != 0o777 {
			t.Errorf("mode %v", mode)
		}
	}},
	{127, "given away by Set: the new owner and the creator may both set, lock and remove", func(t *testing.T) {
		needOtherUsers(t)
		creator, owner := startGo(t), startGo(t)
		creator.setuid(nobody, nobody)
		owner.setuid(nobody-1, nobody-1)
		for _, p := range []*peer{creator, owner} {
			id := creator.get(shm.IPC_PRIVATE, 1, 0o600)
			owner.refuses(syscall.EPERM, "rmid %d", id)
			creator.set(id, nobody-1, nobody-1, 0o600)
			p.set(id, nobody-1, nobody-1, 0o660)
			p.number("lock %d", id)
			p.number("unlock %d", id)
			p.remove(id)
		}
	}},
	{129, "Remove of a segment that nobody is attached to: destroyed at once", func(t *testing.T) {
		id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
		remove(t, id)
		wantGone(t, id)
		_, err := shm.Get(testKey, 0, 0)
		wantErrno(t, err, syscall.ENOENT)
	}},
	{130, "Remove while attached: SHM_DEST, key 0, and the data still usable", func(t *testing.T) {
		id := get(t, testKey, 100, shm.IPC_CREAT|0o600)
		a := attach(t, id, 0)
		want := stat(t, id)
		remove(t, id)
		want.Perm.Key, want.Perm.Mode = shm.IPC_PRIVATE, shm.SHM_DEST|0o600
		wantSame(t, want, stat(t, id))
		a.Bytes()[99] = 1
		if attach(t, id, shm.SHM_RDONLY).Bytes()[99] != 1 {
			t.Error("another attachment does not see the store")
		}
	}},
	{131, "Remove again and again while attached: no error, and not destroyed", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		attach(t, id, 0)
		for range 3 {
			remove(t, id)
		}
		if ds := stat(t, id); ds.Nattch != 1 || !ds.Removed() {
			t.Errorf("%+v", ds)
		}
	}},
	{132, "the last detach of a removed segment: destroyed", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		first, last := attach(t, id, 0), attach(t, id, 0)
		remove(t, id)
		detach(t, first)
		stat(t, id)
		detach(t, last)
		wantGone(t, id)
		_, err := id.Attach(0)
		wantErrno(t, err, syscall.EINVAL)
		wantRemoved(t, err)
	}},
	{134, "a child removes what only its parent is attached to: the parent keeps it", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		a := attach(t, id, 0)
		a.Bytes()[0] = 1
		startGo(t).remove(id)
		if ds := stat(t, id); ds.Nattch != 1 || !ds.Removed() || a.Bytes()[0] != 1 {
			t.Errorf("%+v, byte %d", ds, a.Bytes()[0])
		}
		detach(t, a)
		wantGone(t, id)
	}},
	{135, "LockPages and UnlockPages, each twice: SHM_LOCKED set and cleared, the rest as it was", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		unlocked := stat(t, id)
		locked := unlocked
		locked.Perm.Mode |= shm.SHM_LOCKED
		for range 2 {
			lock(t, id)
			wantSame(t, locked, stat(t, id))
		}
		for range 2 {
			unlock(t, id)
			wantSame(t, unlocked, stat(t, id))
		}
	}},
	{136, "no CAP_IPC_LOCK and RLIMIT_MEMLOCK 0: LockPages is EPERM, UnlockPages is not", alone(func(t *testing.T) {
		setRlimit(t, rlimitMemlock, 0)
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		dropCaps(t, capIPCLock)
		wantErrno(t, id.LockPages(), syscall.EPERM)
		unlock(t, id)
	})},
	{137, "RLIMIT_MEMLOCK is in whole pages, for all the segments of a user: beyond it ENOMEM", asLocker(2, func(t *testing.T, page int) {
		two, one := get(t, shm.IPC_PRIVATE, 2*page, 0o600), get(t, shm.IPC_PRIVATE, 1, 0o600)
		lock(t, two)
		wantErrno(t, one.LockPages(), syscall.ENOMEM)
		unlock(t, two)
		lock(t, one)
		wantErrno(t, two.LockPages(), syscall.ENOMEM)
		remove(t, one)
		lock(t, two)
		unlock(t, two)
		setRlimit(t, rlimitMemlock, uint64(page-1))
		wantErrno(t, two.LockPages(), syscall.ENOMEM)
	})},
	{138, "the process that locked ends: the pages stay locked, and count", asLocker(1, func(t *testing.T, page int) {
		id, mine := get(t, shm.IPC_PRIVATE, page, 0o600), get(t, shm.IPC_PRIVATE, page, 0o600)
		p := startGo(t)
		p.number("lock %d", id)
		p.End()
		if ds := stat(t, id); !ds.PagesLocked() {
			t.Errorf("%+v", ds)
		}
		wantErrno(t, mine.LockPages(), syscall.ENOMEM)
		unlock(t, id)
		lock(t, mine)
	})},
	{139, "LockPages on a segment of huge pages: no error, and no SHM_LOCKED", systemWide(func(t *testing.T) {
		id, _ := getHugePage(t)
		lock(t, id)
		if ds := stat(t, id); ds.PagesLocked() {
			t.Errorf("%+v", ds)
		}
	})},
	{140, "CAP_IPC_LOCK and RLIMIT_MEMLOCK 0: LockPages works", alone(func(t *testing.T) {
		needInitialUserNS(t)
		needCaps(t, capIPCLock)
		setRlimit(t, rlimitMemlock, 0)
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		lock(t, id)
		if ds := stat(t, id); !ds.PagesLocked() {
			t.Errorf("%+v", ds)
		}
	})},
	{141, "StatIndex of the low 15 bits of an id: the whole id, and its status", func(t *testing.T) {
		id := getReusedSlot(t)
		for _, statIndex := range statIndexes {
			got, ds, err := statIndex(indexOf(id))
			if got != id || err != nil {
				t.Errorf("id %d, %v; want %d", got, err, id)
			}
			wantSame(t, stat(t, id), ds)
		}
	}},
	{143, "StatIndex and StatIndexAny of an empty slot: EINVAL", func(t *testing.T) {
		for _, statIndex := range statIndexes {
			wantEmptySlot(t, statIndex, indexOf(staleID(t)))
		}
	}},
	{144, "an index is no id once its slot was used before: EINVAL", func(t *testing.T) {
		wantGone(t, shm.ID(indexOf(getReusedSlot(t))))
	}},
	{146, "Limits: the sysctls; shmmin is 1, and shmseg is shmmni", alone(func(t *testing.T) {
		setSysctl(t, "kernel/shmmax", "7654321")
		setSysctl(t, "kernel/shmmni", "321")
		setSysctl(t, "kernel/shmall", "54321")
		want := shm.LimitsInfo{Shmmax: 7654321, Shmmin: 1, Shmmni: 321, Shmseg: 321, Shmall: 54321}
		if got := limits(t); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})},
	{147, "Usage: the sums of /proc/sysvipc/shm, of sizes in whole pages", alone(func(t *testing.T) {
		page := os.Getpagesize()
		for _, size := range []int{1, page + 1, 5 * page} {
			a := attach(t, get(t, shm.IPC_PRIVATE, size, 0o600), 0)
			a.Bytes()[size-1] = 1
		}
		var want shm.UsageInfo
		for _, fields := range procTable(t, "shm") {
			want.UsedIDs++
			want.ShmTot += uint((atoi(t, fields[3]) + page - 1) / page)
			want.ShmRss += uint(atoi(t, fields[14]) / page)
			want.ShmSwp += uint(atoi(t, fields[15]) / page)
		}
		if got := usage(t); got != want || got.ShmTot != 1+2+5 || got.ShmRss+got.ShmSwp != 3 {
			t.Errorf("%+v, want %+v", got, want)
		}
	})},
	{148, "Usage with a huge page that was touched: ShmRss counts it 512 times", systemWide(func(t *testing.T) {
		id, size := getHugePage(t)
		before := usage(t).ShmRss
		attach(t, id, 0).Bytes()[0] = 1
		pages := uint(size / os.Getpagesize())
		// Once in a kernel that counts right.
		if got := usage(t).ShmRss - before; got != pages*pages && got != pages {
			t.Errorf("%d pages, want %d", got, pages*pages)
		}
	})},
	{150, "StatIndexAny on a kernel before 4.17: EINVAL", func(t *testing.T) {
		t.Setenv("FAULTS", "shmctl 15 22")
		cpeer.Preload(t, "ctest/faults.c")
		ipcns.Run(t, func(t *testing.T) {
			id := get(t, shm.IPC_PRIVATE, 1, 0o600)
			wantEmptySlot(t, shm.StatIndexAny, indexOf(id))
			if got, _, err := shm.StatIndex(indexOf(id)); got != id || err != nil {
				t.Errorf("StatIndex: id %d, %v", got, err)
			}
		})
	}},
}

// idCalls are the calls that take an id. On a segment that is there they do
// something.
var idCalls = []func(id shm.ID) error{
	func(id shm.ID) error { return lastOf(id.Stat()) },
	func(id shm.ID) error { return id.Set(&shm.ShmidDS{}) },
	shm.ID.Remove,
	shm.ID.LockPages,
	shm.ID.UnlockPages,
}

var statIndexes = []func(index int) (shm.ID, shm.ShmidDS, error){shm.StatIndex, shm.StatIndexAny}

// indexOf returns the slot of a segment in the kernel's table.
func indexOf(id shm.ID) int { return int(id & 0x7fff) }

// staleID returns an id that had a segment.
func staleID(t *testing.T) shm.ID {
	t.Helper()
	id := get(t, shm.IPC_PRIVATE, 1, 0o600)
	remove(t, id)
	return id
}

// getReusedSlot makes a segment whose id is not its index: in a slot of the
// kernel's table that had another one. The kernel takes the slots in turn.
func getReusedSlot(t *testing.T) shm.ID {
	t.Helper()
	id := get(t, shm.IPC_PRIVATE, 1, 0o600)
	for int(id) == indexOf(id) {
		remove(t, id)
		id = get(t, shm.IPC_PRIVATE, 1, 0o600)
	}
	return id
}

// asStranger is asNobody with a segment of root's, with testKey, that nobody
// else has any permission for.
func asStranger(run func(t *testing.T, id shm.ID)) func(t *testing.T) {
	return asNobody(func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o600) }, run)
}

// asLocker runs a row as a user who may lock that many pages. It is a user of
// no other run of the tests: locked pages are counted for the whole system.
func asLocker(pages int, run func(t *testing.T, page int)) func(t *testing.T) {
	return alone(func(t *testing.T) {
		setRlimit(t, rlimitMemlock, uint64(pages*os.Getpagesize()))
		if inInitialUserNS(t) { // elsewhere the limit is for root, too
			needOtherUsers(t)
			become(t, nobody-1-os.Getpid()%10_000, nobody)
		}
		run(t, os.Getpagesize())
	})
}

func limits(t *testing.T) shm.LimitsInfo {
	t.Helper()
	info, err := shm.Limits()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func set(t *testing.T, id shm.ID, ds *shm.ShmidDS) {
	t.Helper()
	if err := id.Set(ds); err != nil {
		t.Fatal(err)
	}
}

func lock(t *testing.T, id shm.ID) {
	t.Helper()
	if err := id.LockPages(); err != nil {
		t.Fatal(err)
	}
}

func unlock(t *testing.T, id shm.ID) {
	t.Helper()
	if err := id.UnlockPages(); err != nil {
		t.Fatal(err)
	}
}

func attachAndDetach(id shm.ID) error {
	a, err := id.Attach(shm.SHM_RDONLY)
	if err != nil {
		return err
	}
	return a.Detach()
}

func wantRemoved(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, shm.ErrRemoved) {
		t.Errorf("got %v, want ErrRemoved", err)
	}
}

// wantGone wants the segment to be destroyed.
func wantGone(t *testing.T, id shm.ID) {
	t.Helper()
	_, err := id.Stat()
	wantErrno(t, err, syscall.EINVAL)
	wantRemoved(t, err)
}

func wantEmptySlot(t *testing.T, statIndex func(int) (shm.ID, shm.ShmidDS, error), index int) {
	t.Helper()
	_, _, err := statIndex(index)
	wantErrno(t, err, syscall.EINVAL)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func wantSame(t *testing.T, want, got shm.ShmidDS) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
