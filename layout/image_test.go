package layout

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// freestanding makes a program of C text without a libc, so that a compiler
// for another machine is all it takes.
var freestanding = []string{"-g", "-ffreestanding", "-nostdlib", "-fno-stack-protector", "-w", "-Wl,--entry=main"}

// tool skips the test, and says why, where a program is not installed.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(err)
	}
	return path
}

// run runs a program, which must succeed.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(tool(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// build compiles a C file with a compiler and flags of one string.
func build(t testing.TB, source, flags string) string {
	t.Helper()
	out, err := tryBuild(t, source, flags)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// buildOrSkip is build with flags that not every machine's compiler has.
func buildOrSkip(t testing.TB, source, flags string) string {
	t.Helper()
	out, err := tryBuild(t, source, flags)
	if err != nil {
		t.Skip(err)
	}
	return out
}

func tryBuild(t testing.TB, source, flags string) (string, error) {
	t.Helper()
	// The test cache must see the file, which only the compiler reads.
	if _, err := os.ReadFile(source); err != nil {
		t.Fatal(err)
	}
	cc := strings.Fields(flags)
	out := filepath.Join(t.TempDir(), "a.out")
	source, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, cc[0]), slices.Concat(freestanding, cc[1:], []string{"-o", out, source})...)
	cmd.Dir = filepath.Dir(out) // where -gsplit-dwarf leaves its files
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", flags, err, text)
	}
	return out, nil
}

// write writes C text to a file.
func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.c")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// fact is what the C compiler says of a member: "struct nested/inner.at.y".
type fact struct {
	path               string
	offset, size, kind int64
	bits               []byte // a bit-field: the struct with all bits of it set
}

// facts reads the two tables that testdata/types.c puts into its output.
func facts(t *testing.T, path string) (list []fact) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const pathLen, recordLen = 40, 40 + 24
	table := symbolData(t, file, "facts")
	for ; len(table) >= recordLen; table = table[recordLen:] {
		number := func(i int) int64 { return int64(file.ByteOrder.Uint64(table[pathLen+8*i:])) }
		list = append(list, fact{path: cString(table), offset: number(0), size: number(1), kind: number(2)})
	}
	table = symbolData(t, file, "bit_facts")
	record := pathLen + 56
	for ; len(table) >= record; table = table[record:] {
		list = append(list, fact{path: cString(table), bits: table[pathLen:record]})
	}
	if len(list) < 90 {
		t.Fatalf("only %d facts", len(list))
	}
	return list
}

func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// symbolData returns the bytes of a variable.
func symbolData(t *testing.T, file *elf.File, name string) []byte {
	t.Helper()
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name != name {
			continue
		}
		section := file.Sections[s.Section]
		data, err := section.Data()
		if err != nil {
			t.Fatal(err)
		}
		start := s.Value
		if file.Type != elf.ET_REL {
			start -= section.Addr
		}
		return data[start : start+s.Size]
	}
	t.Fatalf("%s has no symbol %s", file.Type, name)
	return nil
}

// find returns a member by its path, with its offset in the whole type.
func find(t *Type, path string) (Field, bool) {
	name, rest, deeper := strings.Cut(path, ".")
	for _, f := range t.Fields {
		inner, ok := f, f.Name == name
		switch {
		case f.Name == "":
			inner, ok = find(f.Type, path)
		case ok && deeper:
			inner, ok = find(f.Type, rest)
		default:
			if ok {
				return f, true
			}
			continue
		}
		if ok {
			inner.Offset += f.Offset
			return inner, true
		}
	}
	return Field{}, false
}

// setBits sets the bits of a bit-field, as Field says where they are.
func setBits(b []byte, f Field, order binary.ByteOrder) {
	for i := f.BitOffset; i < f.BitOffset+f.BitSize; i++ {
		if order == binary.LittleEndian {
			b[f.Offset+i/8] |= 1 << (i % 8)
		} else {
			b[f.Offset+i/8] |= 0x80 >> (i % 8)
		}
	}
}

// kindLetters are what KIND in testdata/types.c says.
var kindLetters = map[int64]Kind{'b': Bool, 'c': Char, 'i': Int, 'u': Uint, 'f': Float, 'x': Complex, 'p': Pointer}

// bitKinds are what the names of bit-fields say there.
var bitKinds = map[byte]Kind{'u': Uint, 's': Int, 'b': Bool, 'e': Uint}

