/* SPDX-License-Identifier: MIT */

/*
 * The C peer's commands for POSIX objects in shared memory, which are listed
 * in ../pshared/peer_test.go. Most are the libc's functions under their names
 * without pthread_, of an object at an address.
 */

#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Of a call that returns the errno. */
static void returned(int r)
{
	if (r)
		printf("err %d\n", r);
	else
		answer("");
}

/* The next word of the command, milliseconds, from now on. */
static struct timespec deadline(void)
{
	long ms = (long)number();
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

static void do_ptlayout(void)
{
#define TYPE(type) printf(" %s %zu %zu", #type, sizeof(type), _Alignof(type))
	printf("ok");
	TYPE(pthread_mutex_t);
	TYPE(sem_t);
	TYPE(pthread_cond_t);
	TYPE(pthread_rwlock_t);
	putchar('\n');
}

static void do_libc(void)
{
#ifdef __GLIBC__
	answer("%d %d", __GLIBC__, __GLIBC_MINOR__);
#else
	answer("0 0");
#endif
}

/* A thread: it runs the rest of the command, and ends. */

static void *run_rest(void *unused)
{
	const char *name = word();
	const struct command *c = pshared_commands;

	(void)unused;
	while (c->name && strcmp(c->name, name) != 0)
		c++;
	if (c->name)
		c->run();
	else
		printf("unknown command: thread %s\n", name);
	return NULL;
}

static void do_thread(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, run_rest, NULL);

	if (r)
		returned(r);
	else
		pthread_join(thread, NULL);
}

/* Mutexes */

/* Sets the attribute that has the name, and returns the errno. */
static int set_attribute(pthread_mutexattr_t *attr, const char *name)
{
	static const struct {
		const char *name;
		int (*set)(pthread_mutexattr_t *attr, int value);
		int value;
	} attributes[] = {
		{ "shared", pthread_mutexattr_setpshared,
		  PTHREAD_PROCESS_SHARED },
		{ "robust", pthread_mutexattr_setrobust, PTHREAD_MUTEX_ROBUST },
		{ "normal", pthread_mutexattr_settype, PTHREAD_MUTEX_NORMAL },
		{ "errorcheck", pthread_mutexattr_settype,
		  PTHREAD_MUTEX_ERRORCHECK },
		{ "recursive", pthread_mutexattr_settype,
		  PTHREAD_MUTEX_RECURSIVE },
		{ "inherit", pthread_mutexattr_setprotocol,
		  PTHREAD_PRIO_INHERIT },
	};

	for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes); i++)
		if (!strcmp(attributes[i].name, name))
			return attributes[i].set(attr, attributes[i].value);
	return ENOENT;
}

static void do_mutex_init(void)
{
	pthread_mutex_t *m = address();
	pthread_mutexattr_t attr;
	const char *name;
	int r = pthread_mutexattr_init(&attr);

	while (!r && *(name = word()))
		r = set_attribute(&attr, name);
	if (!r)
		r = pthread_mutex_init(m, &attr);
	returned(r);
	pthread_mutexattr_destroy(&attr);
}

static void do_mutex_lock(void)
{
	returned(pthread_mutex_lock(address()));
}

static void do_mutex_trylock(void)
{
	returned(pthread_mutex_trylock(address()));
}

static void do_mutex_timedlock(void)
{
	pthread_mutex_t *m = address();
	struct timespec until = deadline();

	returned(pthread_mutex_timedlock(m, &until));
}

static void do_mutex_unlock(void)
{
	returned(pthread_mutex_unlock(address()));
}

static void do_mutex_consistent(void)
{
	returned(pthread_mutex_consistent(address()));
}

static void do_mutex_destroy(void)
{
	returned(pthread_mutex_destroy(address()));
}

/* Semaphores */

static void do_sem_init(void)
{
	sem_t *s = address();
	unsigned int value = (unsigned int)number();

	result(sem_init(s, !strcmp(word(), "shared"), value));
}

static void do_sem_wait(void)
{
	result(sem_wait(address()));
}

static void do_sem_trywait(void)
{
	result(sem_trywait(address()));
}

static void do_sem_timedwait(void)
{
	sem_t *s = address();
	struct timespec until = deadline();

	result(sem_timedwait(s, &until));
}

static void do_sem_post(void)
{
	result(sem_post(address()));
}

static void do_sem_getvalue(void)
{
	int value;

	if (sem_getvalue(address(), &value))
		result(-1);
	else
		answer("%d", value);
}

static void do_sem_destroy(void)
{
	result(sem_destroy(address()));
}

/* Condition variables */

static void do_cond_init(void)
{
	pthread_cond_t *c = address();
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	if (!r && !strcmp(word(), "shared"))
		r = pthread_condattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!r && !strcmp(word(), "monotonic"))
		r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!r)
		r = pthread_cond_init(c, &attr);
	returned(r);
	pthread_condattr_destroy(&attr);
}

static void do_cond_wait(void)
{
	pthread_cond_t *c = address();

	returned(pthread_cond_wait(c, address()));
}

static void do_cond_timedwait(void)
{
	pthread_cond_t *c = address();
	pthread_mutex_t *m = address();
	struct timespec until = deadline();

	returned(pthread_cond_timedwait(c, m, &until));
}

static void do_cond_signal(void)
{
	returned(pthread_cond_signal(address()));
}

static void do_cond_broadcast(void)
{
	returned(pthread_cond_broadcast(address()));
}

static void do_cond_destroy(void)
{
	returned(pthread_cond_destroy(address()));
}

