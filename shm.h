/* SPDX-License-Identifier: MIT */

/*
 * The C half of package shm: one shim a call, and the numbers that Go
 * compares its structs with. A shim returns what the call returns, or
 * -errno; it has no policy.
 */

#ifndef GOSYSV_SHM_H
#define GOSYSV_SHM_H

/*
 * cgo programs on 32-bit ports have the default, 32-bit time_t; a
 * -D_TIME_BITS=64 in CGO_CFLAGS would give this package alone another one.
 */
#undef _TIME_BITS

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* IPC_INFO */
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>

#if !defined(__GLIBC__) && (UINTPTR_MAX < UINT64_MAX ||                        \
			    __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
#error "package shm supports musl on 64-bit little-endian ports only"
#endif

#ifndef SHM_STAT_ANY /* glibc 2.28 */
#define SHM_STAT_ANY 15
#endif

/*
 * glibc has these since 2.40; <linux/shm.h> has them too, but does not
 * compile beside <sys/shm.h>.
 */
#ifndef SHM_HUGE_SHIFT
#define SHM_HUGE_SHIFT 26
#define SHM_HUGE_MASK 0x3f
#define SHM_HUGE_64KB (16U << SHM_HUGE_SHIFT)
#define SHM_HUGE_512KB (19U << SHM_HUGE_SHIFT)
#define SHM_HUGE_1MB (20U << SHM_HUGE_SHIFT)
#define SHM_HUGE_2MB (21U << SHM_HUGE_SHIFT)
#define SHM_HUGE_8MB (23U << SHM_HUGE_SHIFT)
#define SHM_HUGE_16MB (24U << SHM_HUGE_SHIFT)
#define SHM_HUGE_32MB (25U << SHM_HUGE_SHIFT)
#define SHM_HUGE_256MB (28U << SHM_HUGE_SHIFT)
#define SHM_HUGE_512MB (29U << SHM_HUGE_SHIFT)
#define SHM_HUGE_1GB (30U << SHM_HUGE_SHIFT)
#define SHM_HUGE_2GB (31U << SHM_HUGE_SHIFT)
#define SHM_HUGE_16GB (34U << SHM_HUGE_SHIFT)
#endif

/* A user's own C may well have a shm_stat: prefixed, and hidden. */
#define GOSYSV_SHM_HIDDEN __attribute__((visibility("hidden")))

/* What gosysv_shm_attach has to say beside the address. */
struct gosysv_shm_attached {
	size_t size; /* shm_segsz: exact, not rounded to pages */
	int err;     /* 0 or -errno */
	int stat;    /* whether err is IPC_STAT's and not shmat's */
};

/* An element of gosysv_shm_list's answer: Go's Segment. */
struct gosysv_shm_segment {
	int id;
	struct shmid_ds ds;
};

/* What gosysv_shm_list has to say besides. */
struct gosysv_shm_listed {
	int denied; /* segments left out, for they could not be read */
	int stat;   /* whether an error is SHM_STAT_ANY's and not SHM_INFO's */
};

/* ftok(3). The key goes out by pointer: every value, -1 too, is a key. */
GOSYSV_SHM_HIDDEN int gosysv_shm_ftok(const char *pathname, int proj_id,
				      key_t *key);

/* shmget(2) */
GOSYSV_SHM_HIDDEN int gosysv_shm_get(key_t key, size_t size, int flags);

/*
 * shmat(2), then IPC_STAT for the size, which cannot race: an attached
 * segment keeps its id. With SHM_REMAP there is no IPC_STAT. NULL, and nothing
 * attached, where at->err is not 0.
 */
GOSYSV_SHM_HIDDEN void *gosysv_shm_attach(int id, uintptr_t addr, int flags,
					  struct gosysv_shm_attached *at);

/* shmdt(2) */
GOSYSV_SHM_HIDDEN int gosysv_shm_detach(uintptr_t addr);

/* shmctl(2) with a struct shmid_ds, or with none */
GOSYSV_SHM_HIDDEN int gosysv_shm_ctl(int id, int cmd, struct shmid_ds *ds);

/* shmctl(2) with IPC_INFO and with SHM_INFO, which take other structs */
GOSYSV_SHM_HIDDEN int gosysv_shm_limits(struct shminfo *info);
GOSYSV_SHM_HIDDEN int gosysv_shm_usage(struct shm_info *info);

