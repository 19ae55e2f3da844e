//go:build linux && cgo

package shm

// Everything of this package that touches C is in this file.
//
// What goes by pointer into a shim that neither keeps it nor calls back stays
// on the stack; for the shims that take no pointer there is nothing to say.

/*
#cgo noescape gosysv_shm_ftok
#cgo nocallback gosysv_shm_ftok
#cgo noescape gosysv_shm_attach
#cgo nocallback gosysv_shm_attach
#cgo noescape gosysv_shm_ctl
#cgo nocallback gosysv_shm_ctl
#cgo noescape gosysv_shm_limits
#cgo nocallback gosysv_shm_limits
#cgo noescape gosysv_shm_usage
#cgo nocallback gosysv_shm_usage
#cgo noescape gosysv_shm_list
#cgo nocallback gosysv_shm_list
#cgo noescape gosysv_shm_reserve
#cgo nocallback gosysv_shm_reserve
#include "shm.h"
*/
import "C"

import (
	"math"
	"syscall"
	"unsafe"
)

// IPC_PRIVATE is the key that finds nothing: [Get] with it makes a new
// segment every time, with or without [IPC_CREAT].
const IPC_PRIVATE Key = C.IPC_PRIVATE

// Flags of [Get], to be or-ed with the permission bits, such as 0o600.
const (
	IPC_CREAT     GetFlag = C.IPC_CREAT     // create the segment if the key has none
	IPC_EXCL      GetFlag = C.IPC_EXCL      // with IPC_CREAT: fail if the key has one
	SHM_HUGETLB   GetFlag = C.SHM_HUGETLB   // back it with huge pages, of the default size unless one is or-ed in
	SHM_NORESERVE GetFlag = C.SHM_NORESERVE // reserve no memory for it: a process that touches it first may find none, and be killed

	SHM_R GetFlag = C.SHM_R // 0400, read permission of the owner
	SHM_W GetFlag = C.SHM_W // 0200, write permission of the owner
)

// Sizes of huge pages, for [SHM_HUGETLB]: the logarithm to the base 2 of the
// size, shifted by SHM_HUGE_SHIFT.
const (
	SHM_HUGE_64KB  GetFlag = C.SHM_HUGE_64KB
	SHM_HUGE_512KB GetFlag = C.SHM_HUGE_512KB
	SHM_HUGE_1MB   GetFlag = C.SHM_HUGE_1MB
	SHM_HUGE_2MB   GetFlag = C.SHM_HUGE_2MB
	SHM_HUGE_8MB   GetFlag = C.SHM_HUGE_8MB
	SHM_HUGE_16MB  GetFlag = C.SHM_HUGE_16MB
	SHM_HUGE_32MB  GetFlag = C.SHM_HUGE_32MB
	SHM_HUGE_256MB GetFlag = C.SHM_HUGE_256MB
	SHM_HUGE_512MB GetFlag = C.SHM_HUGE_512MB
	SHM_HUGE_1GB   GetFlag = C.SHM_HUGE_1GB
	SHM_HUGE_2GB   GetFlag = C.SHM_HUGE_2GB
	SHM_HUGE_16GB  GetFlag = C.SHM_HUGE_16GB

	SHM_HUGE_SHIFT         = C.SHM_HUGE_SHIFT
	SHM_HUGE_MASK  GetFlag = C.SHM_HUGE_MASK // of the logarithm, before the shift
)

// Flags of [ID.Attach] and [ID.AttachAt].
const (
	SHM_RDONLY AttachFlag = C.SHM_RDONLY // attach for reading; a store faults
	SHM_RND    AttachFlag = C.SHM_RND    // round the address down to a multiple of SHMLBA
	SHM_REMAP  AttachFlag = C.SHM_REMAP  // replace what is mapped there: only inside a Reservation
	SHM_EXEC   AttachFlag = C.SHM_EXEC   // allow execution; needs execute permission
)

// Status bits that the kernel sets in [IpcPerm].Mode, above the permissions.
const (
	SHM_DEST   Mode = C.SHM_DEST   // removed: to be destroyed at the last detach
	SHM_LOCKED Mode = C.SHM_LOCKED // its pages are kept out of swap
)

