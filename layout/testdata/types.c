/*
 * Types of every sort, and what the C compiler says of them: it writes the
 * offset and size of each member, and what each bit-field looks like with all
 * its bits set, into its output, where the test finds it without running it.
 * So the file can be compiled for any machine, and needs no libc.
 */

/* Extensions are the point here, and -1 is a value for any number of bits. */
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Woverflow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"

#include <stddef.h>
#include <stdint.h>

enum color { RED, GREEN = 7, BLUE };
enum level { BELOW = -3, ABOVE = 3 };
enum huge { HUGE_VALUE = 0x123456789 };
enum __attribute__((packed)) small { TINY = 200 };

typedef struct {
	int32_t x, y;
} point_t;

typedef union {
	uint32_t word;
	uint8_t byte[4];
} word_t;

struct opaque;

struct scalars {
	char c;
	signed char sc;
	unsigned char uc;
	short s;
	unsigned short us;
	int i;
	unsigned int ui;
	long l;
	unsigned long ul;
	long long ll;
	unsigned long long ull;
	_Bool b;
	float f;
	double d;
	long double ld;
	float _Complex fc;
	double _Complex dc;
	void *p;
	struct opaque *declared;
	int (*function)(int);
	enum color e;
	enum level le;
	enum huge he;
	enum small se;
};

struct nested {
	char tag;
	struct inner {
		short a;
		point_t at;
	} inner;
	struct {
		uint8_t deep;
		union {
			uint32_t u32;
			float f32;
		};
		struct {
			uint64_t deeper;
		} named;
	};
	union word {
		double d;
		char bytes[11];
	} word;
	word_t w;
};

struct arrays {
	char name[13];
	uint16_t matrix[2][3][5];
	point_t points[3];
	char *strings[2];
	struct inner none[0];
	long rest[];
};

struct __attribute__((packed)) packed {
	char c;
	int i;
	double d;
	struct inner inner;
	short s;
};

struct __attribute__((aligned(64))) aligned {
	char c;
	int i __attribute__((aligned(16)));
};

struct qualified {
	char c;
	_Atomic int ai;
	_Atomic long long all;
	_Atomic _Bool ab;
	volatile const unsigned short vc;
	_Atomic(void *) ap;
	int *restrict r;
	const volatile char cv[5];
};

struct bits {
	char before;
	unsigned int u1 : 3;
	unsigned int u2 : 7;
	signed int s3 : 11;
	unsigned int u4 : 19; /* the next unit */
	unsigned int : 0;
	uint8_t u5 : 2;
	uint8_t u6 : 6;
	_Bool b7 : 1;
	uint16_t u8 : 9;
	unsigned long long u9 : 41;
	long long s10 : 23;
	short after;
	unsigned int u11 : 32;
	enum color e12 : 5;
	int s13 : 1;
};

struct __attribute__((packed)) packed_bits {
	char before;
	unsigned int u1 : 13;
	unsigned int u2 : 30; /* over five bytes */
	signed long long s3 : 61;
	short after;
	unsigned int u4 : 5;
};

union union_bits {
	unsigned int u1 : 9;
	uint8_t u2 : 3;
	long long s3 : 50;
};

struct outer_bits {
	char tag;
	struct {
		unsigned int u1 : 4;
		unsigned int : 5;
		unsigned int u2 : 17;
	};
	int last;
};

struct empty {
};

/* clang-format off */
#define KIND(x) _Generic((x), \
	_Bool: 'b', char: 'c', \
	signed char: 'i', short: 'i', int: 'i', long: 'i', long long: 'i', \
	unsigned char: 'u', unsigned short: 'u', unsigned int: 'u', \
	unsigned long: 'u', unsigned long long: 'u', \
	float: 'f', double: 'f', float _Complex: 'x', double _Complex: 'x', \
	void *: 'p', default: 0)

#define WHOLE(type) { #type, 0, sizeof(type), 0 }
#define MEMBER(type, member) { \
	#type "/" #member, offsetof(type, member), \
	sizeof(((type *)0)->member), KIND(((type *)0)->member) }
/* An array without a length has no size. */
#define OPEN(type, member) { #type "/" #member, offsetof(type, member), 0, 0 }
#define BITS(keyword, tag, member) { \
	#keyword " " #tag "/" #member, { .tag = { .member = -1 } } }
/* clang-format on */

