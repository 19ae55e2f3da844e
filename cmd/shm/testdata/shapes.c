/* SPDX-License-Identifier: MIT */

/* A program that has the types of shapes.h. */

#include "shapes.h"

struct shapes shapes;
struct bits bits;
struct big big;

int main(void)
{
	return shapes.c + (int)bits.low + big.first;
}
