/* SPDX-License-Identifier: MIT */

/*
 * The C half of package pshared: one shim a call, which returns 0 or -errno,
 * and the sizes that Go's images of the objects must have. A shim has no
 * policy. A timeout of ns nanoseconds is relative; negative, there is none.
 */

#ifndef GOSYSV_PSHARED_H
#define GOSYSV_PSHARED_H

/* As in shm.h: the default time_t, whatever CGO_CFLAGS say. */
#undef _TIME_BITS

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pthread_mutex_clocklock and its kin */
#endif

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>

/* A user's own C may well have a mutex_lock: prefixed, and hidden. */
#define GOSYSV_PSHARED_HIDDEN __attribute__((visibility("hidden")))

/*
 * A pthread_mutex_t. That has pointers inside, and cgo would look at what they
 * point to at every call: a tenth of the time that a lock takes.
 */
struct gosysv_mutex {
	unsigned char bytes[sizeof(pthread_mutex_t)];
};

/* What a sem_t has the alignment of. */
#ifdef __GLIBC__
typedef unsigned long gosysv_sem_word;
#else /* musl */
typedef int gosysv_sem_word;
#endif

/* Initialisation, always as PTHREAD_PROCESS_SHARED. */
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_mutex_init(struct gosysv_mutex *m);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_sem_init(sem_t *s, unsigned int value);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_cond_init(pthread_cond_t *c);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_rwlock_init(pthread_rwlock_t *rw);

/* What an object was initialised as: 1, 0 or -errno. */
GOSYSV_PSHARED_HIDDEN int
gosysv_pshared_mutex_is_shared(const struct gosysv_mutex *m);
GOSYSV_PSHARED_HIDDEN int
gosysv_pshared_mutex_is_robust(const struct gosysv_mutex *m);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_sem_is_shared(const sem_t *s);
GOSYSV_PSHARED_HIDDEN int
gosysv_pshared_cond_is_shared(const pthread_cond_t *c);
GOSYSV_PSHARED_HIDDEN int
gosysv_pshared_rwlock_is_shared(const pthread_rwlock_t *rw);

/* pthread_mutex_lock(3) or pthread_mutex_clocklock(3), and its kin */
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_mutex_lock(struct gosysv_mutex *m,
						    int64_t ns);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_mutex_trylock(struct gosysv_mutex *m);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_mutex_unlock(struct gosysv_mutex *m);
GOSYSV_PSHARED_HIDDEN int
gosysv_pshared_mutex_consistent(struct gosysv_mutex *m);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_mutex_destroy(struct gosysv_mutex *m);

GOSYSV_PSHARED_HIDDEN int gosysv_pshared_sem_wait(sem_t *s, int64_t ns);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_sem_trywait(sem_t *s);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_sem_post(sem_t *s);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_sem_getvalue(sem_t *s, int *value);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_sem_destroy(sem_t *s);

GOSYSV_PSHARED_HIDDEN int
gosysv_pshared_cond_wait(pthread_cond_t *c, struct gosysv_mutex *m, int64_t ns);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_cond_signal(pthread_cond_t *c);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_cond_broadcast(pthread_cond_t *c);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_cond_destroy(pthread_cond_t *c);

GOSYSV_PSHARED_HIDDEN int gosysv_pshared_rwlock_rdlock(pthread_rwlock_t *rw,
						       int64_t ns);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_rwlock_tryrdlock(pthread_rwlock_t *rw);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_rwlock_wrlock(pthread_rwlock_t *rw,
						       int64_t ns);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_rwlock_trywrlock(pthread_rwlock_t *rw);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_rwlock_unlock(pthread_rwlock_t *rw);
GOSYSV_PSHARED_HIDDEN int gosysv_pshared_rwlock_destroy(pthread_rwlock_t *rw);

/* The libc's sizes and alignments, for pshared.go. */
enum {
	gosysv_size_mutex = sizeof(pthread_mutex_t),
	gosysv_align_mutex = _Alignof(pthread_mutex_t),
	gosysv_size_sem = sizeof(sem_t),
	gosysv_align_sem = _Alignof(sem_t),
	gosysv_size_cond = sizeof(pthread_cond_t),
	gosysv_align_cond = _Alignof(pthread_cond_t),
	gosysv_size_rwlock = sizeof(pthread_rwlock_t),
	gosysv_align_rwlock = _Alignof(pthread_rwlock_t),
	gosysv_sem_value_max = SEM_VALUE_MAX,
};

#endif
