package layout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// nastyC prints values and bytes of structs that Go has no like of.
const nastyC = "testdata/nasty.c"

// generated is a Go module that has what Generate makes of types.
type generated struct {
	dir string
	env []string
}

// newGenerated writes a module that needs no network.
func newGenerated(t testing.TB) *generated {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	m := &generated{dir: t.TempDir()}
	m.write(t, "go.mod", fmt.Sprintf(
		"module generated\n\ngo 1.24.0\n\nrequire github.com/gosysv/shm v0.0.0\n\nreplace github.com/gosysv/shm => %s\n", root))
	return m
}

func (m *generated) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// try runs the go command in the module.
func (m *generated) try(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), append([]string{"GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0"}, m.env...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *generated) run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := m.try(args...)
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// generate returns what Generate writes, which must be formatted, and the same
// each time.
func generate(t testing.TB, types ...*Type) string {
	t.Helper()
	var code, again bytes.Buffer
	if err := Generate(&code, "main", types...); err != nil {
		t.Fatal(err)
	}
	if err := Generate(&again, "main", types...); err != nil || again.String() != code.String() {
		t.Error("not the same code the second time", err)
	}
	if formatted, err := format.Source(code.Bytes()); err != nil || !bytes.Equal(formatted, code.Bytes()) {
		t.Error("the code is not formatted", err)
	}
	return code.String()
}

// compile returns types of a C text.
func compile(t testing.TB, text string, names ...string) (types []*Type) {
	t.Helper()
	im, err := Compile(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		typ, err := im.Type(name)
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, typ)
	}
	return types
}

// TestGenerate compiles nasty.c, generates the Go types of its structs, and
// has both programs agree on every value and byte. Compilers and emulators
// that are not installed are skipped.
func TestGenerate(t *testing.T) {
	for _, c := range []struct {
		name, cc, goarch, emulator string
	}{
		{"gcc", "gcc", runtime.GOARCH, ""},
		{"clang", "clang -latomic", runtime.GOARCH, ""},
		{"gcc-dwarf4", "gcc -gdwarf-4", runtime.GOARCH, ""},
		{"gcc-m32", "gcc -m32", "386", ""},
		{"s390x", "s390x-linux-gnu-gcc -static", "s390x", "qemu-s390x"},
		{"mips", "mips-linux-gnu-gcc -static -latomic", "mips", "qemu-mips"},
		{"arm", "arm-linux-gnueabihf-gcc -static -latomic", "arm", "qemu-arm"},
		{"arm64", "aarch64-linux-gnu-gcc -static", "arm64", "qemu-aarch64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			switch {
			case c.goarch == runtime.GOARCH || c.goarch == "386" && runtime.GOARCH == "amd64":
				c.emulator = ""
			case c.emulator == "":
				t.Skipf("on %s", runtime.GOARCH)
			case testing.Short():
				t.Skip("short")
			default:
				tool(t, c.emulator)
			}
			checkNasty(t, c.cc, c.goarch, c.emulator)
		})
	}
}

func checkNasty(t *testing.T, cc, goarch, emulator string) {
	program := buildNasty(t, cc)
	command := []string{program}
	if emulator != "" {
		command = []string{emulator, program}
	}
	printed, err := exec.Command(command[0], command[1:]...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("%s makes what does not run here: %v", cc, err)
	}
	names := nastyNames(printed)
	im, err := Open(program)
	if err != nil {
		t.Fatal(err)
	}
	var list []*Type
	for _, name := range names {
		typ, err := im.Type(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, typ)
	}
	code := generate(t, list...)
	checkConstants(t, printed, code)

	m := newGenerated(t)
	m.env = []string{"GOARCH=" + goarch}
	m.write(t, "generated.go", code)
	m.write(t, "types.go", registry(code, names))
	checker, err := os.ReadFile("testdata/checker/main.go")
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "main.go", string(checker))
	if cc == "gcc" {
		m.run(t, "vet", ".")
		checkPorts(t, code, strings.Split(ports[im.ByteOrder()], " || ")...)
	}
	m.run(t, "build", "-o", "checker", ".")
	cmd := exec.Command(filepath.Join(m.dir, "checker"), program)
	if emulator != "" {
		cmd = exec.Command(emulator, filepath.Join(m.dir, "checker"), program)
	}
	cmd.Stdin = bytes.NewReader(printed)
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("%d\n", 2*len(names)); err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}

