package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"structs"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compareC are the C sides of the tests of Compare.
const compareC = `
#include <stdint.h>
#define VAR(tag) struct tag tag
struct shmTime {
	int mode; volatile int count; int64_t clockTimeStampSec; int clockTimeStampUSec;
	int64_t receiveTimeStampSec; int receiveTimeStampUSec; int leap, precision, nsamples; volatile int valid;
	unsigned clockTimeStampNSec, receiveTimeStampNSec; int dummy[8];
};
VAR(shmTime);
struct ints { int8_t a; uint8_t b; int16_t c; uint16_t d; int32_t e; uint32_t f; int64_t g; uint64_t h; }; VAR(ints);
struct pair { int32_t a; int32_t b; }; VAR(pair);
struct long_one { long a; }; VAR(long_one);
struct flags { _Bool a; char c; _Bool b; _Atomic int n; }; VAR(flags);
struct text { char name[8]; signed char s[4]; unsigned char u[4]; }; VAR(text);
enum color { RED, GREEN }; enum level { BELOW = -1 };
struct enums { enum color c; enum level l; }; VAR(enums);
struct pointers { void *p; struct pair *q[2]; }; VAR(pointers);
struct variant { int tag; union { int64_t i; double d; char s[12]; } u; int end; }; VAR(variant);
struct bits { unsigned a : 3, b : 13; int c : 16; int after; }; VAR(bits);
struct __attribute__((packed)) packed { char c; int i; double d; int16_t s; }; VAR(packed);
struct __attribute__((packed)) half { int32_t i; char c; int16_t s; int32_t j; int16_t k; }; VAR(half);
struct __attribute__((packed)) mixed { int32_t i; char c; int32_t j; char t[3]; }; VAR(mixed);
struct open { int n; double rest[]; }; VAR(open);
struct outer { char tag; struct { int16_t x, y; } at[2]; struct pair pair; }; VAR(outer);
struct grid { double m[2][3]; }; VAR(grid);
struct wide { long double ld; }; VAR(wide);
struct reals { float f; double d; float _Complex c; }; VAR(reals);
`