// checkFacts compares what an image says with what the C compiler says.
func checkFacts(t *testing.T, image string, list []fact) {
	t.Helper()
	im, err := Open(image)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]*Type{}
	for _, c := range list {
		name, path, isMember := strings.Cut(c.path, "/")
		typ := types[name]
		if typ == nil {
			if typ, err = im.Type(name); err != nil {
				t.Error(err)
				continue
			}
			types[name] = typ
		}
		f := Field{Size: typ.Size, Type: typ}
		if isMember {
			var ok bool
			if f, ok = find(typ, path); !ok {
				t.Errorf("%s: no such member in %+v", c.path, typ)
				continue
			}
		}
		if err := checkFact(f, c, im.ByteOrder()); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		if c.bits == nil && c.kind == 'p' && c.size != int64(im.PtrSize()) {
			t.Errorf("pointers have %d bytes, in C %d", im.PtrSize(), c.size)
		}
	}
}

func checkFact(f Field, c fact, order binary.ByteOrder) error {
	if c.bits != nil {
		if f.BitSize == 0 { // clang, of a bit-field that is as wide as its type
			f.BitSize = 8 * f.Size
		}
		b := make([]byte, len(c.bits))
		setBits(b, f, order)
		if !bytes.Equal(b, c.bits) || f.BitSize == 0 || f.BitOffset > 7 || f.Size != (f.BitOffset+f.BitSize+7)/8 {
			return fmt.Errorf("%+v is % x, in C % x", f, b, c.bits)
		}
		if kind := bitKinds[f.Name[0]]; baseKind(f.Type) != kind {
			return fmt.Errorf("it is %v, in C %v", baseKind(f.Type), kind)
		}
		return nil
	}
	if f.Offset != c.offset || f.Size != c.size || f.Type.Size != c.size || f.BitSize != 0 {
		return fmt.Errorf("%d bytes at %d, in C %d at %d", f.Size, f.Offset, c.size, c.offset)
	}
	if kind, known := kindLetters[c.kind]; known && baseKind(f.Type) != kind {
		return fmt.Errorf("it is %v, in C %v", baseKind(f.Type), kind)
	}
	return nil
}

const typesC = "testdata/types.c"

func TestCompilers(t *testing.T) {
	for _, cc := range []string{"gcc", "clang"} {
		for _, version := range []string{"-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"} {
			for _, optimize := range []string{"-O0", "-O1", "-O2", "-O3"} {
				flags := strings.Join([]string{cc, "-shared -fPIC", version, optimize}, " ")
				t.Run(flags, func(t *testing.T) {
					t.Parallel()
					object := build(t, typesC, flags)
					checkFacts(t, object, facts(t, object))
				})
			}
		}
	}
}

// TestPrograms opens linked programs, libraries, and objects of unusual form
// and of other machines.
func TestPrograms(t *testing.T) {
	for _, flags := range []string{
		"gcc", "gcc -static", "gcc -pie", "gcc -shared -fPIC", "clang -shared -fPIC",
		"gcc -O2 -flto", "gcc -O2 -flto -shared -fPIC", "gcc -O2 -c -flto -ffat-lto-objects",
		"clang -O2 -flto -fuse-ld=lld", "clang -O2 -flto=thin -fuse-ld=lld",
		"gcc -gz=zlib", "gcc -c -gz=zlib", "clang -gz=zlib", "gcc -gz=zlib-gnu",
		"clang -gdwarf-4 -fdebug-types-section", "clang -gdwarf-5 -fdebug-types-section", // it does so in C++ only
		"gcc -gdwarf-4 -gstrict-dwarf", "gcc -gdwarf64", "clang -gdwarf-4 -gdwarf64", "clang -gdwarf-5 -gdwarf64",
		"gcc -ggdb3", "gcc -fshort-enums", "gcc -funsigned-char", "gcc -fpack-struct=2", "gcc -mms-bitfields",
		"gcc -m32", "gcc -m32 -c", "gcc -m32 -gdwarf-2", "clang -m32", "clang -m32 -gdwarf-3",
	} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			program := buildOrSkip(t, typesC, flags)
			checkFacts(t, program, facts(t, program))
		})
	}
}

