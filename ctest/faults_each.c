/* SPDX-License-Identifier: MIT */

/*
 * A library to be preloaded: counts the calls of the libc that one thread
 * makes, and has one of them fail, or that one and all that are like it from
 * then on. The test says which by the memory of a file, CONTROL, and reads
 * there what the calls were: see package internal/faults.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TRACE 128

/* Go's struct control. Only the thread writes here while it is being watched.
 */
struct control {
	int32_t thread; /* whose calls count; or 0 */
	int32_t at;	/* the call that fails, from 0; or -1 */
	int32_t again;	/* whether those like it fail too, after it */
	int32_t err;	/* with what */
	int32_t calls;	/* how many there were */
	int32_t failed; /* and how many of them failed */
	struct step {
		char call[44];
		int32_t command; /* of shmctl and semctl */
	} trace[TRACE];
};

static struct control *control;

__attribute__((constructor)) static void map_control(void)
{
	const char *path = getenv("CONTROL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd == -1)
		return;
	p = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0);
	close(fd);
	if (p != MAP_FAILED)
		control = p;
}

/* The errno that the call is to fail with, or 0. */
static int fault(const char *call, int command)
{
	struct control *c = control;
	struct step step = { .command = command };
	int n;

	if (!c || c->thread != syscall(SYS_gettid))
		return 0;
	strncpy(step.call, call, sizeof(step.call) - 1);
	n = c->calls++;
	if (n < TRACE)
		c->trace[n] = step;
	if (c->at < 0 || n < c->at ||
	    (n > c->at &&
	     (!c->again || memcmp(&c->trace[c->at], &step, sizeof(step)) != 0)))
		return 0;
	c->failed++;
	return c->err;
}

/* Declares real, and fails the call or not. */
#define FAULT(call, command, failed, errno_is)                                 \
	int err = fault(#call, command);                                       \
	__typeof__(&(call)) real;                                              \
                                                                               \
	if (err) {                                                             \
		errno_is;                                                      \
		return failed;                                                 \
	}                                                                      \
	*(void **)&real = dlsym(RTLD_NEXT, #call)

#define ARGS(...) __VA_ARGS__

/* Calls that set errno. */
#define CALL(type, call, command, failed, parameters, arguments)               \
	type call parameters                                                   \
	{                                                                      \
		FAULT(call, command, failed, errno = err);                     \
		return real(arguments);                                        \
	}

/* Calls that return it. */
#define POSIX(call, parameters, arguments)                                     \
	int call parameters                                                    \
	{                                                                      \
		FAULT(call, 0, err, (void)0);                                  \
		return real(arguments);                                        \
	}

CALL(key_t, ftok, 0, -1, (const char *path, int id), ARGS(path, id))

CALL(int, shmget, 0, -1, (key_t key, size_t size, int flags),
     ARGS(key, size, flags))
CALL(void *, shmat, 0, (void *)-1, (int id, const void *addr, int flags),
     ARGS(id, addr, flags))

/* It fails where nothing is attached, and only there. */
int shmdt(const void *addr)
{
	__typeof__(&shmdt) real;
	int err = fault("shmdt", 0);

	*(void **)&real = dlsym(RTLD_NEXT, "shmdt");
	if (!err)
		return real(addr);
	real(addr);
	errno = err;
	return -1;
}

CALL(int, shmctl, cmd, -1, (int id, int cmd, struct shmid_ds *ds),
     ARGS(id, cmd, ds))

CALL(int, semget, 0, -1, (key_t key, int n, int flags), ARGS(key, n, flags))
CALL(int, semop, 0, -1, (int id, struct sembuf *ops, size_t n),
     ARGS(id, ops, n))
CALL(int, semtimedop, 0, -1,
     (int id, struct sembuf *ops, size_t n, const struct timespec *timeout),
     ARGS(id, ops, n, timeout))

/* Whatever is in its union semun has the size of a pointer, or less. */
int semctl(int id, int num, int cmd, ...)
{
	FAULT(semctl, cmd, -1, errno = err);
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	return real(id, num, cmd, arg);
}

/* Go's runtime calls these two as well, with much more. */
#define LARGE (1 << 20)

void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t off)
{
	__typeof__(&mmap) real;

	if (prot == PROT_NONE && size < LARGE) {
		int err = fault("mmap", 0);

		if (err) {
			errno = err;
			return MAP_FAILED;
		}
	}
	*(void **)&real = dlsym(RTLD_NEXT, "mmap");
	return real(addr, size, prot, flags, fd, off);
}

int munmap(void *addr, size_t size)
{
	int err = size < LARGE ? fault("munmap", 0) : 0;
	__typeof__(&munmap) real;

	if (err) {
		errno = err;
		return -1;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "munmap");
	return real(addr, size);
}

POSIX(pthread_mutexattr_init, (pthread_mutexattr_t * attr), ARGS(attr))
POSIX(pthread_mutexattr_settype, (pthread_mutexattr_t * attr, int type),
      ARGS(attr, type))
POSIX(pthread_mutexattr_setpshared, (pthread_mutexattr_t * attr, int shared),
      ARGS(attr, shared))
POSIX(pthread_mutexattr_setrobust, (pthread_mutexattr_t * attr, int robust),
      ARGS(attr, robust))
POSIX(pthread_mutexattr_destroy, (pthread_mutexattr_t * attr), ARGS(attr))
POSIX(pthread_mutex_init,
      (pthread_mutex_t * m, const pthread_mutexattr_t *attr), ARGS(m, attr))
POSIX(pthread_mutex_lock, (pthread_mutex_t * m), ARGS(m))
POSIX(pthread_mutex_timedlock,
      (pthread_mutex_t * m, const struct timespec *until), ARGS(m, until))
POSIX(pthread_mutex_clocklock,
      (pthread_mutex_t * m, clockid_t clock, const struct timespec *until),
      ARGS(m, clock, until))
POSIX(pthread_mutex_unlock, (pthread_mutex_t * m), ARGS(m))
POSIX(pthread_mutex_consistent, (pthread_mutex_t * m), ARGS(m))
POSIX(pthread_mutex_destroy, (pthread_mutex_t * m), ARGS(m))

CALL(int, sem_init, 0, -1, (sem_t * s, int shared, unsigned int value),
     ARGS(s, shared, value))
CALL(int, sem_wait, 0, -1, (sem_t * s), ARGS(s))
CALL(int, sem_trywait, 0, -1, (sem_t * s), ARGS(s))
CALL(int, sem_clockwait, 0, -1,
     (sem_t * s, clockid_t clock, const struct timespec *until),
     ARGS(s, clock, until))
CALL(int, sem_post, 0, -1, (sem_t * s), ARGS(s))
CALL(int, sem_getvalue, 0, -1, (sem_t * s, int *value), ARGS(s, value))
CALL(int, sem_destroy, 0, -1, (sem_t * s), ARGS(s))

POSIX(pthread_condattr_init, (pthread_condattr_t * attr), ARGS(attr))
POSIX(pthread_condattr_setpshared, (pthread_condattr_t * attr, int shared),
      ARGS(attr, shared))
POSIX(pthread_condattr_setclock, (pthread_condattr_t * attr, clockid_t clock),
      ARGS(attr, clock))
POSIX(pthread_condattr_destroy, (pthread_condattr_t * attr), ARGS(attr))
POSIX(pthread_cond_init, (pthread_cond_t * c, const pthread_condattr_t *attr),
      ARGS(c, attr))
POSIX(pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t *m), ARGS(c, m))
POSIX(pthread_cond_clockwait,
      (pthread_cond_t * c, pthread_mutex_t *m, clockid_t clock,
       const struct timespec *until),
      ARGS(c, m, clock, until))
