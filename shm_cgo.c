//go:build linux && cgo

/* SPDX-License-Identifier: MIT */

#include "shm.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int gosysv_shm_ftok(const char *pathname, int proj_id, key_t *key)
{
	errno = 0;
	*key = ftok(pathname, proj_id);
	return *key == -1 ? -errno : 0;
}

int gosysv_shm_get(key_t key, size_t size, int flags)
{
	int id = shmget(key, size, flags);

	return id < 0 ? -errno : id;
}

static void *give_up(void *addr, struct gosysv_shm_attached *at, int err)
{
	shmdt(addr);
	at->err = -err;
	return NULL;
}

void *gosysv_shm_attach(int id, uintptr_t addr, int flags,
			struct gosysv_shm_attached *at)
{
	struct shmid_ds ds = { 0 };
	void *p = shmat(id, (const void *)addr, flags);

	/* The libc's value for failure is -1, not NULL. */
	if ((intptr_t)p == -1) {
		at->err = -errno;
		return NULL;
	}
	/* With page zero mapped, no nil pointer would fault any more. */
	if (!p)
		return give_up(p, at, EINVAL);
	/* The caller knows it; in a Reservation there is no giving up. */
	if (flags & SHM_REMAP)
		return p;
	if (shmctl(id, IPC_STAT, &ds) < 0) {
		at->stat = 1;
		return give_up(p, at, errno);
	}
	/* More than a Go int counts. */
	if (ds.shm_segsz > PTRDIFF_MAX)
		return give_up(p, at, EOVERFLOW);
	at->size = ds.shm_segsz;
	return p;
}

int gosysv_shm_detach(uintptr_t addr)
{
	return shmdt((const void *)addr) < 0 ? -errno : 0;
}

int gosysv_shm_ctl(int id, int cmd, struct shmid_ds *ds)
{
	int r = shmctl(id, cmd, ds);

	return r < 0 ? -errno : r;
}

int gosysv_shm_limits(struct shminfo *info)
{
	return gosysv_shm_ctl(0, IPC_INFO, (struct shmid_ds *)info);
}

int gosysv_shm_usage(struct shm_info *info)
{
	return gosysv_shm_ctl(0, SHM_INFO, (struct shmid_ds *)info);
}

/*
 * SHM_STAT_ANY answers EINVAL to an empty slot, and a kernel before 4.17 does
 * to any: until *any says that it has worked, SHM_STAT must tell the two
 * apart. EACCES is left where the segment is there and cannot be read.
 */
static int stat_any(int index, struct shmid_ds *ds, int *any)
{
	int id = gosysv_shm_ctl(index, SHM_STAT_ANY, ds);

	if (id == -EINVAL && !*any) {
		id = gosysv_shm_ctl(index, SHM_STAT, ds);
		if (id != -EACCES)
			return id;
		id = gosysv_shm_ctl(index, SHM_STAT_ANY, ds);
		if (id == -EINVAL)
			return -EACCES;
	}
	*any |= id >= 0;
	return id;
}

int gosysv_shm_list(struct gosysv_shm_segment *segs, int cap,
		    struct gosysv_shm_listed *listed)
{
	struct gosysv_shm_segment past_cap;
	struct shm_info info = { 0 };
	int highest = gosysv_shm_usage(&info);
	int n = 0, any = 0;

	if (highest < 0)
		return highest;
	if (info.used_ids > cap)
		return info.used_ids;
	listed->stat = 1;
	for (int index = 0; index <= highest; index++) {
		struct gosysv_shm_segment *s = n < cap ? &segs[n] : &past_cap;

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

size_t gosysv_shm_shmlba(void)
{
	return (size_t)SHMLBA;
}

static int map_nothing(uintptr_t at, size_t size, int flags, uintptr_t *addr)
{
	void *p = mmap((void *)at, size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	*addr = (uintptr_t)p;
	return 0;
}

int gosysv_shm_reserve(size_t size, uintptr_t *addr)
{
	return map_nothing(0, size, 0, addr);
}

int gosysv_shm_cover(uintptr_t addr, size_t size)
{
	return map_nothing(addr, size, MAP_FIXED, &addr);
}

int gosysv_shm_unmap(uintptr_t addr, size_t size)
{
	return munmap((void *)addr, size) < 0 ? -errno : 0;
}
