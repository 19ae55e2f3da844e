/* SPDX-License-Identifier: MIT */

/*
 * The C peer's commands for System V semaphore sets, listed in
 * ../sem/peer_test.go.
 */

#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

/* The most operations of a call, and the most semaphores of a set, here. */
#define MAX_OPS 2048
#define MAX_SEMS 4096

/* semctl(2): the caller is to define it. */
union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

static void do_semget(void)
{
	key_t key = (key_t)number();
	int n = (int)number();

	result(semget(key, n, (int)number()));
}

/* The operations of a command: NUM OP FLAGS, as often as there are words. */
static struct sembuf ops[MAX_OPS];

static size_t take_ops(void)
{
	size_t n = 0;
	const char *w;

	for (w = word(); *w && n < MAX_OPS; w = word()) {
		ops[n].sem_num = (unsigned short)strtoul(w, NULL, 0);
		ops[n].sem_op = (short)number();
		ops[n].sem_flg = (short)number();
		n++;
	}
	return n;
}

static void do_semop(void)
{
	int id = (int)number();

	result(semop(id, ops, take_ops()));
}

static void do_semtimedop(void)
{
	int id = (int)number();
	long long ns = (long long)number();
	const struct timespec timeout = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};

	result(semtimedop(id, ops, take_ops(), &timeout));
}

/* Takes semaphore 0 and gives it back until that fails: the set is removed. */
static void do_semuntil(void)
{
	int id = (int)number();
	struct sembuf down = { 0, -1, SEM_UNDO }, up = { 0, 1, SEM_UNDO };

	while (!semop(id, &down, 1) && !semop(id, &up, 1))
		;
	result(-1);
}

/* A semop by a thread of its own, which ends after it. */
struct call {
	int id;
	size_t n;
	int r, err;
};

static void *run_semop(void *arg)
{
	struct call *c = arg;

	c->r = semop(c->id, ops, c->n);
	c->err = errno;
	return NULL;
}

static void do_semopthread(void)
{
	struct call c = { .id = (int)number() };
	pthread_t thread;

	c.n = take_ops();
	errno = pthread_create(&thread, NULL, run_semop, &c);
	if (!errno)
		errno = pthread_join(thread, NULL);
	if (errno) {
		result(-1);
		return;
	}
	errno = c.err;
	result(c.r);
}

/* The commands of semctl(2) on one semaphore */

static void do_value(int cmd)
{
	int id = (int)number();

	result(semctl(id, (int)number(), cmd));
}

static void do_getval(void)
{
	do_value(GETVAL);
}

static void do_getpid(void)
{
	do_value(GETPID);
}

static void do_getncnt(void)
{
	do_value(GETNCNT);
}

static void do_getzcnt(void)
{
	do_value(GETZCNT);
}

static void do_setval(void)
{
	int id = (int)number();
	int num = (int)number();
	union semun arg = { .val = (int)number() };

	result(semctl(id, num, SETVAL, arg));
}

/* The commands on all of them: the values are in, or come from, the words. */

static unsigned short values[MAX_SEMS];

static int take_values(void)
{
	int n = 0;

	for (const char *w = word(); *w && n < MAX_SEMS; w = word())
		values[n++] = (unsigned short)strtoul(w, NULL, 0);
	return n;
}

static int get_stat(int id, struct semid_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	return semctl(id, 0, IPC_STAT, (union semun) { .buf = ds });
}

/* Reads the values, and returns how many they are. */
static int get_all(int id)
{
	struct semid_ds ds;

	if (get_stat(id, &ds) == -1)
		return -1;
	if (ds.sem_nsems > MAX_SEMS) {
		errno = E2BIG;
		return -1;
	}
	if (semctl(id, 0, GETALL, (union semun) { .array = values }) == -1)
		return -1;
	return (int)ds.sem_nsems;
}

static void print_values(int n)
{
	for (int i = 0; i < n; i++)
		printf(" %d", values[i]);
	putchar('\n');
}

static void do_getall(void)
{
	int n = get_all((int)number());

	if (n == -1) {
		result(n);
		return;
	}
	printf("ok");
	print_values(n);
}

static void do_setall(void)
{
	int id = (int)number();

	take_values();
	result(semctl(id, 0, SETALL, (union semun) { .array = values }));
}

/* The commands that fill a struct: answer the result and the bytes. */

static void do_ctl(int cmd, size_t size, int id)
{
	union {
		struct semid_ds ds;
		struct seminfo info;
	} u;
	int r;

	memset(&u, 0, sizeof(u));
	r = semctl(id, 0, cmd, (union semun) { .buf = &u.ds });
	if (r == -1) {
		result(r);
		return;
	}
	printf("ok %d ", r);
	answer_bytes(&u, size);
}

static void do_semstat(void)
{
	do_ctl(IPC_STAT, sizeof(struct semid_ds), (int)number());
}

static void do_semstatidx(void)
{
	do_ctl(SEM_STAT, sizeof(struct semid_ds), (int)number());
}

static void do_semstatany(void)
{
	do_ctl(SEM_STAT_ANY, sizeof(struct semid_ds), (int)number());
}

static void do_semipcinfo(void)
{
	do_ctl(IPC_INFO, sizeof(struct seminfo), 0);
}

static void do_seminfo(void)
{
	do_ctl(SEM_INFO, sizeof(struct seminfo), 0);
}

