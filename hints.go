//go:build linux && cgo

package shm

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// The errors of each call, with a hint at the cause: looked up after the call
// has failed, as far as it can be, by calls that change nothing. ENOENT and
// EEXIST get none: programs run into them on purpose. What is looked up may
// have changed since the call, so a hint is for people, never for programs.
//
// Callers give the hint themselves when they refused the call.

func ftokError(pathname string, projID int, errno syscall.Errno, hint string) error {
	return &Error{Op: "ftok", Args: fmt.Sprintf("%q, %d", pathname, projID), Errno: errno, Hint: hint}
}

func getError(key Key, size int, flags GetFlag, errno syscall.Errno, hint string) error {
	if hint == "" {
		hint = getHint(key, size, flags, errno)
	}
	return &Error{Op: "shmget", Args: fmt.Sprintf("key=%v, size=%d, %v", key, size, flags), Errno: errno, Hint: hint}
}

func getHint(key Key, size int, flags GetFlag, errno syscall.Errno) string {
	switch errno {
	case syscall.EINVAL:
		return getSizeHint(key, size, flags)
	case syscall.EACCES:
		if id, err := shmget(key, 0, 0); err == 0 {
			return ownerHint(id)
		}
	case syscall.ENOSPC:
		return getSpaceHint()
	case syscall.ENOMEM:
		switch {
		case flags>>SHM_HUGE_SHIFT&SHM_HUGE_MASK != 0:
			return "too few free huge pages of that size: see /sys/kernel/mm/hugepages"
		case flags&SHM_HUGETLB != 0:
			return "too few free huge pages: " + sysctl("vm.nr_hugepages")
		}
		return "no memory to reserve for it: " + sysctl("vm.overcommit_memory")
	case syscall.EPERM:
		if flags&SHM_HUGETLB != 0 {
			return "SHM_HUGETLB needs CAP_IPC_LOCK, or to be in the group: " + sysctl("vm.hugetlb_shm_group")
		}
	case syscall.ENFILE:
		return sysctl("fs.file-max")
	}
	return ""
}

func getSizeHint(key Key, size int, flags GetFlag) string {
	if key != IPC_PRIVATE {
		if id, err := shmget(key, 0, 0); err == 0 {
			if ds, err := stat(id); err == 0 {
				return fmt.Sprintf("the segment exists with %d bytes", ds.Segsz)
			}
		}
	}
	limits, err := Limits()
	switch {
	case size == 0:
		return "a new segment has at least 1 byte"
	case err == nil && uint(size) > limits.Shmmax:
		return fmt.Sprintf("shmmax is %d bytes", limits.Shmmax)
	case flags&SHM_HUGETLB != 0:
		return "this machine has no huge pages of that size"
	}
	return ""
}

func getSpaceHint() string {
	limits, err := Limits()
	if err != nil {
		return ""
	}
	usage, err := Usage()
	if err != nil {
		return ""
	}
	if uint(usage.UsedIDs) >= limits.Shmmni {
		return fmt.Sprintf("there are %d segments, and shmmni is %d", usage.UsedIDs, limits.Shmmni)
	}
	return fmt.Sprintf("segments have %d pages, and shmall is %d", usage.ShmTot, limits.Shmall)
}

func atError(id ID, addr uintptr, flags AttachFlag, errno syscall.Errno, hint string) error {
	where := "NULL"
	if addr != 0 {
		where = fmt.Sprintf("%#x", addr)
	}
	e := &Error{Op: "shmat", Args: fmt.Sprintf("id=%d, addr=%s, %v", id, where, flags), Errno: errno, Hint: hint}
	if hint == "" && !e.explainDeadID(id) {
		e.Hint = atHint(id, addr, flags, errno)
	}
	return e
}

// attachError is the error of shmat or, inStat, that of the IPC_STAT after it.
func attachError(id ID, addr uintptr, flags AttachFlag, inStat bool, errno syscall.Errno) error {
	if inStat {
		return ctlError(id, "IPC_STAT", errno)
	}
	return atError(id, addr, flags, errno, "")
}

func atHint(id ID, addr uintptr, flags AttachFlag, errno syscall.Errno) string {
	switch errno {
	case syscall.EINVAL:
		switch {
		case flags&SHM_RND == 0 && addr%uintptr(SHMLBA()) != 0:
			return lbaHint()
		case addr != 0:
			return "something is mapped there; or of huge pages, which must lie at a multiple of their size"
		}
	case syscall.EACCES:
		return ownerHint(id)
	case syscall.EPERM:
		if addr != 0 {
			return "the address is too low: " + sysctl("vm.mmap_min_addr")
		}
	case syscall.ENOMEM:
		where := "no room in the address space"
		if addr != 0 {
			where += ", or no such address"
		}
		return where + ": " + roomHint()
	case syscall.ENFILE:
		return sysctl("fs.file-max")
	case syscall.EAGAIN:
		return "mlockall(MCL_FUTURE) is in force, and RLIMIT_MEMLOCK is " + rlimit(rlimitMemlock)
	}
	return ""
}

func lbaHint() string {
	return fmt.Sprintf("the address is not a multiple of SHMLBA, %d", SHMLBA())
}

