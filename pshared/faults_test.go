//go:build linux && cgo

package pshared_test

import (
	"math"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/pshared"
)

// TestInjectedErrors: what the libc here never answers, a preloaded library
// does: see ../ctest/faults_pshared.c. What was locked is still locked after a
// call that failed, and the attachment is held no more than before: the segment
// is detached at the end of each.
func TestInjectedErrors(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	const (
		always                = " 0 1000000 "
		thrice                = " 0 3 "
		second, third, fifth  = " 1 1 ", " 2 1 ", " 4 1 "
		eintr, eagain, enomem = "4", "11", "12"
		ebusy, einval         = "16", "22"
	)
	enosys := strconv.Itoa(int(syscall.ENOSYS)) // 89 on mips, else 38
	noMemory := func(call string) string { return call + `\(id=\d+, offset=\d+\): cannot allocate memory` }
	for _, c := range []struct {
		name, faults string
		run          func(t *testing.T)
	}{
		{"InitMutex", "pthread_mutex_init" + always + enomem, func(t *testing.T) {
			a := segment(t)
			wantError(t, lastOf(pshared.InitMutex(a, 0)), noMemory("pthread_mutex_init"), syscall.ENOMEM)
			wantError(t, lastOf(pshared.OpenMutex(a, 0)), noMemory("initialisation for comparison"), syscall.ENOMEM)
		}},
		{"OpenMutex", "pthread_mutex_init" + fifth + enomem, func(t *testing.T) {
			a := segment(t)
			initMutex(a)
			// Two to see whether it is shared, and of two for robust the second.
			wantError(t, openMutexErr(a), noMemory("pthread_mutex_init"), syscall.ENOMEM)
		}},
		{"InitSem", "sem_init" + always + enosys, func(t *testing.T) {
			a := segment(t)
			wantError(t, lastOf(pshared.InitSem(a, 0, 0)), `sem_init\(.*\): function not implemented`, syscall.ENOSYS)
			wantError(t, lastOf(pshared.OpenSem(a, 0)), `initialisation for comparison\(.*\): function not implemented`, syscall.ENOSYS)
		}},
		{"InitCond", "pthread_cond_init" + always + eagain, func(t *testing.T) {
			a := segment(t)
			wantError(t, lastOf(pshared.InitCond(a, 0)), `pthread_cond_init\(.*\): resource temporarily unavailable`, syscall.EAGAIN)
			wantError(t, lastOf(pshared.OpenCond(a, 0)), `initialisation for comparison\(.*\): resource temporarily unavailable`, syscall.EAGAIN)
		}},
		{"InitRWLock", "pthread_rwlock_init" + always + enomem, func(t *testing.T) {
			a := segment(t)
			wantError(t, lastOf(pshared.InitRWLock(a, 0)), noMemory("pthread_rwlock_init"), syscall.ENOMEM)
			wantError(t, lastOf(pshared.OpenRWLock(a, 0)), noMemory("initialisation for comparison"), syscall.ENOMEM)
		}},
		{"Mutex.Destroy", "pthread_mutex_destroy" + always + ebusy, func(t *testing.T) {
			m := initMutex(segment(t))
			wantError(t, m.Destroy(), `pthread_mutex_destroy\(.*\): device or resource busy`, syscall.EBUSY)
			ok(t, m.Lock(), m.Unlock())
		}},
		{"Cond.Signal", "pthread_cond_signal" + always + einval, func(t *testing.T) {
			wantError(t, initCond(segment(t)).Signal(), `pthread_cond_signal\(.*\): `+state, syscall.EINVAL)
		}},
		{"RWLock.Unlock", "pthread_rwlock_unlock" + second + einval, func(t *testing.T) {
			rw := initRWLock(segment(t))
			ok(t, rw.RLock(), rw.RLock(), rw.Unlock())
			wantError(t, rw.Unlock(), `pthread_rwlock_unlock\(.*\): `+state, syscall.EINVAL)
			ok(t, rw.Unlock())
		}},
		{"RWLock.Destroy", "pthread_rwlock_destroy" + always + ebusy, func(t *testing.T) {
			rw := initRWLock(segment(t))
			wantError(t, rw.Destroy(), `pthread_rwlock_destroy\(.*\): device or resource busy`, syscall.EBUSY)
			ok(t, rw.Lock(), rw.Unlock())
		}},
		{"Sem.Wait", "sem_wait" + thrice + eintr, func(t *testing.T) {
			s := initSem(segment(t), 1)
			ok(t, s.Wait())
			wantIs(t, s.TryWait(), shm.ErrBusy)
		}},
		{"Sem.TryWait interrupted", "sem_trywait" + thrice + eintr, func(t *testing.T) {
			s := initSem(segment(t), 1)
			ok(t, s.TryWait())
			wantIs(t, s.TryWait(), shm.ErrBusy)
		}},
		{"Sem.TryWait", "sem_trywait" + always + einval, func(t *testing.T) {
			wantError(t, initSem(segment(t), 1).TryWait(), `sem_trywait\(.*\): `+state, syscall.EINVAL)
		}},
		{"Sem.Value", "sem_getvalue" + always + einval, func(t *testing.T) {
			wantError(t, lastOf(initSem(segment(t), 1).Value()), `sem_getvalue\(.*\): `+state, syscall.EINVAL)
		}},
		{"Sem.WaitContext", "sem_clockwait" + third + einval, func(t *testing.T) {
			// The first two only time out.
			wantError(t, initSem(segment(t), 0).WaitContext(cancellable(t)), `sem_clockwait\(.*\): `+state, syscall.EINVAL)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Getenv("FAULTS") == "" { // not in the process of its own
				cpeer.Preload(t, "../ctest/faults_pshared.c")
				t.Setenv("FAULTS", c.faults)
			}
			ipcns.Run(t, c.run)
		})
	}
}