static void do_semset(void)
{
	int id = (int)number();
	struct semid_ds ds;

	memset(&ds, 0, sizeof(ds));
	ds.sem_perm.uid = (uid_t)number();
	ds.sem_perm.gid = (gid_t)number();
	ds.sem_perm.mode = (mode_t)number();
	result(semctl(id, 0, IPC_SET, (union semun) { .buf = &ds }));
}

static void do_semrmid(void)
{
	result(semctl((int)number(), 0, IPC_RMID));
}

static void do_semlayout(void)
{
	printf("ok");
	STRUCT(sembuf);
	MEMBER(sembuf, sem_num);
	MEMBER(sembuf, sem_op);
	MEMBER(sembuf, sem_flg);
	STRUCT(semid_ds);
	printf(" semid_ds.sem_perm %zu %zu 0",
	       offsetof(struct semid_ds, sem_perm), sizeof(struct ipc_perm));
	MEMBER(semid_ds, sem_otime);
	MEMBER(semid_ds, sem_ctime);
#ifdef __GLIBC__ /* musl has a short and padding */
	MEMBER(semid_ds, sem_nsems);
#endif
	STRUCT(seminfo);
	MEMBER(seminfo, semmap);
	MEMBER(seminfo, semmni);
	MEMBER(seminfo, semmns);
	MEMBER(seminfo, semmnu);
	MEMBER(seminfo, semmsl);
	MEMBER(seminfo, semopm);
	MEMBER(seminfo, semume);
	MEMBER(seminfo, semusz);
	MEMBER(seminfo, semvmx);
	MEMBER(seminfo, semaem);
	putchar('\n');
}

/* A set that is made or opened by the rule of sem_otime, as C programs do. */

/*
 * The textbook way is one semop for all values. Where that is too many
 * operations, SETALL gives the values but one, and a semop that one.
 */
static int initialize(int id, int n)
{
	unsigned short first = values[0];
	struct seminfo info = { 0 };
	int all = 1;

	if (semctl(0, 0, IPC_INFO, (union semun) { .info = &info }) == -1)
		return -1;
	if (n <= info.semopm && n <= MAX_OPS) {
		all = n;
	} else {
		values[0] = 0;
		if (semctl(id, 0, SETALL, (union semun) { .array = values }))
			return -1;
		values[0] = first;
	}
	for (int i = 0; i < all; i++)
		ops[i] = (struct sembuf) { .sem_num = (unsigned short)i,
					   .sem_op = (short)values[i] };
	return semop(id, ops, (size_t)all);
}

static int await_initialized(int id)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	struct semid_ds ds;

	for (int i = 0; i < 50000; i++) {
		if (get_stat(id, &ds) == -1)
			return -1;
		if (ds.sem_otime)
			return 0;
		nanosleep(&pause, NULL);
	}
	errno = ETIME;
	return -1;
}

static int removed(void)
{
	return errno == EINVAL || errno == EIDRM;
}

/* Returns the id, or -1; the words of the command give the values. */
static int open_set(key_t key, int mode, int n, int *created)
{
	for (;;) {
		int id = semget(key, n, IPC_CREAT | IPC_EXCL | mode);

		*created = id != -1;
		if (*created)
			return initialize(id, n) == -1 ? -1 : id;
		if (errno != EEXIST)
			return -1;
		id = semget(key, n, mode);
		if (id != -1 && await_initialized(id) == 0)
			return id;
		if (id == -1 ? errno != ENOENT : !removed())
			return -1;
	}
}

static void do_semopen(void)
{
	key_t key = (key_t)number();
	int mode = (int)number();
	int created;
	int id = open_set(key, mode, take_values(), &created);

	if (id == -1)
		result(-1);
	else
		answer("%d %d", id, created);
}

/* Waits until the gate's semaphore 0 is 0, opens, and reads the values. */
static void do_semrace(void)
{
	int gate = (int)number();
	struct sembuf zero = { .sem_op = 0 };
	key_t key = (key_t)number();
	int mode = (int)number();
	int n = take_values();
	int id, created;

	if (semop(gate, &zero, 1) == -1) {
		result(-1);
		return;
	}
	id = open_set(key, mode, n, &created);
	n = id == -1 ? -1 : get_all(id);
	if (n == -1) {
		result(n);
		return;
	}
	printf("ok %d %d", id, created);
	print_values(n);
}

const struct command sem_commands[] = {
	{ "semget", do_semget },
	{ "semop", do_semop },
	{ "semtimedop", do_semtimedop },
	{ "semuntil", do_semuntil },
	{ "semopthread", do_semopthread },
	{ "semopen", do_semopen },
	{ "semrace", do_semrace },
	/* semctl */
	{ "getval", do_getval },
	{ "setval", do_setval },
	{ "getall", do_getall },
	{ "setall", do_setall },
	{ "getpid", do_getpid },
	{ "getncnt", do_getncnt },
	{ "getzcnt", do_getzcnt },
	{ "semstat", do_semstat },
	{ "semset", do_semset },
	{ "semrmid", do_semrmid },
	/* semctl without an id */
	{ "semstatidx", do_semstatidx },
	{ "semstatany", do_semstatany },
	{ "semipcinfo", do_semipcinfo },
	{ "seminfo", do_seminfo },
	{ "semlayout", do_semlayout },
	{ NULL, NULL },
};
