package layout

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"go/format"
	"go/token"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Generate writes a Go source file of package pkg with a Go type for each of
// the C types, which are structs, unions and enums, and for each that they
// hold. What is behind a pointer is left out. The file needs Go 1.23 or later
// and the standard library. It is the same for the same types, and [Compare]
// finds no difference between it and them.
//
// Names are C's, split at the underscores and exported: struct shm_time is
// ShmTime. Where that gives one name twice, the later one ends in a number. A
// constant keeps C's name if that begins with a capital.
//
// In a struct, a member is a field where Go can have it at its place on every
// port. What Go cannot say is bytes, with methods, in any combination:
//   - A bit-field X has X and SetX, of the Go type of the C one.
//   - A member X that is not aligned, as in a packed struct, has X and SetX.
//     They copy, and are not atomic. SetX takes a struct by its address.
//   - A union is a struct, too. Its member X is a method X that returns a
//     pointer into it or, where it is not aligned, X and SetX.
//   - The members of an anonymous struct or union are members of the struct
//     around it, as they are in C.
//   - A flexible array member is not in the struct: a constant says where it
//     begins.
//   - char[N] is [N]byte, and has in addition XString, which ends at the first
//     NUL, and SetXString, which cuts what is too long and always leaves a NUL.
//
// A plain char is a byte. A pointer is an unsigned integer: an address in the
// C program means nothing in this one. An _Atomic integer of 4 or 8 bytes is a
// type of sync/atomic (if the debugging information tells, which DWARF 4 does
// not), so that such a struct must not be copied; any other _Atomic is what it
// is without. What neither Go nor every C has, as long double and __int128, is
// an array of bytes.
//
// The file builds only on ports of the C program's byte order, and where Go
// has put every field at C's offset.
//
// Errors: [ErrUnsupported], with the member. Then nothing is written.
func Generate(w io.Writer, pkg string, types ...*Type) error {
	g, err := newGenerator(pkg, types)
	if err != nil {
		return err
	}
	for _, d := range g.decls {
		if d.typ.Kind == Enum {
			err = g.enum(d)
		} else {
			err = g.aggregate(d)
		}
		if err != nil {
			return err
		}
	}
	return g.write(w)
}

// generator holds what is to be written.
type generator struct {
	pkg       string
	byteOrder binary.ByteOrder
	decls     []*decl            // in the order in which they are written
	byType    map[*Type]*decl    // several Types may be one type, read twice
	byName    map[string][]*decl // by the name in C
	names     names              // of the package
	imports   map[string]bool

	body, asserts bytes.Buffer
}

// decl is a type that is written.
type decl struct {
	typ    *Type
	goName string
	cName  string
}

func newGenerator(pkg string, types []*Type) (*generator, error) {
	if !token.IsIdentifier(pkg) || pkg == "_" {
		return nil, unsupported("%q is no name for a package", pkg)
	}
	if len(types) == 0 {
		return nil, unsupported("no types to generate")
	}
	g := &generator{pkg: pkg, byType: map[*Type]*decl{}, byName: map[string][]*decl{}, imports: map[string]bool{}}
	for _, t := range types {
		switch {
		case t == nil || t.Kind != Struct && t.Kind != Union && t.Kind != Enum || t.golang:
			return nil, unsupported("%v is not a struct, union or enum of C", t)
		case t.Name == "":
			return nil, unsupported("a %v without a name", t)
		case t.ByteOrder != binary.LittleEndian && t.ByteOrder != binary.BigEndian:
			return nil, unsupported("%v has no byte order", t)
		case g.byteOrder != nil && g.byteOrder != t.ByteOrder:
			return nil, unsupported("%v and %v have different byte orders", types[0], t)
		}
		g.byteOrder = t.ByteOrder
		g.add(t, goName(untagged(t.Name)), t.Name)
	}
	// All names that are asked for come before any that is made up.
	for _, d := range g.decls {
		g.names.want(d.goName)
		for _, v := range d.typ.Values {
			g.names.want(constantName(v.Name))
		}
	}
	for _, d := range g.decls {
		d.goName = g.names.take(d.goName)
	}
	return g, nil
}

// add lists a type, and those that it holds.
func (g *generator) add(t *Type, goName, cName string) {
	t = base(t)
	if t.Kind != Struct && t.Kind != Union && t.Kind != Enum || g.byType[t] != nil {
		return
	}
	if t.Name != "" {
		for _, d := range g.byName[t.Name] {
			if equal(d.typ, t) {
				g.byType[t] = d
				return
			}
		}
	}
	d := &decl{typ: t, goName: goName, cName: cName}
	g.byType[t] = d
	g.byName[t.Name] = append(g.byName[t.Name], d)
	g.decls = append(g.decls, d)
	g.addMembers(t, d)
}

// addMembers lists the types of the members of t, which are those of d.
func (g *generator) addMembers(t *Type, d *decl) {
	for i := range t.Fields {
		f := &t.Fields[i]
		inner := base(f.Type)
		switch {
		case anonymousMember(f):
			g.addMembers(f.Type, d)
		case inner.Name != "":
			g.add(inner, goName(untagged(inner.Name)), inner.Name)
		default:
			g.add(inner, d.goName+goName(f.Name), fmt.Sprintf("the %v of member %s of %s", inner.Kind, f.Name, d.cName))
		}
	}
}

// anonymousMember tells whether the members of f are members of the struct
// that f is in.
func anonymousMember(f *Field) bool {
	return f.Name == "" && f.BitSize == 0 && (f.Type.Kind == Struct || f.Type.Kind == Union)
}

