//go:build linux && cgo

/* SPDX-License-Identifier: MIT */

#include "sem.h"

#include <errno.h>
#include <time.h>

/* semctl(2): the caller is to define it. */
union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

static int ctl(int id, int num, int cmd, union semun arg)
{
	int r = semctl(id, num, cmd, arg);

	return r < 0 ? -errno : r;
}

int gosysv_sem_get(key_t key, int n, int flags)
{
	int id = semget(key, n, flags);

	return id < 0 ? -errno : id;
}

int gosysv_sem_op(int id, struct sembuf *ops, size_t n, int64_t ns)
{
	const struct timespec timeout = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};
	int r = ns < 0 ? semop(id, ops, n) : semtimedop(id, ops, n, &timeout);

	return r < 0 ? -errno : r;
}

int gosysv_sem_ctl(int id, int num, int cmd, int value)
{
	return ctl(id, num, cmd, (union semun) { .val = value });
}

int gosysv_sem_stat(int id, int cmd, struct semid_ds *ds)
{
	return ctl(id, 0, cmd, (union semun) { .buf = ds });
}

int gosysv_sem_info(int cmd, struct seminfo *info)
{
	return ctl(0, 0, cmd, (union semun) { .info = info });
}

/*
 * The number of semaphores of a set. Who may alter a set and not read it may
 * not ask by IPC_STAT; SEM_STAT_ANY takes an id for the index in its low bits.
 */
static int count(int id)
{
	struct semid_ds ds = { 0 };
	int r = gosysv_sem_stat(id, IPC_STAT, &ds);

	if (r == -EACCES && gosysv_sem_stat(id, SEM_STAT_ANY, &ds) == id)
		r = 0;
	return r < 0 ? r : (int)ds.sem_nsems;
}

/* A set never changes its size, and its id is not soon another one's. */
static int all(int id, int cmd, unsigned short *values, int n)
{
	int size = count(id);

	if (size == n) {
		int r = ctl(id, 0, cmd, (union semun) { .array = values });

		return r < 0 ? r : n;
	}
	return size;
}

int gosysv_sem_getall(int id, unsigned short *values, int n)
{
	return all(id, GETALL, values, n);
}

int gosysv_sem_setall(int id, unsigned short *values, int n)
{
	return all(id, SETALL, values, n);
}

/* As in shm_cgo.c. */
static int stat_any(int index, struct semid_ds *ds, int *any)
{
	int id = gosysv_sem_stat(index, SEM_STAT_ANY, ds);

	if (id == -EINVAL && !*any) {
		id = gosysv_sem_stat(index, SEM_STAT, ds);
		if (id != -EACCES)
			return id;
		id = gosysv_sem_stat(index, SEM_STAT_ANY, ds);
		if (id == -EINVAL)
			return -EACCES;
	}
	*any |= id >= 0;
	return id;
}

int gosysv_sem_list(struct gosysv_sem_set *sets, int cap,
		    struct gosysv_sem_listed *listed)
{
	struct gosysv_sem_set past_cap;
	struct seminfo info = { 0 };
	int highest = gosysv_sem_info(SEM_INFO, &info);
	int n = 0, any = 0;

	if (highest < 0)
		return highest;
	if (info.semusz > cap)
		return info.semusz;
	listed->stat = 1;
	for (int index = 0; index <= highest; index++) {
		struct gosysv_sem_set *s = n < cap ? &sets[n] : &past_cap;

		s->id = stat_any(index, &s->ds, &any);
		if (s->id >= 0)
			n++;
		else if (s->id == -EACCES)
			listed->denied++;
		else if (s->id != -EINVAL && s->id != -EIDRM)
			return s->id;
	}
	return n;
}
