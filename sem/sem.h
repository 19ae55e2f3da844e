/* SPDX-License-Identifier: MIT */

/*
 * The C half of package sem: one shim a call, and the numbers that Go
 * compares its structs with. A shim returns what the call returns, or
 * -errno; it has no policy.
 */

#ifndef GOSYSV_SEM_H
#define GOSYSV_SEM_H

/* As in shm.h: the default time_t, whatever CGO_CFLAGS say. */
#undef _TIME_BITS

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* semtimedop, SEM_INFO */
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#ifndef SEM_STAT_ANY /* glibc 2.28 */
#define SEM_STAT_ANY 20
#endif

/* A user's own C may well have a sem_get: prefixed, and hidden. */
#define GOSYSV_SEM_HIDDEN __attribute__((visibility("hidden")))

/* An element of gosysv_sem_list's answer: Go's Set. */
struct gosysv_sem_set {
	int id;
	struct semid_ds ds;
};

/* What gosysv_sem_list has to say besides. */
struct gosysv_sem_listed {
	int denied; /* sets left out, for they could not be read */
	int stat;   /* whether an error is SEM_STAT_ANY's and not SEM_INFO's */
};

/* semget(2) */
GOSYSV_SEM_HIDDEN int gosysv_sem_get(key_t key, int n, int flags);

/* semop(2) or, unless ns is negative, semtimedop(2) with that timeout */
GOSYSV_SEM_HIDDEN int gosysv_sem_op(int id, struct sembuf *ops, size_t n,
				    int64_t ns);

/* semctl(2) of one semaphore, or with a command that takes no more */
GOSYSV_SEM_HIDDEN int gosysv_sem_ctl(int id, int num, int cmd, int value);

/* semctl(2) with a struct semid_ds, and with a struct seminfo */
GOSYSV_SEM_HIDDEN int gosysv_sem_stat(int id, int cmd, struct semid_ds *ds);
GOSYSV_SEM_HIDDEN int gosysv_sem_info(int cmd, struct seminfo *info);

/*
 * GETALL and SETALL. The kernel takes an array as long as the set, whatever
 * the caller has: these ask for the set's size first, and do nothing unless
 * it is n. They return it.
 */
GOSYSV_SEM_HIDDEN int gosysv_sem_getall(int id, unsigned short *values, int n);
GOSYSV_SEM_HIDDEN int gosysv_sem_setall(int id, unsigned short *values, int n);

/*
 * SEM_INFO, then SEM_STAT_ANY for every index up to the highest in use, or
 * SEM_STAT on kernels that have no other. Returns the number of sets found,
 * which are in sets; or, where it is more than cap, how many there may be, and
 * what is in sets is of no use.
 */
GOSYSV_SEM_HIDDEN int gosysv_sem_list(struct gosysv_sem_set *sets, int cap,
				      struct gosysv_sem_listed *listed);

/* The libc's offsets and sizes, for the comparison in sem.go. */
#define GOSYSV_SIZE(tag) gosysv_size_##tag = sizeof(struct tag)
#define GOSYSV_MEMBER(tag, member)                                             \
	gosysv_offset_##tag##_##member = offsetof(struct tag, member),         \
	gosysv_size_##tag##_##member = sizeof(((struct tag *)0)->member)

enum {
	GOSYSV_SIZE(sembuf),
	GOSYSV_MEMBER(sembuf, sem_num),
	GOSYSV_MEMBER(sembuf, sem_op),
	GOSYSV_MEMBER(sembuf, sem_flg),

	GOSYSV_SIZE(semid_ds),
	GOSYSV_MEMBER(semid_ds, sem_perm),
	GOSYSV_MEMBER(semid_ds, sem_otime),
	GOSYSV_MEMBER(semid_ds, sem_ctime),
	gosysv_offset_semid_ds_sem_nsems = offsetof(struct semid_ds, sem_nsems),
#ifdef __GLIBC__
	gosysv_size_semid_ds_sem_nsems =
		sizeof(((struct semid_ds *)0)->sem_nsems),
#else /* musl calls the kernel's unsigned long a short and padding */
	gosysv_size_semid_ds_sem_nsems = sizeof(unsigned long),
#endif

	GOSYSV_SIZE(seminfo),
	GOSYSV_MEMBER(seminfo, semmap),
	GOSYSV_MEMBER(seminfo, semmni),
	GOSYSV_MEMBER(seminfo, semmns),
	GOSYSV_MEMBER(seminfo, semmnu),
	GOSYSV_MEMBER(seminfo, semmsl),
	GOSYSV_MEMBER(seminfo, semopm),
	GOSYSV_MEMBER(seminfo, semume),
	GOSYSV_MEMBER(seminfo, semusz),
	GOSYSV_MEMBER(seminfo, semvmx),
	GOSYSV_MEMBER(seminfo, semaem),

	GOSYSV_SIZE(gosysv_sem_set),
	GOSYSV_MEMBER(gosysv_sem_set, id),
	GOSYSV_MEMBER(gosysv_sem_set, ds),
};

#endif