/*
 * SHM_INFO, then SHM_STAT_ANY for every index up to the highest in use, or
 * SHM_STAT on kernels that have no other. Returns the number of segments
 * found, which are in segs; or, where it is more than cap, how many there may
 * be, and what is in segs is of no use.
 */
GOSYSV_SHM_HIDDEN int gosysv_shm_list(struct gosysv_shm_segment *segs, int cap,
				      struct gosysv_shm_listed *listed);

/* SHMLBA, a function call in glibc */
GOSYSV_SHM_HIDDEN size_t gosysv_shm_shmlba(void);

/* mmap(2) of address space that nothing can use: anywhere; over a range */
GOSYSV_SHM_HIDDEN int gosysv_shm_reserve(size_t size, uintptr_t *addr);
GOSYSV_SHM_HIDDEN int gosysv_shm_cover(uintptr_t addr, size_t size);

/* munmap(2) */
GOSYSV_SHM_HIDDEN int gosysv_shm_unmap(uintptr_t addr, size_t size);

/* The libc's offsets and sizes, for the comparison in shm.go. */
#define GOSYSV_SIZE(tag) gosysv_size_##tag = sizeof(struct tag)
#define GOSYSV_MEMBER(tag, member)                                             \
	gosysv_offset_##tag##_##member = offsetof(struct tag, member),         \
	gosysv_size_##tag##_##member = sizeof(((struct tag *)0)->member)

enum {
	GOSYSV_SIZE(ipc_perm),
	/* Without the macro: __key and __seq are macros themselves on musl. */
	gosysv_offset_ipc_perm_key = offsetof(struct ipc_perm, __key),
	gosysv_size_ipc_perm_key = sizeof(((struct ipc_perm *)0)->__key),
	GOSYSV_MEMBER(ipc_perm, uid),
	GOSYSV_MEMBER(ipc_perm, gid),
	GOSYSV_MEMBER(ipc_perm, cuid),
	GOSYSV_MEMBER(ipc_perm, cgid),
	GOSYSV_MEMBER(ipc_perm, mode),
	gosysv_offset_ipc_perm_seq = offsetof(struct ipc_perm, __seq),
#ifdef __GLIBC__
	gosysv_size_ipc_perm_seq = sizeof(((struct ipc_perm *)0)->__seq),
#else /* musl takes the kernel's padding in and calls it an int */
	gosysv_size_ipc_perm_seq = sizeof(unsigned short),
#endif

	GOSYSV_SIZE(shmid_ds),
	GOSYSV_MEMBER(shmid_ds, shm_perm),
	GOSYSV_MEMBER(shmid_ds, shm_segsz),
	GOSYSV_MEMBER(shmid_ds, shm_atime),
	GOSYSV_MEMBER(shmid_ds, shm_dtime),
	GOSYSV_MEMBER(shmid_ds, shm_ctime),
	GOSYSV_MEMBER(shmid_ds, shm_cpid),
	GOSYSV_MEMBER(shmid_ds, shm_lpid),
	GOSYSV_MEMBER(shmid_ds, shm_nattch),

	GOSYSV_SIZE(shminfo),
	GOSYSV_MEMBER(shminfo, shmmax),
	GOSYSV_MEMBER(shminfo, shmmin),
	GOSYSV_MEMBER(shminfo, shmmni),
	GOSYSV_MEMBER(shminfo, shmseg),
	GOSYSV_MEMBER(shminfo, shmall),

	GOSYSV_SIZE(shm_info),
	GOSYSV_MEMBER(shm_info, used_ids),
	GOSYSV_MEMBER(shm_info, shm_tot),
	GOSYSV_MEMBER(shm_info, shm_rss),
	GOSYSV_MEMBER(shm_info, shm_swp),
	GOSYSV_MEMBER(shm_info, swap_attempts),
	GOSYSV_MEMBER(shm_info, swap_successes),

	GOSYSV_SIZE(gosysv_shm_segment),
	GOSYSV_MEMBER(gosysv_shm_segment, id),
	GOSYSV_MEMBER(gosysv_shm_segment, ds),
};

#endif
