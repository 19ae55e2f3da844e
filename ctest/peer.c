/* SPDX-License-Identifier: MIT */

/*
 * The C peer of the interop tests: a command a line on standard input, an
 * answer a line on standard output, "ok ..." or "err ERRNO". Numbers are
 * taken in any base that C writes, bytes in hex. The commands of shared memory
 * and of the process are here, listed in ../peer_test.go; those of semaphore
 * sets in peer_sem.c, of POSIX objects in peer_pshared.c, of the races on
 * lifetime in peer_lifetime.c.
 */

#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

/* The command; its words are taken off with word(). */
static char line[1 << 16];

void answer(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("ok ");
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void answer_bytes(const void *bytes, size_t n)
{
	const unsigned char *b = bytes;

	for (size_t i = 0; i < n; i++)
		printf("%02x", b[i]);
	putchar('\n');
}

void result(long r)
{
	if (r == -1)
		printf("err %d\n", errno);
	else
		answer("%ld", r);
}

char *word(void)
{
	char *w = strtok(NULL, " \n");

	return w ? w : "";
}

unsigned long long number(void)
{
	const char *w = word();

	return *w == '-' ? (unsigned long long)strtoll(w, NULL, 0) :
			   strtoull(w, NULL, 0);
}

void *address(void)
{
	return (void *)(uintptr_t)number();
}

/* The calls */

static void do_ftok(void)
{
	int proj = (int)number();
	const char *path = word();
	key_t key;

	errno = 0;
	key = ftok(path, proj);
	if (key == -1 && errno)
		printf("err %d\n", errno);
	else
		answer("%d", key);
}

static void do_get(void)
{
	key_t key = (key_t)number();
	size_t size = (size_t)number();

	result(shmget(key, size, (int)number()));
}

static void do_at(void)
{
	int id = (int)number();
	const void *addr = address();
	void *p = shmat(id, addr, (int)number());

	if ((intptr_t)p == -1)
		result(-1);
	else
		answer("%" PRIuPTR, (uintptr_t)p);
}

static void do_dt(void)
{
	result(shmdt(address()));
}

/* One of the commands that fill a struct: answers the result and the bytes. */
static void do_ctl(int cmd, size_t size, int id)
{
	union {
		struct shmid_ds ds;
		struct shminfo shminfo;
		struct shm_info shm_info;
	} u;
	int r;

	memset(&u, 0, sizeof(u));
	r = shmctl(id, cmd, &u.ds);
	if (r == -1) {
		result(r);
		return;
	}
	printf("ok %d ", r);
	answer_bytes(&u, size);
}

static void do_set(void)
{
	int id = (int)number();
	struct shmid_ds ds;

	memset(&ds, 0, sizeof(ds));
	ds.shm_perm.uid = (uid_t)number();
	ds.shm_perm.gid = (gid_t)number();
	ds.shm_perm.mode = (mode_t)number();
	result(shmctl(id, IPC_SET, &ds));
}

static void do_layout(void)
{
	printf("ok");
	STRUCT(ipc_perm);
	MEMBER(ipc_perm, __key);
	MEMBER(ipc_perm, uid);
	MEMBER(ipc_perm, gid);
	MEMBER(ipc_perm, cuid);
	MEMBER(ipc_perm, cgid);
	MEMBER(ipc_perm, mode);
#ifdef __GLIBC__ /* musl takes the padding behind it in */
	MEMBER(ipc_perm, __seq);
#endif
	STRUCT(shmid_ds);
	printf(" shmid_ds.shm_perm %zu %zu 0",
	       offsetof(struct shmid_ds, shm_perm), sizeof(struct ipc_perm));
	MEMBER(shmid_ds, shm_segsz);
	MEMBER(shmid_ds, shm_atime);
	MEMBER(shmid_ds, shm_dtime);
	MEMBER(shmid_ds, shm_ctime);
	MEMBER(shmid_ds, shm_cpid);
	MEMBER(shmid_ds, shm_lpid);
	MEMBER(shmid_ds, shm_nattch);
	STRUCT(shminfo);
	MEMBER(shminfo, shmmax);
	MEMBER(shminfo, shmmin);
	MEMBER(shminfo, shmmni);
	MEMBER(shminfo, shmseg);
	MEMBER(shminfo, shmall);
	STRUCT(shm_info);
	MEMBER(shm_info, used_ids);
	MEMBER(shm_info, shm_tot);
	MEMBER(shm_info, shm_rss);
	MEMBER(shm_info, shm_swp);
	MEMBER(shm_info, swap_attempts);
	MEMBER(shm_info, swap_successes);
	putchar('\n');
}

/* The memory */

static void do_read(void)
{
	const void *p = address();
	size_t n = (size_t)number();

	printf("ok ");
	answer_bytes(p, n);
}

static void do_write(void)
{
	unsigned char *p = address();
	const char *hex = word();

	for (; hex[0] && hex[1]; hex += 2) {
		const char digits[3] = { hex[0], hex[1], 0 };

		*p++ = (unsigned char)strtoul(digits, NULL, 16);
	}
	answer("");
}

/* A pattern of which no two pages, and no two seeds, are alike. */
static void do_fill(void)
{
	unsigned char *p = address();
	uint64_t n = number();
	uint64_t seed = number();

	for (uint64_t i = 0; i < n; i++)
		p[i] = (unsigned char)((i + seed) * 0x9e3779b97f4a7c15 >> 56);
	answer("");
}

/* FNV-1a */
static void do_sum(void)
{
	const unsigned char *p = address();
	size_t n = (size_t)number();
	uint64_t h = 0xcbf29ce484222325;

	while (n--)
		h = (h ^ *p++) * 0x100000001b3;
	answer("%" PRIu64, h);
}

static void do_private(void)
{
	size_t n = (size_t)number();
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		result(-1);
		return;
	}
	memset(p, 'p', n);
	answer("%" PRIuPTR, (uintptr_t)p);
}

