//go:build linux && cgo

package shm_test

import (
	"errors"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/errtest"
	"github.com/gosysv/shm/internal/ipcns"
)

// wantError is [errtest.Want] of what errors can be here.
func wantError(t *testing.T, err error, pattern string, errno syscall.Errno, is ...error) {
	t.Helper()
	errtest.Want(t, err, pattern, errno, []error{fs.ErrExist, fs.ErrNotExist, fs.ErrPermission, shm.ErrRemoved}, is)
}

// lastOf returns the error of a call that has other results.
func lastOf[T any](_ T, err error) error { return err }

func TestGetErrors(t *testing.T) {
	needPrivateNS(t)
	exact := get(t, testKey, 4096, shm.IPC_CREAT|0o600)
	const other = testKey + 1

	wantError(t, getErr(other, 1, 0o600),
		`shmget\(key=0x000005ea, size=1, 0600\): no such file or directory`,
		syscall.ENOENT, fs.ErrNotExist)
	wantError(t, getErr(testKey, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600),
		`shmget\(key=0x000005e9, size=1, IPC_CREAT\|IPC_EXCL\|0600\): file exists`,
		syscall.EEXIST, fs.ErrExist)
	wantError(t, getErr(testKey, 8192, 0o600),
		`shmget\(key=0x000005e9, size=8192, 0600\): invalid argument: the segment exists with 4096 bytes`,
		syscall.EINVAL)
	wantError(t, getErr(other, 0, shm.IPC_CREAT|0o600),
		`shmget\(.* size=0, .*\): invalid argument: a new segment has at least 1 byte`,
		syscall.EINVAL)
	wantError(t, getErr(shm.IPC_PRIVATE, -1, 0o600),
		`shmget\(key=0x00000000, size=-1, 0600\): invalid argument: the size is negative`,
		syscall.EINVAL)
	wantError(t, getErr(shm.IPC_PRIVATE, 1, shm.SHM_HUGETLB|shm.GetFlag(5<<shm.SHM_HUGE_SHIFT)),
		`shmget\(.*SHM_HUGETLB\|5<<SHM_HUGE_SHIFT\): invalid argument: this machine has no huge pages of that size`,
		syscall.EINVAL)
	if stat(t, exact).Segsz != 4096 {
		t.Error("the segment changed")
	}
	t.Run("overcommit", func(t *testing.T) {
		needOvercommit(t, "0")
		wantError(t, getErr(shm.IPC_PRIVATE, power(t, 62), 0o600),
			`shmget\(.*\): cannot allocate memory: no memory to reserve for it: vm.overcommit_memory is 0`, syscall.ENOMEM)
	})
}

func getErr(key shm.Key, size int, flags shm.GetFlag) error {
	return lastOf(shm.Get(key, size, flags))
}

// Errors that need another user, each in a process of its own. Those of limits
// are in exhaustion_test.go.
func TestGetErrorsAlone(t *testing.T) {
	t.Run("another user", asNobody(
		func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o640) },
		func(t *testing.T, _ shm.ID) {
			wantError(t, getErr(testKey, 1, 0o600),
				`shmget\(.*\): permission denied: the segment is of uid 0, gid 0, mode 0640`,
				syscall.EACCES, fs.ErrPermission)
			wantError(t, getErr(testKey, 2, 0),
				`shmget\(.*\): invalid argument: the segment exists with 1 bytes`, syscall.EINVAL)
			wantError(t, getErr(shm.IPC_PRIVATE, 1, shm.SHM_HUGETLB|0o600),
				`shmget\(.*\): operation not permitted: SHM_HUGETLB needs CAP_IPC_LOCK, or to be in the group: vm.hugetlb_shm_group is \d+`,
				syscall.EPERM, fs.ErrPermission)
		},
	))
}

