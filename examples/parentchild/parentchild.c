//go:build ignore

/* SPDX-License-Identifier: MIT */

/*
 * Parentchild is the classic exchange over System V shared memory: the parent
 * makes a segment, writes a greeting into it, starts the child and waits for
 * it; the child reads the greeting and writes an answer in its place.
 *
 * parentchild.go and parentchild.c are one program twice: the same functions
 * in the same order. Either can be the parent of either. To see all four
 * pairings:
 *
 *	go run ./examples/parentchild/demo
 *
 * By hand, with any file for the key:
 *
 *	go build -o /tmp/go-side ./examples/parentchild
 *	cc -o /tmp/c-side examples/parentchild/parentchild.c
 *	/tmp/c-side parent /tmp/go-side /etc/passwd
 */

#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROJECT 'S' /* with the file, makes the key */
#define SIZE 4096
#define GREETING "Hello from parent!"
#define ANSWER "Hello from child!"

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

/* nattch tells how many attachments the segment has, of all processes. */
static int nattch(int id, shmatt_t *n)
{
	struct shmid_ds ds;

	if (shmctl(id, IPC_STAT, &ds) == -1) {
		warn("shmctl(%d, IPC_STAT)", id);
		return -1;
	}
	*n = ds.shm_nattch;
	return 0;
}

/* attach makes the segment a part of this process's memory. */
static char *attach(const char *role, int id)
{
	shmatt_t before, after;
	char *mem;

	if (nattch(id, &before) == -1)
		return NULL;
	mem = shmat(id, NULL, 0);
	if (mem == (void *)-1) {
		warn("shmat(%d)", id);
		return NULL;
	}
	if (nattch(id, &after) == -1)
		return NULL;
	say(role, "attached at %p  nattch %lu -> %lu", (void *)mem, before,
	    after);
	return mem;
}

/*
 * get copies the string out of the segment, whose bytes are gone after the
 * detach. The other side may have left out the NUL.
 */
static void get(const char *mem, char text[SIZE + 1])
{
	size_t n = strnlen(mem, SIZE);

	memcpy(text, mem, n);
	text[n] = '\0';
}

/* put writes the string and, because C strings end with one, a NUL. */
static void put(char *mem, const char *text)
{
	memcpy(mem, text, strlen(text) + 1);
}

/* detach gives the memory up. The segment stays. */
static int detach(const char *role, int id, char *mem)
{
	shmatt_t before, after;

	if (nattch(id, &before) == -1)
		return -1;
	if (shmdt(mem) == -1) {
		warn("shmdt(%p)", (void *)mem);
		return -1;
	}
	if (nattch(id, &after) == -1)
		return -1;
	say(role, "detached  nattch %lu -> %lu", before, after);
	return 0;
}

/*
 * run starts the child and waits until it has ended. This is all the
 * synchronization there is: the two never use the segment at the same time.
 */
static int run(char *program, int id)
{
	char number[16];
	char *argv[] = { program, "child", number, NULL };
	pid_t pid;
	int e, status;

	/* The child's lines shall come after these. */
	if (fflush(stdout) == EOF) {
		warn("stdout");
		return -1;
	}
	(void)snprintf(number, sizeof(number), "%d", id);
	e = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
	if (e != 0) {
		warnx("child: %s: %s", program, strerror(e));
		return -1;
	}
	if (waitpid(pid, &status, 0) == -1) {
		warn("waitpid(%d)", pid);
		return -1;
	}
	if (WIFSIGNALED(status)) {
		warnx("child: signal: %s", strsignal(WTERMSIG(status)));
		return -1;
	}
	if (WEXITSTATUS(status) != 0) {
		warnx("child: exit status %d", WEXITSTATUS(status));
		return -1;
	}
	return 0;
}

/*
 * exchange is what the parent does with its segment. It need not detach when
 * it fails: the kernel does that when the process ends.
 */
static int exchange(int id, char *program)
{
	char text[SIZE + 1];
	shmatt_t n;
	char *mem;

	mem = attach("parent", id);
	if (mem == NULL)
		return -1;
	put(mem, GREETING);
	say("parent", "wrote \"%s\"", GREETING);

	if (run(program, id) == -1)
		return -1;

	get(mem, text);
	if (nattch(id, &n) == -1)
		return -1;
	say("parent", "read \"%s\"  nattch %lu", text, n);
	if (strcmp(text, ANSWER) != 0) {
		warnx("not the answer: \"%s\"", text);
		return -1;
	}
	return detach("parent", id, mem);
}

/* parent makes the segment and removes it. */
static int parent(char *program, const char *file)
{
	key_t key;
	int id, ret;

	key = ftok(file, PROJECT);
	if (key == -1) {
		warn("ftok(%s)", file);
		return -1;
	}
	/* Without IPC_EXCL it might be somebody else's. */
	id = shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600);
	if (id == -1) {
		warn("shmget(0x%08x)", (unsigned)key);
		return -1;
	}
	say("parent", "shmget(0x%08x) made segment %d of %d bytes",
	    (unsigned)key, id, SIZE);

	ret = exchange(id, program);

	/* Failed or not: a segment that nobody removes outlives them all. */
	if (shmctl(id, IPC_RMID, NULL) == -1) {
		warn("shmctl(%d, IPC_RMID)", id);
		return -1;
	}
	say("parent", "removed segment %d", id);
	return ret;
}

/* child is what the parent starts. */
static int child(const char *number)
{
	char text[SIZE + 1];
	char *end, *mem;
	long n;
	int id;

	errno = 0;
	n = strtol(number, &end, 10);
	if (end == number || *end || errno || n < INT_MIN || n > INT_MAX) {
		warnx("not an id: %s", number);
		return -1;
	}
	id = (int)n;

	mem = attach("child", id);
	if (mem == NULL)
		return -1;
	get(mem, text);
	say("child", "read \"%s\"", text);
	if (strcmp(text, GREETING) != 0) {
		warnx("not the greeting: \"%s\"", text);
		return -1;
	}
	put(mem, ANSWER);
	say("child", "wrote \"%s\"", ANSWER);
	return detach("child", id, mem);
}

int main(int argc, char **argv)
{
	int ret;

	/*
	 * A reader that goes away shall not kill a parent that has a segment
	 * to remove: the flush reports it.
	 */
	(void)signal(SIGPIPE, SIG_IGN);

	if (argc == 4 && strcmp(argv[1], "parent") == 0) {
		ret = parent(argv[2], argv[3]);
	} else if (argc == 3 && strcmp(argv[1], "child") == 0) {
		ret = child(argv[2]);
	} else {
		warnx("usage: parentchild parent CHILD FILE | child ID");
		ret = -1;
	}
	if (fflush(stdout) == EOF && ret == 0) {
		warn("stdout");
		ret = -1;
	}
	return ret == 0 ? 0 : 1;
}
