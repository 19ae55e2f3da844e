/* SPDX-License-Identifier: MIT */

/*
 * A library to be preloaded: makes calls of the libc on semaphore sets fail
 * that the kernel would not let fail here, and counts those that wait.
 *
 * FAULTS holds rules "CALL COMMAND ERRNO;...". The command is that of semctl;
 * of semget the flags IPC_CREAT and IPC_EXCL; of the others 0. COUNTS names a
 * file of two 64-bit words: how many calls of semop and semtimedop there were,
 * and how many of them a signal has interrupted.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>

static _Atomic uint64_t unseen[2];
static _Atomic uint64_t *counts = unseen;

__attribute__((constructor)) static void map_counts(void)
{
	const char *path = getenv("COUNTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd == -1)
		return;
	p = mmap(NULL, sizeof(unseen), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0);
	if (p != MAP_FAILED)
		counts = p;
}

/* The errno that a rule has for the call, or 0. */
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
	return 0;
}

/* Runs the real call into r, unless a rule has it fail. */
#define CALL(r, name, command, ...)                                            \
	do {                                                                   \
		int err = fault(#name, command);                               \
		__typeof__(&name) real;                                        \
                                                                               \
		if (err) {                                                     \
			errno = err;                                           \
			r = -1;                                                \
			break;                                                 \
		}                                                              \
		*(void **)&real = dlsym(RTLD_NEXT, #name);                     \
		r = real(__VA_ARGS__);                                         \
	} while (0)

static int counted(int r)
{
	atomic_fetch_add(&counts[0], 1);
	if (r == -1 && errno == EINTR)
		atomic_fetch_add(&counts[1], 1);
	return r;
}

int semget(key_t key, int n, int flags)
{
	int r;

	CALL(r, semget, flags & (IPC_CREAT | IPC_EXCL), key, n, flags);
	return r;
}

int semop(int id, struct sembuf *ops, size_t n)
{
	int r;

	CALL(r, semop, 0, id, ops, n);
	return counted(r);
}

int semtimedop(int id, struct sembuf *ops, size_t n,
	       const struct timespec *timeout)
{
	int r;

	CALL(r, semtimedop, 0, id, ops, n, timeout);
	return counted(r);
}

/* Whatever is in its union semun has the size of a pointer, or less. */
int semctl(int id, int num, int cmd, ...)
{
	va_list args;
	void *arg;
	int r;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	CALL(r, semctl, cmd, id, num, cmd, arg);
	return r;
}
