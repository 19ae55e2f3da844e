//go:build linux && cgo

package sem

// Everything of this package that touches C is in this file.

/*
#cgo noescape gosysv_sem_op
#cgo nocallback gosysv_sem_op
#cgo noescape gosysv_sem_stat
#cgo nocallback gosysv_sem_stat
#cgo noescape gosysv_sem_info
#cgo nocallback gosysv_sem_info
#cgo noescape gosysv_sem_getall
#cgo nocallback gosysv_sem_getall
#cgo noescape gosysv_sem_setall
#cgo nocallback gosysv_sem_setall
#cgo noescape gosysv_sem_list
#cgo nocallback gosysv_sem_list
#include "sem.h"
*/
import "C"

import (
	"context"
	"errors"
	"math"
	"syscall"
	"time"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ctxwait"
)

// ID is the kernel's number of a set (semid). 0 is a valid id.
type ID int32

// Flags of an [Op].
const (
	IPC_NOWAIT OpFlag = C.IPC_NOWAIT // fail with EAGAIN where it would wait
	SEM_UNDO   OpFlag = C.SEM_UNDO   // take it back when the process ends
)

// SEMVMX is the largest value of a semaphore.
const SEMVMX = 32767

// getFlags are those that semget knows.
const getFlags = shm.IPC_CREAT | shm.IPC_EXCL | 0o777

// ErrUninitialized says that the set is there, but that nobody has made a semop
// on it: its creator has died before it had initialised the set, or does not
// keep the rule that [GetOrCreate] waits by.
var ErrUninitialized = errors.New("sem: the set is not initialised: its sem_otime is 0")

// Get returns the id of the set that has the key, or of a new one (semget(2)).
// Nothing is added to the call: a set is made only with [shm.IPC_CREAT] or
// [shm.IPC_PRIVATE]. The values of a new set are 0, and its sem_otime is 0
// until the first semop.
//
// n is the number of semaphores. For an existing set any number up to its own
// will do, 0 too.
//
// The low nine bits of flags are the permissions of a new set, where "write"
// is the permission to alter. For an existing one they are the permissions
// asked for.
//
// Errors:
//   - ENOENT (fs.ErrNotExist): the key has no set, and no IPC_CREAT.
//   - EEXIST (fs.ErrExist): IPC_CREAT|IPC_EXCL, and the key has a set.
//   - EACCES (fs.ErrPermission): the set does not grant what flags ask.
//   - EINVAL: an n that is negative, 0 for a new set, larger than semmsl or
//     than the existing set; flags other than IPC_CREAT, IPC_EXCL and
//     permissions, refused before the call.
//   - ENOSPC: the limit on sets (semmni) or on semaphores (semmns).
//   - ENOMEM: no memory for it in the kernel.
func Get(key shm.Key, n int, flags shm.GetFlag) (ID, error) {
	if err := checkGet(key, n, flags); err != nil {
		return 0, err
	}
	id, err := semget(key, n, flags)
	if err != 0 {
		return 0, getError(key, n, flags, err, "")
	}
	return id, nil
}

func checkGet(key shm.Key, n int, flags shm.GetFlag) error {
	switch {
	case n < 0:
		return getError(key, n, flags, syscall.EINVAL, "the number of semaphores is negative")
	case n > math.MaxInt32:
		return getError(key, n, flags, syscall.EINVAL, "more semaphores than an int of C counts")
	case flags&^getFlags != 0:
		return getError(key, n, flags, syscall.EINVAL, "semget knows IPC_CREAT, IPC_EXCL and permissions only")
	}
	return nil
}