func TestAttachErrors(t *testing.T) {
	needPrivateNS(t)
	id := get(t, testKey, 4096, shm.IPC_CREAT|0o600)
	dead := get(t, shm.IPC_PRIVATE, 1, 0o600)
	remove(t, dead)
	a := attach(t, id, 0)
	at := func(id shm.ID, addr uintptr, flags shm.AttachFlag) error {
		return lastOf(id.AttachAt(addr, flags))
	}

	wantError(t, at(dead, 0, 0),
		`shmat\(id=\d+, addr=NULL, 0\): invalid argument: no such segment: it is removed, or never was`,
		syscall.EINVAL, shm.ErrRemoved)
	wantError(t, at(dead, 0x1000000, shm.SHM_RDONLY),
		`shmat\(id=\d+, addr=0x1000000, SHM_RDONLY\): invalid argument: no such segment.*`,
		syscall.EINVAL, shm.ErrRemoved)
	wantError(t, at(-1, 0, 0),
		`shmat\(id=-1, addr=NULL, 0\): invalid argument: no id is negative`, syscall.EINVAL)
	wantError(t, at(id, uintptr(a.Pointer())+1, 0),
		`shmat\(.*\): invalid argument: the address is not a multiple of SHMLBA, \d+`, syscall.EINVAL)
	wantError(t, at(id, uintptr(a.Pointer()), 0),
		`shmat\(.*\): invalid argument: something is mapped there; or of huge .*`, syscall.EINVAL)
	wantError(t, at(id, uintptr(a.Pointer())+1, shm.SHM_RND),
		`shmat\(.*\): invalid argument: something is mapped there; or of huge .*`, syscall.EINVAL)
	if math.MaxInt > math.MaxInt32 {
		wantError(t, at(id, 1<<(bits.UintSize-1), 0),
			`shmat\(.*\): cannot allocate memory: no room in the address space, or no such address: .*`, syscall.ENOMEM)
	}
	wantError(t, at(id, 1, shm.SHM_RND),
		`shmat\(.*SHM_RND\): invalid argument: rounded down, the address is 0`, syscall.EINVAL)
	wantError(t, at(id, 0, shm.SHM_REMAP),
		`shmat\(.*SHM_REMAP\): invalid argument: SHM_REMAP is accepted only inside a Reservation`, syscall.EINVAL)
	if n := mapped(t, id); n != 1 {
		t.Errorf("%d mappings, want 1", n)
	}
	if stat(t, id).Nattch != 1 {
		t.Error("a failed attach changed the segment")
	}
}

func TestAttachErrorsAlone(t *testing.T) {
	t.Run("another user", asNobody(
		func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o604) },
		func(t *testing.T, id shm.ID) {
			wantError(t, lastOf(id.Attach(0)),
				`shmat\(.*\): permission denied: the segment is of uid 0, gid 0, mode 0604`,
				syscall.EACCES, fs.ErrPermission)
		},
	))
}

func TestDetachErrors(t *testing.T) {
	id := get(t, shm.IPC_PRIVATE, 4096, 0o600)
	a := attach(t, id, 0)
	unmapBehind(t, uintptr(a.Pointer()), 4096)
	wantError(t, a.Detach(),
		`shmdt\(addr=0x[0-9a-f]+\): invalid argument: no attachment begins there any more: it was unmapped or replaced`,
		syscall.EINVAL)
	if err := a.Detach(); !errors.Is(err, shm.ErrDetached) {
		t.Errorf("again: %v", err)
	}
}

