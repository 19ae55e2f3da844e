//go:build linux && cgo

package pshared

// Everything of this package that touches C is in this file.

/*
#cgo noescape gosysv_pshared_mutex_init
#cgo nocallback gosysv_pshared_mutex_init
#cgo noescape gosysv_pshared_sem_init
#cgo nocallback gosysv_pshared_sem_init
#cgo noescape gosysv_pshared_cond_init
#cgo nocallback gosysv_pshared_cond_init
#cgo noescape gosysv_pshared_rwlock_init
#cgo nocallback gosysv_pshared_rwlock_init
#cgo noescape gosysv_pshared_mutex_is_shared
#cgo nocallback gosysv_pshared_mutex_is_shared
#cgo noescape gosysv_pshared_mutex_is_robust
#cgo nocallback gosysv_pshared_mutex_is_robust
#cgo noescape gosysv_pshared_sem_is_shared
#cgo nocallback gosysv_pshared_sem_is_shared
#cgo noescape gosysv_pshared_cond_is_shared
#cgo nocallback gosysv_pshared_cond_is_shared
#cgo noescape gosysv_pshared_rwlock_is_shared
#cgo nocallback gosysv_pshared_rwlock_is_shared
#cgo noescape gosysv_pshared_mutex_lock
#cgo nocallback gosysv_pshared_mutex_lock
#cgo noescape gosysv_pshared_mutex_trylock
#cgo nocallback gosysv_pshared_mutex_trylock
#cgo noescape gosysv_pshared_mutex_unlock
#cgo nocallback gosysv_pshared_mutex_unlock
#cgo noescape gosysv_pshared_mutex_consistent
#cgo nocallback gosysv_pshared_mutex_consistent
#cgo noescape gosysv_pshared_mutex_destroy
#cgo nocallback gosysv_pshared_mutex_destroy
#cgo noescape gosysv_pshared_sem_wait
#cgo nocallback gosysv_pshared_sem_wait
#cgo noescape gosysv_pshared_sem_trywait
#cgo nocallback gosysv_pshared_sem_trywait
#cgo noescape gosysv_pshared_sem_post
#cgo nocallback gosysv_pshared_sem_post
#cgo noescape gosysv_pshared_sem_getvalue
#cgo nocallback gosysv_pshared_sem_getvalue
#cgo noescape gosysv_pshared_sem_destroy
#cgo nocallback gosysv_pshared_sem_destroy
#cgo noescape gosysv_pshared_cond_wait
#cgo nocallback gosysv_pshared_cond_wait
#cgo noescape gosysv_pshared_cond_signal
#cgo nocallback gosysv_pshared_cond_signal
#cgo noescape gosysv_pshared_cond_broadcast
#cgo nocallback gosysv_pshared_cond_broadcast
#cgo noescape gosysv_pshared_cond_destroy
#cgo nocallback gosysv_pshared_cond_destroy
#cgo noescape gosysv_pshared_rwlock_rdlock
#cgo nocallback gosysv_pshared_rwlock_rdlock
#cgo noescape gosysv_pshared_rwlock_tryrdlock
#cgo nocallback gosysv_pshared_rwlock_tryrdlock
#cgo noescape gosysv_pshared_rwlock_wrlock
#cgo nocallback gosysv_pshared_rwlock_wrlock
#cgo noescape gosysv_pshared_rwlock_trywrlock
#cgo nocallback gosysv_pshared_rwlock_trywrlock
#cgo noescape gosysv_pshared_rwlock_unlock
#cgo nocallback gosysv_pshared_rwlock_unlock
#cgo noescape gosysv_pshared_rwlock_destroy
#cgo nocallback gosysv_pshared_rwlock_destroy
#include "pshared.h"
*/
import "C"

import (
	"syscall"
	"time"
	"unsafe"
)

// The images of the libc's objects: of its sizes and alignments, to stand in
// the Go struct for a View where the C struct has them. They must not be
// copied, and mean nothing outside of a segment. (The words have a name, for
// package layout takes blank fields for padding.)
type (
	// MutexT is C's pthread_mutex_t: 40 bytes on amd64. See [OpenMutex].
	MutexT struct {
		_     noCopy
		words [C.gosysv_size_mutex / word]uint
	}

	// SemT is C's sem_t: 32 bytes on amd64. See [OpenSem].
	SemT struct {
		_     noCopy
		words [C.gosysv_size_sem / unsafe.Sizeof(C.gosysv_sem_word(0))]C.gosysv_sem_word
	}

	// CondT is C's pthread_cond_t: 48 bytes on amd64. See [OpenCond].
	CondT struct {
		_     noCopy
		_     condAlign
		words [C.gosysv_size_cond / word]uint
	}

	// RWLockT is C's pthread_rwlock_t: 56 bytes on amd64. See [OpenRWLock].
	RWLockT struct {
		_     noCopy
		words [C.gosysv_size_rwlock / word]uint
	}
)

const word = unsafe.Sizeof(uint(0))

// The images are right where these lines compile: each compares a size or an
// alignment, the libc's with Go's.
var (
	_ [C.gosysv_size_mutex][C.gosysv_align_mutex]struct{}   = [unsafe.Sizeof(MutexT{})][unsafe.Alignof(MutexT{})]struct{}{}
	_ [C.gosysv_size_sem][C.gosysv_align_sem]struct{}       = [unsafe.Sizeof(SemT{})][unsafe.Alignof(SemT{})]struct{}{}
	_ [C.gosysv_size_cond][C.gosysv_align_cond]struct{}     = [unsafe.Sizeof(CondT{})][unsafe.Alignof(CondT{})]struct{}{}
	_ [C.gosysv_size_rwlock][C.gosysv_align_rwlock]struct{} = [unsafe.Sizeof(RWLockT{})][unsafe.Alignof(RWLockT{})]struct{}{}
)