// GetOrCreate returns the id of the set that has the key, or of a new one, with
// a semaphore of each initial value, and tells which. Whoever gets the id, the
// values have been set: an opener waits, for a second at most, until the
// set's sem_otime is not 0. The creator makes it so by a semop, and by that
// alone its values are complete. A C program may be creator or opener, if it
// keeps the same rule.
//
// Errors are those of [Get], [ID.SetValues], [ID.Op] and [ID.Stat]: ENOENT
// (fs.ErrNotExist) if other processes kept removing the set each time before it
// was opened; ERANGE for a value over [SEMVMX]; EACCES if perm does not let
// the creator alter the set, or read it where the first value is 0; and, before
// any call, EINVAL for no value at all, for [shm.IPC_PRIVATE] (which never finds
// anything) and for [shm.IPC_EXCL].
// [ErrUninitialized], with the id, if a second was not enough. A creator that
// fails removes what it has made.
func GetOrCreate(key shm.Key, perm shm.GetFlag, initial ...uint16) (id ID, created bool, err error) {
	n := len(initial)
	refuse := func(errno syscall.Errno, hint string) (ID, bool, error) {
		return 0, false, getError(key, n, perm, errno, hint)
	}
	switch {
	case key == shm.IPC_PRIVATE:
		return refuse(syscall.EINVAL, "with IPC_PRIVATE every set is a new one: use Get")
	case perm&shm.IPC_EXCL != 0:
		return refuse(syscall.EINVAL, "with IPC_EXCL an existing set is an error: use Get")
	case n == 0:
		return refuse(syscall.EINVAL, "a set has at least 1 semaphore")
	}
	for _, v := range initial {
		if v > SEMVMX {
			return refuse(syscall.ERANGE, "a value is larger than 32767")
		}
	}
	if err := checkGet(key, n, perm); err != nil {
		return 0, false, err
	}
	create, open := perm|shm.IPC_CREAT|shm.IPC_EXCL, perm&^shm.IPC_CREAT
	const attempts = 100
	for range attempts {
		id, errno := semget(key, n, create)
		if errno == 0 {
			if err := id.initialize(initial); err != nil {
				_ = id.Remove()
				return 0, false, err
			}
			return id, true, nil
		}
		if errno != syscall.EEXIST {
			return 0, false, getError(key, n, create, errno, "")
		}
		id, errno = semget(key, n, open)
		if errno == 0 {
			err := id.awaitInitialized()
			if errors.Is(err, shm.ErrRemoved) {
				continue
			}
			return id, false, err
		}
		if errno != syscall.ENOENT {
			return 0, false, getError(key, n, open, errno, "")
		}
	}
	return 0, false, getError(key, n, open, syscall.ENOENT, "")
}

// initialize gives a new set its values: the first one by semop, last of all,
// for that sets sem_otime. (The values could all be added by one semop, but no
// more than semopm of them.)
func (id ID) initialize(initial []uint16) error {
	rest := append([]uint16{0}, initial[1:]...)
	if err := id.SetValues(rest); err != nil {
		return err
	}
	return id.Op(Op{Num: 0, Op: int16(initial[0])}) // 0 waits for 0, which it is
}

// awaitInitialized waits until the set's creator has initialised it.
func (id ID) awaitInitialized() error {
	deadline := time.Now().Add(time.Second)
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		switch ds, err := stat(id); {
		case err != 0:
			return ctlError(id, "IPC_STAT", err)
		case ds.Otime != 0:
			return nil
		case time.Now().After(deadline):
			return ErrUninitialized
		}
		time.Sleep(pause)
	}
}

// Op does all of the operations at once, or waits until it can (semop(2)). It
// waits as long as it takes: a signal does not end it. The goroutine's thread
// waits with it.
//
// Errors:
//   - EAGAIN: it would have to wait, for an operation with [IPC_NOWAIT].
//   - EINVAL or EIDRM, both [shm.ErrRemoved]: there is no such set (any more,
//     if it was removed while Op waited).
//   - EACCES (fs.ErrPermission): the set's permissions do not grant it; 0
//     needs read permission, anything else the permission to alter.
//   - EFBIG: it has no semaphore of that number.
//   - ERANGE: a value would exceed [SEMVMX], or what there is to undo would.
//   - E2BIG: more operations than semopm.
//   - EINVAL: no operation at all.
//   - ENOMEM, ENOSPC: the kernel has no memory for the operations, or for
//     what there is to undo.
func (id ID) Op(ops ...Op) error {
	if err := semopUninterrupted(id, ops); err != 0 {
		return opError(id, ops, "semop", err)
	}
	return nil
}

