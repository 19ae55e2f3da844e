//go:build linux && cgo

/* SPDX-License-Identifier: MIT */

#include "bare.h"

#include <errno.h>
#include <sys/sem.h>

int bench_mutex_lock(struct bench_locks *l)
{
	return -pthread_mutex_lock(&l->mutex);
}

int bench_mutex_unlock(struct bench_locks *l)
{
	return -pthread_mutex_unlock(&l->mutex);
}

int bench_semop_undo(int id, short op)
{
	struct sembuf sops = { .sem_num = 0,
			       .sem_op = op,
			       .sem_flg = SEM_UNDO };

	return semop(id, &sops, 1) < 0 ? -errno : 0;
}

int bench_sem_wait(struct bench_locks *l)
{
	return sem_wait(&l->sem) < 0 ? -errno : 0;
}

int bench_sem_post(struct bench_locks *l)
{
	return sem_post(&l->sem) < 0 ? -errno : 0;
}

int bench_rdlock(struct bench_locks *l)
{
	return -pthread_rwlock_rdlock(&l->rwlock);
}

int bench_rwunlock(struct bench_locks *l)
{
	return -pthread_rwlock_unlock(&l->rwlock);
}

static int take(enum bench_kind kind, struct bench_locks *l, int id)
{
	switch (kind) {
	case BENCH_MUTEX:
		return bench_mutex_lock(l);
	case BENCH_SEMOP:
		return bench_semop_undo(id, -1);
	case BENCH_SEM:
		return bench_sem_wait(l);
	case BENCH_RDLOCK:
		return bench_rdlock(l);
	}
	return -EINVAL;
}

static int give(enum bench_kind kind, struct bench_locks *l, int id)
{
	switch (kind) {
	case BENCH_MUTEX:
		return bench_mutex_unlock(l);
	case BENCH_SEMOP:
		return bench_semop_undo(id, +1);
	case BENCH_SEM:
		return bench_sem_post(l);
	case BENCH_RDLOCK:
		return bench_rwunlock(l);
	}
	return -EINVAL;
}

int bench_loop_lock(enum bench_kind kind, struct bench_locks *l, int id, long n)
{
	int err = 0;

	for (long i = 0; i < n && !err; i++) {
		err = take(kind, l, id);
		if (!err)
			err = give(kind, l, id);
	}
	return err;
}

struct contender {
	enum bench_kind kind;
	struct bench_locks *l;
	int id;
	long n;
	int err;
	pthread_t thread;
};

static void *contend(void *arg)
{
	struct contender *c = arg;

	for (long i = 0; i < c->n && !c->err; i++) {
		c->err = take(c->kind, c->l, c->id);
		if (c->err)
			break;
		c->l->count++;
		c->err = give(c->kind, c->l, c->id);
	}
	return NULL;
}

enum { MOST_THREADS = 64 };

int bench_contend(enum bench_kind kind, struct bench_locks *l, int id,
		  int threads, long n)
{
	struct contender c[MOST_THREADS];
	int err = 0, started = 0;

	if (threads > MOST_THREADS)
		return -EINVAL;
	for (; started < threads && !err; started++) {
		c[started] = (struct contender) { kind, l, id, n, 0, 0 };
		err = -pthread_create(&c[started].thread, NULL, contend,
				      &c[started]);
		if (err)
			break;
	}
	for (int i = 0; i < started; i++) {
		pthread_join(c[i].thread, NULL);
		if (!err)
			err = c[i].err;
	}
	return err;
}
