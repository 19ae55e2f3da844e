/* SPDX-License-Identifier: MIT */

/* Types with a bit of everything. */

#ifndef SHAPES_H
#define SHAPES_H

#include <stdint.h>

#ifdef BROKEN
#error BROKEN
#endif

#ifdef OTHER
typedef int coordinate_t;
#else
typedef short coordinate_t;
#endif

typedef struct {
	coordinate_t x, y;
	char tag;
	int z;
} point_t;

union either {
	_Bool on;
	struct {
		unsigned low : 3;
		unsigned : 0;
		char c;
	};
};

struct bits {
	unsigned low : 3;
	unsigned : 0;
	unsigned high : 7;
	unsigned : 1;
	unsigned top : 2;
	union {
		_Bool on;
		unsigned number;
	};
	char end;
};

struct shapes {
	char c;
	double d;
	unsigned a : 3, b : 9;
	uint8_t u;
	point_t p[2];
	union {
		int i;
		struct {
			char lo;
			int hi;
		} s;
	};
	struct shapes *next;
	char name[33];
	unsigned flag : 1;
	volatile int64_t count;
	float ratio __attribute__((aligned(16)));
};

struct big {
	char first;
	int numbers[100];
	char last[3];
};

#endif
