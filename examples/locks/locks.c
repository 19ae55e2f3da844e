//go:build ignore

/* SPDX-License-Identifier: MIT */

/*
 * Locks has two processes, a parent and its child, that increment one counter
 * in a segment, with words that depend on it and a checksum over all, under one
 * of two kinds of lock: "sem" is a System V semaphore with SEM_UNDO, "mutex" a
 * robust pthread_mutex_t in the segment. Then another child is killed while it
 * has the lock and is half through, and the parent goes on. The third kind,
 * "none", leaves the lock out, and the structure does not survive that.
 *
 * locks.go and locks.c are one program twice: the same functions in the same
 * order. Either can be the parent of the other. To see it:
 *
 *	go run ./examples/locks/demo
 *	LIVE_DANGEROUSLY=1 go run ./examples/locks/demo
 *
 * By hand, with any file for the key:
 *
 *	go build -o /tmp/go-side ./examples/locks
 *	cc -pthread -o /tmp/c-side examples/locks/locks.c
 *	/tmp/c-side parent mutex /tmp/go-side /etc/passwd
 */

#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROJECT 'L' /* with the file, makes the key */
#define SPELL 0.25  /* how many seconds both increment */

/* What a process has done and seen. */
struct tally {
	uint64_t increments;
	uint64_t changes; /* increments after one by the other */
	uint64_t torn;	  /* how often the checksum was wrong */
};

struct record {
	pthread_mutex_t mutex; /* of the kind "mutex" */
	sem_t ready;	       /* posted by a child, once */
	int semid;	       /* the set, of the kind "sem" */
	int unused;
	struct tally tally[2]; /* the parent's, the child's: of nobody else */

	/* What the lock guards. */
	uint64_t last; /* who has incremented last: 1 the parent, 2 the child */
	uint64_t count;
	uint64_t words[8]; /* 1 to 8 times count */
	uint64_t sum;	   /* over count and words */
};

/*
 * CORRUPTED is what the parent ends with, in status 2, when the structure shows
 * that the lock has failed or was left out.
 */
#define CORRUPTED (-2)

