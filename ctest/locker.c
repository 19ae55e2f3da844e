/* SPDX-License-Identifier: MIT */

/*
 * The C worker of the campaigns in ../internal/locktest, which lists its
 * commands (worker_test.go): one a line on standard input, an answer a line on
 * standard output, "ok ..." or "err ERRNO". What its threads do under a lock
 * they tell in the segment, for they may be killed at any time.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>

enum { SLOTS = 32, WORDS = 8 };

/* Where a thread is. */
enum { IDLE, LOCKING, HOLDING, MUTATING, MUTATED, UNLOCKING, PARKED };

/* What a thread tells. */
struct slot {
	_Atomic uint32_t phase;
	_Atomic uint32_t taken;	      /* how often it has had the lock */
	_Atomic uint32_t notices;     /* of an owner's death */
	_Atomic uint32_t left;	      /* marks of an owner that has died */
	_Atomic uint32_t torn;	      /* structures that were not whole */
	_Atomic uint32_t unnoticed;   /* ... and should not have been so */
	_Atomic uint32_t interrupted; /* calls, by a signal */
	_Atomic uint32_t error;
};

struct record {
	uint64_t seq;
	uint64_t words[WORDS];
	uint64_t sum;
};

/* The segment. The libc's objects come last: their sizes depend on it. */
struct shared {
	_Atomic uint32_t ready; /* threads that wait for start */
	_Atomic uint32_t start;
	_Atomic uint32_t stop;
	_Atomic uint32_t only; /* slot + 1 of the survivor that may lock */
	uint32_t held;	       /* slot + 1 of who has the lock */
	uint32_t busy;	       /* of the lock that is a condition variable */
	uint64_t count;
	uint64_t twin;
	struct record record;
	struct slot slots[SLOTS];
	pthread_mutex_t mutex;
	sem_t sem;
	pthread_rwlock_t rwlock;
	pthread_cond_t cond;
};

static volatile struct shared *s;
static int semid;
static _Thread_local volatile struct slot *me;
static _Atomic uint32_t signals;

/* The objects, as the libc takes them. */
#define OBJECT(member) ((__typeof__(&((struct shared *)0)->member))&s->member)

/* The locks. They return 0 or the errno; EOWNERDEAD is a lock taken. */

static int interrupted(void)
{
	if (errno != EINTR)
		return 0;
	me->interrupted++;
	return 1;
}

static int sysv_op(short op)
{
	struct sembuf sb = { .sem_op = op, .sem_flg = SEM_UNDO };

	while (semop(semid, &sb, 1))
		if (!interrupted())
			return errno;
	return 0;
}

static int sysv_lock(void)
{
	return sysv_op(-1);
}

static int sysv_unlock(void)
{
	return sysv_op(+1);
}

/*
 * Whether who waits for the mutex looks at it four times a second, as Go's Lock
 * does: kill_test.go tells why.
 */
static int slices;

static int mutex_lock(void)
{
	struct timespec until;
	int r = ETIMEDOUT;

	if (!slices)
		return pthread_mutex_lock(OBJECT(mutex));
	while (r == ETIMEDOUT) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 250000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		r = pthread_mutex_timedlock(OBJECT(mutex), &until);
	}
	return r;
}

static int mutex_unlock(void)
{
	return pthread_mutex_unlock(OBJECT(mutex));
}

static int sem_lock(void)
{
	while (sem_wait(OBJECT(sem)))
		if (!interrupted())
			return errno;
	return 0;
}

static int sem_unlock(void)
{
	return sem_post(OBJECT(sem)) ? errno : 0;
}

static int rwlock_lock(void)
{
	return pthread_rwlock_wrlock(OBJECT(rwlock));
}

static int rwlock_unlock(void)
{
	return pthread_rwlock_unlock(OBJECT(rwlock));
}

static int rwlock_rlock(void)
{
	return pthread_rwlock_rdlock(OBJECT(rwlock));
}

static int cond_lock(void)
{
	int r = pthread_mutex_lock(OBJECT(mutex));

	while (!r && s->busy)
		r = pthread_cond_wait(OBJECT(cond), OBJECT(mutex));
	if (r)
		return r;
	s->busy = 1;
	return pthread_mutex_unlock(OBJECT(mutex));
}

static int cond_unlock(void)
{
	int r = pthread_mutex_lock(OBJECT(mutex));

	if (r)
		return r;
	s->busy = 0;
	r = pthread_cond_signal(OBJECT(cond));
	return r ? r : pthread_mutex_unlock(OBJECT(mutex));
}

static int no_lock(void)
{
	return 0;
}

static const struct kind {
	const char *name;
	int (*lock)(void);
	int (*unlock)(void);
	int (*rlock)(void);
} kinds[] = {
	{ "sem.Mutex", sysv_lock, sysv_unlock, NULL },
	{ "pshared.Mutex", mutex_lock, mutex_unlock, NULL },
	{ "pshared.Sem", sem_lock, sem_unlock, NULL },
	{ "pshared.RWLock", rwlock_lock, rwlock_unlock, rwlock_rlock },
	{ "pshared.Cond", cond_lock, cond_unlock, NULL },
	{ "none", no_lock, no_lock, NULL },
};