func compiled(t *testing.T, text, flags string) *Image {
	t.Helper()
	im, err := Open(buildOrSkip(t, write(t, text), flags))
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// goSide returns the layout of a Go type.
func goSide[T any](t *testing.T) *Type {
	t.Helper()
	g, err := Of[T]()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// inARow is a type as encoding/binary reads it: without padding.
func inARow(g *Type) *Type {
	row := *g
	row.Fields, row.Size = slices.Clone(g.Fields), 0
	for i := range row.Fields {
		row.Fields[i].Offset = row.Size
		row.Size += row.Fields[i].Size
	}
	return &row
}

type (
	goPair struct{ A, B int32 }
	point  struct{ X, Y int16 }

	shmTime struct {
		Mode, Count                                            int32
		ClockTimeStampSec                                      int64
		ClockTimeStampUSec                                     int32
		ReceiveTimeStampSec                                    int64
		ReceiveTimeStampUSec, Leap, Precision, NSamples, Valid int32
		ClockTimeStampNSec, ReceiveTimeStampNSec               uint32
		Dummy                                                  [8]int32
	}
	ints struct {
		A int8
		B uint8
		C int16
		D uint16
		E int32
		F uint32
		G int64
		H uint64
	}
)

// needPort skips a test whose numbers are those of most ports.
func needPort(t *testing.T) {
	t.Helper()
	if strconv.IntSize != 64 || native != binary.LittleEndian {
		t.Skip("this is not a 64-bit little-endian port")
	}
}

func TestCompare(t *testing.T) {
	needPort(t)
	im := compiled(t, compareC, "gcc -c")
	for _, c := range []struct {
		name, c string
		g       *Type
		want    []string // differences
	}{
		{"as Go lays it out", "shmTime", goSide[shmTime](t), nil},
		{"host layout", "shmTime", goSide[struct {
			_             structs.HostLayout
			A, B          int32
			C             int64
			D             int32
			_             [4]byte
			E             int64
			F, G, H, I, J int32
			K, L          uint32
			M             [8]int32
			_             struct{}
			_             [0]int64
		}](t), []string{
			"size: C 96, Go 104",
		}},
		{"without padding", "shmTime", inARow(goSide[shmTime](t)), []string{
			"size: C 96, Go 88",
			"receiveTimeStampSec: C at 24, Go at 20",
			"receiveTimeStampUSec: C at 32, Go at 28",
			"leap: C at 36, Go at 32",
			"precision: C at 40, Go at 36",
			"nsamples: C at 44, Go at 40",
			"valid: C at 48, Go at 44",
			"clockTimeStampNSec: C at 52, Go at 48",
			"receiveTimeStampNSec: C at 56, Go at 52",
			"dummy: C at 60, Go at 56",
		}},
		{"ints", "ints", goSide[ints](t), nil},
		{"signs", "ints", goSide[struct {
			A uint8
			B int8
			C uint16
			D int16
			E uint32
			F int32
			G uint64
			H int64
		}](t), []string{
			"a: C has signed char (int of 1 byte), Go uint8 (uint of 1 byte)",
			"b: C has unsigned char (uint of 1 byte), Go int8 (int of 1 byte)",
			"c: C has short int (int of 2 bytes), Go uint16 (uint of 2 bytes)",
			"d: C has short unsigned int (uint of 2 bytes), Go int16 (int of 2 bytes)",
			"e: C has int (int of 4 bytes), Go uint32 (uint of 4 bytes)",
			"f: C has unsigned int (uint of 4 bytes), Go int32 (int of 4 bytes)",
			"g: C has long int (int of 8 bytes), Go uint64 (uint of 8 bytes)",
			"h: C has long unsigned int (uint of 8 bytes), Go int64 (int of 8 bytes)",
		}},
		{"swapped", "ints", goSide[struct {
			B uint8
			A int8
			C int16
			D uint16
			E int32
			F uint32
			G int64
			H uint64
		}](t), []string{
			"a: C at 0, Go at 1",
			"b: C at 1, Go at 0",
		}},
		{"narrow", "pair", goSide[struct{ A, B int16 }](t), []string{
			"size: C 8, Go 4",
			"a: C has 4 bytes, Go 2",
			"b: C at 4, Go at 2",
		}},
		{"one for two", "pair", goSide[struct{ AB int64 }](t), []string{
			"a: C at 0 (int), Go has no such member there",
			"b: C at 4 (int), Go has no such member there",
			"AB: Go at 0 (int64), C has no such member there",
		}},
		{"one missing", "pair", goSide[struct {
			A int32
			_ int32
		}](t), []string{
			"b: C at 4 (int), Go has no such member there",
		}},
		{"one more", "long_one", goSide[struct {
			A int64
			B int32
		}](t), []string{
			"size: C 8, Go 16",
			"B: Go at 8 (int32), C has no such member there",
		}},
		{"float for int", "pair", goSide[struct {
			A int32
			B float32
		}](t), []string{
			"b: C has int (int of 4 bytes), Go float32 (float of 4 bytes)",
		}},
		{"array for members", "pair", goSide[struct{ AB [2]int32 }](t), []string{
			"a: C at 0 (int), Go has no such member there",
			"b: C at 4 (int), Go has no such member there",
			"AB: Go at 0 (int32[2]), C has no such member there",
		}},
		{"bytes for an int", "pair", goSide[struct {
			A [4]byte
			B int32
		}](t), []string{
			"a: C has int (int of 4 bytes), Go uint8[4] (uint of 1 byte, in an array)",
		}},
		{"int for long", "long_one", goSide[struct {
			A int32
			_ int32
		}](t), []string{
			"a: C has 8 bytes, Go 4",
		}},
		{"not a struct", "long_one", goSide[int64](t), nil},
		{"bools", "flags", goSide[struct {
			A bool
			C int8
			B bool
			N atomic.Int32
		}](t), nil},
		{"byte for bool", "flags", goSide[struct {
			A uint8
			C int8
			B bool
			N int32
		}](t), []string{
			"a: C has _Bool (bool of 1 byte), Go uint8 (uint of 1 byte)",
		}},
		{"atomic bool", "flags", goSide[struct {
			A atomic.Bool
			N int32
		}](t), []string{
			"a: C has 1 byte, Go 4",
			"c: C at 1 (char), Go has no such member there",
			"b: C at 2 (_Bool), Go has no such member there",
		}},
		{"char is uint8", "text", goSide[struct {
			Name [8]byte
			S    [4]int8
			U    [4]uint8
		}](t), nil},
		{"char is int8", "text", goSide[struct {
			Name [8]int8
			S    [4]int8
			U    [4]uint8
		}](t), nil},
		{"signed char", "text", goSide[struct {
			Name [8]int8
			S    [4]uint8
			U    [4]int8
		}](t), []string{
			"s: C has signed char[4] (int of 1 byte, in an array), Go uint8[4] (uint of 1 byte, in an array)",
			"u: C has unsigned char[4] (uint of 1 byte, in an array), Go int8[4] (int of 1 byte, in an array)",
		}},
		{"char is no bool", "text", goSide[struct {
			Name [8]bool
			S    [4]int8
			U    [4]uint8
		}](t), []string{
			"name: C has char[8] (char of 1 byte, in an array), Go bool[8] (bool of 1 byte, in an array)",
		}},
		{"short text", "text", goSide[struct {
			Name [7]byte
			_    byte
			S    [4]int8
			U    [4]uint8
		}](t), []string{
			"name: C has 8 bytes, Go 7",
		}},
		{"enums", "enums", goSide[struct {
			C uint32
			L int32
		}](t), nil},
		{"enum signs", "enums", goSide[struct {
			C int32
			L uint32
		}](t), []string{
			"c: C has enum color (uint of 4 bytes), Go int32 (int of 4 bytes)",
			"l: C has enum level (int of 4 bytes), Go uint32 (uint of 4 bytes)",
		}},
		{"pointers", "pointers", goSide[struct {
			P uint64
			Q [2]uintptr
		}](t), nil},
		{"signed pointers", "pointers", goSide[struct {
			P int64
			Q [2]uintptr
		}](t), []string{
			"p: C has void * (pointer of 8 bytes), Go int64 (int of 8 bytes)",
		}},
		{"union as bytes", "variant", goSide[struct {
			Tag int32
			_   int32
			U   [16]byte
			End int32
			_   int32
		}](t), nil},
		{"union as a member", "variant", goSide[struct {
			Tag int32
			U   float64
			_   int64
			End int32
			_   int32
		}](t), nil},
		{"union as text", "variant", goSide[struct {
			Tag, _    int32
			U         [12]int8
			_, End, _ int32
		}](t), nil},
		{"union as no member", "variant", goSide[struct {
			Tag int32
			_   int32
			U   [4]float32
			End int32
			_   int32
		}](t), []string{
			"u: C has union (union of 16 bytes), Go float32[4] (float of 4 bytes, in an array)",
		}},
		{"union too long", "variant", goSide[struct {
			Tag int32
			_   int32
			U   [20]byte
			_   int32
		}](t), []string{
			"u: C has 16 bytes, Go 20",
			"end: C at 24 (int), Go has no such member there",
		}},
		{"bits as one", "bits", goSide[struct {
			Bits  uint32
			After int32
		}](t), nil},
		{"bits as bytes", "bits", goSide[struct {
			Bits  [4]byte
			After int32
		}](t), nil},
		{"bits as a signed integer", "bits", goSide[struct {
			Bits  int32
			After int32
		}](t), []string{
			"a: C at 0 bit 0, 3 bits (unsigned int), Go has no such member there",
			"b: C at 0 bit 3, 13 bits (unsigned int), Go has no such member there",
			"c: C at 2 bit 0, 16 bits (int), Go has no such member there",
			"Bits: Go at 0 (int32), C has no such member there",
		}},
		{"bits as too few bytes", "bits", goSide[struct {
			Bits  [3]byte
			After int32
		}](t), []string{
			"c: C at 2 bit 0, 16 bits (int), Go has no such member there",
		}},
		{"packed", "packed", goSide[struct {
			C int8
			I [4]byte
			D [8]byte
			S [2]byte
		}](t), nil},
		{"packed in one", "packed", goSide[[15]byte](t), []string{
			"c: C at 0 (char), Go has no such member there",
			"i: C at 1 (int), Go has no such member there",
			"d: C at 5 (double), Go has no such member there",
			"s: C at 13 (short int), Go has no such member there",
			"uint8[15]: Go at 0 (uint8[15]), C has no such member there",
		}},
		{"packed as Go lays it out", "packed", goSide[struct {
			C int8
			I int32
			D float64
			S int16
		}](t), []string{
			"size: C 15, Go 24",
			"i: C at 1, Go at 4",
			"d: C at 5, Go at 8",
			"s: C at 13, Go at 16",
		}},
		{"what Go can place", "half", goSide[struct {
			I [4]byte
			C int8
			S [2]byte
			J [4]byte
			K [2]byte
		}](t), nil},
		{"what Go cannot place", "half", goSide[struct {
			I [4]byte
			C int8
			S [2]byte
			J [4]byte
			K int16
		}](t), []string{
			"size: C 13, Go 14",
			"k: C at 11, Go at 12",
		}},
		{"mixed", "mixed", goSide[struct {
			I int32
			C int8
			J [4]byte
			T [3]byte
		}](t), nil},
		{"bytes where Go can place it", "mixed", goSide[struct {
			I [4]byte
			C int8
			J [4]byte
			T [3]byte
		}](t), []string{
			"i: C has int (int of 4 bytes), Go uint8[4] (uint of 1 byte, in an array)",
		}},
		{"flexible array", "open", goSide[struct {
			N int32
			_ int32
		}](t), nil},
		{"flexible array of one", "open", goSide[struct {
			N    int32
			Rest [1]float64
		}](t), []string{
			"size: C 8, Go 16",
			"Rest: Go at 8 (float64[1]), C has no such member there",
		}},
		{"nested", "outer", goSide[struct {
			Tag  int8
			_    byte
			At   [2]point
			_    int16
			Pair goPair
		}](t), nil},
		{"flat", "outer", goSide[struct {
			Tag  int8
			_    byte
			At   [2]point
			_    int16
			A, B int32
		}](t), nil},
		{"flat array of structs", "outer", goSide[struct {
			Tag            int8
			_              byte
			X0, Y0, X1, Y1 int16
			_              int16
			A, B           int32
		}](t), []string{
			"at: C at 2 (struct[2]), Go has no such member there",
			"X0: Go at 2 (int16), C has no such member there",
			"Y0: Go at 4 (int16), C has no such member there",
			"X1: Go at 6 (int16), C has no such member there",
			"Y1: Go at 8 (int16), C has no such member there",
		}},
		{"wrong element", "outer", goSide[struct {
			Tag int8
			_   byte
			At  [2]struct {
				X int16
				Y uint16
			}
			_    int16
			A, B int32
		}](t), []string{
			"at: C has struct[2] (struct of 4 bytes, in an array), Go struct { X int16; Y uint16 }[2] (struct of 4 bytes, in an array)",
		}},
		{"dimensions", "grid", goSide[struct{ M [3][2]float64 }](t), nil},
		{"long double", "wide", goSide[struct{ LD [16]byte }](t), nil},
		{"no long double", "wide", goSide[struct{ LD [2]float64 }](t), []string{
			"ld: C has long double (opaque of 16 bytes), Go float64[2] (float of 8 bytes, in an array)",
		}},
		{"reals", "reals", goSide[struct {
			F float32
			D float64
			C complex64
		}](t), nil},
		{"no reals", "reals", goSide[struct {
			F int32
			D int64
			C [2]float32
		}](t), []string{
			"f: C has float (float of 4 bytes), Go int32 (int of 4 bytes)",
			"d: C has double (float of 8 bytes), Go int64 (int of 8 bytes)",
			"c: C has complex float (complex of 8 bytes), Go float32[2] (float of 4 bytes, in an array)",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			typ, err := im.Type("struct " + c.c)
			if err != nil {
				t.Fatal(err)
			}
			err = Compare(typ, c.g)
			var mismatch *MismatchError
			if err == nil {
				mismatch = &MismatchError{}
			} else if !errors.As(err, &mismatch) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, mismatch.Differences); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if again := Compare(c.g, typ); fmt.Sprint(again) != fmt.Sprint(err) {
				t.Errorf("the other way round: %v", again)
			}
		})
	}
}

// TestCompareC compares two C programs.
func TestCompareC(t *testing.T) {
	for _, c := range []struct {
		one, other, name string
		want             string
	}{
		{"gcc -c -m64", "clang -c -m64 -gdwarf-4", "shmTime", ""},
		{"gcc -c -m64", "gcc -c -m64 -O2 -gdwarf-2", "variant", ""},
		{"gcc -c -m64", "gcc -c -m32", "pair", ""},
		{"gcc -c -m64", "gcc -c -m32", "shmTime", `layout: struct shmTime in one is not struct shmTime in the other:
	size: one 96, the other 88
	receiveTimeStampSec: one at 24, the other at 20
	receiveTimeStampUSec: one at 32, the other at 28
	leap: one at 36, the other at 32
	precision: one at 40, the other at 36
	nsamples: one at 44, the other at 40
	valid: one at 48, the other at 44
	clockTimeStampNSec: one at 52, the other at 48
	receiveTimeStampNSec: one at 56, the other at 52
	dummy: one at 60, the other at 56`},
		{"gcc -c -m64", "gcc -c -m32", "long_one", `layout: struct long_one in one is not struct long_one in the other:
	size: one 8, the other 4
	a: one has 8 bytes, the other 4`},
		{"gcc -c -m64", "gcc -c -m64 -fshort-enums", "enums", `layout: struct enums in one is not struct enums in the other:
	size: one 8, the other 2
	c: one has 4 bytes, the other 1
	l: one at 4, the other at 1`},
		{"gcc -c -m64", "gcc -c -m64 -mms-bitfields", "bits", ""},
		{"gcc -c -m64", "clang --target=s390x-linux-gnu -c -gdwarf-4", "pair", `layout: struct pair in one is not struct pair in the other:
	byte order: LittleEndian and BigEndian`},
		{"clang --target=mips-linux-gnu -c -gdwarf-4", "clang --target=s390x-linux-gnu -c -gdwarf-4", "bits", ""},
	} {
		t.Run(c.other+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			one, err := compiled(t, compareC, c.one+" -ffreestanding").Type("struct " + c.name)
			if err != nil {
				t.Fatal(err)
			}
			other, err := compiled(t, compareC, c.other+" -ffreestanding").Type("struct " + c.name)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := Compare(one, other); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestCompareMutated changes one thing at a time, and each is seen.
func TestCompareMutated(t *testing.T) {
	for _, flags := range []string{"gcc -c", "clang -c -gdwarf-4", "clang -c --target=powerpc-linux-gnu -gdwarf-4"} {
		im, err := Open(buildOrSkip(t, typesC, flags))
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for name := range im.Types() {
			typ, err := im.Type(name)
			if errors.Is(err, ErrAmbiguous) {
				continue // clang's "complex" is two types
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := Compare(typ, typ); err != nil {
				t.Errorf("%s is not itself: %v", name, err)
			}
			for what, changed := range mutations(typ) {
				total++
				if Compare(typ, changed) == nil || Compare(changed, typ) == nil {
					t.Errorf("%s: %s is not seen", name, what)
				}
			}
		}
		if total < 300 {
			t.Errorf("only %d mutations", total)
		}
	}
}

// mutations yields the type with one thing changed that is a difference.
func mutations(typ *Type) iter.Seq2[string, *Type] {
	return func(yield func(string, *Type) bool) {
		bigger := *typ
		bigger.Size++
		order := *typ
		order.ByteOrder = binary.BigEndian
		if typ.ByteOrder == binary.BigEndian {
			order.ByteOrder = binary.LittleEndian
		}
		if !yield("size", &bigger) || !yield("byte order", &order) {
			return
		}
		for i := range typ.Fields {
			for what, f := range fieldMutations(typ.Fields[i]) {
				changed := *typ
				changed.Fields = slices.Clone(typ.Fields)
				changed.Fields[i] = f
				if !yield(typ.Fields[i].Name+" "+what, &changed) {
					return
				}
			}
		}
	}
}

func fieldMutations(f Field) map[string]Field {
	list := map[string]Field{}
	add := func(what string, change func(f *Field)) {
		changed := f
		change(&changed)
		list[what] = changed
	}
	if f.Size == 0 {
		return nil // it is no memory
	}
	add("offset", func(f *Field) { f.Offset++ })
	kind := Float
	if k := baseKind(f.Type); k == Float || k == Union { // which may be one of its members
		kind = Bool
	}
	add("kind", func(f *Field) { f.Type = &Type{Kind: kind, Size: f.Type.Size, ByteOrder: f.Type.ByteOrder} })
	if f.BitSize != 0 {
		add("bit", func(f *Field) { f.BitOffset++ })
		add("bits", func(f *Field) { f.BitSize++ })
		return list
	}
	add("size", func(f *Field) {
		f.Size++
		f.Type = &Type{Kind: baseKind(f.Type), Size: f.Size, ByteOrder: f.Type.ByteOrder}
	})
	if f.Type.Kind == Struct || f.Type.Kind == Union {
		for what, inner := range mutations(f.Type) {
			if what != "byte order" && what != "size" {
				add(what, func(f *Field) { f.Type = inner })
			}
		}
	}
	return list
}