/* say prints a line: who it is, and what it did. */
static void say(const char *role, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const char *role, const char *format, ...)
{
	va_list args;

	/* An error is kept until the flush. */
	printf("%-6s  C   pid %d  ", role, getpid());
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* flush writes what was said. */
static int flush(void)
{
	if (fflush(stdout) == 0)
		return 0;
	warn("stdout");
	return -1;
}

/* checksum is what sum should be. */
static uint64_t checksum(const struct record *r)
{
	uint64_t sum = r->count;

	for (size_t i = 0; i < 8; i++)
		sum = sum * 31 + r->words[i];
	return sum;
}

/*
 * begin is the first half of an increment, and finish the second. Whoever looks
 * in between finds the structure torn.
 */
static void begin(struct record *r)
{
	r->count++;
	for (size_t i = 0; i < 4; i++)
		r->words[i] += i + 1;
}

static void finish(struct record *r)
{
	for (size_t i = 4; i < 8; i++)
		r->words[i] += i + 1;
	r->sum = checksum(r);
}

/*
 * mend completes an increment whose process died: all follows from count, which
 * is written first.
 */
static void mend(struct record *r)
{
	for (size_t i = 0; i < 8; i++)
		r->words[i] = r->count * (i + 1);
	r->sum = checksum(r);
}

/* wrong is how many words do not follow from count. */
static int wrong(const struct record *r)
{
	int n = 0;

	for (size_t i = 0; i < 8; i++)
		n += r->words[i] != r->count * (i + 1);
	return n;
}

enum kind { SEM, MUTEX, NONE };

/* What a process has of the segment. */
struct side {
	const char *role;
	enum kind kind;
	struct record *r;
	struct tally *mine;
	uint64_t me; /* in last */
};

/* change adds to the semaphore's value, or waits until it can. */
static int change(int semid, short by, short flags)
{
	struct sembuf op = { .sem_num = 0, .sem_op = by, .sem_flg = flags };

	while (semop(semid, &op, 1) == -1)
		if (errno != EINTR) {
			warn("semop(%d, %+d)", semid, by);
			return -1;
		}
	return 0;
}

/*
 * lock takes the lock, and tells whether its owner died: of a mutex one learns
 * that, of a semaphore not.
 */
static int lock(struct side *s, bool *died)
{
	int e;

	*died = false;
	switch (s->kind) {
	case SEM:
		return change(s->r->semid, -1, SEM_UNDO);
	case MUTEX:
		e = pthread_mutex_lock(&s->r->mutex);
		*died = e == EOWNERDEAD; /* and this process has it */
		if (e == 0 || *died)
			return 0;
		warnx("pthread_mutex_lock: %s", strerror(e));
		return -1;
	case NONE:
		break;
	}
	return 0; /* living dangerously */
}

static int unlock(struct side *s)
{
	int e;

	switch (s->kind) {
	case SEM:
		return change(s->r->semid, +1, SEM_UNDO);
	case MUTEX:
		e = pthread_mutex_unlock(&s->r->mutex);
		if (e == 0)
			return 0;
		warnx("pthread_mutex_unlock: %s", strerror(e));
		return -1;
	case NONE:
		break;
	}
	return 0;
}

/* enter takes the lock and, if the structure is torn, mends it. */
static int enter(struct side *s)
{
	bool died, torn;
	int e;

	if (lock(s, &died) == -1)
		return -1;
	torn = s->r->sum != checksum(s->r);
	if (torn)
		s->mine->torn++;
	if (s->kind == NONE)
		return 0; /* whoever tears it is alive, and goes on */
	if (torn) {
		say(s->role, "has the lock: %s; mends what is torn",
		    died ? "told that its owner died" : "told nothing");
		mend(s->r);
	}
	e = died ? pthread_mutex_consistent(&s->r->mutex) : 0;
	if (e != 0) {
		warnx("pthread_mutex_consistent: %s", strerror(e));
		return -1;
	}
	return 0;
}

/* turn is one increment under the lock. */
static int turn(struct side *s)
{
	if (enter(s) == -1)
		return -1;
	begin(s->r);
	finish(s->r);
	if (s->r->last != 0 && s->r->last != s->me)
		s->mine->changes++;
	s->r->last = s->me;
	s->mine->increments++;
	return unlock(s);
}

/* now is the time in seconds. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* work increments for a while. */
static int work(struct side *s)
{
	const struct tally *t = s->mine;

	for (double start = now(); now() - start < SPELL;)
		if (turn(s) == -1)
			return -1;
	say(s->role,
	    "%ju increments, %ju after one by the other; torn seen: %ju",
	    (uintmax_t)t->increments, (uintmax_t)t->changes,
	    (uintmax_t)t->torn);
	return 0;
}

/*
 * attach makes the segment a part of this process's memory. Nothing but the
 * end of the process detaches it.
 */
static struct record *attach(int id)
{
	struct record *r = shmat(id, NULL, 0);

	if (r == (void *)-1) {
		warn("shmat(%d)", id);
		return NULL;
	}
	return r;
}

/* initialize_sem makes a set, as sem.GetOrCreate does. */
static int initialize_sem(key_t key, struct record *r)
{
	int set = semget(key, 1, IPC_CREAT | IPC_EXCL | 0600);

	if (set == -1) {
		warn("semget(0x%08x)", (unsigned)key);
		return -1;
	}
	r->semid = set;
	say("parent", "made semaphore set %d", set);
	/* Not by semctl: a semop sets sem_otime, which openers wait for. */
	return change(set, 1, 0);
}

static int initialize_mutex(struct record *r)
{
	pthread_mutexattr_t attr;
	int e = pthread_mutexattr_init(&attr);

	if (e == 0) {
		pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
		pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
		pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
		e = pthread_mutex_init(&r->mutex, &attr);
		pthread_mutexattr_destroy(&attr);
	}
	if (e == 0)
		return 0;
	warnx("pthread_mutex_init: %s", strerror(e));
	return -1;
}

/* initialize makes the lock, before anybody else is told of the segment. */
static int initialize(enum kind kind, key_t key, struct record *r)
{
	r->semid = -1;
	if (sem_init(&r->ready, 1, 0) == -1) {
		warn("sem_init");
		return -1;
	}
	switch (kind) {
	case SEM:
		return initialize_sem(key, r);
	case MUTEX:
		return initialize_mutex(r);
	case NONE:
		break;
	}
	return 0;
}

static const char *const kinds[] = { "sem", "mutex", "none" };

/* open_side is what a process has of a segment: C has nothing else to open. */
static struct side open_side(const char *role, enum kind kind, struct record *r)
{
	bool parent = strcmp(role, "parent") == 0;
	struct tally *mine = &r->tally[parent ? 0 : 1];

	return (struct side) { role, kind, r, mine, parent ? 1 : 2 };
}

/* start starts a child. */
static int start(char *program, const char *role, const struct side *s, int id,
		 pid_t *pid)
{
	char number[16];
	char *argv[] = { program, (char *)role, (char *)kinds[s->kind], number,
			 NULL };
	int e;

	/* The child's lines shall come after these. */
	if (flush() == -1)
		return -1;
	(void)snprintf(number, sizeof(number), "%d", id);
	e = posix_spawnp(pid, program, NULL, NULL, argv, environ);
	if (e != 0) {
		warnx("child: %s: %s", program, strerror(e));
		return -1;
	}
	return 0;
}

/* failed tells, and says, that a child has failed. */
static bool failed(int status)
{
	if (WIFSIGNALED(status))
		warnx("child: signal: %s", strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		warnx("child: exit status %d", WEXITSTATUS(status));
	return status != 0;
}

/* await waits until the child is ready. One that ends instead has failed. */
static int await(pid_t pid, struct side *s)
{
	struct timespec t;
	int status;

	for (;;) {
		/* Now and then it looks after the child. */
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 100000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		if (sem_timedwait(&s->r->ready, &t) == 0)
			return 0;
		if (errno != EINTR && errno != ETIMEDOUT) {
			warn("sem_timedwait");
			return -1;
		}
		if (waitpid(pid, &status, WNOHANG) != 0)
			break;
	}
	if (!failed(status))
		warnx("child: ended before it was ready");
	return -1;
}

/*
 * check compares the counter with the increments that were made, and what was
 * seen torn with what somebody's death explains. Nobody else uses the structure
 * any more.
 */
static int check(const struct side *s, uint64_t made, uint64_t deaths)
{
	const struct record *r = s->r;
	bool right = r->sum == checksum(r);

	say(s->role,
	    "counter %ju after %ju increments, %ju lost; "
	    "wrong words: %d; checksum %s",
	    (uintmax_t)r->count, (uintmax_t)made, (uintmax_t)(made - r->count),
	    wrong(r), right ? "right" : "wrong");
	if (r->count == made && wrong(r) == 0 && right &&
	    r->tally[0].torn + r->tally[1].torn == deaths)
		return 0;
	return CORRUPTED;
}

/* together has the parent and a child increment at the same time. */
static int together(struct side *s, char *program, int id)
{
	const struct tally *t = s->r->tally;
	int status;
	pid_t pid;

	if (start(program, "child", s, id, &pid) == -1)
		return -1;
	if (await(pid, s) == -1)
		return -1;
	if (work(s) == -1)
		return -1;
	if (waitpid(pid, &status, 0) == -1) {
		warn("waitpid(%d)", pid);
		return -1;
	}
	if (failed(status))
		return -1;
	return check(s, t[0].increments + t[1].increments, 0);
}

/* death has a child killed while it has the lock, and goes on. */
static int death(struct side *s, char *program, int id)
{
	uint64_t count;
	pid_t pid;

	if (start(program, "victim", s, id, &pid) == -1)
		return -1;
	if (await(pid, s) == -1)
		return -1;
	if (kill(pid, SIGKILL) == -1) {
		warn("kill(%d)", pid);
		return -1;
	}
	say(s->role, "kills process %d", pid);

	/* No need to wait for its end: this waits for the lock. */
	count = s->r->count; /* the victim has begun with it */
	for (int i = 0; i < 2; i++)
		if (turn(s) == -1)
			return -1;
	if (waitpid(pid, NULL, 0) == -1) {
		warn("waitpid(%d)", pid);
		return -1;
	}
	return check(s, count + 2, 1);
}

/* both is all that the parent does with the lock. */
static int both(enum kind kind, char *program, int id, struct record *r)
{
	struct side s = open_side("parent", kind, r);
	int ret = together(&s, program, id);

	if (ret != 0 || kind == NONE)
		return ret;
	return death(&s, program, id);
}

/* exchange is what the parent does with its segment. */
static int exchange(enum kind kind, char *program, key_t key, int id)
{
	struct record *r = attach(id);
	int ret;

	if (r == NULL)
		return -1;
	ret = initialize(kind, key, r);
	if (ret == 0)
		ret = both(kind, program, id, r);
	/* As with the segment: nobody else removes it. */
	if (r->semid != -1 && semctl(r->semid, 0, IPC_RMID) == -1) {
		warn("semctl(%d, IPC_RMID)", r->semid);
		return -1;
	}
	return ret;
}

/* parent makes the segment and removes it. */
static int parent(enum kind kind, char *program, const char *file)
{
	int id, ret;
	key_t key;

	key = ftok(file, PROJECT);
	if (key == -1) {
		warn("ftok(%s)", file);
		return -1;
	}
	/* Without IPC_EXCL it might be somebody else's. */
	id = shmget(key, sizeof(struct record), IPC_CREAT | IPC_EXCL | 0600);
	if (id == -1) {
		warn("shmget(0x%08x)", (unsigned)key);
		return -1;
	}
	say("parent", "made segment %d", id);
	ret = exchange(kind, program, key, id);
	/* Failed or not: a segment that nobody removes outlives them all. */
	if (shmctl(id, IPC_RMID, NULL) == -1) {
		warn("shmctl(%d, IPC_RMID)", id);
		return -1;
	}
	return ret;
}

/* child increments with the parent. */
static int child(enum kind kind, int id)
{
	struct record *r = attach(id);
	struct side s;

	if (r == NULL)
		return -1;
	s = open_side("child", kind, r);
	if (sem_post(&r->ready) == -1) {
		warn("sem_post");
		return -1;
	}
	return work(&s);
}

/* victim begins an increment, and waits to be killed. */
static int victim(enum kind kind, int id)
{
	struct record *r = attach(id);
	struct side s;

	if (r == NULL)
		return -1;
	s = open_side("victim", kind, r);
	if (enter(&s) == -1)
		return -1;
	begin(r);
	say("victim", "has the lock, and is half through an increment");
	if (flush() == -1)
		return -1;
	if (sem_post(&r->ready) == -1) {
		warn("sem_post");
		return -1;
	}
	sleep(10);
	warnx("nobody has killed this process");
	return -1;
}

/* run does what the arguments say. */
static int run(int argc, char **argv)
{
	const char *role = argc > 1 ? argv[1] : "";
	enum kind kind = SEM;
	char *end;
	long id;

	while (argc > 2 && kind <= NONE && strcmp(argv[2], kinds[kind]) != 0)
		kind++;
	if (argc < 4 || kind > NONE)
		goto usage;
	if (strcmp(role, "parent") == 0 && argc == 5)
		return parent(kind, argv[3], argv[4]);
	if ((strcmp(role, "child") != 0 && strcmp(role, "victim") != 0) ||
	    argc != 4)
		goto usage;
	errno = 0;
	id = strtol(argv[3], &end, 10);
	if (end == argv[3] || *end || errno || id < INT_MIN || id > INT_MAX) {
		warnx("not an id: %s", argv[3]);
		return -1;
	}
	return strcmp(role, "child") == 0 ? child(kind, (int)id) :
					    victim(kind, (int)id);
usage:
	warnx("usage: locks parent KIND CHILD FILE | child|victim KIND ID; "
	      "KIND is sem, mutex or none");
	return -1;
}

int main(int argc, char **argv)
{
	int ret;

	/*
	 * A reader that goes away shall not kill a parent that has a segment
	 * to remove: the flush reports it.
	 */
	(void)signal(SIGPIPE, SIG_IGN);

	ret = run(argc, argv);
	if (flush() == -1 && ret == 0)
		ret = -1;
	if (ret == CORRUPTED) {
		warnx("the structure is corrupted");
		return 2;
	}
	return ret == 0 ? 0 : 1;
}
