package layout

import (
	"errors"
	"reflect"
	"strings"
	"structs"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestOfRefuses(t *testing.T) {
	type inner struct {
		OK   int32
		List []byte
	}
	type deep struct {
		A [2]struct{ In inner }
	}
	for _, c := range []struct {
		typ  reflect.Type
		path string
	}{
		{reflect.TypeFor[*int](), "*int is a *int, which holds a Go pointer"},
		{reflect.TypeFor[string](), "string is a string,"},
		{reflect.TypeFor[any](), "interface {} is a interface {},"},
		{reflect.TypeFor[func()](), "func() is a func(),"},
		{reflect.TypeFor[chan int](), "chan int is a chan int,"},
		{reflect.TypeFor[map[int]int](), "map[int]int is a map[int]int,"},
		{reflect.TypeFor[unsafe.Pointer](), "unsafe.Pointer is a unsafe.Pointer,"},
		{reflect.TypeFor[inner](), "layout.inner.List is a []uint8,"},
		{reflect.TypeFor[deep](), "layout.deep.A[0].In.List is a []uint8,"},
		{reflect.TypeFor[struct{ _ *int }](), "struct { _ *int }._ is a *int,"},
		{reflect.TypeFor[struct{ mu sync.Mutex }](), ".mu is a sync.Mutex, which works in one process only"},
		{reflect.TypeFor[struct{ once [3]sync.Once }](), ".once[0] is a sync.Once,"},
		{reflect.TypeFor[struct{ wg sync.WaitGroup }](), ".wg is a sync.WaitGroup,"},
		{reflect.TypeFor[atomic.Pointer[int]](), "atomic.Pointer[int]"},
		{reflect.TypeFor[atomic.Value](), "atomic.Value.v is a interface {},"},
	} {
		l, err := OfType(c.typ)
		if l != nil || !errors.Is(err, ErrType) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%v: %v, %v", c.typ, l, err)
		}
	}
}

func TestOf(t *testing.T) {
	type header struct {
		A uint8
		B int32
	}
	type all struct {
		_  structs.HostLayout
		H  header
		_  [4]byte
		N  atomic.Int64
		On atomic.Bool
		U  atomic.Uintptr
		F  [2][3]float32
		C  complex64
		Ok bool
		_  struct{}
		E  [0]*int
		P  uintptr
	}
	l, err := Of[all]()
	if err != nil {
		t.Fatal(err)
	}
	var v all
	if l.Size != int64(unsafe.Sizeof(v)) || l.Align != int64(unsafe.Alignof(v)) || l.Kind != Struct || l.ByteOrder != native {
		t.Errorf("%+v", l)
	}
	type field struct {
		Name         string
		Offset, Size int64
		Kind         Kind
	}
	want := []field{
		{"H", int64(unsafe.Offsetof(v.H)), 8, Struct},
		{"N", int64(unsafe.Offsetof(v.N)), 8, Int},
		{"On", int64(unsafe.Offsetof(v.On)), 4, Uint},
		{"U", int64(unsafe.Offsetof(v.U)), int64(unsafe.Sizeof(v.U)), Uint},
		{"F", int64(unsafe.Offsetof(v.F)), 24, Array},
		{"C", int64(unsafe.Offsetof(v.C)), 8, Complex},
		{"Ok", int64(unsafe.Offsetof(v.Ok)), 1, Bool},
		{"P", int64(unsafe.Offsetof(v.P)), int64(unsafe.Sizeof(v.P)), Uint},
	}
	var got []field
	for _, f := range l.Fields {
		got = append(got, field{f.Name, f.Offset, f.Size, f.Type.Kind})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if f := l.Fields[4].Type; f.Count != 2 || f.Elem.Count != 3 || f.Elem.Elem.Kind != Float || f.String() != "float32[3][2]" {
		t.Errorf("%v: %+v", f, f)
	}
}

// TestCheck is a check as a user's test would have it.
func TestCheck(t *testing.T) {
	needPort(t)
	object := buildOrSkip(t, write(t, compareC), "gcc -c")
	if err := Check[shmTime](object, "struct shmTime"); err != nil {
		t.Error(err)
	}
	var mismatch *MismatchError
	if err := Check[goPair](object, "struct shmTime"); !errors.As(err, &mismatch) {
		t.Error(err)
	}
	if err := Check[string](object, "struct shmTime"); !errors.Is(err, ErrType) {
		t.Error(err)
	}
	if err := Check[goPair](object, "struct none"); !errors.Is(err, ErrNoType) {
		t.Error(err)
	}
	if err := Check[goPair](typesC, "struct pair"); err == nil {
		t.Error("a C file was opened")
	}
}

func TestCompile(t *testing.T) {
	tool(t, "gcc")
	im, err := Compile("<time.h>")
	if err != nil {
		t.Fatal(err)
	}
	if typ, err := im.Type("struct timespec"); err != nil || len(typ.Fields) != 2 {
		t.Errorf("%v, %v", typ, err)
	}
	im, err = Compile(typesC, "-ffreestanding", "-w", "-fpack-struct=2")
	if err != nil {
		t.Fatal(err)
	}
	typ, err := im.Type("struct scalars")
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := find(typ, "i"); f.Offset != 8 {
		t.Errorf("%+v", f)
	}
	if f, _ := find(typ, "b"); f.Offset%2 != 0 || f.Size != 1 {
		t.Errorf("%+v", f)
	}
	for _, header := range []string{"testdata/none.h", "<none.h>", "a\"b"} {
		if im, err := Compile(header); im != nil || err == nil || !strings.Contains(err.Error(), strings.Trim(header, "<>\"")) && header != "a\"b" {
			t.Errorf("%s: %v, %v", header, im, err)
		}
	}
	t.Setenv("CC", " ")
	if _, err := Compile("<time.h>"); err == nil {
		t.Error("compiled by nobody")
	}
}

func TestStrings(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{(*Type)(nil).String(), "void"},
		{(&Type{Kind: Pointer, Elem: &Type{Name: "int"}}).String(), "int *"},
		{(&Type{Kind: Union}).String(), "union"},
		{Complex.String(), "complex"},
		{Kind(99).String(), "Kind(99)"},
	} {
		if c.got != c.want {
			t.Errorf("%s, not %s", c.got, c.want)
		}
	}
}