// OpTimeout is [ID.Op] that waits for d at most (semtimedop(2)); a d of 0 or
// less does not wait.
//
// Errors are those of Op; EAGAIN also when the time is over.
func (id ID) OpTimeout(d time.Duration, ops ...Op) error {
	// Longer than any wait, and short enough for a 32-bit time_t.
	const longest = 1 << 30 * time.Second
	deadline := time.Now().Add(d)
	for {
		err := semop(id, ops, min(max(d, 0), longest))
		if err == 0 {
			return nil
		}
		if d = time.Until(deadline); err != syscall.EINTR && (err != syscall.EAGAIN || d <= 0 || nowait(ops)) {
			return opError(id, ops, "semtimedop", err)
		}
	}
}

// OpContext is [ID.Op] that waits until the context is done at most. While it
// waits, it wakes up about 17 times a second to look at the context, unless
// that cannot be cancelled; so it may return that much later.
//
// Errors are those of Op and of ctx.Err, the latter before any operation if
// the context is done already.
func (id ID) OpContext(ctx context.Context, ops ...Op) error {
	if ctx.Done() == nil {
		return id.Op(ops...)
	}
	errno, err := ctxwait.Do(ctx, syscall.ETIMEDOUT, func(d time.Duration) syscall.Errno {
		began := time.Now()
		errno := semop(id, ops, d)
		if errno == syscall.EAGAIN && (!nowait(ops) || time.Since(began) >= d) {
			return syscall.ETIMEDOUT // and not an operation that may not wait
		}
		return errno
	})
	if errno != 0 {
		return opError(id, ops, "semtimedop", errno)
	}
	return err
}

// nowait tells whether an EAGAIN can be that of an operation, and not of the
// timeout.
func nowait(ops []Op) bool {
	for _, op := range ops {
		if op.Flags&IPC_NOWAIT != 0 {
			return true
		}
	}
	return false
}

// Value returns a semaphore's value (GETVAL). It needs read permission.
//
// Errors: EINVAL if the set has no semaphore of that number; those of
// [ID.Stat].
func (id ID) Value(num int) (int, error) { return id.get(num, C.GETVAL, "GETVAL") }

// SetValue sets a semaphore's value (SETVAL), wakes up who can go on by it, and
// makes every process forget what it has to undo on the semaphore. It does not
// set sem_otime. It needs the permission to alter.
//
// Errors: ERANGE for a value that is negative or over [SEMVMX]; those of
// [ID.Value].
func (id ID) SetValue(num, value int) error {
	errno := syscall.ERANGE
	if value >= 0 && value <= SEMVMX {
		_, errno = ctl(id, num, C.SETVAL, value)
	}
	if errno != 0 {
		return valueError(id, num, "SETVAL", errno)
	}
	return nil
}

// PID returns the process that changed a semaphore last, or waited for its 0
// (GETPID): by semop, SETVAL or SETALL, or by an undo; 0 if there was none, or
// if it is in another pid namespace. It needs read permission.
//
// Errors are those of [ID.Value].
func (id ID) PID(num int) (int, error) { return id.get(num, C.GETPID, "GETPID") }

// WaitingIncrease returns how many operations wait for a semaphore's value to
// become larger (GETNCNT). It needs read permission.
//
// Errors are those of [ID.Value].
func (id ID) WaitingIncrease(num int) (int, error) { return id.get(num, C.GETNCNT, "GETNCNT") }