func TestControlErrors(t *testing.T) {
	needPrivateNS(t)
	id := get(t, testKey, 4096, shm.IPC_CREAT|0o600)
	dead := get(t, shm.IPC_PRIVATE, 1, 0o600)
	remove(t, dead)
	for cmd, err := range controlErrs(dead) {
		wantError(t, err, `shmctl\(id=\d+, `+cmd+`\): invalid argument: no such segment: it is removed, or never was`,
			syscall.EINVAL, shm.ErrRemoved)
	}
	for cmd, err := range controlErrs(-1) {
		wantError(t, err, `shmctl\(id=-1, `+cmd+`\): invalid argument: no id is negative`, syscall.EINVAL)
	}
	wantError(t, id.Set(nil), `shmctl\(id=\d+, IPC_SET\): bad address: the \*ShmidDS is nil`, syscall.EFAULT)
	ds := stat(t, id)
	ds.Perm.UID = math.MaxUint32 // (uid_t)-1 is nobody's, anywhere
	wantError(t, id.Set(&ds),
		`shmctl\(id=\d+, IPC_SET\): invalid argument: the user namespace has no such uid or gid`, syscall.EINVAL)

	for index, pattern := range map[int]string{-1: "-1", math.MaxInt: `\d+`, 4000: "4000"} {
		_, _, err := shm.StatIndex(index)
		wantError(t, err, `shmctl\(index=`+pattern+`, SHM_STAT\): invalid argument: the slot has no segment`,
			syscall.EINVAL, fs.ErrNotExist)
		_, _, err = shm.StatIndexAny(index)
		wantError(t, err, `shmctl\(index=`+pattern+`, SHM_STAT_ANY\): invalid argument: the slot has no segment`,
			syscall.EINVAL, fs.ErrNotExist)
	}
}

// controlErrs is the error of each call of shmctl on an id.
func controlErrs(id shm.ID) map[string]error {
	return map[string]error{
		"IPC_STAT": lastOf(id.Stat()), "IPC_SET": id.Set(&shm.ShmidDS{}), "IPC_RMID": id.Remove(),
		"SHM_LOCK": id.LockPages(), "SHM_UNLOCK": id.UnlockPages(),
	}
}

func TestControlErrorsAlone(t *testing.T) {
	const denied = `operation not permitted: the segment is of uid 0, gid 0, mode 0600`
	t.Run("another user", asNobody(
		func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o600) },
		func(t *testing.T, id shm.ID) {
			for cmd, err := range controlErrs(id) {
				if cmd == "IPC_STAT" {
					wantError(t, err, `shmctl\(id=\d+, IPC_STAT\): permission denied: the segment is of uid 0, gid 0, mode 0600`,
						syscall.EACCES, fs.ErrPermission)
					continue
				}
				wantError(t, err, `shmctl\(id=\d+, `+cmd+`\): `+denied, syscall.EPERM, fs.ErrPermission)
			}
			_, _, err := shm.StatIndex(0)
			wantError(t, err, `shmctl\(index=0, SHM_STAT\): permission denied`, syscall.EACCES, fs.ErrPermission)
		},
	))
	t.Run("given away", asNobody(
		func(t *testing.T) shm.ID {
			id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
			ds := stat(t, id)
			ds.Perm.UID, ds.Perm.GID = 1, 2
			if err := id.Set(&ds); err != nil {
				t.Fatal(err)
			}
			return id
		},
		func(t *testing.T, id shm.ID) {
			wantError(t, id.Remove(),
				`shmctl\(.*\): operation not permitted: the segment is of uid 1, gid 2, mode 0600, created by uid 0, gid 0`,
				syscall.EPERM, fs.ErrPermission)
		},
	))
}

func TestFtokErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, lastOf(shm.Ftok(file+"s", 'S')), `ftok\(".*/files", 83\): no such file or directory`,
		syscall.ENOENT, fs.ErrNotExist)
	wantError(t, lastOf(shm.Ftok(file+"/x", 1)), `ftok\(".*/file/x", 1\): not a directory`, syscall.ENOTDIR)
	wantError(t, lastOf(shm.Ftok("", 1)), `ftok\("", 1\): no such file or directory`, syscall.ENOENT, fs.ErrNotExist)
	wantError(t, lastOf(shm.Ftok(file+"\x00s", 1)), `ftok\(".*/file\\x00s", 1\): invalid argument: the path has a NUL byte`,
		syscall.EINVAL)
}