// TestMachines needs cross compilers; clang is one by itself. Big-endian
// machines number the bits of DWARF from the other end.
func TestMachines(t *testing.T) {
	for _, cc := range []string{
		"s390x-linux-gnu-gcc", "powerpc64-linux-gnu-gcc", "aarch64-linux-gnu-gcc", "arm-linux-gnueabihf-gcc",
		"clang --target=s390x-linux-gnu", "clang --target=powerpc64-linux-gnu", "clang --target=powerpc-linux-gnu",
		"clang --target=mips-linux-gnu", "clang --target=mips64-linux-gnuabi64", "clang --target=mips64el-linux-gnuabi64",
		"clang --target=armeb-linux-gnueabi", "clang --target=arm-linux-gnueabihf", "clang --target=aarch64-linux-gnu",
		"clang --target=riscv64-linux-gnu", "clang --target=i686-linux-gnu", "clang --target=powerpc64le-linux-gnu",
	} {
		for _, form := range []string{"-gdwarf-2 -c", "-gdwarf-5 -c", "-shared -fPIC"} {
			if strings.HasPrefix(cc, "clang") && !strings.HasSuffix(form, "-c") {
				form += " -fuse-ld=lld"
			}
			flags := cc + " " + form
			t.Run(flags, func(t *testing.T) {
				t.Parallel()
				program := buildOrSkip(t, typesC, flags)
				_, err := Open(program)
				if errors.Is(err, ErrUnsupported) && strings.HasSuffix(flags, "-gdwarf-5 -c") && strings.Contains(cc, "clang") {
					t.Skip(err) // open and mendStrings say why
				}
				checkFacts(t, program, facts(t, program))
			})
		}
	}
}

// TestSeparateDebug opens stripped files, whose types are in another file.
func TestSeparateDebug(t *testing.T) {
	program := build(t, typesC, "gcc -Wl,--build-id=sha1")
	want := facts(t, program)
	for _, c := range []struct {
		name  string
		debug string // where the debug file is put, from the program
		link  bool   // by .gnu_debuglink, or only by its build ID
		spoil bool
		err   error
	}{
		{name: "same directory", debug: "p.debug", link: true},
		{name: "subdirectory", debug: ".debug/p.debug", link: true},
		{name: "build ID", debug: "BUILDID"},
		{name: "debug directory", debug: "GLOBAL/p.debug", link: true},
		{name: "wrong checksum", debug: "p.debug", link: true, spoil: true, err: ErrNoDWARF},
		{name: "no link", debug: "p.debug", err: ErrNoDWARF},
		{name: "elsewhere", debug: "other/p.debug", link: true, err: ErrNoDWARF},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			debugDir = filepath.Join(dir, "usr/lib/debug")
			t.Cleanup(func() { debugDir = "/usr/lib/debug" })
			debug := strings.Replace(c.debug, "GLOBAL", "usr/lib/debug"+dir, 1)
			if c.debug == "BUILDID" {
				file, err := elf.Open(program)
				if err != nil {
					t.Fatal(err)
				}
				id := fmt.Sprintf("%x", buildID(file))
				debug = "usr/lib/debug/.build-id/" + id[:2] + "/" + id[2:] + ".debug"
			}
			debug = filepath.Join(dir, debug)
			if err := os.MkdirAll(filepath.Dir(debug), 0o700); err != nil {
				t.Fatal(err)
			}
			run(t, "objcopy", "--only-keep-debug", program, debug)
			stripped := filepath.Join(dir, "p")
			args := []string{"--strip-all", program, stripped}
			if c.link {
				args = append(args, "--add-gnu-debuglink="+debug)
			}
			run(t, "objcopy", args...)
			if c.spoil {
				spoil(t, debug)
			}
			if c.err != nil {
				wantError(t, stripped, c.err)
				return
			}
			checkFacts(t, stripped, want)
		})
	}
}

