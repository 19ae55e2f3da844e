/* SPDX-License-Identifier: MIT */

/*
 * What the package is measured against: the bare calls of the libc, a shim
 * each that returns -errno and does nothing else, and loops in C over the
 * same calls, which cross from Go to C once.
 */

#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* IPC_INFO */
#endif

#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/shm.h>

void bench_empty(void);
int bench_shmget(key_t key, size_t size, int flags);
int bench_shmat(int id, uintptr_t *addr);
int bench_shmat_stat(int id, uintptr_t *addr); /* and IPC_STAT */
int bench_shmdt(uintptr_t addr);
int bench_shmctl(int id, int cmd, struct shmid_ds *ds);
int bench_shminfo(struct shminfo *info);
int bench_ftok(const char *pathname, int proj_id, key_t *key);
int bench_msgget(void);
int bench_msgrm(int id);
int bench_semop(int id, unsigned short num, short op);
int bench_msgsnd(int id, uintptr_t msg, size_t size);
int bench_msgrcv(int id, uintptr_t msg, size_t size, long type);

/* n times the call; -errno of the first that fails */
int bench_loop_get(key_t key, size_t size, int flags, long n);
int bench_loop_ctl(int id, int cmd, struct shmid_ds *ds, long n);
int bench_loop_limits(struct shminfo *info, long n);
int bench_loop_attach(int id, long n);
int bench_loop_create(size_t size, long n);
int bench_loop_ftok(const char *pathname, int proj_id, key_t *key, long n);

/* n times memcpy */
void bench_loop_copy(uintptr_t dst, uintptr_t src, size_t size, long n);

/* n times: count the segments, as a loop over the kernel's table does */
int bench_loop_list(long n);

/* stores a byte in every page */
void bench_touch(uintptr_t addr, size_t size, size_t page);

/* A request and a reply: words that announce them, and what is in them. */
struct bench_talk {
	uintptr_t words[2], texts[2];
	uintptr_t known;
	size_t size;
};

/* Round trips as in peer.c; the sum of the numbers goes to sum. */
int bench_ping(const struct bench_talk *t, uint32_t first, uint32_t last,
	       uint64_t *sum);
int bench_pong(const struct bench_talk *t, uint32_t first, uint32_t last,
	       uint64_t *sum);

/* Locks that lie in a segment, and the number of a semaphore beside them. */
struct bench_locks {
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
	sem_t sem;
	uint64_t count; /* what they guard */
};

enum bench_kind { BENCH_MUTEX, BENCH_SEMOP, BENCH_SEM, BENCH_RDLOCK };

int bench_mutex_lock(struct bench_locks *l);
int bench_mutex_unlock(struct bench_locks *l);
int bench_semop_undo(int id, short op); /* of semaphore 0, with SEM_UNDO */
int bench_sem_wait(struct bench_locks *l);
int bench_sem_post(struct bench_locks *l);
int bench_rdlock(struct bench_locks *l);
int bench_rwunlock(struct bench_locks *l);

/* n times: take it and give it back */
int bench_loop_lock(enum bench_kind kind, struct bench_locks *l, int id,
		    long n);

/* so many threads, each n times: take it, count, give it back */
int bench_contend(enum bench_kind kind, struct bench_locks *l, int id,
		  int threads, long n);

#endif