// enum writes an enum and its constants.
func (g *generator) enum(d *decl) error {
	t := d.typ
	underlying, err := g.scalar(enumInteger(t))
	if err == nil && enumInteger(t).Size != t.Size {
		err = unsupported("a %v of %d bytes", t.Kind, t.Size)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.cName, err)
	}
	g.printf("// %s is %s, of %s.\n", d.goName, clean(d.cName), count(t.Size, "byte"))
	g.printf("type %s %s\n\n", d.goName, underlying)
	if len(t.Values) == 0 {
		return nil
	}
	g.printf("// The values of [%s].\nconst (\n", d.goName)
	for _, v := range t.Values {
		literal, err := constant(enumInteger(t), v.Val)
		if err != nil {
			return inMember(t, v.Name, err)
		}
		name := g.names.take(constantName(v.Name))
		g.printf("%s %s = %s", name, d.goName, literal)
		if name != v.Name {
			g.printf(" // %s", clean(v.Name))
		}
		g.printf("\n")
	}
	g.printf(")\n\n")
	return nil
}

// enumInteger is the integer that an enum is.
func enumInteger(t *Type) *Type {
	if t.Elem != nil {
		return t.Elem
	}
	return &Type{Kind: Uint, Size: t.Size}
}

// constant writes the value of an enum.
func constant(t *Type, val int64) (string, error) {
	unused := 64 - 8*t.Size
	switch {
	case t.Kind == Bool:
		return fmt.Sprint(val != 0), nil
	case t.Kind == Int && val<<unused>>unused != val:
		return "", unsupported("%d does not fit in %d bytes", val, t.Size)
	case t.Kind == Int:
		return fmt.Sprint(val), nil
	}
	return fmt.Sprint(uint64(val) << unused >> unused), nil
}

// scalar is the Go type of a type that holds no others.
func (g *generator) scalar(t *Type) (string, error) {
	switch size := t.Size; {
	case t.Kind == Bool && size == 1:
		return "bool", nil
	case t.Kind == Char && size == 1:
		return "byte", nil
	case t.Kind == Int && powerOf2(size, 1, 8):
		return fmt.Sprintf("int%d", 8*size), nil
	case (t.Kind == Uint || t.Kind == Pointer) && powerOf2(size, 1, 8):
		return fmt.Sprintf("uint%d", 8*size), nil
	case t.Kind == Float && powerOf2(size, 4, 8):
		return fmt.Sprintf("float%d", 8*size), nil
	case t.Kind == Complex && powerOf2(size, 8, 16):
		return fmt.Sprintf("complex%d", 8*size), nil
	case t.Kind == Opaque && size > 0:
		return fmt.Sprintf("[%d]byte", size), nil
	}
	return "", unsupported("a %v of %d bytes", t.Kind, t.Size)
}

func powerOf2(n, least, most int64) bool { return n >= least && n <= most && n&(n-1) == 0 }

// goType is the Go type of a type. If it is atomic, it is one of sync/atomic.
func (g *generator) goType(t *Type, atomic bool) (string, error) {
	switch {
	case t.Kind == Array:
		if t.Elem == nil || t.Count < 0 || t.Elem.Size*t.Count != t.Size {
			return "", unsupported("an array of %d elements of %v in %d bytes", t.Count, t.Elem, t.Size)
		}
		elem, err := g.goType(t.Elem, atomic)
		return fmt.Sprintf("[%d]%s", t.Count, elem), err
	case t.Kind == Struct || t.Kind == Union || t.Kind == Enum:
		return g.byType[t].goName, nil
	case atomic && (t.Kind == Int || t.Kind == Uint) && (t.Size == 4 || t.Size == 8):
		g.imports["sync/atomic"] = true
		return fmt.Sprintf("atomic.%v%d", map[Kind]string{Int: "Int", Uint: "Uint"}[t.Kind], 8*t.Size), nil
	}
	return g.scalar(t)
}

func (g *generator) printf(format string, args ...any) { fmt.Fprintf(&g.body, format, args...) }

// ports are the values of GOARCH for a byte order.
var ports = map[binary.ByteOrder]string{
	binary.LittleEndian: "386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64 || wasm",
	binary.BigEndian:    "mips || mips64 || ppc64 || s390x",
}

// header writes what stands before the imports.
func (g *generator) header(w io.Writer) {
	order := "little"
	if g.byteOrder == binary.BigEndian {
		order = "big"
	}
	fmt.Fprintf(w, "// Code generated by shm gen. DO NOT EDIT.\n\n")
	fmt.Fprintf(w, "// From a %s-endian program: the fields are right on such ports only.\n\n", order)
	fmt.Fprintf(w, "//go:build %s\n\npackage %s\n\n", ports[g.byteOrder], g.pkg)
}

// write puts the file together.
func (g *generator) write(w io.Writer) error {
	var file bytes.Buffer
	g.header(&file)
	if g.asserts.Len() > 0 {
		g.imports["unsafe"] = true
	}
	if len(g.imports) > 0 {
		fmt.Fprintf(&file, "import (\n")
		for _, path := range slices.Sorted(maps.Keys(g.imports)) {
			fmt.Fprintf(&file, "%q\n", path)
		}
		fmt.Fprintf(&file, ")\n\n")
	}
	file.Write(g.body.Bytes())
	if g.asserts.Len() > 0 {
		fmt.Fprintf(&file, "// These lines build only where Go's sizes and offsets, on the right, are C's.\nvar (\n%s)\n", &g.asserts)
	}
	source, err := format.Source(file.Bytes())
	if err != nil {
		return fmt.Errorf("layout: the generated file is not Go: %w", err)
	}
	_, err = w.Write(source)
	return err
}

// clean is a text from a program, fit for a comment of one line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// count is a number of things, in words.
func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
