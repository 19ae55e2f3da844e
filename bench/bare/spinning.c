//go:build linux && cgo

/* SPDX-License-Identifier: MIT */

#include "bare.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static void make(const struct bench_talk *t, int to, uint64_t stamp)
{
	unsigned char *text = (void *)t->texts[to];

	memcpy(text, &stamp, sizeof(stamp));
	memcpy(text + sizeof(stamp), (char *)t->known + sizeof(stamp),
	       t->size - sizeof(stamp));
}

static int check(const struct bench_talk *t, int to, uint64_t stamp)
{
	const unsigned char *text = (void *)t->texts[to];
	uint64_t got;

	memcpy(&got, text, sizeof(got));
	if (got != stamp ||
	    memcmp(text + sizeof(got), (char *)t->known + sizeof(got),
		   t->size - sizeof(got)) != 0)
		return -EBADMSG;
	return 0;
}

static void announce(const struct bench_talk *t, int to, uint32_t number)
{
	atomic_store_explicit((_Atomic uint32_t *)t->words[to], number,
			      memory_order_release);
}

static void wait_for(const struct bench_talk *t, int to, uint32_t number)
{
	_Atomic uint32_t *word = (void *)t->words[to];

	while (atomic_load_explicit(word, memory_order_acquire) != number) {
#if defined(__x86_64__) /* where peer.c does it too */
		__builtin_ia32_pause();
#endif
	}
}

int bench_ping(const struct bench_talk *t, uint32_t first, uint32_t last,
	       uint64_t *sum)
{
	int err = 0;

	for (uint32_t number = first; number <= last && !err; number++) {
		make(t, 0, number);
		announce(t, 0, number);
		wait_for(t, 1, number);
		err = check(t, 1, ~(uint64_t)number);
		*sum += number;
	}
	return err;
}

int bench_pong(const struct bench_talk *t, uint32_t first, uint32_t last,
	       uint64_t *sum)
{
	int err = 0;

	for (uint32_t number = first; number <= last && !err; number++) {
		wait_for(t, 0, number);
		err = check(t, 0, number);
		make(t, 1, ~(uint64_t)number);
		announce(t, 1, number);
		*sum += number;
	}
	return err;
}