static void do_dontfork(void)
{
	void *p = address();

	result(madvise(p, (size_t)number(), MADV_DONTFORK));
}

static void do_load(void)
{
	if (number() == 32)
		answer("%" PRIu32, atomic_load((_Atomic uint32_t *)address()));
	else
		answer("%" PRIu64, atomic_load((_Atomic uint64_t *)address()));
}

static void do_store(void)
{
	int width = (int)number();
	void *p = address();

	if (width == 32)
		atomic_store((_Atomic uint32_t *)p, (uint32_t)number());
	else
		atomic_store((_Atomic uint64_t *)p, (uint64_t)number());
	answer("");
}

static void do_add(void)
{
	int width = (int)number();
	void *p = address();
	unsigned long long times = number();

	while (times--) {
		if (width == 32)
			atomic_fetch_add((_Atomic uint32_t *)p, 1);
		else
			atomic_fetch_add((_Atomic uint64_t *)p, 1);
	}
	answer("");
}

/* Litmus tests; the words of one do not share a cache line. */

struct litmus {
	struct {
		_Atomic uint32_t word;
		char line[60];
	} ready[2], var[2];
	uint32_t message[16];
	uint32_t seen[]; /* rounds of role 0, then of role 1 */
};

static void await(_Atomic uint32_t *p, uint32_t at_least)
{
	for (unsigned int spins = 0; atomic_load(p) < at_least; spins++)
		if (spins % 128 == 127)
			sched_yield();
}

/*
 * Message passing: role 0 writes a message with plain stores, then a flag;
 * role 1 sees the flag and reads the message. Answers how many were torn.
 */
static void message_passing(struct litmus *l, int role, uint32_t rounds)
{
	unsigned int torn = 0;

	for (uint32_t i = 1; i <= rounds; i++) {
		if (role == 0) {
			for (int w = 0; w < 16; w++)
				l->message[w] = i;
			atomic_store(&l->ready[0].word, i);
			await(&l->ready[1].word, i);
		} else {
			int bad = 0;

			await(&l->ready[0].word, i);
			for (int w = 0; w < 16; w++)
				bad |= l->message[w] != i;
			torn += bad != 0;
			atomic_store(&l->ready[1].word, i);
		}
	}
	answer("%u", torn);
}

/*
 * Store buffering: each role stores to its own variable and then loads the
 * other's. At least one must see the other's store; the test compares what
 * they saw, round by round.
 */
static void store_buffering(struct litmus *l, int role, uint32_t rounds)
{
	uint32_t *seen = l->seen + (size_t)role * rounds;

	for (uint32_t i = 1; i <= rounds; i++) {
		atomic_store(&l->ready[role].word, i);
		await(&l->ready[!role].word, i);
		atomic_store(&l->var[role].word, i);
		seen[i - 1] = atomic_load(&l->var[!role].word);
	}
	answer("0");
}

static void do_litmus(void)
{
	const char *which = word();
	struct litmus *l = address();
	int role = (int)number();
	uint32_t rounds = (uint32_t)number();

	if (!strcmp(which, "mp"))
		message_passing(l, role, rounds);
	else
		store_buffering(l, role, rounds);
}

/* The process */

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) == -1)
		result(-1);
	else
		answer("%d", WIFSIGNALED(status) ? -WTERMSIG(status) :
						   WEXITSTATUS(status));
}

/* The child takes the commands; when it ends, the parent tells how. */
static void do_fork(void)
{
	pid_t pid = fork();

	if (pid == -1)
		result(-1);
	else if (pid == 0)
		answer("%d", getpid());
	else
		reap(pid);
}

/* The child does nothing but hold what it inherits. */
static void do_spawn(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	result(pid);
}

static void do_reap(void)
{
	pid_t pid = (pid_t)number();

	if (kill(pid, SIGKILL))
		result(-1);
	else
		reap(pid);
}

/* The new program answers the next command. */
static void do_exec(void)
{
	const char *path = word();

	execl(path, path, (char *)NULL);
	result(-1);
}

