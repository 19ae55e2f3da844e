/* SPDX-License-Identifier: MIT */

/*
 * The C peer's part in the races of ../lifetime_test.go: it makes, finds,
 * attaches, looks at, changes and removes the segments of a few keys, while
 * others do so too. gopeer_lifetime_test.go is the same in Go.
 */

#include "peer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

enum { FIRST_KEY = 0x5e9, KEYS = 3, ROLES = 8, MOST_ATTACHED = 4 };
enum { UNIT = 512, MOST_UNITS = 24 };
enum { MOST_ERRNO = 133 };

static const uint64_t golden = 0x9e3779b97f4a7c15;

/* What its creator writes into a segment: nothing there but is its id's. */
struct stamped {
	_Atomic uint64_t stamp; /* of the id; 0 until the rest is written */
	uint64_t size;
	int64_t key;
	_Atomic uint64_t slot[ROLES]; /* each written by one racer only */
	uint64_t body[];
};

enum call { CREATE, OPEN, ATTACH, DETACH, STAT, SET, REMOVE, LIST, CALLS };

static const char *const call_names[CALLS] = { "create", "open", "attach",
					       "detach", "stat", "set",
					       "remove", "list" };

static struct {
	unsigned long count[CALLS][MOST_ERRNO + 1];
	int id[KEYS]; /* the last one that was seen, or -1 */
	struct {
		int id;
		struct stamped *p;
	} attached[MOST_ATTACHED];
	int n;
	int role;
	uint64_t random;
	const char *wrong; /* the first thing that must not be */
	int wrong_id;
} racer;

static int pick(int below)
{
	racer.random ^= racer.random << 13;
	racer.random ^= racer.random >> 7;
	racer.random ^= racer.random << 17;
	return (int)(racer.random >> 33) % below;
}

/* Counts how a call ended. Returns whether it did what it was to do. */
static int counted(enum call call, int ok)
{
	racer.count[call][ok ? 0 : errno]++;
	return ok;
}

static void must(int so, const char *what, int id)
{
	if (so || racer.wrong)
		return;
	racer.wrong = what;
	racer.wrong_id = id;
}

static uint64_t stamp(int id, uint64_t i)
{
	return ((uint64_t)id + 1) * golden + i;
}

static uint64_t body_words(uint64_t size)
{
	return (size - sizeof(struct stamped)) / sizeof(uint64_t);
}

/* Whether the attachment shows the segment of its id, whole, and no other. */
static void check(int i)
{
	int id = racer.attached[i].id;
	struct stamped *p = racer.attached[i].p;
	struct shmid_ds ds;
	uint64_t seen = atomic_load(&p->stamp);
	unsigned long mine = 0;

	for (int other = 0; other < racer.n; other++)
		mine += racer.attached[other].id == id;
	must(!shmctl(id, IPC_STAT, &ds), "attached, and no IPC_STAT", id);
	must(ds.shm_nattch >= mine, "nattch is too low", id);
	must(atomic_load(&p->slot[racer.role]) ==
		     stamp(id, (uint64_t)racer.role),
	     "another one's slot", id);
	if (!seen)
		return;
	must(seen == stamp(id, 0), "another one's stamp", id);
	must(ds.shm_segsz == p->size, "another one's size", id);
	must(!ds.shm_perm.__key || ds.shm_perm.__key == p->key,
	     "another one's key", id);
	for (uint64_t w = 0; w < body_words(ds.shm_segsz); w++)
		must(p->body[w] == stamp(id, w), "another one's bytes", id);
}

static void detach(int i)
{
	check(i);
	must(counted(DETACH, !shmdt(racer.attached[i].p)), "no shmdt",
	     racer.attached[i].id);
	racer.attached[i] = racer.attached[--racer.n];
}

/* Returns NULL where there is no such segment any more. */
static struct stamped *attach(int id)
{
	void *p;

