//go:build linux && cgo

/* SPDX-License-Identifier: MIT */

#include "pshared.h"

#include <errno.h>
#include <time.h>

/* Time */

#ifndef __GLIBC_PREREQ
#define __GLIBC_PREREQ(major, minor) 0
#endif

#if __GLIBC_PREREQ(2, 30)
#define CLOCK CLOCK_MONOTONIC
#define mutex_lock_until(m, t) pthread_mutex_clocklock(m, CLOCK, t)
#define sem_wait_until(s, t) sem_clockwait(s, CLOCK, t)
#define rwlock_rdlock_until(rw, t) pthread_rwlock_clockrdlock(rw, CLOCK, t)
#define rwlock_wrlock_until(rw, t) pthread_rwlock_clockwrlock(rw, CLOCK, t)
#else /* by the wall clock, which may be set while one waits */
#define CLOCK CLOCK_REALTIME
#define mutex_lock_until(m, t) pthread_mutex_timedlock(m, t)
#define sem_wait_until(s, t) sem_timedwait(s, t)
#define rwlock_rdlock_until(rw, t) pthread_rwlock_timedrdlock(rw, t)
#define rwlock_wrlock_until(rw, t) pthread_rwlock_timedwrlock(rw, t)
#endif

static struct timespec after(clockid_t clock, int64_t ns)
{
	const int64_t second = 1000000000;
	struct timespec t;

	clock_gettime(clock, &t);
	ns += t.tv_nsec;
	t.tv_sec += (time_t)(ns / second);
	t.tv_nsec = (long)(ns % second);
	return t;
}

/*
 * How an object was initialised. Where the libc keeps that is its own affair:
 * two objects that it initialises here, one with the attribute and one
 * without, show which bits to look at.
 */

static int shows(const void *object, const void *with, const void *without,
		 size_t size)
{
	const volatile unsigned char *o = object;
	const unsigned char *w = with, *wo = without;

	for (size_t i = 0; i < size; i++)
		if ((o[i] ^ w[i]) & (w[i] ^ wo[i]))
			return 0;
	return 1;
}

/* Mutexes */

static pthread_mutex_t *mutex_of(struct gosysv_mutex *m)
{
	return (pthread_mutex_t *)m;
}

static int init_mutex(pthread_mutex_t *m, int type, int pshared, int robust)
{
	pthread_mutexattr_t attr;
	int r = pthread_mutexattr_init(&attr);

	if (r)
		return -r;
	r = pthread_mutexattr_settype(&attr, type);
	if (!r)
		r = pthread_mutexattr_setpshared(&attr, pshared);
	if (!r)
		r = pthread_mutexattr_setrobust(&attr, robust);
	if (!r)
		r = pthread_mutex_init(m, &attr);
	pthread_mutexattr_destroy(&attr);
	return -r;
}

int gosysv_pshared_mutex_init(struct gosysv_mutex *m)
{
	return init_mutex(mutex_of(m), PTHREAD_MUTEX_ERRORCHECK,
			  PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_ROBUST);
}

int gosysv_pshared_mutex_is_shared(const struct gosysv_mutex *m)
{
	pthread_mutex_t with = { 0 }, without = { 0 };
	int r = init_mutex(&with, PTHREAD_MUTEX_NORMAL, PTHREAD_PROCESS_SHARED,
			   PTHREAD_MUTEX_STALLED);

	if (!r)
		r = init_mutex(&without, PTHREAD_MUTEX_NORMAL,
			       PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_STALLED);
	return r ? r : shows(m, &with, &without, sizeof(with));
}

int gosysv_pshared_mutex_is_robust(const struct gosysv_mutex *m)
{
	pthread_mutex_t with = { 0 }, without = { 0 };
	int r = init_mutex(&with, PTHREAD_MUTEX_NORMAL, PTHREAD_PROCESS_SHARED,
			   PTHREAD_MUTEX_ROBUST);

	if (!r)
		r = init_mutex(&without, PTHREAD_MUTEX_NORMAL,
			       PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_STALLED);
	return r ? r : shows(m, &with, &without, sizeof(with));
}