static void do_setns(void)
{
	int fd = open(word(), O_RDONLY | O_CLOEXEC);

	result(fd == -1 ? -1 : setns(fd, 0));
}

static void do_setuid(void)
{
	uid_t uid = (uid_t)number();
	gid_t gid = (gid_t)number();

	if (setgroups(0, NULL) || setgid(gid) || setuid(uid))
		result(-1);
	else
		answer("");
}

/* From the bounding set too, for the program that root executes next. */
static void do_dropcap(void)
{
	unsigned int cap = (unsigned int)number();
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct sets[2];
	struct __user_cap_data_struct *set = &sets[cap / 32];

	if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) ||
	    syscall(SYS_capget, &head, sets)) {
		result(-1);
		return;
	}
	set->effective &= ~(1U << cap % 32);
	set->permitted &= ~(1U << cap % 32);
	set->inheritable &= ~(1U << cap % 32);
	result(syscall(SYS_capset, &head, sets));
}

static void do_exit(void)
{
	exit((int)number());
}

static void do_kill(void)
{
	(void)raise(SIGKILL);
}

static void do_stat(void)
{
	do_ctl(IPC_STAT, sizeof(struct shmid_ds), (int)number());
}

static void do_status(void)
{
	struct shmid_ds ds = { 0 };

	if (shmctl((int)number(), IPC_STAT, &ds) < 0) {
		result(-1);
		return;
	}
	answer("%d %u %u %u %u %u %u %llu %lld %lld %lld %d %d %llu",
	       ds.shm_perm.__key, ds.shm_perm.uid, ds.shm_perm.gid,
	       ds.shm_perm.cuid, ds.shm_perm.cgid, (unsigned)ds.shm_perm.mode,
	       (unsigned)ds.shm_perm.__seq, (unsigned long long)ds.shm_segsz,
	       (long long)ds.shm_atime, (long long)ds.shm_dtime,
	       (long long)ds.shm_ctime, (int)ds.shm_cpid, (int)ds.shm_lpid,
	       (unsigned long long)ds.shm_nattch);
}

static void do_shmstat(void)
{
	do_ctl(SHM_STAT, sizeof(struct shmid_ds), (int)number());
}

static void do_shmstatany(void)
{
	do_ctl(SHM_STAT_ANY, sizeof(struct shmid_ds), (int)number());
}

static void do_ipcinfo(void)
{
	do_ctl(IPC_INFO, sizeof(struct shminfo), 0);
}

static void do_shminfo(void)
{
	do_ctl(SHM_INFO, sizeof(struct shm_info), 0);
}

static void do_rmid(void)
{
	result(shmctl((int)number(), IPC_RMID, NULL));
}

static void do_lock(void)
{
	result(shmctl((int)number(), SHM_LOCK, NULL));
}

static void do_unlock(void)
{
	result(shmctl((int)number(), SHM_UNLOCK, NULL));
}

/* clang-format off */
static const struct command commands[] = {
	{ "ftok", do_ftok },
	{ "get", do_get },
	{ "at", do_at },
	{ "dt", do_dt },
	{ "stat", do_stat },
	{ "set", do_set },
	{ "rmid", do_rmid },
	{ "lock", do_lock },
	{ "unlock", do_unlock },
	{ "status", do_status },
	{ "shmstat", do_shmstat },
	{ "shmstatany", do_shmstatany },
	{ "ipcinfo", do_ipcinfo },
	{ "shminfo", do_shminfo },
	{ "layout", do_layout },
	{ "read", do_read },
	{ "write", do_write },
	{ "fill", do_fill },
	{ "sum", do_sum },
	{ "load", do_load },
	{ "store", do_store },
	{ "add", do_add },
	{ "litmus", do_litmus },
	{ "private", do_private },
	{ "fork", do_fork },
	{ "dontfork", do_dontfork },
	{ "spawn", do_spawn },
	{ "reap", do_reap },
	{ "exec", do_exec },
	{ "setns", do_setns },
	{ "setuid", do_setuid },
	{ "dropcap", do_dropcap },
	{ "exit", do_exit },
	{ "kill", do_kill },
	{ NULL, NULL },
};
/* clang-format on */

static int run_of(const struct command *c, const char *name)
{
	for (; c->name; c++) {
		if (!strcmp(c->name, name)) {
			c->run();
			return 1;
		}
	}
	return 0;
}

static void run(void)
{
	const char *name = strtok(line, " \n");

	if (!name || !(run_of(commands, name) || run_of(sem_commands, name) ||
		       run_of(pshared_commands, name) ||
		       run_of(lifetime_commands, name)))
		printf("unknown command: %s\n", name ? name : "");
}

int main(void)
{
	/* Unbuffered, so that a forked child reads on where its parent was. */
	(void)setvbuf(stdin, NULL, _IONBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		run();
		(void)fflush(stdout);
	}
	return 0;
}
