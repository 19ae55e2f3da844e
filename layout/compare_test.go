package layout

import (
	"encoding/binary"
	"errors"
	"slices"
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

func TestCompare(t *testing.T) {
	im := compiled(t, compareC, "gcc -c")
	for _, c := range []struct {
		name, c string
		g       *Type
		want    []string // differences
	}{
		{"as Go lays it out", "shmTime", goSide[shmTime](t), nil},
		{"host layout", "shmTime", goSide[struct {
			_ structs.HostLayout
			A [2]int32
			B int64
			C int32
			_ [4]byte
			D int64
			E [5]int32
			F [2]uint32
			G [8]int32
		}](t), nil},
		{"without padding", "shmTime", inARow(goSide[shmTime](t)), []string{
			"size: C 96, Go 88", // and so on
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
		}](t), []string{}},
		{"swapped", "ints", goSide[struct {
			B uint8
			A int8
			C int16
			D uint16
			E int32
			F uint32
			G int64
			H uint64
		}](t), nil},
		{"narrow", "pair", goSide[struct{ A, B int16 }](t), nil},
		{"one for two", "pair", goSide[struct{ AB int64 }](t), nil},
		{"one missing", "pair", goSide[struct {
			A int32
			_ int32
		}](t), nil},
		{"one more", "long_one", goSide[struct {
			A int64
			B int32
		}](t), nil},
		{"float for int", "pair", goSide[struct {
			A int32
			B float32
		}](t), nil},
		{"array for members", "pair", goSide[struct{ AB [2]int32 }](t), nil},
		{"bytes for an int", "pair", goSide[struct {
			A [4]byte
			B int32
		}](t), nil},
		{"int for long", "long_one", goSide[struct {
			A int32
			_ int32
		}](t), nil},
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
		}](t), nil},
		{"atomic bool", "flags", goSide[struct {
			A atomic.Bool
			N int32
		}](t), nil},
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
		}](t), nil},
		{"char is no bool", "text", goSide[struct {
			Name [8]bool
			S    [4]int8
			U    [4]uint8
		}](t), nil},
		{"short text", "text", goSide[struct {
			Name [7]byte
			_    byte
			S    [4]int8
			U    [4]uint8
		}](t), nil},
		{"enums", "enums", goSide[struct {
			C uint32
			L int32
		}](t), nil},
		{"enum signs", "enums", goSide[struct {
			C int32
			L uint32
		}](t), nil},
		{"pointers", "pointers", goSide[struct {
			P uint64
			Q [2]uintptr
		}](t), nil},
		{"signed pointers", "pointers", goSide[struct {
			P int64
			Q [2]uintptr
		}](t), nil},
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
			Tag int32
			_   int32
			U   [12]byte
			_   int32
			End int32
		}](t), nil},
		{"union as no member", "variant", goSide[struct {
			Tag int32
			_   int32
			U   [4]float32
			End int32
			_   int32
		}](t), nil},
		{"union too long", "variant", goSide[struct {
			Tag int32
			_   int32
			U   [20]byte
			_   int32
		}](t), nil},
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
		}](t), nil},
		{"bits as too few bytes", "bits", goSide[struct {
			Bits  [3]byte
			After int32
		}](t), nil},
		{"packed", "packed", goSide[struct {
			C int8
			I [4]byte
			D [8]byte
			S [2]byte
		}](t), nil},
		{"packed in one", "packed", goSide[[15]byte](t), nil},
		{"packed as Go lays it out", "packed", goSide[struct {
			C int8
			I int32
			D float64
			S int16
		}](t), nil},
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
		}](t), nil},
		{"flexible array", "open", goSide[struct {
			N int32
			_ int32
		}](t), nil},
		{"flexible array of one", "open", goSide[struct {
			N    int32
			Rest [1]float64
		}](t), nil},
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
		}](t), nil},
		{"wrong element", "outer", goSide[struct {
			Tag int8
			_   byte
			At  [2]struct {
				X int16
				Y uint16
			}
			_    int16
			A, B int32
		}](t), nil},
		{"dimensions", "grid", goSide[struct{ M [3][2]float64 }](t), nil},
		{"long double", "wide", goSide[struct{ LD [16]byte }](t), nil},
		{"no long double", "wide", goSide[struct{ LD [2]float64 }](t), nil},
		{"reals", "reals", goSide[struct {
			F float32
			D float64
			C complex64
		}](t), nil},
		{"no reals", "reals", goSide[struct {
			F int32
			D int64
			C [2]float32
		}](t), nil},
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
			if (Compare(c.g, typ) == nil) != (err == nil) {
				t.Errorf("the other way round: %v", Compare(c.g, typ))
			}
		})
	}
	_ = binary.LittleEndian
}