// spoil appends a byte to a file.
func spoil(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantError opens a file that cannot be: the error is what it should be,
// names the file, and contains the words.
func wantError(t *testing.T, path string, want error, words ...string) {
	t.Helper()
	im, err := Open(path)
	if im != nil || want != nil && !errors.Is(err, want) {
		t.Fatalf("Open: %v, %v; not %v", im, err, want)
	}
	for _, word := range append(words, path) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
	if strings.Count(err.Error(), "layout:") > 1 {
		t.Errorf("prefix twice: %v", err)
	}
}

// TestOpenErrors opens what is not read: the error names what to do.
func TestOpenErrors(t *testing.T) {
	for _, c := range []struct {
		flags string
		err   error
		words []string
	}{
		{"gcc -g0", ErrNoDWARF, nil},
		{"gcc -s", ErrNoDWARF, nil},
		{"clang -g0 -c", ErrNoDWARF, nil},
		{"gcc -gsplit-dwarf", ErrUnsupported, []string{"-gsplit-dwarf", ".dwo"}},
		{"gcc -gsplit-dwarf -gdwarf-4", ErrUnsupported, []string{"-gsplit-dwarf", ".dwo"}},
		{"clang -gsplit-dwarf", ErrUnsupported, []string{"-gsplit-dwarf", ".dwo"}},
		{"gcc -flto -c", ErrUnsupported, []string{"-ffat-lto-objects"}},
		{"clang -flto -c", ErrUnsupported, []string{"bitcode", "-flto"}},
		{"gcc -mx32 -c", ErrUnsupported, []string{"link it"}},
	} {
		t.Run(c.flags, func(t *testing.T) {
			t.Parallel()
			wantError(t, buildOrSkip(t, typesC, c.flags), c.err, c.words...)
		})
	}
	t.Run("not an ELF file", func(t *testing.T) {
		wantError(t, typesC, nil, "bad magic number")
	})
	t.Run("empty", func(t *testing.T) {
		wantError(t, write(t, ""), nil)
	})
	t.Run("missing", func(t *testing.T) {
		wantError(t, filepath.Join(t.TempDir(), "none"), fs.ErrNotExist)
	})
	t.Run("directory", func(t *testing.T) {
		wantError(t, t.TempDir(), nil)
	})
}

// TestTypeUnits: types in them are not read, and that is what is said.
func TestTypeUnits(t *testing.T) {
	for _, flags := range []string{
		"gcc -gdwarf-4 -fdebug-types-section", "gcc -gdwarf-5 -fdebug-types-section",
		"gcc -gdwarf-4 -fdebug-types-section -c", "gcc -gdwarf-5 -fdebug-types-section -c",
	} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			im, err := Open(buildOrSkip(t, typesC, flags))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"struct nested", "struct scalars", "point_t"} {
				if typ, err := im.Type(name); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "-fdebug-types-section") {
					t.Errorf("%s: %+v, %v", name, typ, err)
				}
			}
		})
	}
}

// TestDwz opens what dwz has compressed, which is what distributions ship.
func TestDwz(t *testing.T) {
	tool(t, "dwz")
	program := build(t, typesC, "gcc")
	want := facts(t, program)
	other := build(t, typesC, "gcc -O1")
	t.Run("single", func(t *testing.T) {
		compressed := filepath.Join(t.TempDir(), "p")
		run(t, "dwz", "-o", compressed, program)
		checkFacts(t, compressed, want)
	})
	t.Run("multifile", func(t *testing.T) {
		supplementary := filepath.Join(t.TempDir(), "common.dwz")
		run(t, "dwz", "-m", supplementary, program, other)
		wantError(t, program, ErrUnsupported, "dwz", supplementary)
	})
}

