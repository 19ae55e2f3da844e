//go:build ignore

/* SPDX-License-Identifier: MIT */

/*
 * Ntpshm is both ends of an NTP reference clock over System V shared memory,
 * as gpsd (writing), ntpd and chrony (reading) have it:
 *
 *	ntpshm write UNIT         sends samples, of which it reads a line each
 *	ntpshm read UNIT [COUNT]  prints samples, each as it comes
 *
 * A line is what the clock said, what the system's clock said at that moment,
 * the leap warning (0 none, 1 a second is inserted, 2 deleted, 3 the clock is
 * not synchronized) and the precision as a power of two:
 *
 *	1735689600.123456789 1735689600.123460000 0 -20
 *
 * ntpshm.go and ntpshm.c are one program twice: the same functions in the same
 * order, and either reads what the other writes. ntpshm.go tells how to see
 * it.
 */

#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include "shmtime.h"

/* sample is a comparison of two clocks. */
struct sample {
	struct timespec clock;	  /* what the reference clock said */
	struct timespec received; /* what the system's clock said then */
	int leap;
	int precision;
};

#define LINE 128 /* is enough for a sample's line */

#ifndef POLL
#define POLL 1000 /* microseconds; a test has it shorter */
#endif

static void format(const struct sample *s, char line[LINE])
{
	(void)snprintf(line, LINE, "%lld.%09ld %lld.%09ld %d %d",
		       (long long)s->clock.tv_sec, s->clock.tv_nsec,
		       (long long)s->received.tv_sec, s->received.tv_nsec,
		       s->leap, s->precision);
}

/* parse reads what format has written. */
static int parse(const char *line, struct sample *s)
{
	long long clock, received;
	char again[LINE];

	if (sscanf(line, "%lld.%9ld %lld.%9ld %d %d", &clock, &s->clock.tv_nsec,
		   &received, &s->received.tv_nsec, &s->leap,
		   &s->precision) == 6) {
		s->clock.tv_sec = (time_t)clock;
		s->received.tv_sec = (time_t)received;
		format(s, again);
		if (strcmp(line, again) == 0)
			return 0;
	}
	warnx("not a sample: %s", line);
	return -1;
}

static int distrust(int id, int perm);

/*
 * open_unit attaches a unit's segment. Whoever comes first makes it, the
 * reader or the writer: new, it is full of zeros, which is to say that no
 * sample is valid.
 */
static struct shmTime *open_unit(int number)
{
	/*
	 * Any user may be the clock of unit 2 and on, if NTP is configured to
	 * listen.
	 */
	int perm = number < 2 ? 0600 : 0666;
	struct shmTime *t;
	int id;

	id = shmget(NTPSHM_BASE + number, sizeof(*t), IPC_CREAT | perm);
	if (id == -1) {
		warn("shmget(0x%08x)", (unsigned)(NTPSHM_BASE + number));
		return NULL;
	}
	t = shmat(id, NULL, 0);
	if (t == (void *)-1) {
		warn("shmat(%d)", id);
		return NULL;
	}
	if (distrust(id, perm) == -1) {
		shmdt(t);
		return NULL;
	}
	return t;
}

/*
 * distrust is an error unless the segment can be trusted: everybody knows the
 * key, and anybody may have made a segment of it, before. It asks when the
 * segment is attached: before that, the id might become another segment's.
 */
static int distrust(int id, int perm)
{
	struct shmid_ds ds;
	unsigned others;
	uid_t uids[2];

	if (shmctl(id, IPC_STAT, &ds) == -1) {
		warn("shmctl(%d, IPC_STAT)", id);
		return -1;
	}
	/* A creator keeps its rights when it gives the segment away. */
	uids[0] = ds.shm_perm.uid;
	uids[1] = ds.shm_perm.cuid;
	for (int i = 0; i < 2; i++) {
		if (uids[i] != 0 && uids[i] != geteuid()) {
			warnx("segment %d is in the hands of uid %u", id,
			      uids[i]);
			return -1;
		}
	}
	others = ds.shm_perm.mode & 022u;
	if (others & ~(unsigned)perm) {
		warnx("segment %d has mode %#o: others can write to it", id,
		      (unsigned)ds.shm_perm.mode);
		return -1;
	}
	if (ds.shm_perm.mode & SHM_DEST) {
		warnx("segment %d was removed meanwhile", id);
		return -1;
	}
	return 0;
}

/*
 * The order of loads and stores is all the protocol there is: two members are
 * volatile, and fences keep the others between them.
 */