// WaitingZero returns how many operations wait for a semaphore's value to
// become 0 (GETZCNT). It needs read permission.
//
// Errors are those of [ID.Value].
func (id ID) WaitingZero(num int) (int, error) { return id.get(num, C.GETZCNT, "GETZCNT") }

func (id ID) get(num int, cmd C.int, name string) (int, error) {
	value, errno := ctl(id, num, cmd, 0)
	if errno != 0 {
		return 0, valueError(id, num, name, errno)
	}
	return value, nil
}

// Values returns the values of all semaphores of the set, as they were at one
// instant (GETALL). It needs read permission.
//
// Errors are those of [ID.Stat].
func (id ID) Values() ([]uint16, error) {
	n, errno := getall(id, nil)
	if errno == 0 {
		values := make([]uint16, n)
		if _, errno = getall(id, values); errno == 0 {
			return values, nil
		}
	}
	return nil, ctlError(id, "GETALL", errno)
}

// SetValues sets the values of all semaphores of the set (SETALL), a value for
// each, wakes up who can go on by it, and makes every process forget what it
// has to undo on the set. It does not set sem_otime. It needs the permission to
// alter.
//
// Errors: EINVAL for another number of values than the set has semaphores,
// ERANGE for a value over [SEMVMX], and nothing is done; those of [ID.Stat].
func (id ID) SetValues(values []uint16) error {
	n, errno := setall(id, values)
	if errno != 0 {
		return ctlError(id, "SETALL", errno)
	}
	if n != len(values) {
		return countError(id, len(values), n)
	}
	return nil
}

// Stat reads the set's status (IPC_STAT). It needs read permission.
//
// Errors: EACCES (fs.ErrPermission); EINVAL or EIDRM, both [shm.ErrRemoved],
// when there is no such set any more.
func (id ID) Stat() (ds SemidDS, err error) {
	if _, errno := semctl(id, C.IPC_STAT, &ds); errno != 0 { // into the result: it is not copied
		return SemidDS{}, ctlError(id, "IPC_STAT", errno)
	}
	return ds, nil
}

// Set changes the owner (Perm.UID, Perm.GID) and the permission bits of
// Perm.Mode to those in ds and sets the change time (IPC_SET). The kernel
// ignores the rest of ds, so that a Stat, a change and a Set are enough.
//
// Errors: EPERM (fs.ErrPermission) unless the caller is the owner, the
// creator, or has CAP_SYS_ADMIN; EINVAL for an owner that the user namespace
// has not; EINVAL or EIDRM, both [shm.ErrRemoved], when there is no such set;
// EFAULT for a nil ds, before any call.
func (id ID) Set(ds *SemidDS) error {
	if ds == nil {
		return ctlError(id, "IPC_SET", syscall.EFAULT)
	}
	if _, err := semctl(id, C.IPC_SET, ds); err != 0 {
		return ctlError(id, "IPC_SET", err)
	}
	return nil
}

// Remove removes the set at once (IPC_RMID). Who waits in a semop on it gets
// EIDRM, which is [shm.ErrRemoved].
//
// Errors: EPERM (fs.ErrPermission) unless the caller is the owner, the
// creator, or has CAP_SYS_ADMIN; EINVAL or EIDRM, both [shm.ErrRemoved], when
// there is no such set.
func (id ID) Remove() error {
	if _, err := ctl(id, 0, C.IPC_RMID, 0); err != 0 {
		return ctlError(id, "IPC_RMID", err)
	}
	return nil
}

// StatIndex reads the id and status of the set in a slot of the kernel's table
// (SEM_STAT). Slots run from 0 to the highest in use, and may be empty. It
// needs read permission for the set.
//
// Errors: fs.ErrNotExist for a slot without a set; EACCES (fs.ErrPermission).
func StatIndex(index int) (ID, SemidDS, error) {
	return statIndex(index, C.SEM_STAT, "SEM_STAT")
}