// What the kernel here will not do, a preloaded library does: see
// ctest/faults.c.
func TestInjectedErrors(t *testing.T) {
	needPrivateNS(t)
	const (
		ipcStat, ipcInfo, shmStat, shmInfo, shmStatAny = "2", "3", "13", "14", "15"
		creatExcl, mapFixed                            = "1536", "16"
		eperm, eio, enomem                             = "1", "5", "12"
		eacces, eexist, einval, enfile, eagain         = "13", "17", "22", "23", "11"
		huge                                           = "0"
	)
	eidrm := strconv.Itoa(int(syscall.EIDRM)) // 36 on mips, else 43
	newID := func(t *testing.T) shm.ID { return get(t, testKey, 4096, shm.IPC_CREAT|0o640) }
	for _, c := range []struct {
		name, faults string
		run          func(t *testing.T)
	}{
		{"attach, but no IPC_STAT", "shmctl " + ipcStat + " " + eacces, func(t *testing.T) {
			id := newID(t)
			wantError(t, lastOf(id.Attach(0)), `shmctl\(id=0, IPC_STAT\): permission denied: the segment is of uid 0, gid 0, mode 0640`,
				syscall.EACCES, fs.ErrPermission)
			if n := mapped(t, id); n != 0 {
				t.Errorf("%d mappings left", n)
			}
		}},
		{"larger than an int", "shmctl " + ipcStat + " " + huge, func(t *testing.T) {
			id := newID(t)
			wantError(t, lastOf(id.Attach(0)), `shmat\(.*\): value too large for defined data type`, syscall.EOVERFLOW)
			if n := mapped(t, id); n != 0 {
				t.Errorf("%d mappings left", n)
			}
		}},
		{"at page zero", "shmat 0 0", func(t *testing.T) {
			wantError(t, lastOf(newID(t).Attach(0)), `shmat\(id=0, addr=NULL, 0\): invalid argument`, syscall.EINVAL)
		}},
		{"removed meanwhile", "shmat 0 " + eidrm, func(t *testing.T) {
			wantError(t, lastOf(newID(t).Attach(0)), `shmat\(.*\): identifier removed: no such segment.*`, syscall.EIDRM, shm.ErrRemoved)
		}},
		{"stat of one removed meanwhile", "shmctl " + ipcStat + " " + eidrm, func(t *testing.T) {
			wantError(t, lastOf(newID(t).Stat()), `shmctl\(.*\): identifier removed: no such segment.*`, syscall.EIDRM, shm.ErrRemoved)
		}},
		{"slot that is being emptied", "shmctl " + shmStat + " " + eidrm, func(t *testing.T) {
			newID(t)
			_, _, err := shm.StatIndex(0)
			wantError(t, err, `shmctl\(index=0, SHM_STAT\): identifier removed: the slot has no segment`, syscall.EIDRM, fs.ErrNotExist)
		}},
		{"mmap_min_addr", "shmat 0 " + eperm, func(t *testing.T) {
			wantError(t, lastOf(newID(t).AttachAt(0x1000, 0)),
				`shmat\(.*\): operation not permitted: the address is too low: vm.mmap_min_addr is \d+`, syscall.EPERM, fs.ErrPermission)
		}},
		{"mlockall", "shmat 0 " + eagain, func(t *testing.T) {
			wantError(t, lastOf(newID(t).Attach(0)),
				`shmat\(.*\): resource temporarily unavailable: mlockall\(MCL_FUTURE\) is in force, and RLIMIT_MEMLOCK is .*`, syscall.EAGAIN)
		}},
		{"no hint to be had", "shmget " + creatExcl + " 28;shmctl " + shmInfo + " " + eio, func(t *testing.T) {
			_, _, err := shm.GetOrCreate(testKey, 1, 0o600)
			wantError(t, err, `shmget\(.*\): no space left on device`, syscall.ENOSPC)
		}},
		{"no limits for a hint", "shmget " + creatExcl + " 28;shmctl " + ipcInfo + " " + eio, func(t *testing.T) {
			_, _, err := shm.GetOrCreate(testKey, 1, 0o600)
			wantError(t, err, `shmget\(.*\): no space left on device`, syscall.ENOSPC)
		}},
		{"always removed before it is opened", "shmget " + creatExcl + " " + eexist, func(t *testing.T) {
			_, created, err := shm.GetOrCreate(testKey, 1, 0o600)
			wantError(t, err, `shmget\(.*\): no such file or directory`, syscall.ENOENT, fs.ErrNotExist)
			if created {
				t.Error("created with an error")
			}
		}},
		{"no IPC_INFO", "shmctl " + ipcInfo + " " + eperm, func(t *testing.T) {
			wantError(t, lastOf(shm.Limits()), `shmctl\(IPC_INFO\): operation not permitted`, syscall.EPERM, fs.ErrPermission)
		}},
		{"no SHM_INFO", "shmctl " + shmInfo + " " + eperm, func(t *testing.T) {
			wantError(t, lastOf(shm.Usage()), `shmctl\(SHM_INFO\): operation not permitted`, syscall.EPERM, fs.ErrPermission)
			wantError(t, lastOf(shm.List()), `shmctl\(SHM_INFO\): operation not permitted`, syscall.EPERM, fs.ErrPermission)
		}},
		{"list fails in the middle", "shmctl " + shmStatAny + " " + eio, func(t *testing.T) {
			newID(t)
			wantError(t, lastOf(shm.List()), `shmctl\(SHM_STAT_ANY\): input/output error`, syscall.EIO)
		}},
		{"kernel before 4.17", "shmctl " + shmStatAny + " " + einval, func(t *testing.T) {
			readable, secret := newID(t), get(t, shm.IPC_PRIVATE, 1, 0o600)
			if segs, err := shm.List(); len(segs) != 2 || err != nil {
				t.Errorf("as root: %v, %v", segs, err)
			}
			needOtherUsers(t)
			ds := stat(t, readable)
			ds.Perm.Mode = 0o644
			if err := readable.Set(&ds); err != nil {
				t.Fatal(err)
			}
			become(t, nobody, nobody)
			segs, err := shm.List()
			if len(segs) != 1 || segs[0].ID != readable || !errors.Is(err, shm.ErrPartial) {
				t.Errorf("as another user: %v, %v", segs, err)
			}
			// Neither is there a hint then.
			wantError(t, lastOf(secret.Stat()), `shmctl\(.*\): permission denied`, syscall.EACCES, fs.ErrPermission)
		}},
		{"detach inside a Reservation", "mmap " + mapFixed + " " + enomem, func(t *testing.T) {
			id := newID(t)
			r, err := shm.Reserve(4096)
			if err != nil {
				t.Fatal(err)
			}
			a, err := id.AttachAt(r.Addr(), shm.SHM_REMAP)
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, a.Detach(), `mmap\(addr=0x[0-9a-f]+, size=4096, MAP_FIXED, PROT_NONE\): cannot allocate memory: the segment is still mapped in its Reservation: vm.max_map_count is \d+`, syscall.ENOMEM)
			if err := a.Detach(); !errors.Is(err, shm.ErrDetached) {
				t.Errorf("again: %v", err)
			}
			if err := r.Release(); err != nil || mapped(t, id) != 0 {
				t.Errorf("after Release: %v, %d mappings", err, mapped(t, id))
			}
		}},
		{"attach inside a Reservation", "munmap 0 " + enomem + ";shmat 0 " + enomem, func(t *testing.T) {
			r, err := shm.Reserve(4096)
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, lastOf(newID(t).AttachAt(r.Addr(), shm.SHM_REMAP)), `shmat\(.*\): cannot allocate memory: .*`, syscall.ENOMEM)
			wantError(t, r.Release(), `munmap\(.*\): cannot allocate memory: it would split a mapping: vm.max_map_count is \d+`, syscall.ENOMEM)
		}},
		{"shmdt", "shmdt 0 " + einval, func(t *testing.T) {
			a, err := newID(t).Attach(0)
			if err != nil {
				t.Fatal(err)
			}
			wantErrno(t, a.Detach(), syscall.EINVAL)
			if err := a.Detach(); !errors.Is(err, shm.ErrDetached) || a.Bytes() != nil {
				t.Errorf("after a failed shmdt: %v", err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Getenv("FAULTS") == "" { // not in the process of its own
				cpeer.Preload(t, "ctest/faults.c")
				t.Setenv("FAULTS", c.faults)
			}
			ipcns.Run(t, c.run)
		})
	}
}