// buildNasty builds the program, which must be possible with the machine's own
// compiler.
func buildNasty(t *testing.T, cc string) string {
	t.Helper()
	if _, err := os.ReadFile(nastyC); err != nil { // for the test cache
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "nasty")
	words := strings.Fields(cc)
	args := slices.Concat([]string{"-std=gnu11", "-g", "-w", "-o", program, nastyC}, words[1:])
	if out, err := exec.Command(tool(t, words[0]), args...).CombinedOutput(); err != nil {
		if cc == "gcc" {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Skipf("%s: %v\n%s", cc, err, out)
	}
	return program
}

// nastyNames are the names of the types that the program has printed.
func nastyNames(printed []byte) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^type (.*) \d+ 0$`).FindAllSubmatch(printed, -1) {
		names = append(names, string(m[1]))
	}
	return names
}

// checkConstants looks for the constants that the program has printed.
func checkConstants(t *testing.T, printed []byte, code string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^const (\S+) (\S+)$`).FindAllSubmatch(printed, -1) {
		constant := regexp.MustCompile(fmt.Sprintf(`(?m)^(const|\t)? ?%s( +\w+)? += %s( +//.*)?$`, m[1], m[2]))
		if !constant.MatchString(code) {
			t.Errorf("there is no constant %s = %s", m[1], m[2])
		}
	}
}

// checkPorts checks the types and assertions of generated code as the Go
// compilers for some ports do.
func checkPorts(t *testing.T, code string, arches ...string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "generated.go", code, 0)
	if err != nil {
		t.Fatal(err)
	}
	packages := importer.ForCompiler(files, "source", nil)
	for _, arch := range arches {
		conf := types.Config{Importer: packages, Sizes: types.SizesFor("gc", arch)}
		if conf.Sizes == nil {
			t.Errorf("Go does not know %s", arch)
		}
		if _, err := conf.Check("main", files, []*ast.File{file}, nil); err != nil {
			t.Errorf("%s: %v", arch, err)
		}
	}
}

// registry is a Go file that has the generated types by their C names.
func registry(code string, names []string) string {
	goTypes := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^// (\S+) is (.+), of \d+ bytes?`).FindAllStringSubmatch(code, -1) {
		goTypes[m[2]] = m[1]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "package main\n\nimport \"reflect\"\n\nvar types = map[string]reflect.Type{\n")
	for _, name := range names {
		fmt.Fprintf(&b, "%q: reflect.TypeFor[%s](),\n", name, goTypes[name])
	}
	fmt.Fprintf(&b, "}\n")
	return b.String()
}

// TestGenerateUse uses generated code as a program does.
func TestGenerateUse(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("written for 64 bits: where C aligns a double by 4, its accessor returns the value")
	}
	types := compile(t, `
		#include <stdatomic.h>
		enum mode { OFF, ON };
		struct status {
			char name[8];
			unsigned flags : 3;
			_Bool ready : 1;
			_Atomic int count;
			enum mode mode;
			union { double ratio; long number; };
			struct { short x, y; } at[2];
			int kind;
			union { char text[12]; int word; } payload;
		};
		struct head { int n; double data[]; };
		struct __attribute__((packed)) record {
			char c[4];
			double d;
			struct status s;
			struct head h;
			union { char text[4]; int word; } u;
		};`, "struct record", "struct status")
	m := newGenerated(t)
	m.write(t, "generated.go", generate(t, types...))
	m.write(t, "main.go", `package main

import "fmt"

func main() {
	var s Status
	s.SetNameString("0123456789")
	fmt.Println(s.NameString(), s.Name)
	s.SetNameString("abc")
	fmt.Println(s.NameString(), s.Name)
	copy(s.Name[:], "fullfull")
	fmt.Println(s.NameString())
	s.SetFlags(13)
	s.SetReady(true)
	fmt.Println(s.Flags(), s.Ready())
	s.Count.Add(-2)
	s.Mode = ON
	*s.Ratio() = 1
	fmt.Printf("%d %d %#x\n", s.Count.Load(), s.Mode, *s.Number())
	s.At[1] = StatusAt{X: 1, Y: 2}
	*s.Payload.Word() = 0x61616161
	fmt.Println(s.Payload.TextString())

	var r Record
	r.SetD(2.5)
	r.SetS(&s)
	copied := r.S()
	fmt.Println(r.D(), copied.At[1].Y, copied.Count.Load())
	r.U.SetTextString("text")
	r.H.N = 3
	fmt.Println(r.U.TextString(), r.H.N, HeadDataOffset)
}
`)
	m.run(t, "vet", ".")
	const want = `0123456 [48 49 50 51 52 53 54 0]
abc [97 98 99 0 0 0 0 0]
fullfull
5 true
-2 1 0x3ff0000000000000
aaaa
2.5 2 -2
tex 3 8
`
	if got := m.run(t, "run", "."); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestGenerateSameName has two types of one name, and each twice.