// Ftok derives a key from a file and the low 8 bits of projID (ftok(3)). C
// peers that call ftok with the same file get the same key.
//
// The key is a digest, not an identity: the low 16 bits of the file's inode
// number, the low 8 of its device number and the 8 of projID. Two files of
// one tree can share a key (about one pair in 32,000 files), a file that is
// deleted and made again can have another one, and a key can be 0, which is
// [IPC_PRIVATE], or -1.
//
// Errors are those of stat(2): ENOENT, EACCES (a directory of the path may
// not be searched; the file itself need not be readable), ENOTDIR, ELOOP,
// ENAMETOOLONG. A pathname with a NUL byte is EINVAL, before any call.
func Ftok(pathname string, projID int) (Key, error) {
	path, err := syscall.BytePtrFromString(pathname)
	if err != nil {
		return 0, ftokError(pathname, projID, syscall.EINVAL, "the path has a NUL byte")
	}
	var key C.key_t
	if r := C.gosysv_shm_ftok((*C.char)(unsafe.Pointer(path)), C.int(projID), &key); r < 0 {
		return 0, ftokError(pathname, projID, errno(r), "")
	}
	return Key(key), nil
}

// Get returns the id of the segment that has the key, or of a new one
// (shmget(2)). Nothing is added to the call: a segment is created only with
// [IPC_CREAT] or [IPC_PRIVATE], and size is passed as it is.
//
// size is in bytes. For a new segment it must be at least 1; the kernel
// rounds the memory up to whole pages, fills it with zeros and keeps the
// exact size ([ShmidDS].Segsz). For an existing one any size up to that will
// do, 0 too.
//
// The low nine bits of flags are the permissions of a new segment. For an
// existing one they are the permissions asked for: 0o644 on somebody else's
// segment asks to read and to write; 0 asks for none.
//
// A segment lives until somebody removes it ([ID.Remove]), not until its
// creator ends. IPC_CREAT without [IPC_EXCL] cannot tell "created" from
// "found": see [GetOrCreate].
//
// Errors:
//   - ENOENT (fs.ErrNotExist): the key has no segment, and no IPC_CREAT.
//   - EEXIST (fs.ErrExist): IPC_CREAT|IPC_EXCL, and the key has a segment.
//   - EACCES (fs.ErrPermission): the segment does not grant what flags ask.
//   - EINVAL: a size that is negative (refused before the call), 0 for a new
//     segment, larger than shmmax or than the existing segment; a huge page
//     size that this machine has not.
//   - ENOSPC: the limit on segments (shmmni) or on their pages (shmall).
//   - ENOMEM: no memory to account for it (SHM_NORESERVE needs none, unless
//     vm.overcommit_memory is 2), or too few huge pages.
//   - EPERM: SHM_HUGETLB without CAP_IPC_LOCK and outside the group
//     vm.hugetlb_shm_group.
//   - ENFILE: the system's limit on open files, for a new segment.
func Get(key Key, size int, flags GetFlag) (ID, error) {
	if size < 0 {
		return 0, getError(key, size, flags, syscall.EINVAL, "the size is negative")
	}
	id, err := shmget(key, size, flags)
	if err != 0 {
		return 0, getError(key, size, flags, err, "")
	}
	return id, nil
}

