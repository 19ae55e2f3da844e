/* SPDX-License-Identifier: MIT */

/*
 * One of two processes that talk, in C: peer.go is the same in Go. It is
 * started as
 *
 *	peer CPU SHMID SEMID MSGID
 *
 * with file descriptors 3 and 4, the ends of pipes to read from and to write
 * to, and 5, a Unix socket. It reads commands, a line each:
 *
 *	ping|pong|produce|consume|take TRANSPORT SIZE WARM COUNT
 *
 * and answers "ok START END SUM" or "err ERRNO MESSAGE". WARM messages go
 * before the COUNT that are timed, from START to END by CLOCK_MONOTONIC, in
 * nanoseconds. A message is a stamp, which is a number, and bytes that both
 * sides know and compare, all of them; SUM is that of the stamps of those
 * timed.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The segment: words on cache lines of their own, then the messages. */
#define REQUEST 0      /* the number of the last message to the responder */
#define REPLY 64       /* and of the last one back */
#define HEAD 128       /* how many slots were filled */
#define TAIL 192       /* and emptied */
#define EMPTY_WAIT 256 /* whether the consumer sleeps, for a slot filled */
#define FULL_WAIT 320  /* whether the producer sleeps, for one emptied */
#define LOCKED 1024    /* a lock and a count */
#define AREA 5120      /* of requests, or of the slots */
#define LARGEST (1 << 20)
#define REPLIES (AREA + LARGEST)
#define SLOTS_BYTES (8UL * LARGEST)
#define MOST_SLOTS 1024

/* The stamp of a reply is that of its request, inverted. */
#define INVERTED UINT64_MAX

struct message { /* msgbuf, and what read and write use without its type */
	long type;
	unsigned char text[LARGEST];
};

static unsigned char *segment;
static int semaphores, queue;
static unsigned char known[LARGEST]; /* what messages are made of */
static struct message out, in;

/*
 * A transport sends a message of size bytes, which is made where the transport
 * wants it, and receives one. to is 0 for the responder, 1 for the initiator;
 * number counts from 1.
 */
struct transport {
	const char *name;
	int (*send)(int to, uint32_t number, uint64_t stamp, size_t size);
	int (*receive)(int to, uint32_t number, uint64_t stamp, size_t size);
};

static void make(unsigned char *text, uint64_t stamp, size_t size)
{
	memcpy(text, &stamp, sizeof(stamp));
	memcpy(text + sizeof(stamp), known + sizeof(stamp),
	       size - sizeof(stamp));
}

/* check compares the whole message. */
static int check(const unsigned char *text, uint64_t stamp, size_t size)
{
	uint64_t got;

	memcpy(&got, text, sizeof(got));
	if (got != stamp)
		return -EBADMSG;
	if (memcmp(text + sizeof(got), known + sizeof(got),
		   size - sizeof(got)) != 0)
		return -EBADMSG;
	return 0;
}

static _Atomic uint32_t *word(size_t offset)
{
	return (_Atomic uint32_t *)(segment + offset);
}

static void relax(void)
{
#if defined(__x86_64__) /* where peer.go does it too */
	__builtin_ia32_pause();
#endif
}

