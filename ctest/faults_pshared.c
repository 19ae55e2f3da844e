/* SPDX-License-Identifier: MIT */

/*
 * A library to be preloaded: makes calls of the libc on POSIX objects fail that
 * never fail here. FAULTS is "CALL SKIP ERRNO": after so many calls that are
 * let through, the call fails.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The errno that the rule has for the call, or 0. */
static int fault(const char *call)
{
	static atomic_int calls;
	const char *rule = getenv("FAULTS");
	char name[32];
	int n, skip, times, err;

	if (!rule ||
	    sscanf(rule, "%31s %d %d %d", name, &skip, &times, &err) != 4 ||
	    strcmp(name, call) != 0)
		return 0;
	n = atomic_fetch_add(&calls, 1);
	return n >= skip && n - skip < times ? err : 0;
}

/* Returns the errno. */
#define POSIX(call, parameters, arguments)                                     \
	int call parameters                                                    \
	{                                                                      \
		int err = fault(#call);                                        \
		__typeof__(&(call)) real;                                      \
                                                                               \
		if (err)                                                       \
			return err;                                            \
		*(void **)&real = dlsym(RTLD_NEXT, #call);                     \
		return real(arguments);                                        \
	}

#define ARGS(...) __VA_ARGS__

POSIX(pthread_mutex_init,
      (pthread_mutex_t * m, const pthread_mutexattr_t *attr), ARGS(m, attr))
POSIX(pthread_mutex_destroy, (pthread_mutex_t * m), ARGS(m))
POSIX(pthread_cond_init, (pthread_cond_t * c, const pthread_condattr_t *attr),
      ARGS(c, attr))
POSIX(pthread_cond_signal, (pthread_cond_t * c), ARGS(c))
POSIX(pthread_rwlock_init,
      (pthread_rwlock_t * rw, const pthread_rwlockattr_t *attr), ARGS(rw, attr))
POSIX(pthread_rwlock_unlock, (pthread_rwlock_t * rw), ARGS(rw))
POSIX(pthread_rwlock_destroy, (pthread_rwlock_t * rw), ARGS(rw))

/* Sets errno and returns -1. */
#define SEM(call, parameters, arguments)                                       \
	int call parameters                                                    \
	{                                                                      \
		int err = fault(#call);                                        \
		__typeof__(&(call)) real;                                      \
                                                                               \
		if (err) {                                                     \
			errno = err;                                           \
			return -1;                                             \
		}                                                              \
		*(void **)&real = dlsym(RTLD_NEXT, #call);                     \
		return real(arguments);                                        \
	}

SEM(sem_init, (sem_t * s, int pshared, unsigned int value),
    ARGS(s, pshared, value))
SEM(sem_wait, (sem_t * s), ARGS(s))
SEM(sem_trywait, (sem_t * s), ARGS(s))
SEM(sem_getvalue, (sem_t * s, int *value), ARGS(s, value))
SEM(sem_clockwait, (sem_t * s, clockid_t clock, const struct timespec *until),
    ARGS(s, clock, until))