// GetOrCreate returns the id of the segment that has the key, or of a new one,
// and tells which: exactly one of any number of callers, in Go or in C with
// IPC_CREAT|IPC_EXCL, is the creator, whose task it is to fill the segment.
// It is Get with IPC_CREAT|IPC_EXCL and, if the key has a segment, Get with
// neither; and again, if that segment was removed in between.
//
// Creation and filling are two steps: an opener may find the segment still
// full of zeros. And what it opens may be anybody's: see [Attachment.Check].
//
// Errors are those of [Get]: EINVAL if the segment is smaller than size, and,
// before the call, for [IPC_PRIVATE] (which never finds anything) and for
// [IPC_EXCL] (with which nothing could be opened); ENOENT (fs.ErrNotExist) if
// other processes kept removing the segment each time before it was opened.
func GetOrCreate(key Key, size int, flags GetFlag) (id ID, created bool, err error) {
	refuse := func(hint string) (ID, bool, error) {
		return 0, false, getError(key, size, flags, syscall.EINVAL, hint)
	}
	switch {
	case key == IPC_PRIVATE:
		return refuse("with IPC_PRIVATE every segment is a new one: use Get")
	case flags&IPC_EXCL != 0:
		return refuse("with IPC_EXCL an existing segment is an error: use Get")
	case size < 0:
		return refuse("the size is negative")
	}
	create, open := flags|IPC_CREAT|IPC_EXCL, flags&^IPC_CREAT
	const attempts = 100
	for range attempts {
		id, errno := shmget(key, size, create)
		if errno == 0 {
			return id, true, nil
		}
		if errno != syscall.EEXIST {
			return 0, false, getError(key, size, create, errno, "")
		}
		id, errno = shmget(key, size, open)
		if errno == 0 {
			return id, false, nil
		}
		if errno != syscall.ENOENT {
			return 0, false, getError(key, size, open, errno, "")
		}
	}
	return 0, false, getError(key, size, open, syscall.ENOENT, "")
}

// Stat reads the segment's status (IPC_STAT). It needs read permission.
//
// Errors: EACCES (fs.ErrPermission); EINVAL or EIDRM, both [ErrRemoved],
// when there is no such segment any more. An id is not used again for
// another segment before thousands of others were made.
func (id ID) Stat() (ds ShmidDS, err error) {
	if _, errno := shmctl(id, C.IPC_STAT, &ds); errno != 0 { // into the result: it is not copied
		return ShmidDS{}, ctlError(id, "IPC_STAT", errno)
	}
	return ds, nil
}

// Set changes the owner (Perm.UID, Perm.GID) and the permission bits of
// Perm.Mode to those in ds and sets the change time (IPC_SET). The kernel
// ignores the rest of ds, so that a Stat, a change and a Set are enough.
//
// Errors: EPERM (fs.ErrPermission) unless the caller is the owner, the
// creator, or has CAP_SYS_ADMIN; EINVAL for an owner that the user namespace
// has not; EINVAL or EIDRM, both [ErrRemoved], when there is no such segment;
// EFAULT for a nil ds, before any call.
func (id ID) Set(ds *ShmidDS) error {
	if ds == nil {
		return ctlError(id, "IPC_SET", syscall.EFAULT)
	}
	if _, err := shmctl(id, C.IPC_SET, ds); err != 0 {
		return ctlError(id, "IPC_SET", err)
	}
	return nil
}

// Remove marks the segment to be destroyed (IPC_RMID). The kernel destroys
// it at once if nobody is attached, or else at the last detach, whichever
// process does that. Until then every attachment works as before and the id
// can still be attached; but the key is free, and a Get with IPC_CREAT makes
// a second segment beside it. To remove it again before then is no error.
//
// Errors: EPERM (fs.ErrPermission) unless the caller is the owner, the
// creator, or has CAP_SYS_ADMIN; EINVAL or EIDRM, both [ErrRemoved], when
// there is no such segment.
func (id ID) Remove() error {
	if _, err := shmctl(id, C.IPC_RMID, nil); err != 0 {
		return ctlError(id, "IPC_RMID", err)
	}
	return nil
}

// LockPages keeps the segment's pages out of swap once they have been
// touched (SHM_LOCK). It excludes nobody from the memory: it is not a mutex.
// The lock belongs to the segment; it survives the process that set it.
//
// Errors: EPERM (fs.ErrPermission) unless the caller is the owner or the
// creator and RLIMIT_MEMLOCK is not 0, or has CAP_IPC_LOCK; ENOMEM when the
// user's locked memory would exceed RLIMIT_MEMLOCK; EINVAL or EIDRM, both
// [ErrRemoved], when there is no such segment.
func (id ID) LockPages() error {
	if _, err := shmctl(id, C.SHM_LOCK, nil); err != 0 {
		return ctlError(id, "SHM_LOCK", err)
	}
	return nil
}

