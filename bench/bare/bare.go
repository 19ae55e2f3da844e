//go:build linux && cgo

// Package bare is what the package is measured against: bare cgo shims of the
// libc's calls, and loops over them that are in C.
package bare

/*
#cgo CFLAGS: -O2
#cgo noescape bench_empty
#cgo nocallback bench_empty
#cgo noescape bench_shmget
#cgo nocallback bench_shmget
#cgo noescape bench_shmat
#cgo nocallback bench_shmat
#cgo noescape bench_shmat_stat
#cgo nocallback bench_shmat_stat
#cgo noescape bench_shmdt
#cgo nocallback bench_shmdt
#cgo noescape bench_shmctl
#cgo nocallback bench_shmctl
#cgo noescape bench_shminfo
#cgo nocallback bench_shminfo
#cgo noescape bench_ftok
#cgo nocallback bench_ftok
#cgo noescape bench_semop
#cgo nocallback bench_semop
#cgo noescape bench_msgsnd
#cgo nocallback bench_msgsnd
#cgo noescape bench_msgrcv
#cgo nocallback bench_msgrcv
#cgo noescape bench_loop_get
#cgo nocallback bench_loop_get
#cgo noescape bench_loop_ctl
#cgo nocallback bench_loop_ctl
#cgo noescape bench_loop_limits
#cgo nocallback bench_loop_limits
#cgo noescape bench_loop_attach
#cgo nocallback bench_loop_attach
#cgo noescape bench_loop_create
#cgo nocallback bench_loop_create
#cgo noescape bench_loop_ftok
#cgo nocallback bench_loop_ftok
#cgo noescape bench_loop_copy
#cgo nocallback bench_loop_copy
#cgo noescape bench_loop_list
#cgo nocallback bench_loop_list
#cgo noescape bench_touch
#cgo nocallback bench_touch
#cgo noescape bench_mutex_lock
#cgo nocallback bench_mutex_lock
#cgo noescape bench_mutex_unlock
#cgo nocallback bench_mutex_unlock
#cgo noescape bench_semop_undo
#cgo nocallback bench_semop_undo
#cgo noescape bench_sem_wait
#cgo nocallback bench_sem_wait
#cgo noescape bench_sem_post
#cgo nocallback bench_sem_post
#cgo noescape bench_rdlock
#cgo nocallback bench_rdlock
#cgo noescape bench_rwunlock
#cgo nocallback bench_rwunlock
#cgo noescape bench_loop_lock
#cgo nocallback bench_loop_lock
#cgo noescape bench_contend
#cgo nocallback bench_contend
#cgo noescape bench_ping
#cgo nocallback bench_ping
#cgo noescape bench_pong
#cgo nocallback bench_pong
#include "bare.h"
*/
import "C"

import (
	"syscall"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
)

// Commands of shmctl(2).
const (
	IPC_RMID = int32(C.IPC_RMID)
	IPC_SET  = int32(C.IPC_SET)
	IPC_STAT = int32(C.IPC_STAT)
)

// The wrappers here return what the shim returns, -errno, as it is: they are
// to cost nothing beside the crossing.

// Empty crosses and comes back.
func Empty() { C.bench_empty() }

// Shmget is shmget(2).
func Shmget(key int32, size int, flags int32) int32 {
	return int32(C.bench_shmget(C.key_t(key), C.size_t(size), C.int(flags)))
}

// Shmat is shmat(2) at an address that the kernel chooses.
func Shmat(id int32, addr *uintptr) int32 {
	return int32(C.bench_shmat(C.int(id), (*C.uintptr_t)(unsafe.Pointer(addr))))
}

// ShmatStat is shmat(2) and, in the same crossing, IPC_STAT.
func ShmatStat(id int32, addr *uintptr) int32 {
	return int32(C.bench_shmat_stat(C.int(id), (*C.uintptr_t)(unsafe.Pointer(addr))))
}