/*
 * Counts a number in the segment from 0 up to rounds, in turns with another
 * process: role 0 what is even, role 1 what is odd.
 */
static int take_turns(pthread_cond_t *c, pthread_mutex_t *m, uint64_t *n,
		      uint64_t role, uint64_t rounds)
{
	int r = pthread_mutex_lock(m);

	while (!r && *n < rounds) {
		if (*n % 2 == role) {
			++*n;
			r = pthread_cond_signal(c);
		} else {
			r = pthread_cond_wait(c, m);
		}
	}
	return r ? r : pthread_mutex_unlock(m);
}

static void do_turns(void)
{
	pthread_cond_t *c = address();
	pthread_mutex_t *m = address();
	uint64_t *n = address();
	uint64_t role = number();

	returned(take_turns(c, m, n, role, number()));
}

/* Read-write locks */

static void do_rwlock_init(void)
{
	pthread_rwlock_t *rw = address();
	pthread_rwlockattr_t attr;
	int r = pthread_rwlockattr_init(&attr);

	if (!r && !strcmp(word(), "shared"))
		r = pthread_rwlockattr_setpshared(&attr,
						  PTHREAD_PROCESS_SHARED);
	if (!r)
		r = pthread_rwlock_init(rw, &attr);
	returned(r);
	pthread_rwlockattr_destroy(&attr);
}

static void do_rwlock_rdlock(void)
{
	returned(pthread_rwlock_rdlock(address()));
}

static void do_rwlock_tryrdlock(void)
{
	returned(pthread_rwlock_tryrdlock(address()));
}

static void do_rwlock_timedrdlock(void)
{
	pthread_rwlock_t *rw = address();
	struct timespec until = deadline();

	returned(pthread_rwlock_timedrdlock(rw, &until));
}

static void do_rwlock_wrlock(void)
{
	returned(pthread_rwlock_wrlock(address()));
}

static void do_rwlock_trywrlock(void)
{
	returned(pthread_rwlock_trywrlock(address()));
}

static void do_rwlock_timedwrlock(void)
{
	pthread_rwlock_t *rw = address();
	struct timespec until = deadline();

	returned(pthread_rwlock_timedwrlock(rw, &until));
}

static void do_rwlock_unlock(void)
{
	returned(pthread_rwlock_unlock(address()));
}

static void do_rwlock_destroy(void)
{
	returned(pthread_rwlock_destroy(address()));
}

/* Raises a plain number in the segment by 1, so many times, under a lock. */

static void do_mutex_count(void)
{
	void *lock = address();
	volatile uint64_t *n = address();
	uint64_t times = number();
	int r = 0;

	while (!r && times--) {
		r = pthread_mutex_lock(lock);
		if (!r) {
			*n = *n + 1;
			r = pthread_mutex_unlock(lock);
		}
	}
	returned(r);
}

static void do_sem_count(void)
{
	void *lock = address();
	volatile uint64_t *n = address();
	uint64_t times = number();
	int r = 0;

	while (!r && times--) {
		r = sem_wait(lock);
		if (!r) {
			*n = *n + 1;
			r = sem_post(lock);
		}
	}
	result(r);
}

static void do_rwlock_count(void)
{
	void *lock = address();
	volatile uint64_t *n = address();
	uint64_t times = number();
	int r = 0;

	while (!r && times--) {
		r = pthread_rwlock_wrlock(lock);
		if (!r) {
			*n = *n + 1;
			r = pthread_rwlock_unlock(lock);
		}
	}
	returned(r);
}

const struct command pshared_commands[] = {
	{ "ptlayout", do_ptlayout },
	{ "libc", do_libc },
	{ "thread", do_thread },
	{ "mutex_init", do_mutex_init },
	{ "mutex_lock", do_mutex_lock },
	{ "mutex_trylock", do_mutex_trylock },
	{ "mutex_timedlock", do_mutex_timedlock },
	{ "mutex_unlock", do_mutex_unlock },
	{ "mutex_consistent", do_mutex_consistent },
	{ "mutex_destroy", do_mutex_destroy },
	{ "mutex_count", do_mutex_count },
	{ "sem_init", do_sem_init },
	{ "sem_wait", do_sem_wait },
	{ "sem_trywait", do_sem_trywait },
	{ "sem_timedwait", do_sem_timedwait },
	{ "sem_post", do_sem_post },
	{ "sem_getvalue", do_sem_getvalue },
	{ "sem_destroy", do_sem_destroy },
	{ "sem_count", do_sem_count },
	{ "cond_init", do_cond_init },
	{ "cond_wait", do_cond_wait },
	{ "cond_timedwait", do_cond_timedwait },
	{ "cond_signal", do_cond_signal },
	{ "cond_broadcast", do_cond_broadcast },
	{ "cond_destroy", do_cond_destroy },
	{ "turns", do_turns },
	{ "rwlock_init", do_rwlock_init },
	{ "rwlock_rdlock", do_rwlock_rdlock },
	{ "rwlock_tryrdlock", do_rwlock_tryrdlock },
	{ "rwlock_timedrdlock", do_rwlock_timedrdlock },
	{ "rwlock_wrlock", do_rwlock_wrlock },
	{ "rwlock_trywrlock", do_rwlock_trywrlock },
	{ "rwlock_timedwrlock", do_rwlock_timedwrlock },
	{ "rwlock_unlock", do_rwlock_unlock },
	{ "rwlock_destroy", do_rwlock_destroy },
	{ "rwlock_count", do_rwlock_count },
	{ NULL, NULL },
};