// UnlockPages undoes [ID.LockPages], whoever called that (SHM_UNLOCK).
//
// Errors: EPERM (fs.ErrPermission) unless the caller is the owner or the
// creator, or has CAP_IPC_LOCK; EINVAL or EIDRM, both [ErrRemoved], when
// there is no such segment.
func (id ID) UnlockPages() error {
	if _, err := shmctl(id, C.SHM_UNLOCK, nil); err != 0 {
		return ctlError(id, "SHM_UNLOCK", err)
	}
	return nil
}

// StatIndex reads the status of the segment in a slot of the kernel's table,
// and tells its id (SHM_STAT). Slots are counted from 0; the kernel looks at
// the low bits of index only. It needs read permission; [StatIndexAny] does
// not.
//
// Errors: fs.ErrNotExist for an empty slot (EINVAL, in the call itself) and
// for one that is being emptied (EIDRM); EACCES (fs.ErrPermission).
func StatIndex(index int) (ID, ShmidDS, error) {
	return statIndex(index, C.SHM_STAT, "SHM_STAT")
}

// StatIndexAny is [StatIndex] without the need for read permission
// (SHM_STAT_ANY). On kernels before 4.17 every slot is fs.ErrNotExist.
func StatIndexAny(index int) (ID, ShmidDS, error) {
	return statIndex(index, C.SHM_STAT_ANY, "SHM_STAT_ANY")
}

func statIndex(index int, cmd C.int, cmdName string) (ID, ShmidDS, error) {
	if index < 0 || index > math.MaxInt32 {
		return 0, ShmidDS{}, indexError(index, cmdName, syscall.EINVAL)
	}
	var ds ShmidDS
	id, err := shmctl(ID(index), cmd, &ds)
	if err != 0 {
		return 0, ShmidDS{}, indexError(index, cmdName, err)
	}
	return ID(id), ds, nil
}

// Segment is an element of [List]: a segment's id and status.
type Segment struct {
	ID ID
	ShmidDS
}

// List returns every segment of this IPC namespace, in the order of the
// kernel's table, whoever owns it and whether or not it may be read. It walks
// the table in C (SHM_INFO, then SHM_STAT_ANY for each slot), once, in one
// crossing for up to 64 segments and in two for more. The table is not locked:
// segments that others make or remove meanwhile may be missing or be there.
//
// Where the kernel has no SHM_STAT_ANY (before 4.17), List returns the
// segments that the caller may read, and [ErrPartial] if there are others.
func List() ([]Segment, error) {
	var few [64]Segment
	n, listed, err := list(few[:])
	var segs []Segment
	if n <= len(few) {
		segs = make([]Segment, n)
		copy(segs, few[:n])
	}
	for n > len(segs) {
		segs = make([]Segment, n+n/8) // room for those made meanwhile
		n, listed, err = list(segs)
	}
	switch {
	case err != 0 && listed.stat != 0:
		return nil, infoError("SHM_STAT_ANY", err)
	case err != 0:
		return nil, infoError("SHM_INFO", err)
	case listed.denied > 0:
		return segs[:n:n], ErrPartial
	}
	return segs[:n:n], nil
}

// Limits reads the limits on shared memory of this IPC namespace (IPC_INFO).
// It needs no permission, and does not fail on an ordinary system.
func Limits() (LimitsInfo, error) {
	var info LimitsInfo
	if r := C.gosysv_shm_limits((*C.struct_shminfo)(unsafe.Pointer(&info))); r < 0 {
		return LimitsInfo{}, infoError("IPC_INFO", errno(r))
	}
	return info, nil
}

// Usage reads what shared memory is in use in this IPC namespace (SHM_INFO).
// It needs no permission, and does not fail on an ordinary system.
func Usage() (UsageInfo, error) {
	var info UsageInfo
	if r := C.gosysv_shm_usage((*C.struct_shm_info)(unsafe.Pointer(&info))); r < 0 {
		return UsageInfo{}, infoError("SHM_INFO", errno(r))
	}
	return info, nil
}

