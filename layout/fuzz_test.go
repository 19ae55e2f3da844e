package layout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// fuzzC is small, for small object files, and has a bit of everything.
const fuzzC = `
typedef struct { short x[2][3]; } point_t;
union u { int i; float f; struct { char c; }; };
struct s {
	char name[9]; _Bool b; union u u; point_t p; enum { A, B = -1 } e; struct s *next; void (*call)(int);
	unsigned bit : 3, more : 11; _Atomic long l; long double ld; struct { int in; } inner[2]; double rest[];
} s;
struct __attribute__((packed)) packed { char c; long long l : 61; } packed;
`

// FuzzOpen opens hostile files, and reads all types of them.
func FuzzOpen(f *testing.F) {
	for _, flags := range [][]string{
		{"gcc", "-gdwarf-2"},
		{"gcc", "-gdwarf-3"},
		{"gcc", "-gdwarf-4"},
		{"gcc", "-gdwarf-5"},
		{"gcc", "-gdwarf-5", "-gdwarf64"},
		{"gcc", "-gdwarf-4", "-fdebug-types-section"},
		{"clang", "-gdwarf-2"},
		{"clang", "-gdwarf-4"},
		{"clang", "-gdwarf-5"},
		{"clang", "-gdwarf-4", "--target=powerpc-linux-gnu"},
		{"clang", "-gdwarf-4", "--target=s390x-linux-gnu", "-gz=zlib"},
	} {
		object := filepath.Join(f.TempDir(), "seed.o")
		cmd := exec.Command(flags[0], append(flags[1:], "-c", "-w", "-o", object, "-x", "c", "-")...)
		cmd.Stdin = bytes.NewBufferString(fuzzC)
		if out, err := cmd.CombinedOutput(); err != nil {
			f.Logf("no seed of %v: %v\n%s", flags, err, out)
			continue
		}
		seed, err := os.ReadFile(object)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		defer func() {
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%v for %d bytes", took, len(content))
			}
		}()
		im, err := Open(path)
		if err != nil {
			return
		}
		for name := range im.Types() {
			typ, err := im.Type(name)
			if err != nil {
				continue
			}
			_ = typ.String()
			_ = Compare(typ, typ)
			_ = Generate(&bytes.Buffer{}, "p", typ)
		}
	})
}

// typeMaker makes types of bytes: sound ones as compilers make them, and with
// wild set also what none would.
type typeMaker struct {
	data  []byte
	order binary.ByteOrder
	wild  bool
	types []*Type
}

// next is the next byte, below n.
func (m *typeMaker) next(n int) int {
	if len(m.data) == 0 {
		return 0
	}
	b := int(m.data[0])
	m.data = m.data[1:]
	return b % n
}

func (m *typeMaker) make() *Type {
	for _, kind := range []Kind{Bool, Char, Int, Uint, Float, Complex, Opaque, Pointer} {
		for _, size := range map[Kind][]int64{
			Bool: {1}, Char: {1}, Int: {1, 2, 4, 8}, Uint: {1, 2, 4, 8}, Float: {4, 8}, Complex: {8, 16}, Opaque: {16}, Pointer: {4, 8},
		}[kind] {
			m.types = append(m.types, &Type{Kind: kind, Name: fmt.Sprintf("%v%d_t", kind, size), Size: size, ByteOrder: m.order})
		}
	}
	for len(m.data) > 0 {
		var t *Type
		switch m.next(6) {
		case 0:
			elem, n := m.any(), int64(m.next(5))
			t = &Type{Kind: Array, Elem: elem, Count: n, Size: n * elem.Size}
		case 1:
			elem := m.types[2+m.next(8)] // an integer
			t = &Type{Kind: Enum, Elem: elem, Size: elem.Size, Name: m.name("enum")}
			for i := range m.next(4) {
				t.Values = append(t.Values, Value{Name: m.name(""), Val: int64(i * m.next(128))})
			}
		case 2:
			t = m.aggregate(Union)
		default:
			t = m.aggregate(Struct)
		}
		t.ByteOrder = m.order
		if t.Size < 1<<20 {
			m.types = append(m.types, t)
		}
	}
	return m.types[len(m.types)-1]
}