int gosysv_pshared_mutex_lock(struct gosysv_mutex *m, int64_t ns)
{
	struct timespec until;
	int r;

	if (ns < 0)
		return -pthread_mutex_lock(mutex_of(m));
	until = after(CLOCK, ns);
	r = mutex_lock_until(mutex_of(m), &until);
	if (r == EINVAL) { /* PTHREAD_PRIO_INHERIT before Linux 5.14 */
		until = after(CLOCK_REALTIME, ns);
		r = pthread_mutex_timedlock(mutex_of(m), &until);
	}
	return -r;
}

/*
 * Not pthread_mutex_trylock: glibc's leaves a mutex that is not recoverable
 * locked by the caller, so that all others wait for ever. -ETIMEDOUT is busy.
 */
int gosysv_pshared_mutex_trylock(struct gosysv_mutex *m)
{
	const struct timespec past = { 0, 0 };

	return -pthread_mutex_timedlock(mutex_of(m), &past);
}

int gosysv_pshared_mutex_unlock(struct gosysv_mutex *m)
{
	return -pthread_mutex_unlock(mutex_of(m));
}

int gosysv_pshared_mutex_consistent(struct gosysv_mutex *m)
{
	return -pthread_mutex_consistent(mutex_of(m));
}

int gosysv_pshared_mutex_destroy(struct gosysv_mutex *m)
{
	return -pthread_mutex_destroy(mutex_of(m));
}

/* Semaphores: these return -1 and set errno. */

int gosysv_pshared_sem_init(sem_t *s, unsigned int value)
{
	return sem_init(s, 1, value) ? -errno : 0;
}

int gosysv_pshared_sem_is_shared(const sem_t *s)
{
	sem_t with = { { 0 } }, without = { { 0 } };

	if (sem_init(&with, 1, 0) || sem_init(&without, 0, 0))
		return -errno;
	return shows(s, &with, &without, sizeof(*s));
}

int gosysv_pshared_sem_wait(sem_t *s, int64_t ns)
{
	struct timespec until;

	if (ns < 0)
		return sem_wait(s) ? -errno : 0;
	until = after(CLOCK, ns);
	return sem_wait_until(s, &until) ? -errno : 0;
}

int gosysv_pshared_sem_trywait(sem_t *s)
{
	return sem_trywait(s) ? -errno : 0;
}

int gosysv_pshared_sem_post(sem_t *s)
{
	return sem_post(s) ? -errno : 0;
}

int gosysv_pshared_sem_getvalue(sem_t *s, int *value)
{
	return sem_getvalue(s, value) ? -errno : 0;
}

int gosysv_pshared_sem_destroy(sem_t *s)
{
	return sem_destroy(s) ? -errno : 0;
}

/* Condition variables */

static int init_cond(pthread_cond_t *c, int pshared, clockid_t clock)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	if (r)
		return -r;
	r = pthread_condattr_setpshared(&attr, pshared);
	if (!r)
		r = pthread_condattr_setclock(&attr, clock);
	if (!r)
		r = pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
	return -r;
}

int gosysv_pshared_cond_init(pthread_cond_t *c)
{
	return init_cond(c, PTHREAD_PROCESS_SHARED, CLOCK_MONOTONIC);
}

int gosysv_pshared_cond_is_shared(const pthread_cond_t *c)
{
	pthread_cond_t with = { 0 }, without = { 0 };
	int r = init_cond(&with, PTHREAD_PROCESS_SHARED, CLOCK_REALTIME);

	if (!r)
		r = init_cond(&without, PTHREAD_PROCESS_PRIVATE,
			      CLOCK_REALTIME);
	return r ? r : shows(c, &with, &without, sizeof(with));
}

