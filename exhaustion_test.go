//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
)

// Limits that are reached, each in a process and a namespace of its own. Not
// reached, because they are the whole system's: fs.file-max, which a preloaded
// library has the kernel say; vm.nr_hugepages, of which there can be too few, but
// not made room.

// rlimitMemlock is RLIMIT_MEMLOCK, which package syscall lacks. (mips has
// another number.)
const rlimitMemlock = 8

// wantExhausted checks that a call fails and leaves nothing, and that it works
// when there is room again. pattern is the end of the error's text, which names
// the limit and its value.
func wantExhausted(t *testing.T, call func() error, room func(), errno syscall.Errno, pattern string, is ...error) {
	t.Helper()
	before, attached := procTable(t, "shm"), mappings(t)
	wantError(t, call(), `[a-z]+\(.*\): `+errno.Error()+`: `+pattern, errno, is...)
	if after := procTable(t, "shm"); !slices.EqualFunc(before, after, sameSegment) || mappings(t) != attached {
		t.Errorf("it has left:\n%v, %d mappings\nand before there were\n%v, %d", after, mappings(t), before, attached)
	}
	room()
	if err := call(); err != nil {
		t.Errorf("with room: %v", err)
	}
}

// sameSegment compares lines of /proc/sysvipc/shm, but for times.
func sameSegment(a, b []string) bool { return slices.Equal(a[:5], b[:5]) && a[6] == b[6] }

// mappings counts the attachments of all segments in this process.
func mappings(t *testing.T) (n int) {
	t.Helper()
	for _, fields := range procTable(t, "shm") {
		n += mapped(t, shm.ID(atoi(t, fields[1])))
	}
	return n
}

// makeOnce makes a segment and removes it.
func makeOnce(size int, flags shm.GetFlag) func() error {
	return func() error {
		id, err := shm.Get(shm.IPC_PRIVATE, size, flags|0o600)
		if err != nil {
			return err
		}
		return id.Remove()
	}
}

func TestExhaustedNamespace(t *testing.T) {
	page := os.Getpagesize()
	t.Run("shmmax", func(t *testing.T) {
		ipcns.Run(t, func(t *testing.T) {
			setSysctl(t, "kernel/shmmax", "8192")
			room := func() { setSysctl(t, "kernel/shmmax", "8193") }
			wantExhausted(t, makeOnce(8193, 0), room, syscall.EINVAL, `shmmax is `+sysctl(t, "kernel/shmmax")+` bytes`)
		})
	})
	t.Run("shmmni", func(t *testing.T) {
		ipcns.Run(t, func(t *testing.T) {
			setSysctl(t, "kernel/shmmni", "3")
			get(t, shm.IPC_PRIVATE, 1, 0o600)
			get(t, shm.IPC_PRIVATE, 1, 0o600)
			last := get(t, shm.IPC_PRIVATE, 1, 0o600)
			create := func() error {
				id, _, err := shm.GetOrCreate(testKey, 1, 0o600)
				return errors.Join(err, removeIf(id, err))
			}
			for _, call := range []func() error{makeOnce(1, 0), create} {
				wantExhausted(t, call, func() { remove(t, last) }, syscall.ENOSPC,
					fmt.Sprintf(`there are %d segments, and shmmni is %s`, len(procTable(t, "shm")), sysctl(t, "kernel/shmmni")))
				last = get(t, shm.IPC_PRIVATE, 1, 0o600)
			}
		})
	})
	t.Run("shmall", func(t *testing.T) {
		ipcns.Run(t, func(t *testing.T) {
			setSysctl(t, "kernel/shmall", "2")
			id := get(t, shm.IPC_PRIVATE, 1, 0o600)
			wantExhausted(t, makeOnce(2*page, 0), func() { remove(t, id) }, syscall.ENOSPC,
				`segments have 1 pages, and shmall is `+sysctl(t, "kernel/shmall"))
		})
	})
}

// removeIf removes a segment if there is one.
func removeIf(id shm.ID, err error) error {
	if err != nil {
		return nil
	}
	return id.Remove()
}

// attachOnce attaches a segment and detaches it.
func attachOnce(id shm.ID, addr uintptr, flags shm.AttachFlag) func() error {
	return func() error {
		a, err := id.AttachAt(addr, flags)
		if err != nil {
			return err
		}
		return a.Detach()
	}
}

func reserveOnce(size int) func() error {
	return func() error {
		r, err := shm.Reserve(size)
		if err != nil {
			return err
		}
		return r.Release()
	}
}