static int futex(_Atomic uint32_t *w, int op, uint32_t value)
{
	for (;;) {
		long r = syscall(SYS_futex, w, op, value, NULL, NULL, 0);

		if (r >= 0 || errno == EAGAIN)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* Round trips through the segment. */

static const size_t words[] = { REQUEST, REPLY };
static const size_t areas[] = { AREA, REPLIES };

static int spin_send(int to, uint32_t number, uint64_t stamp, size_t size)
{
	make(segment + areas[to], stamp, size);
	atomic_store_explicit(word(words[to]), number, memory_order_release);
	return 0;
}

static int spin_receive(int to, uint32_t number, uint64_t stamp, size_t size)
{
	while (atomic_load_explicit(word(words[to]), memory_order_acquire) !=
	       number)
		relax();
	return check(segment + areas[to], stamp, size);
}

static int futex_send(int to, uint32_t number, uint64_t stamp, size_t size)
{
	make(segment + areas[to], stamp, size);
	atomic_store(word(words[to]), number);
	return futex(word(words[to]), FUTEX_WAKE, 1);
}

static int futex_receive(int to, uint32_t number, uint64_t stamp, size_t size)
{
	uint32_t now;

	while ((now = atomic_load(word(words[to]))) != number) {
		int err = futex(word(words[to]), FUTEX_WAIT, now);

		if (err)
			return err;
	}
	return check(segment + areas[to], stamp, size);
}

static int sem_change(int to, short by)
{
	struct sembuf op = { .sem_num = (unsigned short)to, .sem_op = by };

	while (semop(semaphores, &op, 1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int sem_send(int to, uint32_t number, uint64_t stamp, size_t size)
{
	(void)number;
	make(segment + areas[to], stamp, size);
	return sem_change(to, 1);
}

static int sem_receive(int to, uint32_t number, uint64_t stamp, size_t size)
{
	int err = sem_change(to, -1);

	(void)number;
	return err ? err : check(segment + areas[to], stamp, size);
}

/* What the kernel copies. */

static int write_all(int fd, const unsigned char *p, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int read_all(int fd, unsigned char *p, size_t size)
{
	while (size > 0) {
		ssize_t n = read(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int pipe_send(int to, uint32_t number, uint64_t stamp, size_t size)
{
	(void)to;
	(void)number;
	make(out.text, stamp, size);
	return write_all(4, out.text, size);
}

static int pipe_receive(int to, uint32_t number, uint64_t stamp, size_t size)
{
	int err = read_all(3, in.text, size);

	(void)to;
	(void)number;
	return err ? err : check(in.text, stamp, size);
}

static int socket_send(int to, uint32_t number, uint64_t stamp, size_t size)
{
	(void)to;
	(void)number;
	make(out.text, stamp, size);
	return write_all(5, out.text, size);
}

static int socket_receive(int to, uint32_t number, uint64_t stamp, size_t size)
{
	int err = read_all(5, in.text, size);

	(void)to;
	(void)number;
	return err ? err : check(in.text, stamp, size);
}

static int queue_send(int to, uint32_t number, uint64_t stamp, size_t size)
{
	(void)number;
	make(out.text, stamp, size);
	out.type = to + 1;
	while (msgsnd(queue, &out, size, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int queue_receive(int to, uint32_t number, uint64_t stamp, size_t size)
{
	ssize_t n;

	(void)number;
	while ((n = msgrcv(queue, &in, size, to + 1, 0)) < 0)
		if (errno != EINTR)
			return -errno;
	if ((size_t)n != size)
		return -EBADMSG;
	return check(in.text, stamp, size);
}

/* One way through the segment: slots, each filled by one and emptied by the
 * other. number tells the slot. */

static size_t slots(size_t size)
{
	size_t n = SLOTS_BYTES / size;

	return n < MOST_SLOTS ? n : MOST_SLOTS;
}

static unsigned char *slot(uint32_t number, size_t size)
{
	return segment + AREA + (number - 1) % slots(size) * size;
}

/* What this side saw last of the other's count: it is looked at again only
 * when that is used up. */
static uint32_t seen;

static int has_room(uint32_t number, size_t size)
{
	if (number - seen <= slots(size))
		return 1;
	seen = atomic_load_explicit(word(TAIL), memory_order_acquire);
	return number - seen <= slots(size);
}

static int is_filled(uint32_t number)
{
	if ((int32_t)(seen - number) >= 0)
		return 1;
	seen = atomic_load_explicit(word(HEAD), memory_order_acquire);
	return (int32_t)(seen - number) >= 0;
}

static int slots_spin_send(int to, uint32_t number, uint64_t stamp, size_t size)
{
	(void)to;
	while (!has_room(number, size))
		relax();
	make(slot(number, size), stamp, size);
	atomic_store_explicit(word(HEAD), number, memory_order_release);
	return 0;
}

static int slots_spin_receive(int to, uint32_t number, uint64_t stamp,
			      size_t size)
{
	int err;

	(void)to;
	while (!is_filled(number))
		relax();
	err = check(slot(number, size), stamp, size);
	atomic_store_explicit(word(TAIL), number, memory_order_release);
	return err;
}

/* The copies that a program makes whose data are elsewhere. */

static int slots_copy_send(int to, uint32_t number, uint64_t stamp, size_t size)
{
	(void)to;
	make(out.text, stamp, size);
	while (!has_room(number, size))
		relax();
	memcpy(slot(number, size), out.text, size);
	atomic_store_explicit(word(HEAD), number, memory_order_release);
	return 0;
}

static int slots_copy_receive(int to, uint32_t number, uint64_t stamp,
			      size_t size)
{
	(void)to;
	while (!is_filled(number))
		relax();
	memcpy(in.text, slot(number, size), size);
	atomic_store_explicit(word(TAIL), number, memory_order_release);
	return check(in.text, stamp, size);
}

/*
 * A side that finds nothing to do says so in a flag, looks again, and sleeps
 * for as long as the flag is set: the other clears it and wakes. (To sleep on
 * the count would lose a wake-up: the other may clear the flag of the sleep
 * before.)
 */
static int wake(size_t flag)
{
	if (!atomic_load(word(flag)))
		return 0;
	atomic_store(word(flag), 0);
	return futex(word(flag), FUTEX_WAKE, 1);
}

static int slots_futex_send(int to, uint32_t number, uint64_t stamp,
			    size_t size)
{
	(void)to;
	while (!has_room(number, size)) {
		int err;

		atomic_store(word(FULL_WAIT), 1);
		seen = atomic_load(word(TAIL));
		if (number - seen <= slots(size))
			break;
		err = futex(word(FULL_WAIT), FUTEX_WAIT, 1);
		if (err)
			return err;
	}
	make(slot(number, size), stamp, size);
	atomic_store(word(HEAD), number);
	return wake(EMPTY_WAIT);
}

static int slots_futex_receive(int to, uint32_t number, uint64_t stamp,
			       size_t size)
{
	int err;

	(void)to;
	while (!is_filled(number)) {
		atomic_store(word(EMPTY_WAIT), 1);
		seen = atomic_load(word(HEAD));
		if ((int32_t)(seen - number) >= 0)
			break;
		err = futex(word(EMPTY_WAIT), FUTEX_WAIT, 1);
		if (err)
			return err;
	}
	err = check(slot(number, size), stamp, size);
	atomic_store(word(TAIL), number);
	return err ? err : wake(FULL_WAIT);
}

/* Locks, which carry no message: both ways count. */

static struct {
	pthread_mutex_t mutex;
	uint64_t count;
} * locked;

static int mutex_count(int to, uint32_t number, uint64_t stamp, size_t size)
{
	int err = pthread_mutex_lock(&locked->mutex);

	(void)to, (void)number, (void)stamp, (void)size;
	if (err)
		return -err;
	locked->count++;
	return -pthread_mutex_unlock(&locked->mutex);
}

static int semop_undo(short by)
{
	struct sembuf op = { .sem_num = 2, .sem_op = by, .sem_flg = SEM_UNDO };

	while (semop(semaphores, &op, 1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int semop_count(int to, uint32_t number, uint64_t stamp, size_t size)
{
	int err = semop_undo(-1);

	(void)to, (void)number, (void)stamp, (void)size;
	if (err)
		return err;
	locked->count++;
	return semop_undo(+1);
}

static const struct transport transports[] = {
	{ "spin", spin_send, spin_receive },
	{ "spin-in-c", spin_send, spin_receive }, /* for the other side */
	{ "futex", futex_send, futex_receive },
	{ "semaphore", sem_send, sem_receive },
	{ "pipe", pipe_send, pipe_receive },
	{ "socket", socket_send, socket_receive },
	{ "queue", queue_send, queue_receive },
	{ "slots-spin", slots_spin_send, slots_spin_receive },
	{ "slots-copy", slots_copy_send, slots_copy_receive },
	{ "slots-futex", slots_futex_send, slots_futex_receive },
	{ "mutex", mutex_count, mutex_count },
	{ "semop", semop_count, semop_count },
};

/* The first: one that the compiler knows where it is used; see messages. */
#define spin (&transports[0])

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The roles: what one message takes of each. */

#define INLINED __attribute__((always_inline)) inline

static INLINED int ping(const struct transport *t, uint32_t number, size_t size)
{
	int err = t->send(0, number, number, size);

	return err ? err : t->receive(1, number, number ^ INVERTED, size);
}

static INLINED int pong(const struct transport *t, uint32_t number, size_t size)
{
	int err = t->receive(0, number, number, size);

	return err ? err : t->send(1, number, number ^ INVERTED, size);
}

static int produce(const struct transport *t, uint32_t number, size_t size)
{
	return t->send(0, number, number, size);
}

static int consume(const struct transport *t, uint32_t number, size_t size)
{
	return t->receive(0, number, number, size);
}

static int take(const struct transport *t, uint32_t number, size_t size)
{
	if (number == 1) { /* not before the other side is there */
		atomic_fetch_add(word(HEAD), 1);
		while (atomic_load(word(HEAD)) < 2)
			relax();
	}
	return t->send(0, number, 0, size);
}

typedef int one_message(const struct transport *t, uint32_t number,
			size_t size);

static const struct role {
	const char *name;
	one_message *one;
} roles[] = {
	{ "ping", ping },	{ "pong", pong }, { "produce", produce },
	{ "consume", consume }, { "take", take },
};

/*
 * messages does those of a command and answers. It is inlined, so that with a
 * role and a transport that are known there is no call through a pointer.
 */
static INLINED int messages(one_message *one, const struct transport *t,
			    size_t size, uint32_t warm, uint32_t count)
{
	uint64_t sum = 0;
	int64_t start = now();

	seen = 0;
	for (uint32_t number = 1; number <= warm + count; number++) {
		int err = one(t, number, size);

		if (err) {
			printf("err %d %u\n", -err, number);
			return -1;
		}
		if (number == warm)
			start = now();
		if (number > warm)
			sum += number;
	}
	printf("ok %lld %lld %llu\n", (long long)start, (long long)now(),
	       (unsigned long long)sum);
	return 0;
}

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int command(const char *role, const char *transport, size_t size,
		   uint32_t warm, uint32_t count)
{
	const struct transport *t = NULL;
	const struct role *r = NULL;

	for (size_t i = 0; i < LENGTH(roles); i++)
		if (!strcmp(roles[i].name, role))
			r = &roles[i];
	for (size_t i = 0; i < LENGTH(transports); i++)
		if (!strcmp(transports[i].name, transport))
			t = &transports[i];
	if (!r || !t || size < sizeof(uint64_t) || size > LARGEST) {
		printf("err %d 0\n", EINVAL);
		return -1;
	}
	if (t->send == spin_send && r->one == ping)
		return messages(ping, spin, size, warm, count);
	if (t->send == spin_send && r->one == pong)
		return messages(pong, spin, size, warm, count);
	return messages(r->one, t, size, warm, count);
}

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	char role[16], transport[16];
	unsigned warm, count;
	size_t size;

	if (argc != 5)
		return 2;
	segment = shmat(atoi(argv[2]), NULL, 0);
	if ((intptr_t)segment == -1 || pin(atoi(argv[1])) < 0) {
		perror("peer");
		return 1;
	}
	locked = (void *)(segment + LOCKED);
	semaphores = atoi(argv[3]);
	queue = atoi(argv[4]);
	for (size_t i = 0; i < LARGEST; i++)
		known[i] = (unsigned char)(i * 7 + i / 251);
	/* As the last write of all pages did: none is to be the kernel's zeros.
	 */
	memcpy(out.text, known, LARGEST);
	memcpy(in.text, known, LARGEST);

	while (scanf("%15s %15s %zu %u %u", role, transport, &size, &warm,
		     &count) == 5) {
		int err = command(role, transport, size, warm, count);

		if (fflush(stdout) == EOF || err)
			return 1;
	}
	return 0;
}