func dtError(base uintptr, errno syscall.Errno) error {
	hint := ""
	if errno == syscall.EINVAL {
		hint = "no attachment begins there any more: it was unmapped or replaced"
	}
	return &Error{Op: "shmdt", Args: fmt.Sprintf("addr=%#x", base), Errno: errno, Hint: hint}
}

func ctlError(id ID, cmd string, errno syscall.Errno) error {
	e := &Error{Op: "shmctl", Args: fmt.Sprintf("id=%d, %s", id, cmd), Errno: errno}
	if !e.explainDeadID(id) {
		e.Hint = ctlHint(id, cmd, errno)
	}
	return e
}

func ctlHint(id ID, cmd string, errno syscall.Errno) string {
	switch errno {
	case syscall.EACCES:
		return ownerHint(id)
	case syscall.EPERM:
		if ds, err := stat(id); cmd == "SHM_LOCK" && err == 0 && ds.ownedBy(os.Geteuid()) {
			return "RLIMIT_MEMLOCK is " + rlimit(rlimitMemlock)
		}
		return ownerHint(id)
	case syscall.ENOMEM:
		return "RLIMIT_MEMLOCK is " + rlimit(rlimitMemlock) + ", for all of the user's segments"
	case syscall.EINVAL:
		if cmd == "IPC_SET" {
			return "the user namespace has no such uid or gid"
		}
	case syscall.EFAULT:
		return "the *ShmidDS is nil"
	}
	return ""
}

func indexError(index int, cmd string, errno syscall.Errno) error {
	e := &Error{Op: "shmctl", Args: fmt.Sprintf("index=%d, %s", index, cmd), Errno: errno}
	if errno == syscall.EINVAL || errno == syscall.EIDRM {
		e.Hint, e.Means = "the slot has no segment", fs.ErrNotExist
	}
	return e
}

func infoError(cmd string, errno syscall.Errno) error {
	return &Error{Op: "shmctl", Args: cmd, Errno: errno}
}

// explainDeadID completes the error if its cause is that the id has no
// segment, and tells whether it is. The kernel answers EINVAL to an id that it
// does not know, and EIDRM in a race with IPC_RMID; but EINVAL to other
// mistakes too.
func (e *Error) explainDeadID(id ID) bool {
	switch {
	case e.Errno != syscall.EINVAL && e.Errno != syscall.EIDRM:
		return false
	case id < 0:
		e.Hint = "no id is negative"
		return true
	case e.Errno == syscall.EINVAL:
		if _, err := stat(id); err != syscall.EINVAL && err != syscall.EIDRM {
			return false
		}
	}
	e.Hint, e.Means = "no such segment: it is removed, or never was", ErrRemoved
	return true
}

// mmapError, munmapError and mprotectError are those of a Reservation.

func mmapError(args string, errno syscall.Errno, hint string) error {
	if hint == "" && errno == syscall.ENOMEM {
		hint = "no room in the address space: " + roomHint()
	}
	return &Error{Op: "mmap", Args: args + ", PROT_NONE", Errno: errno, Hint: hint}
}

func munmapError(addr, size uintptr, errno syscall.Errno) error {
	args := fmt.Sprintf("addr=%#x, size=%d", addr, size)
	return &Error{Op: "munmap", Args: args, Errno: errno, Hint: splitHint(errno)}
}

func mprotectError(id ID, errno syscall.Errno) error {
	return &Error{Op: "mprotect", Args: fmt.Sprintf("id=%d, PROT_NONE", id), Errno: errno, Hint: splitHint(errno)}
}

func splitHint(errno syscall.Errno) string {
	if errno != syscall.ENOMEM {
		return ""
	}
	return "it would split a mapping: " + sysctl("vm.max_map_count")
}

// vacateError is that of a Detach inside a Reservation.
func vacateError(addr, size uintptr, errno syscall.Errno) error {
	hint := "the segment is still mapped in its Reservation"
	if errno == syscall.ENOMEM {
		hint += ": " + sysctl("vm.max_map_count")
	}
	return mmapError(fmt.Sprintf("addr=%#x, size=%d, MAP_FIXED", addr, size), errno, hint)
}

func roomHint() string {
	return "RLIMIT_AS is " + rlimit(syscall.RLIMIT_AS) + ", " + sysctl("vm.max_map_count")
}

func ownerHint(id ID) string {
	ds, err := stat(id)
	if err != 0 {
		return ""
	}
	return "the segment is of " + owners(&ds)
}

// owners tells who has what rights.
func owners(ds *ShmidDS) string {
	p := &ds.Perm
	s := fmt.Sprintf("uid %d, gid %d, mode %v", p.UID, p.GID, p.Mode)
	if p.CUID != p.UID || p.CGID != p.GID {
		s += fmt.Sprintf(", created by uid %d, gid %d", p.CUID, p.CGID)
	}
	return s
}

func (ds *ShmidDS) ownedBy(uid int) bool {
	return ds.Perm.UID == uint32(uid) || ds.Perm.CUID == uint32(uid)
}

// sysctl tells a setting of the kernel. Where files cannot be opened, which
// may be the error itself, it tells only which one to look at.
func sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return "see " + name
	}
	return name + " is " + strings.TrimSpace(string(b))
}

func rlimit(resource int) string {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(resource, &l); err != nil {
		return "unknown"
	}
	if l.Cur == ^uint64(0) {
		return "unlimited"
	}
	return fmt.Sprintf("%d bytes", l.Cur)
}