// SHMLBA returns the alignment in bytes of an address given to
// [ID.AttachAt], which is also what [SHM_RND] rounds down to: the page size
// on most machines, 16 KiB on arm, 256 KiB on mips.
func SHMLBA() int { return int(C.gosysv_shm_shmlba()) }

// The calls, as the rest of the package sees them. They make no errors of
// their own, so that the hints of an error can be looked up with them.

func errno(r C.int) syscall.Errno { return syscall.Errno(-min(r, 0)) }

func shmget(key Key, size int, flags GetFlag) (ID, syscall.Errno) {
	r := C.gosysv_shm_get(C.key_t(key), C.size_t(size), C.int(flags))
	return ID(r), errno(r)
}

// shmat attaches and tells the size, but not with SHM_REMAP. inStat says that
// the error is not shmat's but that of the IPC_STAT after it.
func shmat(id ID, addr uintptr, flags AttachFlag) (base unsafe.Pointer, size int, inStat bool, err syscall.Errno) {
	var at C.struct_gosysv_shm_attached
	base = C.gosysv_shm_attach(C.int(id), C.uintptr_t(addr), C.int(flags), &at)
	if base == nil {
		return nil, 0, at.stat != 0, errno(at.err)
	}
	return base, int(at.size), false, 0
}

func shmdt(base unsafe.Pointer) syscall.Errno {
	return errno(C.gosysv_shm_detach(C.uintptr_t(uintptr(base))))
}

func shmctl(id ID, cmd C.int, ds *ShmidDS) (int, syscall.Errno) {
	r := C.gosysv_shm_ctl(C.int(id), cmd, (*C.struct_shmid_ds)(unsafe.Pointer(ds)))
	return int(r), errno(r)
}

// stat is IPC_STAT or, where that is not permitted, SHM_STAT_ANY, which takes
// an id for the index in its low bits.
func stat(id ID) (ShmidDS, syscall.Errno) {
	var ds ShmidDS
	_, err := shmctl(id, C.IPC_STAT, &ds)
	if err == syscall.EACCES {
		if got, errAny := shmctl(id, C.SHM_STAT_ANY, &ds); errAny == 0 && ID(got) == id {
			return ds, 0
		}
	}
	return ds, err
}

func list(segs []Segment) (n int, listed C.struct_gosysv_shm_listed, err syscall.Errno) {
	first := (*C.struct_gosysv_shm_segment)(unsafe.Pointer(unsafe.SliceData(segs)))
	r := C.gosysv_shm_list(first, C.int(len(segs)), &listed)
	if r < 0 {
		return 0, listed, errno(r)
	}
	return int(r), listed, 0
}

func reserve(size uintptr) (uintptr, syscall.Errno) {
	var addr C.uintptr_t
	err := errno(C.gosysv_shm_reserve(C.size_t(size), &addr))
	return uintptr(addr), err
}

func cover(addr, size uintptr) syscall.Errno {
	return errno(C.gosysv_shm_cover(C.uintptr_t(addr), C.size_t(size)))
}

func unmap(addr, size uintptr) syscall.Errno {
	return errno(C.gosysv_shm_unmap(C.uintptr_t(addr), C.size_t(size)))
}

const rlimitMemlock = C.RLIMIT_MEMLOCK