// StatIndexAny is [StatIndex] without the need for read permission
// (SEM_STAT_ANY). On kernels before 4.17 every slot is fs.ErrNotExist.
func StatIndexAny(index int) (ID, SemidDS, error) {
	return statIndex(index, C.SEM_STAT_ANY, "SEM_STAT_ANY")
}

func statIndex(index int, cmd C.int, name string) (ID, SemidDS, error) {
	if index < 0 || index > math.MaxInt32 {
		return 0, SemidDS{}, indexError(index, name, syscall.EINVAL)
	}
	var ds SemidDS
	id, err := semctl(ID(index), cmd, &ds)
	if err != 0 {
		return 0, SemidDS{}, indexError(index, name, err)
	}
	return ID(id), ds, nil
}

// Set is an element of [List]: a set's id and status.
type Set struct {
	ID ID
	SemidDS
}

// List returns every set of this IPC namespace, in the order of the kernel's
// table, whoever owns it and whether or not it may be read: SEM_INFO, then
// SEM_STAT_ANY for each slot, in one crossing for up to 64 sets and in two for
// more. The table is not locked: sets that others make or remove meanwhile may
// be missing or be there.
//
// Where the kernel has no SEM_STAT_ANY (before 4.17), List returns the sets
// that the caller may read, and [shm.ErrPartial] if there are others.
func List() ([]Set, error) {
	var few [64]Set
	n, listed, err := list(few[:])
	var sets []Set
	if n <= len(few) {
		sets = make([]Set, n)
		copy(sets, few[:n])
	}
	for n > len(sets) {
		sets = make([]Set, n+n/8) // room for those made meanwhile
		n, listed, err = list(sets)
	}
	switch {
	case err != 0 && listed.stat != 0:
		return nil, infoError("SEM_STAT_ANY", err)
	case err != 0:
		return nil, infoError("SEM_INFO", err)
	case listed.denied > 0:
		return sets[:n:n], shm.ErrPartial
	}
	return sets[:n:n], nil
}

// Limits reads the limits on semaphores of this IPC namespace (IPC_INFO). It
// needs no permission, and does not fail on an ordinary system.
func Limits() (LimitsInfo, error) {
	var info LimitsInfo
	if r := C.gosysv_sem_info(C.IPC_INFO, (*C.struct_seminfo)(unsafe.Pointer(&info))); r < 0 {
		return LimitsInfo{}, infoError("IPC_INFO", errno(r))
	}
	return info, nil
}

// Usage reads what semaphores are in use in this IPC namespace (SEM_INFO). It
// needs no permission, and does not fail on an ordinary system.
func Usage() (UsageInfo, error) {
	var info UsageInfo
	if r := C.gosysv_sem_info(C.SEM_INFO, (*C.struct_seminfo)(unsafe.Pointer(&info))); r < 0 {
		return UsageInfo{}, infoError("SEM_INFO", errno(r))
	}
	return info, nil
}

// The calls, as the rest of the package sees them. They make no errors of
// their own, so that the hints of an error can be looked up with them.

func errno(r C.int) syscall.Errno { return syscall.Errno(-r) }

// result is what a call returned, and its errno.
func result(r C.int) (int, syscall.Errno) {
	if r < 0 {
		return 0, errno(r)
	}
	return int(r), 0
}

func semget(key shm.Key, n int, flags shm.GetFlag) (ID, syscall.Errno) {
	id, err := result(C.gosysv_sem_get(C.key_t(key), C.int(n), C.int(flags)))
	return ID(id), err
}

// semop waits for d at most or, if that is negative, as long as it takes.
func semop(id ID, ops []Op, d time.Duration) syscall.Errno {
	first := (*C.struct_sembuf)(unsafe.Pointer(unsafe.SliceData(ops)))
	_, err := result(C.gosysv_sem_op(C.int(id), first, C.size_t(len(ops)), C.int64_t(d)))
	return err
}

func semopUninterrupted(id ID, ops []Op) syscall.Errno {
	for {
		if err := semop(id, ops, -1); err != syscall.EINTR {
			return err
		}
	}
}