func TestExhaustedAddressSpace(t *testing.T) {
	ipcns.Run(t, func(t *testing.T) {
		const size, spare = 1 << 29, 1 << 28 // what is spare is for Go's own memory
		id := get(t, shm.IPC_PRIVATE, size, shm.SHM_NORESERVE|0o600)
		r := reserve(t, size)
		for _, call := range []func() error{
			attachOnce(id, 0, 0), attachOnce(id, 0, shm.SHM_RDONLY),
			attachOnce(id, r.Addr(), shm.SHM_REMAP), reserveOnce(size),
		} {
			t.Run("", func(t *testing.T) {
				var before syscall.Rlimit
				if err := syscall.Getrlimit(syscall.RLIMIT_AS, &before); err != nil {
					t.Fatal(err)
				}
				limit := uint64(addressSpace(t) + spare)
				setRlimit(t, syscall.RLIMIT_AS, limit)
				wantExhausted(t, call, func() { setRlimit(t, syscall.RLIMIT_AS, before.Cur) }, syscall.ENOMEM,
					fmt.Sprintf(`no room in the address space(, or no such address)?: RLIMIT_AS is %d bytes, vm.max_map_count is %s`,
						limit, sysctl(t, "vm/max_map_count")))
				if got := protection(t, r.Addr()); got != "---p" {
					t.Errorf("the Reservation is mapped %q", got)
				}
			})
		}
	})
}

// addressSpace is the size of this process's mappings, VmSize.
func addressSpace(t *testing.T) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var pages int
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func TestExhaustedLockedMemory(t *testing.T) {
	const size, limit, more, mclFuture = 5 << 20, 4 << 20, 8 << 20, 2 // more is the usual hard limit
	t.Run("SHM_LOCK", func(t *testing.T) {
		ipcns.Run(t, func(t *testing.T) {
			id := get(t, testKey, size, shm.IPC_CREAT|shm.SHM_NORESERVE|0o600)
			dropCaps(t, capIPCLock)
			lock := func() error {
				if err := id.LockPages(); err != nil {
					return err
				}
				return id.UnlockPages()
			}
			for value, want := range map[uint64]struct {
				errno   syscall.Errno
				pattern string
				is      []error
			}{
				limit: {syscall.ENOMEM, `RLIMIT_MEMLOCK is %d bytes, for all of the user's segments`, nil},
				0:     {syscall.EPERM, `RLIMIT_MEMLOCK is %d bytes`, []error{fs.ErrPermission}},
			} {
				setRlimit(t, rlimitMemlock, value)
				room := func() { setRlimit(t, rlimitMemlock, more) }
				wantExhausted(t, lock, room, want.errno, fmt.Sprintf(want.pattern, value), want.is...)
			}
		})
	})
	t.Run("mlockall", func(t *testing.T) {
		ipcns.Run(t, func(t *testing.T) {
			id := get(t, testKey, size, shm.IPC_CREAT|shm.SHM_NORESERVE|0o600)
			setRlimit(t, rlimitMemlock, limit)
			dropCaps(t, capIPCLock)
			locked := func() error { // for an instant: Go needs mappings, too
				warmThreads()
				runtime.GC()
				if err := syscall.Mlockall(mclFuture); err != nil {
					return err
				}
				err := attachOnce(id, 0, 0)()
				return errors.Join(err, syscall.Munlockall())
			}
			room := func() { setRlimit(t, rlimitMemlock, more) }
			wantExhausted(t, locked, room, syscall.EAGAIN,
				fmt.Sprintf(`mlockall\(MCL_FUTURE\) is in force, and RLIMIT_MEMLOCK is %d bytes`, limit))
		})
	})
}

// TestExhaustedHugePages: there are fewer than 2 to the 45th bytes of them. (To
// make room is the whole system's affair: a row of TestConformance does.)
func TestExhaustedHugePages(t *testing.T) {
	needPrivateNS(t)
	needHugePages(t)
	size := power(t, 45)
	before := len(procTable(t, "shm"))
	wantError(t, makeOnce(size, shm.SHM_HUGETLB|shm.SHM_HUGE_2MB)(),
		`shmget\(.*\): cannot allocate memory: too few free huge pages of that size: see /sys/kernel/mm/hugepages`, syscall.ENOMEM)
	wantError(t, makeOnce(size, shm.SHM_HUGETLB)(),
		`shmget\(.*\): cannot allocate memory: too few free huge pages: vm.nr_hugepages is `+sysctl(t, "vm/nr_hugepages"), syscall.ENOMEM)
	if after := len(procTable(t, "shm")); after != before {
		t.Errorf("%d segments, and before %d", after, before)
	}
}

// TestExhaustedFiles: fs.file-max is the whole system's, so a preloaded library
// says that it is reached (ctest/faults.c).
func TestExhaustedFiles(t *testing.T) {
	if os.Getenv("FAULTS") == "" { // not in the process of its own
		const creatExcl = shm.IPC_CREAT | shm.IPC_EXCL
		cpeer.Preload(t, "ctest/faults.c")
		t.Setenv("FAULTS", fmt.Sprintf("shmget %d %d;shmat 0 %[2]d", creatExcl, syscall.ENFILE))
	}
	ipcns.Run(t, func(t *testing.T) {
		limit := `\(.*\): too many open files in system: fs.file-max is ` + sysctl(t, "fs/file-max")
		_, _, err := shm.GetOrCreate(testKey, 1, 0o600)
		wantError(t, err, `shmget`+limit, syscall.ENFILE)
		id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
		wantError(t, lastOf(id.Attach(0)), `shmat`+limit, syscall.ENFILE)
		if n := mappings(t); n != 0 {
			t.Errorf("%d mappings", n)
		}
	})
}