func TestTypeErrors(t *testing.T) {
	dir := t.TempDir()
	object := func(name, text string) string {
		file := filepath.Join(dir, name+".o")
		run(t, "gcc", append(freestanding[:len(freestanding)-1], "-c", "-o", file, write(t, text))...)
		return file
	}
	program := filepath.Join(dir, "p")
	run(t, "gcc", "-nostdlib", "-Wl,--entry=main", "-o", program,
		object("one", `
			struct same { int a; char b[3]; } same1;
			struct twice { int a; long b; } twice1;
			struct hidden; struct hidden *hidden;
			struct late; struct late *late;
			enum color { RED } color1;
			typedef struct { struct twice t; } twice_t; twice_t twice_t1;
			union unlike { int a; } unlike1;
			typedef int number; number number1;
			struct shmTime { int mode; } shmTime1;
			struct __attribute__((packed)) outer { char c; struct { long v[2]; } in; } outer1;
			int main(void) { struct local { int a; } l = {0}; return l.a; }`),
		object("two", `
			struct same { int a; char b[3]; } same2;
			struct twice { int a; int b; } twice2;
			struct late { short s; } late2;
			enum color { RED, GREEN } color2;
			union unlike { unsigned a; } unlike2;
			typedef int number; number number2;
			__int128 wide; struct wide { __int128 w; __attribute__((vector_size(16))) int v; } wide2;
			int vla(int n) { struct v { int a[n]; } v; v.a[0] = 1; return v.a[n-1]; }`))
	im, err := Open(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		err   error
		words []string
	}{
		{"struct same", nil, nil},
		{"  struct   same ", nil, nil},
		{"number", nil, nil},
		{"struct late", nil, nil},
		{"struct wide", nil, nil},
		{"struct outer", nil, nil},
		{"struct twice", ErrAmbiguous, []string{"test.c"}},
		{"enum color", ErrAmbiguous, nil},
		{"union unlike", ErrAmbiguous, nil},
		{"struct hidden", ErrDeclared, nil},
		{"struct local", ErrNoType, nil},
		{"struct shmtime", ErrNoType, []string{`there is "struct shmTime"`}},
		{"shmTime", ErrNoType, []string{`there is "struct shmTime"`}},
		{"struct number", ErrNoType, []string{`there is "number"`}},
		{"struct nothing like it", ErrNoType, nil},
		{"", ErrNoType, nil},
	} {
		typ, err := im.Type(c.name)
		if !errors.Is(err, c.err) || (typ == nil) != (c.err != nil) {
			t.Errorf("%q: %v, not %v", c.name, err, c.err)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q: %q is not in: %v", c.name, word, err)
			}
		}
	}
	for name := range im.Types() {
		if _, err := im.Type(name); err != nil && !errors.Is(err, ErrAmbiguous) {
			t.Errorf("%q is listed, but %v", name, err)
		}
	}
}

// TestArrayLengths: one element more than fits a 32-bit bound is not none.
func TestArrayLengths(t *testing.T) {
	source := write(t, `
		struct big { char a[0x100000000]; int after; } *big;
		struct none { int n; char a[0][4], b[3][0]; struct {} c[5]; } none;
		struct open { int n; char a[][7]; } *open;`)
	for _, flags := range []string{"gcc -c -gdwarf-2", "gcc -c -gdwarf-5", "clang -c -gdwarf-2", "clang -shared -fPIC -gdwarf-5"} {
		t.Run(flags, func(t *testing.T) {
			im, err := Open(build(t, source, flags))
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct{ typ, field, is, base string }{
				{"struct big", "a", "4294967296 at 0", "char[4294967296]"},
				{"struct big", "after", "4 at 4294967296", "int"},
				{"struct none", "a", "0 at 4", "char[0][4]"},
				{"struct none", "b", "0 at 4", "char[3][0]"},
				{"struct open", "a", "0 at 4", "char[0][7]"},
			} {
				typ, err := im.Type(c.typ)
				if err != nil {
					t.Fatal(err)
				}
				f, _ := find(typ, c.field)
				if got := fmt.Sprintf("%d at %d", f.Size, f.Offset); got != c.is || f.Decl != c.base {
					t.Errorf("%s.%s: %s, %s; not %s, %s", c.typ, c.field, f.Decl, got, c.base, c.is)
				}
			}
		})
	}
}

// TestCorrupt opens object files with every byte of some sections changed, and
// cut short everywhere. It may succeed, but not panic.
func TestCorrupt(t *testing.T) {
	object := build(t, write(t, "struct s { struct s *p; char c[3]; unsigned b : 3; } s;"), "gcc -c -O0")
	sound, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	try := func(content []byte) {
		if err := os.WriteFile(object, content, 0o600); err != nil {
			t.Fatal(err)
		}
		im, err := Open(object)
		if err != nil {
			return
		}
		for name := range im.Types() {
			_, _ = im.Type(name)
		}
	}
	for _, name := range []string{".debug_abbrev", ".debug_info"} {
		s := file.Section(name)
		for at := s.Offset; at < s.Offset+s.FileSize; at++ {
			for _, b := range []byte{0x13, 0xff} { // 0x13 is the tag of a struct
				spoilt := bytes.Clone(sound)
				spoilt[at] = b
				try(spoilt)
			}
		}
	}
	for n := 0; n < len(sound); n += 7 {
		try(sound[:n])
	}
}

// One Image, many goroutines: for the race detector.
func TestConcurrentType(t *testing.T) {
	im, err := Compile("<sys/shm.h>")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				if _, err := im.Type("struct shmid_ds"); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
}