func ctl(id ID, num int, cmd C.int, value int) (int, syscall.Errno) {
	if num < 0 || num > math.MaxInt32 {
		return 0, syscall.EINVAL
	}
	return result(C.gosysv_sem_ctl(C.int(id), C.int(num), cmd, C.int(value)))
}

func semctl(id ID, cmd C.int, ds *SemidDS) (int, syscall.Errno) {
	return result(C.gosysv_sem_stat(C.int(id), cmd, (*C.struct_semid_ds)(unsafe.Pointer(ds))))
}

// stat is IPC_STAT or, where that is not permitted, SEM_STAT_ANY, which takes
// an id for the index in its low bits.
func stat(id ID) (SemidDS, syscall.Errno) {
	var ds SemidDS
	_, err := semctl(id, C.IPC_STAT, &ds)
	if err == syscall.EACCES {
		if got, errAny := semctl(id, C.SEM_STAT_ANY, &ds); errAny == 0 && ID(got) == id {
			return ds, 0
		}
	}
	return ds, err
}

// getall and setall return the size of the set; they have done nothing if
// that is not the length of values.

func getall(id ID, values []uint16) (int, syscall.Errno) {
	return result(C.gosysv_sem_getall(C.int(id), shorts(values), C.int(len(values))))
}

func setall(id ID, values []uint16) (int, syscall.Errno) {
	return result(C.gosysv_sem_setall(C.int(id), shorts(values), C.int(len(values))))
}

func shorts(values []uint16) *C.ushort {
	return (*C.ushort)(unsafe.Pointer(unsafe.SliceData(values)))
}

func list(sets []Set) (n int, listed C.struct_gosysv_sem_listed, err syscall.Errno) {
	first := (*C.struct_gosysv_sem_set)(unsafe.Pointer(unsafe.SliceData(sets)))
	n, err = result(C.gosysv_sem_list(first, C.int(len(sets)), &listed))
	return n, listed, err
}