// noCopy lets vet find copies of what must not be copied.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// SEM_VALUE_MAX is the largest value of a [Sem].
const SEM_VALUE_MAX = C.gosysv_sem_value_max

// The calls, as the rest of the package sees them. A wait is for the time given
// at most or, if that is negative, as long as it takes.

const forever time.Duration = -1

func errno(r C.int) syscall.Errno { return syscall.Errno(-r) }

// answer is what a question was answered, or the errno.
func answer(r C.int) (bool, syscall.Errno) {
	if r < 0 {
		return false, errno(r)
	}
	return r != 0, 0
}

func (m *MutexT) c() *C.struct_gosysv_mutex { return (*C.struct_gosysv_mutex)(unsafe.Pointer(m)) }

func (m *MutexT) init() syscall.Errno { return errno(C.gosysv_pshared_mutex_init(m.c())) }

func (m *MutexT) isShared() (bool, syscall.Errno) {
	return answer(C.gosysv_pshared_mutex_is_shared(m.c()))
}

func (m *MutexT) isRobust() (bool, syscall.Errno) {
	return answer(C.gosysv_pshared_mutex_is_robust(m.c()))
}

func (m *MutexT) lock(d time.Duration) syscall.Errno {
	return errno(C.gosysv_pshared_mutex_lock(m.c(), C.int64_t(d)))
}

func (m *MutexT) tryLock() syscall.Errno { return errno(C.gosysv_pshared_mutex_trylock(m.c())) }

func (m *MutexT) unlock() syscall.Errno { return errno(C.gosysv_pshared_mutex_unlock(m.c())) }

func (m *MutexT) consistent() syscall.Errno { return errno(C.gosysv_pshared_mutex_consistent(m.c())) }

func (m *MutexT) destroy() syscall.Errno { return errno(C.gosysv_pshared_mutex_destroy(m.c())) }

func (s *SemT) c() *C.sem_t { return (*C.sem_t)(unsafe.Pointer(s)) }

func (s *SemT) init(value uint) syscall.Errno {
	return errno(C.gosysv_pshared_sem_init(s.c(), C.uint(value)))
}

func (s *SemT) isShared() (bool, syscall.Errno) { return answer(C.gosysv_pshared_sem_is_shared(s.c())) }

func (s *SemT) wait(d time.Duration) syscall.Errno {
	return errno(C.gosysv_pshared_sem_wait(s.c(), C.int64_t(d)))
}

func (s *SemT) tryWait() syscall.Errno { return errno(C.gosysv_pshared_sem_trywait(s.c())) }

func (s *SemT) post() syscall.Errno { return errno(C.gosysv_pshared_sem_post(s.c())) }

func (s *SemT) value() (int, syscall.Errno) {
	var value C.int
	err := errno(C.gosysv_pshared_sem_getvalue(s.c(), &value))
	return int(value), err
}

func (s *SemT) destroy() syscall.Errno { return errno(C.gosysv_pshared_sem_destroy(s.c())) }

func (c *CondT) c() *C.pthread_cond_t { return (*C.pthread_cond_t)(unsafe.Pointer(c)) }

func (c *CondT) init() syscall.Errno { return errno(C.gosysv_pshared_cond_init(c.c())) }

func (c *CondT) isShared() (bool, syscall.Errno) {
	return answer(C.gosysv_pshared_cond_is_shared(c.c()))
}

func (c *CondT) wait(m *MutexT, d time.Duration) syscall.Errno {
	return errno(C.gosysv_pshared_cond_wait(c.c(), m.c(), C.int64_t(d)))
}

func (c *CondT) signal() syscall.Errno { return errno(C.gosysv_pshared_cond_signal(c.c())) }

func (c *CondT) broadcast() syscall.Errno { return errno(C.gosysv_pshared_cond_broadcast(c.c())) }

func (c *CondT) destroy() syscall.Errno { return errno(C.gosysv_pshared_cond_destroy(c.c())) }

func (rw *RWLockT) c() *C.pthread_rwlock_t { return (*C.pthread_rwlock_t)(unsafe.Pointer(rw)) }

func (rw *RWLockT) init() syscall.Errno { return errno(C.gosysv_pshared_rwlock_init(rw.c())) }

func (rw *RWLockT) isShared() (bool, syscall.Errno) {
	return answer(C.gosysv_pshared_rwlock_is_shared(rw.c()))
}

func (rw *RWLockT) rdLock(d time.Duration) syscall.Errno {
	return errno(C.gosysv_pshared_rwlock_rdlock(rw.c(), C.int64_t(d)))
}

func (rw *RWLockT) tryRDLock() syscall.Errno {
	return errno(C.gosysv_pshared_rwlock_tryrdlock(rw.c()))
}

func (rw *RWLockT) wrLock(d time.Duration) syscall.Errno {
	return errno(C.gosysv_pshared_rwlock_wrlock(rw.c(), C.int64_t(d)))
}

func (rw *RWLockT) tryWRLock() syscall.Errno {
	return errno(C.gosysv_pshared_rwlock_trywrlock(rw.c()))
}

func (rw *RWLockT) unlock() syscall.Errno { return errno(C.gosysv_pshared_rwlock_unlock(rw.c())) }

func (rw *RWLockT) destroy() syscall.Errno { return errno(C.gosysv_pshared_rwlock_destroy(rw.c())) }