func TestGenerateSameName(t *testing.T) {
	const one, other = "struct s { int i; }; struct t { struct s s; };", "struct s { short i; }; struct t { struct s s; };"
	code := generate(t, slices.Concat(
		compile(t, one, "struct s", "struct t"), compile(t, other, "struct t", "struct s"), compile(t, one, "struct s"),
	)...)
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^// \w+ is struct.*|^\t(S|I) +\w+`).FindAllString(code, -1) {
		got = append(got, strings.Join(strings.Fields(m), " "))
	}
	want := []string{
		"// S is struct s, of 4 bytes.", "I int32", "// T is struct t, of 4 bytes.", "S S",
		"// T2 is struct t, of 2 bytes.", "S S2", "// S2 is struct s, of 2 bytes.", "I int16",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestGenerateAsserts changes one number of a generated file at a time: none
// must build.
func TestGenerateAsserts(t *testing.T) {
	types := compile(t, `struct s { int i; char c; union { short s; }; unsigned b : 3; };`, "struct s")
	code := generate(t, types...)
	m := newGenerated(t)
	m.write(t, "main.go", "package main\n\nfunc main() {}\n")
	m.write(t, "generated.go", code)
	m.run(t, "build", ".")
	for _, change := range [][2]string{
		{"I     int32", "I     uint64"},
		{"C     byte", "C     int16"},
		{"_     [1]byte", "_     [3]byte"},
		{"raw6  [2]byte", "raw6  [1]byte"},
		{"bits8 [1]byte", "bits8 [2]byte"},
		{"_     [3]byte", "_     [7]byte"},
	} {
		changed := strings.Replace(code, change[0], change[1], 1)
		if changed == code {
			t.Errorf("there is no %s in\n%s", change[0], code)
		}
		m.write(t, "generated.go", changed)
		if out, err := m.try("build", "."); err == nil || !strings.Contains(out, "struct{}") {
			t.Errorf("with %s: %v\n%s", change[1], err, out)
		}
	}
	m.write(t, "generated.go", code)
	m.env = []string{"GOARCH=" + map[binary.ByteOrder]string{binary.LittleEndian: "s390x", binary.BigEndian: "amd64"}[native]}
	if out, err := m.try("build", "."); err != nil {
		t.Error("the file should be left out:", err, out)
	}
	m.write(t, "main.go", "package main\n\nfunc main() { _ = S{} }\n")
	if out, err := m.try("build", "."); err == nil || !strings.Contains(out, "undefined: S") {
		t.Errorf("on another byte order: %v\n%s", err, out)
	}
}

// TestGenerateErrors has types that there is no Go for: the error names the
// member, and nothing is written.
func TestGenerateErrors(t *testing.T) {
	integer := func(size int64) *Type { return &Type{Kind: Int, Size: size} }
	in := func(size int64, fields ...Field) *Type {
		return &Type{Name: "struct s", Kind: Struct, Size: size, Fields: fields, ByteOrder: binary.LittleEndian}
	}
	big := in(4)
	big.ByteOrder = binary.BigEndian
	unordered := in(4)
	unordered.ByteOrder = nil
	nameless := in(4)
	nameless.Name = ""
	ofGo, err := Of[struct{ X int32 }]()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pkg   string
		types []*Type
		want  string
	}{
		{"not-a-name", []*Type{in(4)}, `"not-a-name"`},
		{"func", []*Type{in(4)}, `"func"`},
		{"_", []*Type{in(4)}, `"_"`},
		{"p", nil, "no types"},
		{"p", []*Type{nil}, "void"},
		{"p", []*Type{integer(4)}, "int is not a struct"},
		{"p", []*Type{ofGo}, "not a struct, union or enum of C"},
		{"p", []*Type{in(4), big}, "byte orders"},
		{"p", []*Type{unordered}, "byte order"},
		{"p", []*Type{nameless}, "without a name"},
		{"p", []*Type{in(4, Field{Name: "m", Size: 3, Type: integer(3)})}, "struct s, member m: "},
		{"p", []*Type{in(4, Field{Name: "m", Offset: 2, Size: 4, Type: integer(4)})}, "struct s, member m: "},
		{"p", []*Type{in(4, Field{Name: "m", Size: 4, Type: integer(2)})}, "struct s, member m: "},
		{"p", []*Type{in(4, Field{Name: "l", Size: 4, Type: integer(4)}, Field{Name: "m", Offset: 2, Size: 2, Type: integer(2)})}, "struct s, member m: "},
		{"p", []*Type{in(4, Field{Name: "m", Size: 1, BitSize: 9, Type: integer(4)})}, "struct s, member m: "},
		{"p", []*Type{in(4, Field{Name: "m", Size: 1, BitSize: 3, Type: &Type{Kind: Float, Size: 4}})}, "struct s, member m: "},
		{"p", []*Type{in(4, Field{Name: "m", Size: 4, Type: &Type{Kind: Array, Size: 4, Count: 3, Elem: integer(2)}})}, "struct s, member m: "},
		{"p", []*Type{in(4, Field{Name: "m", Size: 2, Type: &Type{Kind: Float, Size: 2}})}, "struct s, member m: "},
		{"p", []*Type{{
			Name: "enum e", Kind: Enum, Size: 1, Elem: integer(1), Values: []Value{{"BIG", 300}}, ByteOrder: binary.LittleEndian,
		}}, "enum e, member BIG: "},
		{"p", []*Type{{Name: "enum e", Kind: Enum, Size: 4, Elem: integer(2), ByteOrder: binary.LittleEndian}}, "enum e: "},
		{"p", []*Type{{Name: "enum e", Kind: Enum, Size: 3, ByteOrder: binary.LittleEndian}}, "enum e: "},
	} {
		var b bytes.Buffer
		err := Generate(&b, c.pkg, c.types...)
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(fmt.Sprint(err), c.want) || b.Len() > 0 {
			t.Errorf("%v of package %s: got %v and %d bytes, want %s", c.types, c.pkg, err, b.Len(), c.want)
		}
	}
	if err := Generate(failingWriter{}, "p", in(4)); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestGenerateHostile has names that are not C's: they must not become Go.
func TestGenerateHostile(t *testing.T) {
	const bad = "x\nfunc init() { panic(0) }\r\x00\u2028\xff/*"
	enum := &Type{Name: "enum " + bad, Kind: Enum, Size: 4, Values: []Value{{bad, 1}, {bad, 2}, {"", 3}}, ByteOrder: binary.LittleEndian}
	hostile := &Type{
		Name: "struct " + bad, Kind: Struct, Size: 8, ByteOrder: binary.LittleEndian,
		Fields: []Field{
			{Name: bad, Decl: bad, Size: 4, Type: enum},
			{Name: "", Decl: bad + "[", Offset: 4, Size: 4, Type: &Type{Kind: Int, Size: 4, Name: bad}},
		},
	}
	m := newGenerated(t)
	m.write(t, "generated.go", generate(t, hostile))
	m.write(t, "main.go", "package main\n\nfunc main() {}\n")
	m.run(t, "vet", ".")
	m.run(t, "run", ".")
}

// TestGenerateTest writes the test, which passes, and fails when the C side
// changes.
func TestGenerateTest(t *testing.T) {
	const header = "enum e { A };\nstruct s { int a; enum e b; };\ntypedef union { short s; float f; } u_t;\n"
	names := []string{"struct s", "u_t", "enum e", "struct s"}
	types := compile(t, header, names...)
	m := newGenerated(t)
	m.env = []string{"CGO_ENABLED=1"} // or there is no go env CC
	m.write(t, "generated.go", generate(t, types...))
	m.write(t, "main.go", "package main\n\nfunc main() {}\n")
	m.write(t, "s.h", header)
	var test bytes.Buffer
	if err := GenerateTest(&test, "main", Source{Header: "s.h", CFlags: []string{"-DX=1"}}, types...); err != nil {
		t.Fatal(err)
	}
	m.write(t, "generated_test.go", test.String())
	m.run(t, "vet", ".")
	if out := m.run(t, "test", "-v", "."); !strings.Contains(out, "--- PASS: TestSLayout") {
		t.Error(out)
	}
	m.write(t, "s.h", strings.Replace(header, "int a;", "int a, new;", 1))
	if out, err := m.try("test", "-count=1", "."); err == nil || !strings.Contains(out, "b: C at 8, Go at 4") {
		t.Errorf("%v\n%s", err, out)
	}
	test.Reset()
	if err := GenerateTest(&test, "main", Source{Program: "a.out"}, types...); err != nil || !strings.Contains(test.String(), `layout.Open("a.out")`) {
		t.Errorf("%v\n%s", err, &test)
	}
	for _, from := range []Source{{}, {Program: "a.out", Header: "s.h"}} {
		if err := GenerateTest(io.Discard, "main", from, types...); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%+v: %v", from, err)
		}
	}
	if err := GenerateTest(io.Discard, "main", Source{Program: "a.out"}); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

// manyMembers is a struct of 3,000 members, half of which have names that
// collide.
func manyMembers(t testing.TB) *Type {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "struct many {\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "int m%d; char c%s; unsigned b%d : %d;\n", i, strings.Repeat("_", i), i, i%32+1)
	}
	fmt.Fprintf(&b, "};\n")
	return compile(t, b.String(), "struct many")[0]
}

func TestGenerateMany(t *testing.T) {
	many := manyMembers(t)
	start := time.Now()
	if err := Generate(io.Discard, "p", many); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d members took %v", len(many.Fields), time.Since(start))
	checkPorts(t, generate(t, many), "386")
}

func BenchmarkGenerate(b *testing.B) {
	many := manyMembers(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := Generate(io.Discard, "p", many); err != nil {
			b.Fatal(err)
		}
	}
}