// The mirrors are right where these lines compile: each compares the offset
// and the size of a member, Go's with the libc's, as in package shm.
var (
	_ [C.gosysv_size_sembuf]struct{}                                         = [unsafe.Sizeof(Op{})]struct{}{}
	_ [C.gosysv_offset_sembuf_sem_num][C.gosysv_size_sembuf_sem_num]struct{} = [unsafe.Offsetof(Op{}.Num)][unsafe.Sizeof(Op{}.Num)]struct{}{}
	_ [C.gosysv_offset_sembuf_sem_op][C.gosysv_size_sembuf_sem_op]struct{}   = [unsafe.Offsetof(Op{}.Op)][unsafe.Sizeof(Op{}.Op)]struct{}{}
	_ [C.gosysv_offset_sembuf_sem_flg][C.gosysv_size_sembuf_sem_flg]struct{} = [unsafe.Offsetof(Op{}.Flags)][unsafe.Sizeof(Op{}.Flags)]struct{}{}

	_ [C.gosysv_size_semid_ds]struct{}                                               = [unsafe.Sizeof(SemidDS{})]struct{}{}
	_ [C.gosysv_offset_semid_ds_sem_perm][C.gosysv_size_semid_ds_sem_perm]struct{}   = [unsafe.Offsetof(SemidDS{}.Perm)][unsafe.Sizeof(SemidDS{}.Perm)]struct{}{}
	_ [C.gosysv_offset_semid_ds_sem_otime][C.gosysv_size_semid_ds_sem_otime]struct{} = [unsafe.Offsetof(SemidDS{}.Otime)][unsafe.Sizeof(SemidDS{}.Otime)]struct{}{}
	_ [C.gosysv_offset_semid_ds_sem_ctime][C.gosysv_size_semid_ds_sem_ctime]struct{} = [unsafe.Offsetof(SemidDS{}.Ctime)][unsafe.Sizeof(SemidDS{}.Ctime)]struct{}{}
	_ [C.gosysv_offset_semid_ds_sem_nsems][C.gosysv_size_semid_ds_sem_nsems]struct{} = [unsafe.Offsetof(SemidDS{}.Nsems)][unsafe.Sizeof(SemidDS{}.Nsems)]struct{}{}

	_ [C.gosysv_size_seminfo]struct{}                                        = [unsafe.Sizeof(LimitsInfo{})]struct{}{}
	_ [C.gosysv_offset_seminfo_semmap][C.gosysv_size_seminfo_semmap]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semmap)][unsafe.Sizeof(LimitsInfo{}.Semmap)]struct{}{}
	_ [C.gosysv_offset_seminfo_semmni][C.gosysv_size_seminfo_semmni]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semmni)][unsafe.Sizeof(LimitsInfo{}.Semmni)]struct{}{}
	_ [C.gosysv_offset_seminfo_semmns][C.gosysv_size_seminfo_semmns]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semmns)][unsafe.Sizeof(LimitsInfo{}.Semmns)]struct{}{}
	_ [C.gosysv_offset_seminfo_semmnu][C.gosysv_size_seminfo_semmnu]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semmnu)][unsafe.Sizeof(LimitsInfo{}.Semmnu)]struct{}{}
	_ [C.gosysv_offset_seminfo_semmsl][C.gosysv_size_seminfo_semmsl]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semmsl)][unsafe.Sizeof(LimitsInfo{}.Semmsl)]struct{}{}
	_ [C.gosysv_offset_seminfo_semopm][C.gosysv_size_seminfo_semopm]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semopm)][unsafe.Sizeof(LimitsInfo{}.Semopm)]struct{}{}
	_ [C.gosysv_offset_seminfo_semume][C.gosysv_size_seminfo_semume]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semume)][unsafe.Sizeof(LimitsInfo{}.Semume)]struct{}{}
	_ [C.gosysv_offset_seminfo_semusz][C.gosysv_size_seminfo_semusz]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semusz)][unsafe.Sizeof(LimitsInfo{}.Semusz)]struct{}{}
	_ [C.gosysv_offset_seminfo_semvmx][C.gosysv_size_seminfo_semvmx]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semvmx)][unsafe.Sizeof(LimitsInfo{}.Semvmx)]struct{}{}
	_ [C.gosysv_offset_seminfo_semaem][C.gosysv_size_seminfo_semaem]struct{} = [unsafe.Offsetof(LimitsInfo{}.Semaem)][unsafe.Sizeof(LimitsInfo{}.Semaem)]struct{}{}

	_ [C.gosysv_size_seminfo]struct{}                                        = [unsafe.Sizeof(UsageInfo{})]struct{}{}
	_ [C.gosysv_offset_seminfo_semusz][C.gosysv_size_seminfo_semusz]struct{} = [unsafe.Offsetof(UsageInfo{}.UsedIDs)][unsafe.Sizeof(UsageInfo{}.UsedIDs)]struct{}{}
	_ [C.gosysv_offset_seminfo_semaem][C.gosysv_size_seminfo_semaem]struct{} = [unsafe.Offsetof(UsageInfo{}.UsedSems)][unsafe.Sizeof(UsageInfo{}.UsedSems)]struct{}{}

	_ [C.gosysv_size_gosysv_sem_set]struct{}                                       = [unsafe.Sizeof(Set{})]struct{}{}
	_ [C.gosysv_offset_gosysv_sem_set_id][C.gosysv_size_gosysv_sem_set_id]struct{} = [unsafe.Offsetof(Set{}.ID)][unsafe.Sizeof(Set{}.ID)]struct{}{}
	_ [C.gosysv_offset_gosysv_sem_set_ds][C.gosysv_size_gosysv_sem_set_ds]struct{} = [unsafe.Offsetof(Set{}.SemidDS)][unsafe.Sizeof(Set{}.SemidDS)]struct{}{}
)