__attribute__((used)) const struct {
	char path[40];
	uint64_t offset, size, kind;
} facts[] = {
	WHOLE(point_t),
	WHOLE(word_t),
	WHOLE(struct empty),
	WHOLE(enum color),
	WHOLE(enum level),
	WHOLE(enum huge),
	WHOLE(enum small),
	WHOLE(union word),
	WHOLE(struct scalars),
	MEMBER(struct scalars, c),
	MEMBER(struct scalars, sc),
	MEMBER(struct scalars, uc),
	MEMBER(struct scalars, s),
	MEMBER(struct scalars, us),
	MEMBER(struct scalars, i),
	MEMBER(struct scalars, ui),
	MEMBER(struct scalars, l),
	MEMBER(struct scalars, ul),
	MEMBER(struct scalars, ll),
	MEMBER(struct scalars, ull),
	MEMBER(struct scalars, b),
	MEMBER(struct scalars, f),
	MEMBER(struct scalars, d),
	MEMBER(struct scalars, ld),
	MEMBER(struct scalars, fc),
	MEMBER(struct scalars, dc),
	MEMBER(struct scalars, p),
	MEMBER(struct scalars, declared),
	MEMBER(struct scalars, function),
	MEMBER(struct scalars, e),
	MEMBER(struct scalars, le),
	MEMBER(struct scalars, he),
	MEMBER(struct scalars, se),
	WHOLE(struct nested),
	MEMBER(struct nested, tag),
	MEMBER(struct nested, inner),
	MEMBER(struct nested, inner.a),
	MEMBER(struct nested, inner.at),
	MEMBER(struct nested, inner.at.y),
	MEMBER(struct nested, deep),
	MEMBER(struct nested, u32),
	MEMBER(struct nested, f32),
	MEMBER(struct nested, named),
	MEMBER(struct nested, named.deeper),
	MEMBER(struct nested, word),
	MEMBER(struct nested, word.d),
	MEMBER(struct nested, word.bytes),
	MEMBER(struct nested, w),
	MEMBER(struct nested, w.word),
	WHOLE(struct arrays),
	MEMBER(struct arrays, name),
	MEMBER(struct arrays, matrix),
	MEMBER(struct arrays, points),
	MEMBER(struct arrays, strings),
	MEMBER(struct arrays, none),
	OPEN(struct arrays, rest),
	WHOLE(struct packed),
	MEMBER(struct packed, c),
	MEMBER(struct packed, i),
	MEMBER(struct packed, d),
	MEMBER(struct packed, inner),
	MEMBER(struct packed, inner.at.x),
	MEMBER(struct packed, s),
	WHOLE(struct aligned),
	MEMBER(struct aligned, c),
	MEMBER(struct aligned, i),
	WHOLE(struct qualified),
	MEMBER(struct qualified, c),
	MEMBER(struct qualified, ai),
	MEMBER(struct qualified, all),
	MEMBER(struct qualified, ab),
	MEMBER(struct qualified, vc),
	MEMBER(struct qualified, ap),
	MEMBER(struct qualified, r),
	MEMBER(struct qualified, cv),
	WHOLE(struct bits),
	MEMBER(struct bits, before),
	MEMBER(struct bits, after),
	WHOLE(struct packed_bits),
	MEMBER(struct packed_bits, before),
	MEMBER(struct packed_bits, after),
	WHOLE(union union_bits),
	WHOLE(struct outer_bits),
	MEMBER(struct outer_bits, tag),
	MEMBER(struct outer_bits, last),
};

__attribute__((used)) const struct {
	char path[40];
	union {
		struct bits bits;
		struct packed_bits packed_bits;
		union union_bits union_bits;
		struct outer_bits outer_bits;
		uint8_t bytes[56];
	} value;
} bit_facts[] = {
	BITS(struct, bits, u1),	       BITS(struct, bits, u2),
	BITS(struct, bits, s3),	       BITS(struct, bits, u4),
	BITS(struct, bits, u5),	       BITS(struct, bits, u6),
	BITS(struct, bits, b7),	       BITS(struct, bits, u8),
	BITS(struct, bits, u9),	       BITS(struct, bits, s10),
	BITS(struct, bits, u11),       BITS(struct, bits, e12),
	BITS(struct, bits, s13),       BITS(struct, packed_bits, u1),
	BITS(struct, packed_bits, u2), BITS(struct, packed_bits, s3),
	BITS(struct, packed_bits, u4), BITS(union, union_bits, u1),
	BITS(union, union_bits, u2),   BITS(union, union_bits, s3),
	BITS(struct, outer_bits, u1),  BITS(struct, outer_bits, u2),
};

/* Variables, for compilers leave out what is not used. */
__attribute__((used)) struct scalars scalars;
__attribute__((used)) struct nested nested;
__attribute__((used)) struct arrays arrays;
__attribute__((used)) struct packed packed;
__attribute__((used)) struct aligned aligned;
__attribute__((used)) struct empty empty;
__attribute__((used)) struct qualified qualified;

int main(void)
{
	return 0;
}
