/*
 * Structs that Go has no like of. The program gives a value to each member,
 * by C's own assignment, and prints the members and the bytes:
 *
 *	type NAME SIZE FILL	the memory was filled with FILL before
 *	const NAME VALUE	a constant, by its Go name
 *	int|float|complex|text|hex PATH VALUE
 *	bytes HEX		of the whole; end of the type
 */

/* These constructs are the point here. */
#pragma GCC diagnostic ignored "-Wpedantic"
/* IS asks of every type whether a value is negative. */
#pragma GCC diagnostic ignored "-Wtype-limits"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wtautological-compare"
#else
#pragma GCC diagnostic ignored "-Wbool-compare"
#endif

#include <complex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A test runs twice on each filling: it sets the members, then prints them. */
static int setting;

static void print_hex(const char *what, const char *path, const void *at,
		      size_t size)
{
	const unsigned char *b = at;

	printf("%s %s ", what, path);
	for (size_t i = 0; i < size; i++)
		printf("%02x", b[i]);
	printf("\n");
}

static void print_int(const char *path, int negative, unsigned long long v)
{
	if (negative)
		printf("int %s %lld\n", path, (long long)v);
	else
		printf("int %s %llu\n", path, v);
}

#define TEST(name, id)                                                         \
	static void test_##id(name *s);                                        \
	static void __attribute__((constructor)) run_##id(void)                \
	{                                                                      \
		static name v;                                                 \
		for (int fill = 0; fill <= 0xff; fill += 0xff) {               \
			memset(&v, fill, sizeof(v));                           \
			setting = 1;                                           \
			test_##id(&v);                                         \
			setting = 0;                                           \
			printf("type %s %zu %d\n", #name, sizeof(v), fill);    \
			test_##id(&v);                                         \
			print_hex("bytes", "", &v, sizeof(v));                 \
		}                                                              \
	}                                                                      \
	static void test_##id(name *s)

/* A member of this Go path is v. */
#define AS(path, member, v)                                                    \
	do {                                                                   \
		if (setting)                                                   \
			s->member = (v);                                       \
		else                                                           \
			print_int(path, s->member < 0,                         \
				  (unsigned long long)s->member);              \
	} while (0)

/* The member is v. */
#define IS(member, v) AS(#member, member, v)

/* A plain char, which Go takes for a byte. */
#define CHAR(member, v)                                                        \
	do {                                                                   \
		if (setting)                                                   \
			s->member = (v);                                       \
		else                                                           \
			print_int(#member, 0, (unsigned char)s->member);       \
	} while (0)

#define POINTER(member, v)                                                     \
	do {                                                                   \
		if (setting)                                                   \
			s->member = (void *)(uintptr_t)(v);                    \
		else                                                           \
			print_int(#member, 0, (uintptr_t)s->member);           \
	} while (0)

#define FLOAT(member, v)                                                       \
	do {                                                                   \
		if (setting)                                                   \
			s->member = (v);                                       \
		else                                                           \
			printf("float %s %.17g\n", #member,                    \
			       (double)s->member);                             \
	} while (0)

#define COMPLEX(member, v)                                                     \
	do {                                                                   \
		if (setting)                                                   \
			s->member = (v);                                       \
		else                                                           \
			printf("complex %s (%.17g%+.17gi)\n", #member,         \
			       creal(s->member), cimag(s->member));            \
	} while (0)

#define TEXT(member, v)                                                        \
	do {                                                                   \
		if (setting)                                                   \
			strncpy(s->member, v, sizeof(s->member));              \
		else                                                           \
			printf("text %s %s\n", #member, s->member);            \
	} while (0)

/* The member is v, and in Go its bytes. */
#define BYTES(member, v)                                                       \
	do {                                                                   \
		if (setting)                                                   \
			s->member = (v);                                       \
		else                                                           \
			print_hex("hex", #member,                              \
				  (char *)s +                                  \
					  offsetof(__typeof__(*s), member),    \
				  sizeof(s->member));                          \
	} while (0)

#define CONST(name, v)                                                         \
	do {                                                                   \
		(void)s;                                                       \
		if (!setting)                                                  \
			printf("const %s %lld\n", name, (long long)(v));       \
	} while (0)

/* Integers */

struct integers {
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
};

TEST(struct integers, integers)
{
	CHAR(c, 'x');
	IS(sc, -100);
	IS(uc, 200);
	IS(s, -30000);
	IS(us, 60000);
	IS(i, -2000000000);
	IS(ui, 4000000000U);
	IS(l, -2000000001L);
	IS(ul, 4000000001UL);
	IS(ll, -9000000000000000000LL);
	IS(ull, 18000000000000000000ULL);
	IS(b, 1);
}

struct exact {
	int8_t a;
	uint8_t b;
	int16_t c;
	uint16_t d;
	int32_t e;
	uint32_t f;
	int64_t g;
	uint64_t h;
	size_t i;
	intptr_t j;
};

TEST(struct exact, exact)
{
	IS(a, -1);
	IS(b, 255);
	IS(c, -2);
	IS(d, 65534);
	IS(e, -3);
	IS(f, 0xfffffffdU);
	IS(g, -4);
	IS(h, 0xfffffffffffffffcULL);
	IS(i, 0xfffffffbU);
	IS(j, -6);
}

struct chars {
	char plain;
	signed char small[2];
	unsigned char large[2];
	wchar_t wide;
};

TEST(struct chars, chars)
{
	CHAR(plain, '\xe9');
	IS(small[1], -128);
	IS(large[0], 129);
	IS(wide, 0x20ac);
}

struct one_char {
	char c;
};

TEST(struct one_char, one_char)
{
	CHAR(c, 1);
}

struct one_bool {
	_Bool b;
};

TEST(struct one_bool, one_bool)
{
	IS(b, 0);
}

/* Holes */

struct holes {
	char a;
	long long b;
	char c;
	short d;
	char e;
	int f;
	char g;
};

TEST(struct holes, holes)
{
	CHAR(a, 1);
	IS(b, -2);
	CHAR(c, 3);
	IS(d, -4);
	CHAR(e, 5);
	IS(f, -6);
	CHAR(g, 7);
}

struct tail {
	double d;
	char c;
};

TEST(struct tail, tail)
{
	FLOAT(d, 0.1);
	CHAR(c, 9);
}

struct misfit {
	int i;
	double d;
	long long ll;
};

TEST(struct misfit, misfit)
{
	IS(i, 1);
	FLOAT(d, -0.2);
	IS(ll, -3);
}

/* Floating point */

struct floats {
	float f;
	double d;
	float af[2];
};

TEST(struct floats, floats)
{
	FLOAT(f, 1.5f);
	FLOAT(d, -1e300);
	FLOAT(af[1], 3e-40f);
}

struct complexes {
	char c;
	float _Complex f;
	double _Complex d;
};

TEST(struct complexes, complexes)
{
	CHAR(c, 1);
	COMPLEX(f, 1.5f - 2.25f * I);
	COMPLEX(d, -3.5 + 4.75 * I);
}

struct wide {
	char c;
	long double ld;
#ifdef __SIZEOF_INT128__
	__int128 i;
	unsigned __int128 a[2];
#endif
};

TEST(struct wide, wide)
{
	CHAR(c, 1);
	BYTES(ld, -2.5L);
#ifdef __SIZEOF_INT128__
	BYTES(i, -3);
	BYTES(a[1], (unsigned __int128)1 << 100);
#endif
}

typedef int vector __attribute__((vector_size(16)));

struct vectors {
	int i;
	vector v;
};

TEST(struct vectors, vectors)
{
	IS(i, 7);
	BYTES(v, ((vector) { 1, -2, 3, -4 }));
}

/* Enums */

enum color { RED, GREEN = 7, BLUE };
enum level { BELOW = -3, level_ground = 0, LevelTop = 3 };
enum large { LARGE = 0x123456789, LARGEST = 0x7fffffffffffffff };
enum __attribute__((packed)) tiny { TINY = 200 };
enum { NAMELESS = 1 };
typedef enum { _first, Second_One } typed_enum;

struct enums {
	enum color c;
	enum level l;
	enum large g;
	enum tiny t;
	typed_enum y;
	enum { INNER = 5 } inner;
	enum color array[3];
};

TEST(struct enums, enums)
{
	IS(c, BLUE);
	IS(l, BELOW);
	IS(g, LARGE);
	IS(t, TINY);
	IS(y, Second_One);
	IS(inner, INNER);
	IS(array[2], GREEN);
	CONST("RED", 0);
	CONST("GREEN", GREEN);
	CONST("BELOW", BELOW);
	CONST("LevelGround", 0);
	CONST("LevelTop", LevelTop);
	CONST("LARGEST", LARGEST);
	CONST("TINY", TINY);
	CONST("First", _first);
	CONST("Second_One", Second_One);
	CONST("INNER", INNER);
}

struct enum_bits {
	enum color c : 4;
	enum level l : 3;
	enum tiny t;
};

TEST(struct enum_bits, enum_bits)
{
	IS(c, GREEN);
	IS(l, BELOW);
	IS(t, TINY);
}

/* Structs in structs */

struct point {
	short x, y;
};

typedef struct {
	int32_t x, y;
} point_t;

struct nested {
	char c;
	struct point p;
	point_t t;
	struct point a[3];
	struct {
		char tag;
		struct point at;
	} inner;
	struct {
		int k;
	} pair[2];
};

TEST(struct nested, nested)
{
	CHAR(c, 1);
	IS(p.x, -2);
	IS(p.y, 3);
	IS(t.y, -4);
	IS(a[2].x, 5);
	CHAR(inner.tag, 6);
	IS(inner.at.y, -7);
	IS(pair[1].k, 8);
}

TEST(struct point, point)
{
	IS(x, 1);
	IS(y, -1);
}

TEST(point_t, point_t)
{
	IS(x, 1);
	IS(y, -1);
}

struct deep {
	struct {
		struct {
			struct {
				char c;
				double d;
			} c;
			char d;
		} b[2];
	} a;
};

TEST(struct deep, deep)
{
	CHAR(a.b[0].c.c, 1);
	FLOAT(a.b[1].c.d, 2.5);
	CHAR(a.b[1].d, 3);
}

struct anonymous {
	int before;
	struct {
		char c;
		struct {
			long l;
			short s;
		};
	};
	int after;
};

TEST(struct anonymous, anonymous)
{
	IS(before, 1);
	CHAR(c, 2);
	IS(l, -3);
	IS(s, -4);
	IS(after, 5);
}

struct empty {
};

struct with_empty {
	int a;
	struct empty e;
	int b;
	struct empty none[3];
};

TEST(struct with_empty, with_empty)
{
	IS(a, 1);
	IS(b, 2);
}

TEST(struct empty, empty)
{
	(void)s;
}

/* Unions */

union number {
	int i;
	double d;
	char text[8];
	unsigned char bytes[4];
};

TEST(union number, number)
{
	TEXT(text, "union");
	IS(i, 0x2a2b2c2d);
	IS(bytes[1], 99);
}

union odd {
	char text[5];
	short s;
};

TEST(union odd, odd)
{
	TEXT(text, "odd!");
	IS(s, 0x4142);
}

union small {
	char c;
	unsigned char u;
};

TEST(union small, small)
{
	IS(u, 254);
}

struct unions {
	char c;
	union number n;
	union odd o;
	union {
		float f;
		uint32_t bits;
	} named;
	union number array[2];
};

TEST(struct unions, unions)
{
	CHAR(c, 1);
	FLOAT(n.d, 2.5);
	TEXT(o.text, "four");
	FLOAT(named.f, -0.5f);
	IS(named.bits, 0xbf000000U);
	FLOAT(array[1].d, 1e10);
	IS(array[0].i, 77);
}

struct anonymous_union {
	int kind;
	union {
		long long number;
		double ratio;
		char text[12];
		struct {
			short x;
			int y;
			union {
				char c;
				unsigned short u;
			};
		};
	};
	char last;
};

TEST(struct anonymous_union, anonymous_union)
{
	IS(kind, 1);
	TEXT(text, "anonymous");
	IS(x, -5);
	IS(y, 6);
	IS(u, 0x4344);
	CHAR(last, 9);
}

union bits_in_union {
	unsigned int all;
	struct {
		unsigned int low : 4;
		int middle : 12;
		unsigned int high : 16;
	};
	unsigned int nibble : 4;
	_Bool flag : 1;
};

TEST(union bits_in_union, bits_in_union)
{
	IS(all, 0);
	IS(low, 9);
	IS(middle, -2000);
	IS(high, 60001);
}

union of_structs {
	struct point p;
	struct holes h;
	struct integers i[2];
};

TEST(union of_structs, of_structs)
{
	IS(i[1].ll, -1);
	IS(h.b, -2);
	IS(p.x, -3);
}

struct union_only {
	union {
		struct {
			uint8_t a, b, c, d;
		};
		uint32_t word;
	};
};

TEST(struct union_only, union_only)
{
	IS(a, 1);
	IS(b, 2);
	IS(c, 3);
	IS(d, 250);
}

struct union_of_pointers {
	union {
		void *p;
		uintptr_t u;
		char *(*f)(int);
	} v;
};

TEST(struct union_of_pointers, union_of_pointers)
{
	POINTER(v.p, 0x1234);
}

/* Bit-fields */

struct bits {
	unsigned int a : 1;
	unsigned int b : 2;
	int c : 3;
	unsigned int d : 10;
	int e : 16;
};

TEST(struct bits, bits)
{
	IS(a, 1);
	IS(b, 2);
	IS(c, -3);
	IS(d, 1001);
	IS(e, -20000);
}

struct bits_zero {
	unsigned int a : 3;
	unsigned int : 0;
	unsigned int b : 5;
	unsigned int : 7;
	unsigned int c : 6;
	unsigned char : 0;
	unsigned char d : 2;
};

TEST(struct bits_zero, bits_zero)
{
	IS(a, 5);
	IS(b, 17);
	IS(c, 33);
	IS(d, 1);
}

struct bits_cross {
	unsigned int a : 20;
	unsigned int b : 20;
	short c : 9;
	short d : 9;
	unsigned char e : 5;
	unsigned char f : 5;
};

TEST(struct bits_cross, bits_cross)
{
	IS(a, 0xabcde);
	IS(b, 0x54321);
	IS(c, -255);
	IS(d, 254);
	IS(e, 21);
	IS(f, 10);
}

struct bits_long {
	unsigned long long a : 33;
	long long b : 31;
	long long c : 64;
	unsigned long long d : 63;
	_Bool e : 1;
};

TEST(struct bits_long, bits_long)
{
	IS(a, 0x1deadbeefULL);
	IS(b, -0x12345678);
	IS(c, -0x123456789abcdefLL);
	IS(d, 0x7edcba9876543210ULL);
	IS(e, 1);
}

struct bits_bool {
	_Bool a : 1;
	_Bool b : 1;
	_Bool c;
	_Bool d : 1;
};

TEST(struct bits_bool, bits_bool)
{
	IS(a, 0);
	IS(b, 1);
	IS(c, 1);
	IS(d, 1);
}

struct bits_char {
	unsigned int a : 9;
	char c;
	unsigned int b : 5;
	signed char d;
	int e : 7;
	short f;
};

TEST(struct bits_char, bits_char)
{
	IS(a, 300);
	CHAR(c, 'c');
	IS(b, 30);
	IS(d, -9);
	IS(e, -60);
	IS(f, -1234);
}

struct bits_anonymous {
	struct {
		unsigned int a : 4;
		unsigned int b : 4;
	};
	struct {
		unsigned char c : 7;
	};
	unsigned char d : 6;
};

TEST(struct bits_anonymous, bits_anonymous)
{
	IS(a, 10);
	IS(b, 5);
	IS(c, 100);
	IS(d, 50);
}

struct bits_nested {
	struct bits b[2];
	struct bits_bool c;
};

TEST(struct bits_nested, bits_nested)
{
	IS(b[0].a, 0);
	IS(b[0].e, -1);
	IS(b[1].c, -4);
	IS(b[1].d, 512);
	IS(c.a, 1);
	IS(c.b, 0);
	IS(c.c, 1);
	IS(c.d, 0);
}

#pragma pack(1)

struct bits_packed {
	unsigned int a : 3;
#ifdef __clang__ /* its DWARF has a field as wide as its type without bits */
	unsigned long long b : 63, : 1;
#else
	unsigned long long b : 64;
#endif
	long long c : 62;
	unsigned int d : 31;
	char e;
};

TEST(struct bits_packed, bits_packed)
{
	IS(a, 5);
	IS(b, 0x7edcba9876543210ULL);
	IS(c, -0x123456789abcdefLL);
	IS(d, 0x7ffffffe);
	CHAR(e, 'e');
}

/* Packed structs */

struct packed {
	char c;
	short s;
	int i;
	long l;
	float f;
	double d;
	void *p;
	enum level e;
	_Bool b;
	uint16_t a[3];
	char text[6];
};

TEST(struct packed, packed)
{
	CHAR(c, 1);
	IS(s, -2);
	IS(i, -3);
	IS(l, -4);
	FLOAT(f, 5.5f);
	FLOAT(d, 6.25);
	POINTER(p, 0x7777);
	IS(e, BELOW);
	IS(b, 1);
	IS(a[2], 65535);
	TEXT(text, "packd");
}

struct packed_nested {
	char c;
	struct point p;
	struct packed k;
	struct holes h[2];
	union number n;
	double _Complex z;
	union number u[2];
};

TEST(struct packed_nested, packed_nested)
{
	CHAR(c, 1);
	IS(p.x, -2);
	IS(k.s, -3);
	IS(k.b, 1);
	IS(h[1].b, -4);
	FLOAT(n.d, 0.75);
	COMPLEX(z, 1.0 - 2.0 * I);
	IS(u[1].i, 55);
}

struct packed_anonymous {
	char c;
	struct {
		char x;
		int y;
	};
	union {
		int i;
		float f;
		struct {
			unsigned short u : 12;
			short v;
		};
	};
};

TEST(struct packed_anonymous, packed_anonymous)
{
	CHAR(c, 1);
	CHAR(x, 2);
	IS(y, -3);
	IS(i, 4);
	IS(u, 0xabc);
	IS(v, -9);
}

struct packed_even {
	int i;
	int j;
	char text[8];
};

TEST(struct packed_even, packed_even)
{
	IS(i, -1);
	IS(j, -2);
	TEXT(text, "eight");
}

struct packed_of_even {
	char c;
	struct packed_even e;
	struct packed_even a[2];
};

TEST(struct packed_of_even, packed_of_even)
{
	CHAR(c, 1);
	IS(e.j, -2);
	IS(a[1].i, -3);
}

struct packed_atomic {
	char c;
	_Atomic uint32_t a;
};

TEST(struct packed_atomic, packed_atomic)
{
	unsigned char *a =
		(unsigned char *)s + offsetof(struct packed_atomic, a);

	CHAR(c, 3);
	if (setting) /* C's own assignment traps on some machines */
		memset(a, 0x7e, sizeof(s->a));
	else
		print_hex("hex", "a", a, sizeof(s->a));
}

#pragma pack(2)

struct pack2 {
	char c;
	int i;
	double d;
	struct packed p;
	long long ll;
};

TEST(struct pack2, pack2)
{
	CHAR(c, 1);
	IS(i, -2);
	FLOAT(d, 3.5);
	IS(p.i, -4);
	IS(p.b, 0);
	IS(ll, -5);
}

#pragma pack(4)

struct pack4 {
	int i;
	double d;
	char c;
	long long ll;
	unsigned long long bits : 40;
};

TEST(struct pack4, pack4)
{
	IS(i, -1);
	FLOAT(d, 2.5);
	CHAR(c, 3);
	IS(ll, -4);
	IS(bits, 0xaabbccddeeULL);
}

#pragma pack()

struct packed_around {
	char c;
	struct {
		char x;
		int y;
		_Bool z : 1;
	};
	union {
		int i;
		double d;
		struct point p;
	};
	struct holes h;
	short s;
} __attribute__((packed));

TEST(struct packed_around, packed_around)
{
	CHAR(c, 1);
	CHAR(x, 2);
	IS(y, -3);
	IS(z, 1);
	FLOAT(d, 4.5);
	IS(p.y, -5);
	IS(h.b, -6);
	IS(h.f, 7);
	IS(s, -8);
}

struct partly_packed {
	char c;
	int i __attribute__((packed));
	short s;
	double d;
};

TEST(struct partly_packed, partly_packed)
{
	CHAR(c, 1);
	IS(i, -2);
	IS(s, -3);
	FLOAT(d, 4.5);
}

struct packed_array {
	struct packed a[3];
	int i;
};

TEST(struct packed_array, packed_array)
{
	IS(a[0].b, 0);
	IS(a[1].b, 1);
	IS(a[2].b, 1);
	IS(a[1].l, -1);
	FLOAT(a[2].d, 7.5);
	IS(i, 8);
}

/* Alignment */

struct aligned_member {
	char c;
	int i __attribute__((aligned(16)));
	char d;
};

TEST(struct aligned_member, aligned_member)
{
	CHAR(c, 1);
	IS(i, -2);
	CHAR(d, 3);
}

struct aligned_struct {
	int i;
} __attribute__((aligned(64)));

TEST(struct aligned_struct, aligned_struct)
{
	IS(i, -1);
}

struct of_aligned {
	char c;
	struct aligned_struct a[2];
	_Alignas(8) char d;
	char e;
};

TEST(struct of_aligned, of_aligned)
{
	CHAR(c, 1);
	IS(a[1].i, -2);
	CHAR(d, 3);
	CHAR(e, 4);
}

struct packed_aligned {
	char c;
	int i;
	char d __attribute__((aligned(4)));
	double e;
} __attribute__((packed, aligned(8)));

TEST(struct packed_aligned, packed_aligned)
{
	CHAR(c, 1);
	IS(i, -2);
	CHAR(d, 3);
	FLOAT(e, 4.5);
}

/* Arrays */

struct arrays {
	float m[3][4];
	char names[2][5];
	int one[1];
	short cube[2][3][2];
	_Bool flags[3];
};

TEST(struct arrays, arrays)
{
	FLOAT(m[2][3], 1.25f);
	FLOAT(m[0][1], 2.5f);
	CHAR(names[1][4], 'n');
	IS(one[0], -1);
	IS(cube[1][2][0], -2);
	IS(flags[0], 0);
	IS(flags[1], 1);
	IS(flags[2], 0);
}

struct flexible {
	int n;
	char c;
	short data[];
};

TEST(struct flexible, flexible)
{
	IS(n, 1);
	CHAR(c, 2);
	CONST("FlexibleDataOffset", offsetof(struct flexible, data));
}

struct zero_array {
	char c;
	struct holes none[0];
	int i;
	double tail[0];
};

TEST(struct zero_array, zero_array)
{
	CHAR(c, 1);
	IS(i, 2);
	CONST("ZeroArrayNoneOffset", offsetof(struct zero_array, none));
	CONST("ZeroArrayTailOffset", offsetof(struct zero_array, tail));
}

struct flexible_only {
	struct {
		struct empty e;
		int data[];
	};
};

TEST(struct flexible_only, flexible_only)
{
	CONST("FlexibleOnlyDataOffset", 0);
}

struct flexible_union {
	long n;
	union {
		struct empty e;
		int words[0];
		char bytes[0];
	};
};

TEST(struct flexible_union, flexible_union)
{
	IS(n, 3);
	CONST("FlexibleUnionBytesOffset", sizeof(long));
}

struct texts {
	char a[1];
	char b[8];
	unsigned char c[8];
	char d[256];
};

TEST(struct texts, texts)
{
	TEXT(a, "");
	TEXT(b, "seven c");
	IS(c[7], 200);
	TEXT(d, "a longer one");
}

/* Pointers */

struct pointers {
	void *p;
	const char *s;
	struct pointers *next;
	int (*f)(int, char);
	int (*table[2])(void);
	int **pp;
	int (*row)[4];
	struct undefined *u;
};

TEST(struct pointers, pointers)
{
	POINTER(p, 1);
	POINTER(s, 0xfffffffeU);
	POINTER(next, 3);
	POINTER(f, 4);
	POINTER(table[1], 5);
	POINTER(pp, 6);
	POINTER(row, 7);
	POINTER(u, 8);
}

/* Qualifiers */

struct atomics {
	_Atomic int i;
	_Atomic unsigned int u;
	_Atomic long long ll;
	atomic_ullong ull;
	_Atomic short s;
	_Atomic _Bool b;
	_Atomic unsigned char c;
	_Atomic enum level e;
	_Atomic(char *) p;
	const volatile _Atomic int *q;
	_Atomic int a[2];
	atomic_flag f;
	volatile _Atomic uint32_t v;
};

TEST(struct atomics, atomics)
{
	IS(i, -1);
	IS(u, 0xfffffffeU);
	IS(ll, -3);
	IS(ull, 0xfffffffffffffffcULL);
	IS(s, -5);
	IS(b, 1);
	IS(c, 250);
	IS(e, BELOW);
	POINTER(p, 6);
	POINTER(q, 7);
	IS(a[1], -8);
	IS(v, 0xfffffff6U);
	if (setting)
		atomic_flag_clear(&s->f);
	else
		print_hex("hex", "f", (const void *)&s->f, sizeof(s->f));
}

struct atomic_struct {
	int i;
	_Atomic struct point p;
};

TEST(struct atomic_struct, atomic_struct)
{
	IS(i, 1);
	BYTES(p, ((struct point) { 2, -3 }));
}

union atomic_union {
	_Atomic uint64_t word;
	_Atomic uint32_t half[2];
};

TEST(union atomic_union, atomic_union)
{
	IS(word, 0xfedcba9876543210ULL);
}

struct atomic_nested {
	char c;
	struct atomics a;
	union atomic_union u[2];
};

TEST(struct atomic_nested, atomic_nested)
{
	CHAR(c, 1);
	IS(a.b, 0);
	IS(a.ll, -2);
	IS(u[1].word, 3);
}

struct qualified {
	volatile int v;
	volatile struct point p;
	volatile unsigned int b : 5;
	short *restrict r;
	volatile char text[4];
};

TEST(struct qualified, qualified)
{
	IS(v, -1);
	IS(p.y, -2);
	IS(b, 19);
	POINTER(r, 3);
	CHAR(text[1], 't');
}

/* Names */

struct type {
	int type;
	int func;
	int range, map, chan, go, select, var, package, import, interface;
	int defer, fallthrough;
	int string, error, nil, true_;
};

TEST(struct type, type)
{
	IS(type, 1);
	IS(func, 2);
	IS(range, 3);
	IS(map, 4);
	IS(interface, 5);
	IS(fallthrough, 6);
	IS(string, 7);
	IS(error, 8);
	IS(nil, 9);
	AS("True", true_, 10);
}

struct collisions {
	int a_b;
	short aB;
	char AB, _ab, a__b_;
	int AB2;
	int _1, __, x, X1;
};

TEST(struct collisions, collisions)
{
	AS("=AB", a_b, -1);
	AS("=AB3", aB, -2);
	AS("=AB4", AB, 3);
	AS("=Ab", _ab, 4);
	AS("=AB5", a__b_, 5);
	AS("=AB2", AB2, 6);
	AS("=X1", _1, 7);
	AS("=X", __, 8);
	AS("=X2", x, 9);
	AS("=X1_2", X1, 10);
}

struct method_names {
	unsigned int a : 3;
	int set_a;
	int seta;
	unsigned int read_byte : 3, format : 4, unlock : 2, lock : 2;
	char name[4];
	int name_string;
	int set_name_string;
	int bits0, raw0, v, s;
};

TEST(struct method_names, method_names)
{
	AS("=A", a, 5);
	AS("=SetA", set_a, -1);
	AS("=Seta", seta, -2);
	AS("=ReadByte2", read_byte, 6);
	AS("=Format2", format, 9);
	IS(unlock, 1);
	IS(lock, 2);
	IS(name_string, -3);
	AS("=SetNameString", set_name_string, -4);
	IS(bits0, 1);
	IS(raw0, 2);
	IS(v, 3);
	IS(s, 4);
}

/* Each of these would be TwinPart in Go. */
struct twin {
	struct {
		char c;
	} part;
};

struct twin_part {
	short s;
};

typedef struct {
	int i;
} twinPart;

struct twins {
	struct twin a;
	struct twin_part b;
	twinPart c;
};

TEST(struct twins, twins)
{
	CHAR(a.part.c, 1);
	IS(b.s, -2);
	IS(c.i, -3);
}

struct unsafe {
	union {
		int structs;
		char bytes[4];
	};
	_Atomic int atomic;
};

TEST(struct unsafe, unsafe)
{
	IS(structs, 1);
	IS(atomic, 2);
}

struct größe {
	int höhe;
	int $cash;
	int a$b;
};

TEST(struct größe, unicode)
{
	IS(höhe, 1);
	AS("=Cash", $cash, 2);
	AS("=AB", a$b, 3);
}

int main(void)
{
	return 0;
}