// The mirrors are right where these lines compile: each compares the offset
// and the size of a member, Go's with the libc's. A mismatch is reported as
// "cannot use [unsafe.Offsetof(ShmidDS{}.Segsz)]… (value of type
// [40][8]struct{}) as [48][8]struct{} value": Go's numbers, then the libc's.
var (
	_ [C.gosysv_size_ipc_perm]struct{}                                     = [unsafe.Sizeof(IpcPerm{})]struct{}{}
	_ [C.gosysv_offset_ipc_perm_key][C.gosysv_size_ipc_perm_key]struct{}   = [unsafe.Offsetof(IpcPerm{}.Key)][unsafe.Sizeof(IpcPerm{}.Key)]struct{}{}
	_ [C.gosysv_offset_ipc_perm_uid][C.gosysv_size_ipc_perm_uid]struct{}   = [unsafe.Offsetof(IpcPerm{}.UID)][unsafe.Sizeof(IpcPerm{}.UID)]struct{}{}
	_ [C.gosysv_offset_ipc_perm_gid][C.gosysv_size_ipc_perm_gid]struct{}   = [unsafe.Offsetof(IpcPerm{}.GID)][unsafe.Sizeof(IpcPerm{}.GID)]struct{}{}
	_ [C.gosysv_offset_ipc_perm_cuid][C.gosysv_size_ipc_perm_cuid]struct{} = [unsafe.Offsetof(IpcPerm{}.CUID)][unsafe.Sizeof(IpcPerm{}.CUID)]struct{}{}
	_ [C.gosysv_offset_ipc_perm_cgid][C.gosysv_size_ipc_perm_cgid]struct{} = [unsafe.Offsetof(IpcPerm{}.CGID)][unsafe.Sizeof(IpcPerm{}.CGID)]struct{}{}
	_ [C.gosysv_offset_ipc_perm_mode][C.gosysv_size_ipc_perm_mode]struct{} = [unsafe.Offsetof(IpcPerm{}.Mode)][unsafe.Sizeof(IpcPerm{}.Mode)]struct{}{}
	_ [C.gosysv_offset_ipc_perm_seq][C.gosysv_size_ipc_perm_seq]struct{}   = [unsafe.Offsetof(IpcPerm{}.Seq)][unsafe.Sizeof(IpcPerm{}.Seq)]struct{}{}

	_ [C.gosysv_size_shmid_ds]struct{}                                                 = [unsafe.Sizeof(ShmidDS{})]struct{}{}
	_ [C.gosysv_offset_shmid_ds_shm_perm][C.gosysv_size_shmid_ds_shm_perm]struct{}     = [unsafe.Offsetof(ShmidDS{}.Perm)][unsafe.Sizeof(ShmidDS{}.Perm)]struct{}{}
	_ [C.gosysv_offset_shmid_ds_shm_segsz][C.gosysv_size_shmid_ds_shm_segsz]struct{}   = [unsafe.Offsetof(ShmidDS{}.Segsz)][unsafe.Sizeof(ShmidDS{}.Segsz)]struct{}{}
	_ [C.gosysv_offset_shmid_ds_shm_atime][C.gosysv_size_shmid_ds_shm_atime]struct{}   = [unsafe.Offsetof(ShmidDS{}.Atime)][unsafe.Sizeof(ShmidDS{}.Atime)]struct{}{}
	_ [C.gosysv_offset_shmid_ds_shm_dtime][C.gosysv_size_shmid_ds_shm_dtime]struct{}   = [unsafe.Offsetof(ShmidDS{}.Dtime)][unsafe.Sizeof(ShmidDS{}.Dtime)]struct{}{}
	_ [C.gosysv_offset_shmid_ds_shm_ctime][C.gosysv_size_shmid_ds_shm_ctime]struct{}   = [unsafe.Offsetof(ShmidDS{}.Ctime)][unsafe.Sizeof(ShmidDS{}.Ctime)]struct{}{}
	_ [C.gosysv_offset_shmid_ds_shm_cpid][C.gosysv_size_shmid_ds_shm_cpid]struct{}     = [unsafe.Offsetof(ShmidDS{}.Cpid)][unsafe.Sizeof(ShmidDS{}.Cpid)]struct{}{}
	_ [C.gosysv_offset_shmid_ds_shm_lpid][C.gosysv_size_shmid_ds_shm_lpid]struct{}     = [unsafe.Offsetof(ShmidDS{}.Lpid)][unsafe.Sizeof(ShmidDS{}.Lpid)]struct{}{}
	_ [C.gosysv_offset_shmid_ds_shm_nattch][C.gosysv_size_shmid_ds_shm_nattch]struct{} = [unsafe.Offsetof(ShmidDS{}.Nattch)][unsafe.Sizeof(ShmidDS{}.Nattch)]struct{}{}

	_ [C.gosysv_size_shminfo]struct{}                                        = [unsafe.Sizeof(LimitsInfo{})]struct{}{}
	_ [C.gosysv_offset_shminfo_shmmax][C.gosysv_size_shminfo_shmmax]struct{} = [unsafe.Offsetof(LimitsInfo{}.Shmmax)][unsafe.Sizeof(LimitsInfo{}.Shmmax)]struct{}{}
	_ [C.gosysv_offset_shminfo_shmmin][C.gosysv_size_shminfo_shmmin]struct{} = [unsafe.Offsetof(LimitsInfo{}.Shmmin)][unsafe.Sizeof(LimitsInfo{}.Shmmin)]struct{}{}
	_ [C.gosysv_offset_shminfo_shmmni][C.gosysv_size_shminfo_shmmni]struct{} = [unsafe.Offsetof(LimitsInfo{}.Shmmni)][unsafe.Sizeof(LimitsInfo{}.Shmmni)]struct{}{}
	_ [C.gosysv_offset_shminfo_shmseg][C.gosysv_size_shminfo_shmseg]struct{} = [unsafe.Offsetof(LimitsInfo{}.Shmseg)][unsafe.Sizeof(LimitsInfo{}.Shmseg)]struct{}{}
	_ [C.gosysv_offset_shminfo_shmall][C.gosysv_size_shminfo_shmall]struct{} = [unsafe.Offsetof(LimitsInfo{}.Shmall)][unsafe.Sizeof(LimitsInfo{}.Shmall)]struct{}{}

	_ [C.gosysv_size_shm_info]struct{}                                                         = [unsafe.Sizeof(UsageInfo{})]struct{}{}
	_ [C.gosysv_offset_shm_info_used_ids][C.gosysv_size_shm_info_used_ids]struct{}             = [unsafe.Offsetof(UsageInfo{}.UsedIDs)][unsafe.Sizeof(UsageInfo{}.UsedIDs)]struct{}{}
	_ [C.gosysv_offset_shm_info_shm_tot][C.gosysv_size_shm_info_shm_tot]struct{}               = [unsafe.Offsetof(UsageInfo{}.ShmTot)][unsafe.Sizeof(UsageInfo{}.ShmTot)]struct{}{}
	_ [C.gosysv_offset_shm_info_shm_rss][C.gosysv_size_shm_info_shm_rss]struct{}               = [unsafe.Offsetof(UsageInfo{}.ShmRss)][unsafe.Sizeof(UsageInfo{}.ShmRss)]struct{}{}
	_ [C.gosysv_offset_shm_info_shm_swp][C.gosysv_size_shm_info_shm_swp]struct{}               = [unsafe.Offsetof(UsageInfo{}.ShmSwp)][unsafe.Sizeof(UsageInfo{}.ShmSwp)]struct{}{}
	_ [C.gosysv_offset_shm_info_swap_attempts][C.gosysv_size_shm_info_swap_attempts]struct{}   = [unsafe.Offsetof(UsageInfo{}.SwapAttempts)][unsafe.Sizeof(UsageInfo{}.SwapAttempts)]struct{}{}
	_ [C.gosysv_offset_shm_info_swap_successes][C.gosysv_size_shm_info_swap_successes]struct{} = [unsafe.Offsetof(UsageInfo{}.SwapSuccesses)][unsafe.Sizeof(UsageInfo{}.SwapSuccesses)]struct{}{}

	_ [C.gosysv_size_gosysv_shm_segment]struct{}                                           = [unsafe.Sizeof(Segment{})]struct{}{}
	_ [C.gosysv_offset_gosysv_shm_segment_id][C.gosysv_size_gosysv_shm_segment_id]struct{} = [unsafe.Offsetof(Segment{}.ID)][unsafe.Sizeof(Segment{}.ID)]struct{}{}
	_ [C.gosysv_offset_gosysv_shm_segment_ds][C.gosysv_size_gosysv_shm_segment_ds]struct{} = [unsafe.Offsetof(Segment{}.ShmidDS)][unsafe.Sizeof(Segment{}.ShmidDS)]struct{}{}
)