#if __GLIBC_PREREQ(2, 30)
static int cond_wait_for(pthread_cond_t *c, pthread_mutex_t *m, int64_t ns)
{
	struct timespec until = after(CLOCK, ns);

	return -pthread_cond_clockwait(c, m, CLOCK, &until);
}
#else /* by the clock that the condition variable was initialised with */
static int cond_wait_for(pthread_cond_t *c, pthread_mutex_t *m, int64_t ns)
{
	pthread_cond_t with = { 0 }, without = { 0 };
	clockid_t clock = CLOCK_REALTIME;
	struct timespec until;
	int r = init_cond(&with, PTHREAD_PROCESS_SHARED, CLOCK_MONOTONIC);

	if (!r)
		r = init_cond(&without, PTHREAD_PROCESS_SHARED, CLOCK_REALTIME);
	if (r)
		return r;
	if (shows(c, &with, &without, sizeof(with)))
		clock = CLOCK_MONOTONIC;
	until = after(clock, ns);
	return -pthread_cond_timedwait(c, m, &until);
}
#endif

int gosysv_pshared_cond_wait(pthread_cond_t *c, struct gosysv_mutex *m,
			     int64_t ns)
{
	return ns < 0 ? -pthread_cond_wait(c, mutex_of(m)) :
			cond_wait_for(c, mutex_of(m), ns);
}

int gosysv_pshared_cond_signal(pthread_cond_t *c)
{
	return -pthread_cond_signal(c);
}

int gosysv_pshared_cond_broadcast(pthread_cond_t *c)
{
	return -pthread_cond_broadcast(c);
}

int gosysv_pshared_cond_destroy(pthread_cond_t *c)
{
	return -pthread_cond_destroy(c);
}

/* Read-write locks */

static int init_rwlock(pthread_rwlock_t *rw, int pshared)
{
	pthread_rwlockattr_t attr;
	int r = pthread_rwlockattr_init(&attr);

	if (r)
		return -r;
	r = pthread_rwlockattr_setpshared(&attr, pshared);
	if (!r)
		r = pthread_rwlock_init(rw, &attr);
	pthread_rwlockattr_destroy(&attr);
	return -r;
}

int gosysv_pshared_rwlock_init(pthread_rwlock_t *rw)
{
	return init_rwlock(rw, PTHREAD_PROCESS_SHARED);
}

int gosysv_pshared_rwlock_is_shared(const pthread_rwlock_t *rw)
{
	pthread_rwlock_t with = { 0 }, without = { 0 };
	int r = init_rwlock(&with, PTHREAD_PROCESS_SHARED);

	if (!r)
		r = init_rwlock(&without, PTHREAD_PROCESS_PRIVATE);
	return r ? r : shows(rw, &with, &without, sizeof(*rw));
}

int gosysv_pshared_rwlock_rdlock(pthread_rwlock_t *rw, int64_t ns)
{
	struct timespec until;

	if (ns < 0)
		return -pthread_rwlock_rdlock(rw);
	until = after(CLOCK, ns);
	return -rwlock_rdlock_until(rw, &until);
}

int gosysv_pshared_rwlock_tryrdlock(pthread_rwlock_t *rw)
{
	return -pthread_rwlock_tryrdlock(rw);
}

int gosysv_pshared_rwlock_wrlock(pthread_rwlock_t *rw, int64_t ns)
{
	struct timespec until;

	if (ns < 0)
		return -pthread_rwlock_wrlock(rw);
	until = after(CLOCK, ns);
	return -rwlock_wrlock_until(rw, &until);
}

int gosysv_pshared_rwlock_trywrlock(pthread_rwlock_t *rw)
{
	return -pthread_rwlock_trywrlock(rw);
}

int gosysv_pshared_rwlock_unlock(pthread_rwlock_t *rw)
{
	return -pthread_rwlock_unlock(rw);
}

int gosysv_pshared_rwlock_destroy(pthread_rwlock_t *rw)
{
	return -pthread_rwlock_destroy(rw);
}
