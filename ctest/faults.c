/* SPDX-License-Identifier: MIT */

/*
 * A library to be preloaded: makes calls of the libc fail that the kernel
 * would not let fail here. FAULTS holds rules "CALL COMMAND ERRNO;...". The
 * command is that of shmctl; of shmget the flags IPC_CREAT and IPC_EXCL; of
 * mmap with PROT_NONE the flag MAP_FIXED (the Go runtime calls it with other
 * protections); of the others 0. Errno 0 is a success that is wrong: IPC_STAT
 * tells a size that no int counts, shmat attaches at page zero.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

/* The errno that a rule has for the call, or -1. */
static int fault(const char *call, int command)
{
	const char *rule = getenv("FAULTS");
	char name[16];
	int cmd, err;

	while (rule && sscanf(rule, "%15s %d %d", name, &cmd, &err) == 3) {
		if (!strcmp(name, call) && cmd == command)
			return err;
		rule = strchr(rule, ';');
		if (rule)
			rule++;
	}
	return -1;
}

/* Runs the real call unless a rule has it fail. */
#define CALL(name, command, failed, ...)                                       \
	do {                                                                   \
		int err = fault(#name, command);                               \
		__typeof__(&name) real;                                        \
                                                                               \
		if (err > 0) {                                                 \
			errno = err;                                           \
			return failed;                                         \
		}                                                              \
		*(void **)&real = dlsym(RTLD_NEXT, #name);                     \
		return real(__VA_ARGS__);                                      \
	} while (0)

int shmget(key_t key, size_t size, int flags)
{
	CALL(shmget, flags & (IPC_CREAT | IPC_EXCL), -1, key, size, flags);
}

void *shmat(int id, const void *addr, int flags)
{
	if (fault("shmat", 0) == 0)
		return NULL;
	CALL(shmat, 0, (void *)-1, id, addr, flags);
}

int shmdt(const void *addr)
{
	CALL(shmdt, 0, -1, addr);
}

static int real_shmctl(int id, int cmd, struct shmid_ds *ds)
{
	CALL(shmctl, cmd, -1, id, cmd, ds);
}

int shmctl(int id, int cmd, struct shmid_ds *ds)
{
	int r = real_shmctl(id, cmd, ds);

	if (r == 0 && fault("shmctl", cmd) == 0)
		ds->shm_segsz = (size_t)PTRDIFF_MAX + 1;
	return r;
}

void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t off)
{
	CALL(mmap, prot == PROT_NONE ? flags & MAP_FIXED : -1, MAP_FAILED, addr,
	     size, prot, flags, fd, off);
}

int munmap(void *addr, size_t size)
{
	CALL(munmap, 0, -1, addr, size);
}