POSIX(pthread_cond_signal, (pthread_cond_t * c), ARGS(c))
POSIX(pthread_cond_broadcast, (pthread_cond_t * c), ARGS(c))
POSIX(pthread_cond_destroy, (pthread_cond_t * c), ARGS(c))

POSIX(pthread_rwlockattr_init, (pthread_rwlockattr_t * attr), ARGS(attr))
POSIX(pthread_rwlockattr_setpshared, (pthread_rwlockattr_t * attr, int shared),
      ARGS(attr, shared))
POSIX(pthread_rwlockattr_destroy, (pthread_rwlockattr_t * attr), ARGS(attr))
POSIX(pthread_rwlock_init,
      (pthread_rwlock_t * rw, const pthread_rwlockattr_t *attr), ARGS(rw, attr))
POSIX(pthread_rwlock_rdlock, (pthread_rwlock_t * rw), ARGS(rw))
POSIX(pthread_rwlock_wrlock, (pthread_rwlock_t * rw), ARGS(rw))
POSIX(pthread_rwlock_tryrdlock, (pthread_rwlock_t * rw), ARGS(rw))
POSIX(pthread_rwlock_trywrlock, (pthread_rwlock_t * rw), ARGS(rw))
POSIX(pthread_rwlock_clockrdlock,
      (pthread_rwlock_t * rw, clockid_t clock, const struct timespec *until),
      ARGS(rw, clock, until))
POSIX(pthread_rwlock_clockwrlock,
      (pthread_rwlock_t * rw, clockid_t clock, const struct timespec *until),
      ARGS(rw, clock, until))
POSIX(pthread_rwlock_unlock, (pthread_rwlock_t * rw), ARGS(rw))
POSIX(pthread_rwlock_destroy, (pthread_rwlock_t * rw), ARGS(rw))
