//go:build linux

package faults

import (
	"slices"
	"strings"
	"syscall"
)

// documented has the errnos of each call in the manual pages and, where the
// kernel answers others, those too. Not EOWNERDEAD, which is a success: to
// answer it without the lock would be a lie. (All commands of shmctl have the
// same ones here, and those of semctl.)
var documented = map[string]string{
	"ftok": "EACCES EFAULT ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EOVERFLOW", // stat(2)

	"shmget": "EACCES EEXIST EINVAL ENFILE ENOENT ENOMEM ENOSPC EPERM",
	"shmat":  "EACCES EAGAIN EIDRM EINVAL ENFILE ENOMEM EPERM",
	"shmdt":  "EINVAL",
	"shmctl": "EACCES EFAULT EIDRM EINVAL ENOMEM EOVERFLOW EPERM",

	"semget":     "EACCES EEXIST EINVAL ENOENT ENOMEM ENOSPC",
	"semop":      "E2BIG EACCES EAGAIN EFAULT EFBIG EIDRM EINTR EINVAL ENOMEM ENOSPC ERANGE",
	"semtimedop": "E2BIG EACCES EAGAIN EFAULT EFBIG EIDRM EINTR EINVAL ENOMEM ENOSPC ERANGE",
	"semctl":     "EACCES EFAULT EIDRM EINVAL EPERM ERANGE ENOMEM",

	"mmap":   "EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM",
	"munmap": "EINVAL ENOMEM",

	"pthread_mutexattr_init":       "ENOMEM",
	"pthread_mutexattr_settype":    "EINVAL",
	"pthread_mutexattr_setpshared": "EINVAL ENOTSUP",
	"pthread_mutexattr_setrobust":  "EINVAL ENOTSUP",
	"pthread_mutexattr_destroy":    "EINVAL",
	"pthread_mutex_init":           "EAGAIN EBUSY EINVAL ENOMEM EPERM",
	"pthread_mutex_lock":           "EAGAIN EDEADLK EINVAL ENOTRECOVERABLE",
	"pthread_mutex_timedlock":      "EAGAIN EDEADLK EINVAL ENOTRECOVERABLE ETIMEDOUT",
	"pthread_mutex_clocklock":      "EAGAIN EDEADLK EINVAL ENOTRECOVERABLE ETIMEDOUT",
	"pthread_mutex_unlock":         "EAGAIN EINVAL EPERM",
	"pthread_mutex_consistent":     "EINVAL EPERM",
	"pthread_mutex_destroy":        "EBUSY EINVAL",

	"sem_init":      "EINVAL ENOSPC ENOSYS EPERM",
	"sem_wait":      "EINTR EINVAL",
	"sem_trywait":   "EAGAIN EINTR EINVAL",
	"sem_clockwait": "EINTR EINVAL ETIMEDOUT",
	"sem_post":      "EINVAL EOVERFLOW",
	"sem_getvalue":  "EINVAL",
	"sem_destroy":   "EBUSY EINVAL",

	"pthread_condattr_init":       "ENOMEM",
	"pthread_condattr_setpshared": "EINVAL",
	"pthread_condattr_setclock":   "EINVAL",
	"pthread_condattr_destroy":    "EINVAL",
	"pthread_cond_init":           "EAGAIN EBUSY EINVAL ENOMEM",
	"pthread_cond_wait":           "EINVAL ENOTRECOVERABLE EPERM",
	"pthread_cond_clockwait":      "EINVAL ENOTRECOVERABLE EPERM ETIMEDOUT",
	"pthread_cond_signal":         "EINVAL",
	"pthread_cond_broadcast":      "EINVAL",
	"pthread_cond_destroy":        "EBUSY EINVAL",

	"pthread_rwlockattr_init":       "ENOMEM",
	"pthread_rwlockattr_setpshared": "EINVAL",
	"pthread_rwlockattr_destroy":    "EINVAL",
	"pthread_rwlock_init":           "EAGAIN EBUSY EINVAL ENOMEM EPERM",
	"pthread_rwlock_rdlock":         "EAGAIN EDEADLK EINVAL",
	"pthread_rwlock_wrlock":         "EDEADLK EINVAL",
	"pthread_rwlock_tryrdlock":      "EAGAIN EBUSY EINVAL",
	"pthread_rwlock_trywrlock":      "EBUSY EDEADLK EINVAL",
	"pthread_rwlock_clockrdlock":    "EAGAIN EDEADLK EINVAL ETIMEDOUT",
	"pthread_rwlock_clockwrlock":    "EDEADLK EINVAL ETIMEDOUT",
	"pthread_rwlock_unlock":         "EINVAL EPERM",
	"pthread_rwlock_destroy":        "EBUSY EINVAL",
}

// undocumented are errnos that nobody promises, for every call: a failing
// device, and what filters of system calls (seccomp) answer.
const undocumented = "EIO ENOSYS EPERM"

// numbers are the errnos that are named above.
var numbers = map[string]syscall.Errno{
	"E2BIG": syscall.E2BIG, "EACCES": syscall.EACCES, "EAGAIN": syscall.EAGAIN,
	"EBADF": syscall.EBADF, "EBUSY": syscall.EBUSY, "EDEADLK": syscall.EDEADLK,
	"EEXIST": syscall.EEXIST, "EFAULT": syscall.EFAULT, "EFBIG": syscall.EFBIG,
	"EIDRM": syscall.EIDRM, "EINTR": syscall.EINTR, "EINVAL": syscall.EINVAL,
	"EIO": syscall.EIO, "ELOOP": syscall.ELOOP, "ENAMETOOLONG": syscall.ENAMETOOLONG,
	"ENFILE": syscall.ENFILE, "ENODEV": syscall.ENODEV, "ENOENT": syscall.ENOENT,
	"ENOMEM": syscall.ENOMEM, "ENOSPC": syscall.ENOSPC, "ENOSYS": syscall.ENOSYS,
	"ENOTDIR": syscall.ENOTDIR, "ENOTRECOVERABLE": syscall.ENOTRECOVERABLE,
	"ENOTSUP": syscall.ENOTSUP, "EOVERFLOW": syscall.EOVERFLOW, "EPERM": syscall.EPERM,
	"ERANGE": syscall.ERANGE, "ETIMEDOUT": syscall.ETIMEDOUT,
}

// errnos lists what a call is to fail with; none for a call that is not known.
func errnos(call string) (list []syscall.Errno) {
	names := strings.Fields(documented[call])
	if len(names) == 0 {
		return nil
	}
	for _, name := range slices.Concat(names, strings.Fields(undocumented)) {
		if errno := numbers[name]; !slices.Contains(list, errno) {
			list = append(list, errno)
		}
	}
	return list
}

// commands are the names of what shmctl and semctl are asked for.
var commands = map[string]map[int32]string{
	"shmctl": {
		0: "IPC_RMID", 1: "IPC_SET", 2: "IPC_STAT", 3: "IPC_INFO", 11: "SHM_LOCK", 12: "SHM_UNLOCK",
		13: "SHM_STAT", 14: "SHM_INFO", 15: "SHM_STAT_ANY",
	},
	"semctl": {
		0: "IPC_RMID", 1: "IPC_SET", 2: "IPC_STAT", 3: "IPC_INFO", 11: "GETPID", 12: "GETVAL",
		13: "GETALL", 14: "GETNCNT", 15: "GETZCNT", 16: "SETVAL", 17: "SETALL", 18: "SEM_STAT",
		19: "SEM_INFO", 20: "SEM_STAT_ANY",
	},
}