// Shmdt is shmdt(2).
func Shmdt(addr uintptr) int32 { return int32(C.bench_shmdt(C.uintptr_t(addr))) }

// Shmctl is shmctl(2).
func Shmctl(id, cmd int32, ds *shm.ShmidDS) int32 {
	return int32(C.bench_shmctl(C.int(id), C.int(cmd), (*C.struct_shmid_ds)(unsafe.Pointer(ds))))
}

// Shminfo is shmctl(2) with IPC_INFO.
func Shminfo(info *shm.LimitsInfo) int32 {
	return int32(C.bench_shminfo((*C.struct_shminfo)(unsafe.Pointer(info))))
}

// Ftok is ftok(3) of a path that ends in a NUL byte.
func Ftok(path *byte, projID int32, key *int32) int32 {
	return int32(C.bench_ftok((*C.char)(unsafe.Pointer(path)), C.int(projID), (*C.key_t)(unsafe.Pointer(key))))
}

// Msgget makes a message queue.
func Msgget() (int, error) {
	r := C.bench_msgget()
	return int(r), result(r)
}

// MsgRemove removes a queue.
func MsgRemove(id int) error { return result(C.bench_msgrm(C.int(id))) }

// Semop is semop(2) with one operation.
func Semop(id int32, num uint16, op int16) int32 {
	return int32(C.bench_semop(C.int(id), C.ushort(num), C.short(op)))
}

// Msgsnd is msgsnd(2). msg is the address of a struct msgbuf whose text is
// size bytes long.
func Msgsnd(id int32, msg uintptr, size int) int32 {
	return int32(C.bench_msgsnd(C.int(id), C.uintptr_t(msg), C.size_t(size)))
}

// Msgrcv is msgrcv(2).
func Msgrcv(id int32, msg uintptr, size, kind int) int32 {
	return int32(C.bench_msgrcv(C.int(id), C.uintptr_t(msg), C.size_t(size), C.long(kind)))
}

// LoopGet is n times shmget(2), in C.
func LoopGet(key int32, size int, flags int32, n int) error {
	return result(C.bench_loop_get(C.key_t(key), C.size_t(size), C.int(flags), C.long(n)))
}

// LoopCtl is n times shmctl(2), in C.
func LoopCtl(id, cmd int32, ds *shm.ShmidDS, n int) error {
	return result(C.bench_loop_ctl(C.int(id), C.int(cmd), (*C.struct_shmid_ds)(unsafe.Pointer(ds)), C.long(n)))
}

// LoopLimits is n times shmctl(2) with IPC_INFO, in C.
func LoopLimits(info *shm.LimitsInfo, n int) error {
	return result(C.bench_loop_limits((*C.struct_shminfo)(unsafe.Pointer(info)), C.long(n)))
}

// LoopAttach is n times shmat(2) and shmdt(2), in C.
func LoopAttach(id int32, n int) error {
	return result(C.bench_loop_attach(C.int(id), C.long(n)))
}

// LoopCreate is n times shmget(2) of a new segment and IPC_RMID, in C.
func LoopCreate(size, n int) error {
	return result(C.bench_loop_create(C.size_t(size), C.long(n)))
}

// LoopFtok is n times ftok(3), in C.
func LoopFtok(path *byte, projID int32, key *int32, n int) error {
	return result(C.bench_loop_ftok((*C.char)(unsafe.Pointer(path)), C.int(projID), (*C.key_t)(unsafe.Pointer(key)), C.long(n)))
}

// LoopCopy is n times memcpy(3) of len(src) bytes, in C.
func LoopCopy(dst, src []byte, n int) {
	to := uintptr(unsafe.Pointer(unsafe.SliceData(dst)))
	from := uintptr(unsafe.Pointer(unsafe.SliceData(src)))
	C.bench_loop_copy(C.uintptr_t(to), C.uintptr_t(from), C.size_t(min(len(dst), len(src))), C.long(n))
}

