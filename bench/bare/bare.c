//go:build linux && cgo

/* SPDX-License-Identifier: MIT */

#include "bare.h"

#include <errno.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

void bench_empty(void)
{
}

int bench_shmget(key_t key, size_t size, int flags)
{
	int id = shmget(key, size, flags);

	return id < 0 ? -errno : id;
}

int bench_shmat(int id, uintptr_t *addr)
{
	void *p = shmat(id, NULL, 0);

	*addr = (uintptr_t)p;
	return (intptr_t)p == -1 ? -errno : 0;
}

int bench_shmat_stat(int id, uintptr_t *addr)
{
	struct shmid_ds ds;
	int err = bench_shmat(id, addr);

	return err ? err : bench_shmctl(id, IPC_STAT, &ds);
}

int bench_shmdt(uintptr_t addr)
{
	return shmdt((const void *)addr) < 0 ? -errno : 0;
}

int bench_shmctl(int id, int cmd, struct shmid_ds *ds)
{
	int r = shmctl(id, cmd, ds);

	return r < 0 ? -errno : r;
}

int bench_shminfo(struct shminfo *info)
{
	return bench_shmctl(0, IPC_INFO, (struct shmid_ds *)info);
}

int bench_ftok(const char *pathname, int proj_id, key_t *key)
{
	*key = ftok(pathname, proj_id);
	return *key == -1 ? -errno : 0;
}

int bench_msgget(void)
{
	int id = msgget(IPC_PRIVATE, 0600);

	return id < 0 ? -errno : id;
}

int bench_msgrm(int id)
{
	return msgctl(id, IPC_RMID, NULL) < 0 ? -errno : 0;
}

int bench_semop(int id, unsigned short num, short op)
{
	struct sembuf s = { .sem_num = num, .sem_op = op };

	return semop(id, &s, 1) < 0 ? -errno : 0;
}

int bench_msgsnd(int id, uintptr_t msg, size_t size)
{
	return msgsnd(id, (const void *)msg, size, 0) < 0 ? -errno : 0;
}

int bench_msgrcv(int id, uintptr_t msg, size_t size, long type)
{
	ssize_t n = msgrcv(id, (void *)msg, size, type, 0);

	return n < 0 ? -errno : (int)n;
}

int bench_loop_get(key_t key, size_t size, int flags, long n)
{
	for (; n > 0; n--)
		if (shmget(key, size, flags) < 0)
			return -errno;
	return 0;
}

int bench_loop_ctl(int id, int cmd, struct shmid_ds *ds, long n)
{
	for (; n > 0; n--)
		if (shmctl(id, cmd, ds) < 0)
			return -errno;
	return 0;
}

int bench_loop_limits(struct shminfo *info, long n)
{
	return bench_loop_ctl(0, IPC_INFO, (struct shmid_ds *)info, n);
}

int bench_loop_attach(int id, long n)
{
	for (; n > 0; n--) {
		void *p = shmat(id, NULL, 0);

		if ((intptr_t)p == -1 || shmdt(p) < 0)
			return -errno;
	}
	return 0;
}

int bench_loop_create(size_t size, long n)
{
	for (; n > 0; n--) {
		int id = shmget(IPC_PRIVATE, size, 0600);

		if (id < 0 || shmctl(id, IPC_RMID, NULL) < 0)
			return -errno;
	}
	return 0;
}

int bench_loop_ftok(const char *pathname, int proj_id, key_t *key, long n)
{
	for (; n > 0; n--) {
		*key = ftok(pathname, proj_id);
		if (*key == -1)
			return -errno;
	}
	return 0;
}

void bench_loop_copy(uintptr_t dst, uintptr_t src, size_t size, long n)
{
	for (; n > 0; n--) {
		memcpy((void *)dst, (const void *)src, size);
		/* The compiler must not take one copy for all of them. */
		__asm__ volatile("" : : : "memory");
	}
}

int bench_loop_list(long n)
{
	struct shm_info info;
	struct shmid_ds ds;
	int found = 0;

	for (; n > 0; n--) {
		int highest = shmctl(0, SHM_INFO, (struct shmid_ds *)&info);

		if (highest < 0)
			return -errno;
		found = 0;
		for (int index = 0; index <= highest; index++)
			if (shmctl(index, SHM_STAT_ANY, &ds) >= 0)
				found++;
	}
	return found;
}

void bench_touch(uintptr_t addr, size_t size, size_t page)
{
	for (size_t i = 0; i < size; i += page)
		*(volatile char *)(addr + i) = 1;
}