	if (racer.n == MOST_ATTACHED)
		detach(pick(MOST_ATTACHED));
	p = shmat(id, NULL, 0);
	if (!counted(ATTACH, (intptr_t)p != -1))
		return NULL;
	racer.attached[racer.n].id = id;
	racer.attached[racer.n++].p = p;
	atomic_store(&((struct stamped *)p)->slot[racer.role],
		     stamp(id, (uint64_t)racer.role));
	return p;
}

static void create(int k)
{
	size_t size = (size_t)UNIT * (size_t)(1 + pick(MOST_UNITS));
	int id = shmget(FIRST_KEY + k, size, IPC_CREAT | IPC_EXCL | 0600);
	struct stamped *p;

	if (!counted(CREATE, id >= 0))
		return;
	racer.id[k] = id;
	p = attach(id);
	if (!p)
		return;
	must(!atomic_load(&p->stamp), "a new one is not empty", id);
	p->size = size;
	p->key = FIRST_KEY + k;
	for (uint64_t w = 0; w < body_words(size); w++)
		p->body[w] = stamp(id, w);
	atomic_store(&p->stamp, stamp(id, 0));
}

static void find(int k)
{
	size_t size = pick(2) ? (size_t)UNIT * MOST_UNITS : 0;
	int id = shmget(FIRST_KEY + k, size, 0);

	if (counted(OPEN, id >= 0))
		racer.id[k] = id;
}

static void set(int id)
{
	struct shmid_ds ds;

	if (!counted(STAT, !shmctl(id, IPC_STAT, &ds)))
		return;
	ds.shm_perm.mode ^= 0040;
	counted(SET, !shmctl(id, IPC_SET, &ds));
}

/* The table has its segments in order, and none but such as were made. */
static void list(void)
{
	struct shm_info info;
	int highest = shmctl(0, SHM_INFO, (struct shmid_ds *)&info);

	for (int i = 0; i <= highest; i++) {
		struct shmid_ds ds;
		int id = shmctl(i, SHM_STAT_ANY, &ds);

		if (!counted(LIST, id >= 0))
			continue;
		must(ds.shm_segsz >= UNIT && !(ds.shm_segsz % UNIT),
		     "listed with a strange size", id);
		must((ds.shm_perm.mode & 0737) == 0600,
		     "listed with a strange mode", id);
	}
}

static void step(void)
{
	int k = pick(KEYS), what = pick(16);
	struct shmid_ds ds;
	int id = racer.id[k];

	if (id < 0 || what < 2)
		find(k);
	else if (what < 6)
		attach(id);
	else if (what < 8 && racer.n)
		detach(pick(racer.n));
	else if (what < 10 && racer.n)
		check(pick(racer.n));
	else if (what == 10)
		counted(STAT, !shmctl(id, IPC_STAT, &ds));
	else if (what == 11)
		set(id);
	else if (what == 12)
		counted(REMOVE, !shmctl(id, IPC_RMID, NULL));
	else if (what == 13)
		list();
	if (id < 0 || what > 13)
		create(k);
}

static void do_lifetime(void)
{
	unsigned long rounds;

	memset(&racer, 0, sizeof(racer));
	memset(racer.id, -1, sizeof(racer.id));
	racer.role = (int)number();
	rounds = (unsigned long)number();
	racer.random = number() * golden | 1;
	for (unsigned long i = 0; i < rounds && !racer.wrong; i++)
		step();
	while (racer.n)
		detach(racer.n - 1);
	if (racer.wrong) {
		printf("segment %d: %s\n", racer.wrong_id, racer.wrong);
		return;
	}
	printf("ok");
	for (int call = 0; call < CALLS; call++)
		for (int err = 0; err <= MOST_ERRNO; err++)
			if (racer.count[call][err])
				printf(" %s %d %lu", call_names[call], err,
				       racer.count[call][err]);
	putchar('\n');
}

const struct command lifetime_commands[] = {
	{ "lifetime", do_lifetime },
	{ NULL, NULL },
};