// LoopList counts the segments of the namespace n times, in C.
func LoopList(n int) (int, error) {
	r := C.bench_loop_list(C.long(n))
	return int(r), result(r)
}

// Touch stores a byte in every page of mem, in C.
func Touch(mem []byte, page int) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	C.bench_touch(C.uintptr_t(at), C.size_t(len(mem)), C.size_t(page))
}

// Talk is where two processes leave messages for each other, and what these
// are made of: a struct bench_talk.
type Talk struct {
	Words, Texts [2]uintptr
	Known, Size  uintptr
}

// Ping sends the requests from number first to last and waits for the reply to
// each, in C. It returns the sum of the numbers.
func Ping(t *Talk, first, last uint32) (uint64, error) {
	var sum C.uint64_t
	r := C.bench_ping((*C.struct_bench_talk)(unsafe.Pointer(t)), C.uint32_t(first), C.uint32_t(last), &sum)
	return uint64(sum), result(r)
}

// Pong waits for these requests and replies.
func Pong(t *Talk, first, last uint32) (uint64, error) {
	var sum C.uint64_t
	r := C.bench_pong((*C.struct_bench_talk)(unsafe.Pointer(t)), C.uint32_t(first), C.uint32_t(last), &sum)
	return uint64(sum), result(r)
}

// Locks are locks in a segment, and what they guard.
type Locks struct {
	Mutex  pshared.MutexT
	RWLock pshared.RWLockT
	Sem    pshared.SemT
	Count  uint64
}

var _ [C.sizeof_struct_bench_locks]struct{} = [unsafe.Sizeof(Locks{})]struct{}{}

// Kind is a lock: one of Locks, or semaphore 0 of a set.
type Kind C.enum_bench_kind

// The kinds: pthread_mutex_t, semop(2) with SEM_UNDO, sem_t, and
// pthread_rwlock_t for reading.
const (
	Mutex  Kind = C.BENCH_MUTEX
	SemOp  Kind = C.BENCH_SEMOP
	Sem    Kind = C.BENCH_SEM
	RDLock Kind = C.BENCH_RDLOCK
)

func (l *Locks) c() *C.struct_bench_locks { return (*C.struct_bench_locks)(unsafe.Pointer(l)) }

// MutexLock is pthread_mutex_lock(3).
func MutexLock(l *Locks) int32 { return int32(C.bench_mutex_lock(l.c())) }

// MutexUnlock is pthread_mutex_unlock(3).
func MutexUnlock(l *Locks) int32 { return int32(C.bench_mutex_unlock(l.c())) }

// SemopUndo is semop(2) on semaphore 0 with SEM_UNDO.
func SemopUndo(id int32, op int16) int32 {
	return int32(C.bench_semop_undo(C.int(id), C.short(op)))
}

// SemWait is sem_wait(3).
func SemWait(l *Locks) int32 { return int32(C.bench_sem_wait(l.c())) }

// SemPost is sem_post(3).
func SemPost(l *Locks) int32 { return int32(C.bench_sem_post(l.c())) }

// RDLockLock is pthread_rwlock_rdlock(3).
func RDLockLock(l *Locks) int32 { return int32(C.bench_rdlock(l.c())) }

// RDLockUnlock is pthread_rwlock_unlock(3).
func RDLockUnlock(l *Locks) int32 { return int32(C.bench_rwunlock(l.c())) }

// LoopLock takes a lock and gives it back n times, in C.
func LoopLock(kind Kind, l *Locks, id int32, n int) error {
	return result(C.bench_loop_lock(C.enum_bench_kind(kind), l.c(), C.int(id), C.long(n)))
}

// Contend starts threads in C, each of which counts n times under a lock.
func Contend(kind Kind, l *Locks, id int32, threads, n int) error {
	return result(C.bench_contend(C.enum_bench_kind(kind), l.c(), C.int(id), C.int(threads), C.long(n)))
}

func result(r C.int) error {
	if r < 0 {
		return syscall.Errno(-r)
	}
	return nil
}