/* The words of the command, behind its name. */

static const struct kind *the_kind;
static uint32_t first_slot, rounds, pause_ns;
static unsigned int threads;

static uint32_t number(void)
{
	const char *w = strtok(NULL, " \n");

	return w ? (uint32_t)strtoul(w, NULL, 0) : 0;
}

static void kind_and_slot(void)
{
	const char *name = strtok(NULL, " \n");

	the_kind = kinds;
	while (name && strcmp(the_kind->name, name) != 0)
		if (++the_kind == kinds + sizeof(kinds) / sizeof(*kinds))
			abort();
	first_slot = number();
}

/* Threads: body runs in so many, the main one among them. */

static int (*body)(void);

static void *run_slot(void *slot)
{
	me = slot;
	me->error = (uint32_t)body();
	me->phase = IDLE;
	return NULL;
}

static void run(int (*the_body)(void))
{
	pthread_t others[SLOTS];
	const unsigned int n = threads;
	uint32_t error = 0;

	body = the_body;
	for (unsigned int i = 1; i < n; i++)
		if (pthread_create(&others[i], NULL, run_slot,
				   (void *)&s->slots[first_slot + i]))
			abort();
	run_slot((void *)&s->slots[first_slot]);
	for (unsigned int i = 1; i < n; i++)
		pthread_join(others[i], NULL);
	for (unsigned int i = 0; i < n; i++)
		error = error ? error : s->slots[first_slot + i].error;
	if (error)
		printf("err %u\n", error);
	else
		printf("ok %u\n", signals);
}

static void wait_for_start(void)
{
	const struct timespec t = { .tv_nsec = 100000 };

	s->ready++;
	while (!s->start)
		nanosleep(&t, NULL);
}

/* Counting */

/* The two numbers are the same, for who has the lock. */
static int count(int yield)
{
	int r = the_kind->lock();
	uint64_t n;

	if (r)
		return r;
	n = s->count;
	if (yield)
		sched_yield(); /* who comes in now takes the same number */
	if (s->twin != n)
		me->torn++;
	s->count = n + 1;
	s->twin = n + 1;
	me->taken++;
	return the_kind->unlock();
}

static int look(void)
{
	int r = the_kind->rlock();

	if (r)
		return r;
	if (s->count != s->twin)
		me->torn++;
	return the_kind->unlock();
}

static int count_some(uint32_t n)
{
	int r = 0;

	for (uint32_t i = 1; !r && i <= n; i++) {
		r = count(i % 256 == 0);
		if (!r && the_kind->rlock && i % 8 == 0)
			r = look();
	}
	return r;
}

static int count_rounds(void)
{
	wait_for_start();
	return count_some(rounds);
}

static int count_until_stop(void)
{
	int r = 0;

	wait_for_start();
	while (!r && !s->stop)
		r = count_some(16);
	return r ? r : count_some(rounds);
}

/* The structure with a checksum */

static uint64_t fnv(const volatile struct record *r)
{
	const volatile unsigned char *b = (const volatile unsigned char *)r;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < offsetof(struct record, sum); i++)
		h = (h ^ b[i]) * 0x100000001b3;
	return h;
}