/* write_sample puts a sample in the place of the one before. */
static void write_sample(struct shmTime *t, const struct sample *s)
{
	/* A reader that has seen count change shall not find the old valid. */
	t->valid = 0;
	atomic_thread_fence(memory_order_seq_cst);
	t->count++;
	atomic_thread_fence(memory_order_seq_cst);
	t->mode = 1;
	t->clockTimeStampSec = s->clock.tv_sec;
	t->clockTimeStampUSec = (int)(s->clock.tv_nsec / 1000);
	t->clockTimeStampNSec = (unsigned)s->clock.tv_nsec;
	t->receiveTimeStampSec = s->received.tv_sec;
	t->receiveTimeStampUSec = (int)(s->received.tv_nsec / 1000);
	t->receiveTimeStampNSec = (unsigned)s->received.tv_nsec;
	t->leap = s->leap;
	t->precision = s->precision;
	atomic_thread_fence(memory_order_seq_cst);
	t->count++;
	atomic_thread_fence(memory_order_seq_cst);
	t->valid = 1;
}

static void stamp(struct timespec *ts, time_t sec, int usec, unsigned nsec);

/*
 * read_sample takes the sample. It returns 0, or EAGAIN if there is none that
 * was not read before or it was being written, or -1.
 *
 * It cannot tell one that it has read entirely between two steps of a writer
 * that leaves valid set meanwhile, which the protocol allows. Whether count is
 * odd does not help: a writer that was killed may have left it so.
 */
static int read_sample(struct shmTime *t, struct sample *s)
{
	struct shmTime copy;
	int count;

	count = t->count;
	atomic_thread_fence(memory_order_seq_cst);
	if (t->valid == 0)
		return EAGAIN;
	atomic_thread_fence(memory_order_seq_cst);
	copy = *t;
	atomic_thread_fence(memory_order_seq_cst);
	if (copy.mode != 1) {
		warnx("mode %d does not tell torn samples", copy.mode);
		return -1;
	}
	if (t->count != count)
		return EAGAIN;
	/* If the next one has come since, it is lost, but not torn. */
	t->valid = 0;
	stamp(&s->clock, copy.clockTimeStampSec, copy.clockTimeStampUSec,
	      copy.clockTimeStampNSec);
	stamp(&s->received, copy.receiveTimeStampSec, copy.receiveTimeStampUSec,
	      copy.receiveTimeStampNSec);
	s->leap = copy.leap;
	s->precision = copy.precision;
	return 0;
}

/* stamp makes a time. Old writers do not fill the nanoseconds in. */
static void stamp(struct timespec *ts, time_t sec, int usec, unsigned nsec)
{
	long long finer = nsec - usec * 1000LL;

	ts->tv_sec = sec;
	ts->tv_nsec = finer >= 0 && finer < 1000 ? (long)nsec : usec * 1000L;
}

/* send_samples writes the samples of its input. */
static int send_samples(struct shmTime *t)
{
	struct sample s;
	char line[LINE];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (parse(line, &s) == -1)
			return -1;
		write_sample(t, &s);
	}
	if (ferror(stdin)) {
		warn("stdin");
		return -1;
	}
	return 0;
}

/*
 * receive_samples prints as many samples as it shall. There is nothing that
 * would wake it: it looks again and again.
 */
static int receive_samples(struct shmTime *t, long samples)
{
	struct sample s;
	char line[LINE];

	while (samples > 0) {
		switch (read_sample(t, &s)) {
		case 0:
			format(&s, line);
			if (puts(line) == EOF || fflush(stdout) == EOF) {
				warn("stdout");
				return -1;
			}
			samples--;
			break;
		case EAGAIN:
			usleep(POLL);
			break;
		default:
			return -1;
		}
	}
	return 0;
}

/* number reads a number from 0 to max, or returns -1. */
static long number(const char *word, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(word, &end, 10);
	if (end == word || *end || errno || n < 0 || n > max)
		return -1;
	return n;
}

static int run(int argc, char **argv)
{
	long samples = INT_MAX;
	bool writing = argc > 1 && strcmp(argv[1], "write") == 0;
	struct shmTime *t;
	long unit;
	int ret;

	if (argc < 3 || argc > 4 ||
	    (writing ? argc == 4 : strcmp(argv[1], "read") != 0)) {
		warnx("usage: ntpshm write UNIT | read UNIT [COUNT]");
		return -1;
	}
	unit = number(argv[2], 255);
	if (unit == -1) {
		warnx("not a unit: %s", argv[2]);
		return -1;
	}
	if (argc == 4)
		samples = number(argv[3], INT_MAX);
	if (samples == -1) {
		warnx("not a count: %s", argv[3]);
		return -1;
	}
	t = open_unit((int)unit);
	if (t == NULL)
		return -1;
	ret = writing ? send_samples(t) : receive_samples(t, samples);
	if (shmdt(t) == -1) {
		warn("shmdt(%p)", (void *)t);
		return -1;
	}
	return ret;
}

int main(int argc, char **argv)
{
	return run(argc, argv) == 0 ? 0 : 1;
}
