/* SPDX-License-Identifier: MIT */

/*
 * What the files of the C peer share: how a command's words are taken, how it
 * is answered, and the tables of commands.
 */

#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stddef.h>

/* The next word of the command: as it is, as a number, as an address. */
char *word(void);
unsigned long long number(void);
void *address(void);

/* Answers: "ok ...", the same of bytes in hex, and of a call: -1 is errno. */
void answer(const char *format, ...);
void answer_bytes(const void *bytes, size_t n);
void result(long r);

/*
 * Every member of a struct: tag.member offset size signed, and under an empty
 * member the size and alignment of the struct.
 */
#define STRUCT(tag)                                                            \
	printf(" %s. %zu %zu 0", #tag, sizeof(struct tag), _Alignof(struct tag))
#define MEMBER(tag, member)                                                    \
	printf(" %s.%s %zu %zu %d", #tag, #member,                             \
	       offsetof(struct tag, member),                                   \
	       sizeof(((struct tag *)0)->member),                              \
	       (__typeof__(((struct tag *)0)->member))-1 < 1)

struct command {
	const char *name;
	void (*run)(void);
};

/* Each ends with a command without a name. */
extern const struct command sem_commands[];
extern const struct command pshared_commands[];
extern const struct command lifetime_commands[];

#endif