static int whole(const volatile struct record *r)
{
	return r->sum == fnv(r);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void spin(uint32_t ns)
{
	uint64_t end = ns ? now() + ns : 0;

	while (ns && now() < end)
		;
}

static void mutate(volatile struct record *r, uint32_t ns)
{
	r->seq++;
	for (unsigned int i = 0; i < WORDS; i++) {
		spin(ns);
		r->words[i] = r->seq * (i + 1);
	}
	spin(ns);
	r->sum = fnv(r);
}

/*
 * Looks at what the lock guards, and mends it. A robust mutex must have told
 * of an owner that has died with it, and without such a one nothing is torn.
 */
static int inspect(int notice)
{
	uint32_t left = s->held != 0, torn = !whole(&s->record);

	s->held = (uint32_t)(me - s->slots) + 1;
	me->notices += notice != 0;
	me->left += left;
	me->torn += torn;
	if ((torn && !left) ||
	    (left && !notice && the_kind->lock == mutex_lock))
		me->unnoticed++;
	if (torn)
		mutate(&s->record, 0);
	return notice ? pthread_mutex_consistent(OBJECT(mutex)) : 0;
}

static int lock_and_mutate(uint32_t ns)
{
	int r;

	me->phase = LOCKING;
	r = the_kind->lock();
	if (r && r != EOWNERDEAD)
		return r;
	me->phase = HOLDING;
	r = inspect(r);
	if (r)
		return r;
	me->phase = MUTATING;
	mutate(&s->record, ns);
	me->phase = MUTATED;
	s->held = 0;
	me->taken++; /* with the lock: not from before its last owner's death */
	me->phase = UNLOCKING;
	r = the_kind->unlock();
	me->phase = IDLE;
	return r;
}

static int be_killed(void)
{
	int r;

	do {
		r = lock_and_mutate(pause_ns);
		spin(pause_ns);
	} while (!r);
	return r;
}

static int survive(void)
{
	const struct timespec t = { .tv_nsec = 100000 };
	uint32_t mine = (uint32_t)(me - s->slots) + 1;
	int r = 0;

	while (!r && !s->stop) {
		if (s->only && s->only != mine)
			me->phase = PARKED;
		else
			r = lock_and_mutate(0);
		nanosleep(&t, NULL);
	}
	return r;
}

/* Commands */

static void returned(int r)
{
	if (r)
		printf("err %d\n", r);
	else
		printf("ok\n");
}

static void do_layout(void)
{
#define MEMBER(member)                                                         \
	printf(" " #member " %zu %zu", offsetof(struct shared, member),        \
	       sizeof(s->member))
#define OF_SLOT(member)                                                        \
	printf(" slot." #member " %zu %zu", offsetof(struct slot, member),     \
	       sizeof(s->slots->member))
#define OF_RECORD(member)                                                      \
	printf(" record." #member " %zu %zu", offsetof(struct record, member), \
	       sizeof(s->record.member))
	printf("ok");
	MEMBER(ready);
	MEMBER(start);
	MEMBER(stop);
	MEMBER(only);
	MEMBER(held);
	MEMBER(busy);
	MEMBER(count);
	MEMBER(twin);
	MEMBER(record);
	MEMBER(slots);
	MEMBER(mutex);
	MEMBER(sem);
	MEMBER(rwlock);
	MEMBER(cond);
	OF_SLOT(phase);
	OF_SLOT(taken);
	OF_SLOT(notices);
	OF_SLOT(left);
	OF_SLOT(torn);
	OF_SLOT(unnoticed);
	OF_SLOT(interrupted);
	OF_SLOT(error);
	OF_RECORD(seq);
	OF_RECORD(words);
	OF_RECORD(sum);
	putchar('\n');
}

static void do_attach(void)
{
	s = shmat((int)number(), NULL, 0);
	semid = (int)number();
	returned((intptr_t)s == -1 ? errno : 0);
}

static int init(void)
{
	pthread_mutexattr_t mutex;
	pthread_rwlockattr_t rwlock;
	pthread_condattr_t cond;
	int r;

	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
	pthread_rwlockattr_init(&rwlock);
	pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	if (sem_init(OBJECT(sem), 1, 1))
		return errno;
	r = pthread_mutex_init(OBJECT(mutex), &mutex);
	if (!r)
		r = pthread_rwlock_init(OBJECT(rwlock), &rwlock);
	return r ? r : pthread_cond_init(OBJECT(cond), &cond);
}

static void do_init(void)
{
	returned(init());
}

static void do_count(void)
{
	kind_and_slot();
	threads = number();
	rounds = number();
	run(count_rounds);
}

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void do_storm(void)
{
	struct sigaction action = { .sa_handler = on_signal }; /* no restart */

	sigaction(SIGUSR1, &action, NULL);
	kind_and_slot();
	threads = number();
	rounds = number();
	run(count_until_stop);
}

static void do_victim(void)
{
	kind_and_slot();
	threads = number();
	pause_ns = number();
	run(be_killed);
}

static void do_survivor(void)
{
	kind_and_slot();
	threads = 1;
	run(survive);
}

static void do_slices(void)
{
	slices = 1;
	returned(0);
}

static void do_try(void)
{
	struct sembuf sb = { .sem_op = -1, .sem_flg = SEM_UNDO | IPC_NOWAIT };
	int r;

	kind_and_slot();
	if (the_kind->lock == mutex_lock)
		r = pthread_mutex_trylock(OBJECT(mutex));
	else
		r = semop(semid, &sb, 1) ? errno : 0;
	if (!r)
		r = the_kind->unlock();
	returned(r);
}

static void do_value(void)
{
	printf("ok %d\n", semctl(semid, 0, GETVAL));
}

static const struct {
	const char *name;
	void (*run)(void);
} commands[] = {
	{ "layout", do_layout }, { "attach", do_attach },
	{ "init", do_init },	 { "count", do_count },
	{ "storm", do_storm },	 { "victim", do_victim },
	{ "try", do_try },	 { "survivor", do_survivor },
	{ "value", do_value },	 { "slices", do_slices },
};

int main(void)
{
	char line[256];

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		const char *name = strtok(line, " \n");
		size_t i = 0, n = sizeof(commands) / sizeof(*commands);

		while (i < n && name && strcmp(commands[i].name, name) != 0)
			i++;
		if (i < n && name)
			commands[i].run();
		else
			printf("unknown command\n");
	}
	return 0;
}