func (m *typeMaker) any() *Type {
	return m.types[len(m.types)-1-m.next(len(m.types))]
}

// name is a name of few, so that there are clashes and Go's keywords.
func (m *typeMaker) name(keyword string) string {
	list := []string{"", "a", "b", "a_b", "ab", "A", "type", "_", "set_a", "a_string", "func", "v1_2", "x\n", "ä", "String", "raw0"}
	name := list[m.next(len(list))]
	if keyword != "" && name != "" {
		name = keyword + " " + name
	}
	return name
}

// aggregate lays a struct or a union out, sometimes packed.
func (m *typeMaker) aggregate(kind Kind) *Type {
	t := &Type{Kind: kind, Name: m.name(kind.String())}
	packed := m.next(4) == 0
	var bit, align int64 = 0, 1 // the first that is free
	for range m.next(8) {
		f := Field{Name: m.name(""), Type: m.any(), Decl: m.name("")}
		f.Size = f.Type.Size
		a := goAlign(f.Type)
		if packed {
			a = 1
		}
		align = max(align, a)
		if kind == Union {
			bit = 0
		}
		if k := baseKind(f.Type); m.next(4) == 0 && f.Type.Kind != Array && (k == Int || k == Uint) {
			f.BitSize = 1 + int64(m.next(int(8*f.Size)))
			f.Offset, f.BitOffset = bit/8, bit%8
			f.Size = (f.BitOffset + f.BitSize + 7) / 8
			bit += f.BitSize
		} else {
			f.Offset = ((bit+7)/8 + a - 1) / a * a
			bit = 8 * (f.Offset + f.Size)
		}
		if m.wild && m.next(8) == 0 {
			f.Offset += int64(m.next(256)) - 128
		}
		t.Fields = append(t.Fields, f)
		t.Size = max(t.Size, f.Offset+f.Size)
	}
	t.Size = (t.Size + align - 1) / align * align
	if m.wild && m.next(8) == 0 {
		t.Size += int64(m.next(256)) - 128
	}
	return t
}

func newTypeMaker(data []byte) *typeMaker {
	m := &typeMaker{data: data, order: binary.LittleEndian}
	if m.next(2) == 1 {
		m.order = binary.BigEndian
	}
	m.wild = m.next(2) == 1
	return m
}

func addTypeSeeds(f *testing.F) {
	f.Helper()
	seed := []byte{0, 0}
	for i := range 300 {
		seed = append(seed, byte(i*i*7+i*31+i/5))
		if i%20 == 0 {
			f.Add(bytes.Clone(seed))
		}
	}
}

func FuzzCompare(f *testing.F) {
	addTypeSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return
		}
		m := newTypeMaker(data)
		last := m.make()
		for _, other := range m.types {
			if err := Compare(other, other); err != nil && !m.wild {
				t.Errorf("%+v is not itself: %v", other, err)
			}
			there, back := Compare(last, other), Compare(other, last)
			if (last.Size != other.Size) && (there == nil || back == nil) {
				t.Errorf("%+v and %+v: %v, %v", last, other, there, back)
			}
		}
	})
}

func FuzzGenerate(f *testing.F) {
	addTypeSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return
		}
		m := newTypeMaker(data)
		m.make()
		var types []*Type
		for _, typ := range m.types {
			if typ.Name != "" && (typ.Kind == Struct || typ.Kind == Union || typ.Kind == Enum) {
				types = append(types, typ)
			}
		}
		var one, two bytes.Buffer
		err := Generate(&one, "p", types...)
		if err != nil {
			if one.Len() > 0 || !errors.Is(err, ErrUnsupported) { // such as what gofmt does not take
				t.Fatalf("%v, and %d bytes are written", err, one.Len())
			}
			return
		}
		if err := Generate(&two, "p", types...); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Errorf("twice is not the same: %v", err)
		}
	})
}
