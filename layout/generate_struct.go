package layout

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// aggregate is a struct or a union while it is written.
type aggregate struct {
	g     *generator
	decl  *decl
	align int64 // of the Go type
	parts []*part
	areas []*area
	names names // of fields and methods
}

// form is how a member is written in Go.
type form uint8

const (
	asField   form = iota // a field
	asPointer             // in an area, with a method that returns its address
	asCopy                // in an area, with methods that copy
	asBits                // a bit-field, in an area, with methods
	asNothing             // it has no bytes
)

// part is a member, or a member of an anonymous one.
type part struct {
	field  *Field
	form   form
	offset int64 // in the whole
	area   *area
	name   string // in Go
	typ    string // in Go
}

// area is a field of bytes, in which members are that Go cannot have as
// fields.
type area struct {
	offset, end int64
	name        string
	bits        bool     // of bit-fields only
	first       *Field   // for errors
	members     []string // those with methods
}

// aggregate writes a struct or a union.
func (g *generator) aggregate(d *decl) error {
	a := &aggregate{g: g, decl: d, align: goAlign(d.typ)}
	var whole *area
	if d.typ.Kind == Union && d.typ.Size > 0 {
		whole = a.newArea("raw", 0, &Field{Size: d.typ.Size})
	}
	if err := a.gather(d.typ, 0, whole); err != nil {
		return err
	}
	a.name()
	for _, p := range a.parts {
		if err := a.setType(p); err != nil {
			return inMember(d.typ, p.field.Name, err)
		}
	}
	fields, err := a.fields()
	if err != nil {
		return err
	}
	a.writeType(fields)
	for _, p := range a.parts {
		a.writeMethods(p)
	}
	return nil
}

func (a *aggregate) newArea(name string, offset int64, first *Field) *area {
	in := &area{offset: offset, end: offset + first.Size, name: fmt.Sprintf("%s%d", name, offset), bits: name == "bits", first: first}
	a.areas = append(a.areas, in)
	return in
}

// gather lists the members of t, which is at an offset in the whole and
// perhaps in an area.
func (a *aggregate) gather(t *Type, offset int64, in *area) error {
	order := make([]*Field, len(t.Fields))
	for i := range t.Fields {
		order[i] = &t.Fields[i]
	}
	slices.SortStableFunc(order, func(f, g *Field) int { return cmp.Compare(f.Offset, g.Offset) })
	for _, f := range order {
		if f.Offset < 0 || f.Size < 0 || f.Offset+f.Size > t.Size || f.BitSize == 0 && f.Size != f.Type.Size {
			return inMember(a.decl.typ, f.Name, unsupported("%d bytes at %d in a %v of %d", f.Size, f.Offset, t.Kind, t.Size))
		}
		p := &part{field: f, offset: offset + f.Offset, area: in}
		ok := placed(member{typ: f.Type, offset: f.Offset, whole: t})
		switch align := goAlign(f.Type); {
		case f.BitSize != 0:
			p.form = asBits
			if in == nil {
				p.area = a.bitsArea(p.offset, f)
			}
		case anonymousMember(f):
			inner := in
			if in == nil && f.Size > 0 && (f.Type.Kind == Union || !ok) {
				inner = a.newArea("raw", p.offset, f)
			}
			if err := a.gather(f.Type, p.offset, inner); err != nil {
				return err
			}
			continue
		case f.Size == 0:
			p.form = asNothing
		case in != nil && p.offset%align == 0 && a.align >= align:
			p.form = asPointer
		case in != nil:
			p.form = asCopy
		case !ok:
			p.form = asCopy
			p.area = a.newArea("raw", p.offset, f)
		}
		a.parts = append(a.parts, p)
	}
	return nil
}

// bitsArea is the area for a bit-field: that of the one before, if it begins
// there or next to it.
func (a *aggregate) bitsArea(offset int64, f *Field) *area {
	if n := len(a.areas); n > 0 {
		if last := a.areas[n-1]; last.bits && last.offset <= offset && offset <= last.end {
			last.end = max(last.end, offset+f.Size)
			return last
		}
	}
	return a.newArea("bits", offset, f)
}

// name gives the members their names: the fields first.
func (a *aggregate) name() {
	for _, p := range a.parts {
		a.names.want(goName(p.field.Name))
	}
	take := func(fields bool) {
		for _, p := range a.parts {
			if (p.form == asField) != fields || p.form == asBits && p.field.Name == "" {
				continue
			}
			p.name = a.names.take(goName(p.field.Name))
			if p.area != nil {
				p.area.members = append(p.area.members, p.name)
			}
		}
	}
	take(true)
	for _, method := range standardMethods {
		a.names.take(method)
	}
	take(false)
}

// setType finds the member's Go type.
func (a *aggregate) setType(p *part) (err error) {
	atomic := isAtomic(p.field) && (p.form == asField || p.form == asPointer)
	p.typ, err = a.g.goType(p.field.Type, atomic)
	if err != nil || p.form != asBits {
		return err
	}
	f := p.field
	integer := f.Type
	if integer.Kind == Enum {
		integer = enumInteger(integer)
	}
	switch {
	case integer.Kind != Int && integer.Kind != Uint && integer.Kind != Bool && integer.Kind != Char,
		f.BitSize < 0 || f.BitSize > 8*f.Type.Size, f.BitOffset < 0 || f.BitOffset > 7,
		f.Size != (f.BitOffset+f.BitSize+7)/8:
		return unsupported("%d bits at bit %d of a %v, in %d bytes", f.BitSize, f.BitOffset, f.Type.Kind, f.Size)
	}
	return nil
}

// goField is a field of the Go struct, or only a comment in it.
type goField struct {
	offset, size       int64
	name, typ, comment string
	member             *Field
}

// fields lists the fields, with the padding.
func (a *aggregate) fields() ([]goField, error) {
	var list []goField
	for _, p := range a.parts {
		switch f := p.field; {
		case p.form == asField:
			list = append(list, goField{p.offset, f.Size, p.name, p.typ, declaration(f) + remark(p), f})
		case p.form == asNothing && f.Type.Kind == Array:
			list = append(list, goField{offset: p.offset, comment: declaration(f) + " begins here", member: f})
		case p.form == asNothing:
			list = append(list, goField{offset: p.offset, comment: declaration(f) + " has no bytes", member: f})
		}
	}
	for _, in := range a.areas {
		list = append(list, goField{
			in.offset, in.end - in.offset, in.name, fmt.Sprintf("[%d]byte", in.end-in.offset), listed(in.members), in.first,
		})
	}
	slices.SortStableFunc(list, func(f, g goField) int {
		return cmp.Or(cmp.Compare(f.offset, g.offset), cmp.Compare(f.size, g.size))
	})
	var padded []goField
	next := int64(0)
	pad := func(to int64) {
		if to > next {
			padded = append(padded, goField{offset: next, size: to - next, name: "_", typ: fmt.Sprintf("[%d]byte", to-next), comment: "padding"})
		}
	}
	for _, f := range list {
		if f.offset < next && f.size > 0 {
			return nil, inMember(a.decl.typ, f.member.Name, unsupported("it lies over the member before it"))
		}
		if f.size > 0 || f.offset > next {
			pad(f.offset)
		}
		padded = append(padded, f)
		next = max(next, f.offset+f.size)
	}
	pad(a.decl.typ.Size)
	return padded, nil
}

// listed names the members that an area has methods for.
func listed(members []string) string {
	if len(members) == 0 {
		return "unnamed bits"
	}
	if len(members) > 6 {
		members = append(slices.Clone(members[:5]), "…")
	}
	return strings.Join(members, ", ")
}

// remark says what the Go type does not.
func remark(p *part) string {
	t := base(p.field.Type)
	switch {
	case t.Kind == Pointer:
		return ": an address in the C program"
	case t.Kind == Opaque:
		return ": not a type of Go"
	case isAtomic(p.field) && p.form == asCopy:
		return ": not atomic here"
	case isAtomic(p.field) && t.Kind == Enum && (t.Size == 4 || t.Size == 8):
		integer := fmt.Sprintf("%s%d", map[bool]string{true: "Int", false: "Uint"}[enumInteger(t).Kind == Int], 8*t.Size)
		return fmt.Sprintf(": atomic.Load%s((*%s)(&s.%s))", integer, strings.ToLower(integer), p.name)
	case isAtomic(p.field) && !strings.Contains(p.typ, "atomic."):
		return ": sync/atomic has none such"
	}
	return ""
}

// writeType writes the type and the assertions about it.
func (a *aggregate) writeType(fields []goField) {
	g, t, name := a.g, a.decl.typ, a.decl.goName
	g.imports["structs"] = true
	g.printf("// %s is %s, of %s", name, clean(a.decl.cName), count(t.Size, "byte"))
	if t.Align > a.align {
		g.printf(", which C aligns to %d", t.Align)
	}
	g.printf(".\ntype %s struct {\n_ structs.HostLayout\n", name)
	if p := a.aligning(); p != nil {
		g.printf("_ [0]%s // as aligned as %s\n", strings.TrimLeft(p.typ, "[]0123456789"), p.name)
	}
	g.printf("\n")
	fmt.Fprintf(&g.asserts, "\n_ [%d]struct{} = [unsafe.Sizeof(%s{})]struct{}{}\n", t.Size, name)
	for _, f := range fields {
		switch f.name {
		case "":
			g.printf("// %d: %s\n", f.offset, f.comment)
			continue
		case "_":
			g.printf("_ %s // %d: %s\n", f.typ, f.offset, f.comment)
			continue
		}
		g.printf("%s %s // %d: %s\n", f.name, f.typ, f.offset, f.comment)
		fmt.Fprintf(&g.asserts, "_ [%d][%d]struct{} = [unsafe.Offsetof(%s{}.%s)][unsafe.Sizeof(%[3]s{}.%s)]struct{}{}\n",
			f.offset, f.size, name, f.name)
	}
	g.printf("}\n\n")
}

// aligning is a member that is more aligned than all fields: its methods
// return its address, and the whole must be as aligned.
func (a *aggregate) aligning() *part {
	var most *part
	fields := int64(1)
	for _, p := range a.parts {
		switch align := goAlign(p.field.Type); {
		case p.form == asField:
			fields = max(fields, align)
		case p.form == asPointer && align > 1 && (most == nil || align > goAlign(most.field.Type)):
			most = p
		}
	}
	if most == nil || goAlign(most.field.Type) <= fields {
		return nil
	}
	return most
}

// writeMethods writes what stands for a member that is not a field.
func (a *aggregate) writeMethods(p *part) {
	if p.name == "" { // an unnamed bit-field
		return
	}
	g, f := a.g, p.field
	receiver := "func (s *" + a.decl.goName + ") "
	switch p.form {
	case asPointer:
		g.imports["unsafe"] = true
		g.printf("// %s points to %s, at %d%s.\n", p.name, declaration(f), p.offset, remark(p))
		g.printf("%s%s() *%s { return (*%[3]s)(unsafe.Pointer(&s.%s[%d])) }\n\n", receiver, p.name, p.typ, p.area.name, p.offset-p.area.offset)
	case asCopy:
		a.writeCopies(p, receiver)
	case asBits:
		a.writeBits(p, receiver)
	case asNothing:
		if f.Type.Kind == Array {
			name := g.names.take(a.decl.goName + p.name + "Offset")
			elem, _ := g.goType(f.Type.Elem, false)
			g.printf("// %s is where %s begins in %s, of elements %s.\n", name, declaration(f), a.decl.goName, elem)
			g.printf("const %s = %d\n\n", name, p.offset)
		}
	}
	if t := f.Type; t.Kind == Array && t.Elem.Kind == Char && (p.form == asField || p.form == asPointer) {
		a.writeString(p, receiver)
	}
}

// writeCopies writes the methods of a member that is not aligned.
func (a *aggregate) writeCopies(p *part, receiver string) {
	g, f := a.g, p.field
	g.imports["unsafe"] = true
	bytes := fmt.Sprintf("*(*[%d]byte)", f.Size)
	there := "s." + p.area.name
	get, set := there, there
	if f.Size != p.area.end-p.area.offset {
		from := p.offset - p.area.offset
		there = fmt.Sprintf("(s.%s[%d:%d])", p.area.name, from, from+f.Size)
		get, set = bytes+there, bytes+there
	}
	param, address := p.typ, "&v"
	if kind := base(f.Type).Kind; kind == Struct || kind == Union {
		param, address = "*"+p.typ, "v" // it may hold what must not be copied
	}
	g.printf("// %s returns %s, which is at %d%s.\n", p.name, declaration(f), p.offset, remark(p))
	g.printf("%s%s() (v %s) {\n%s(unsafe.Pointer(&v)) = %s\nreturn\n}\n\n", receiver, p.name, p.typ, bytes, get)
	setter := a.names.take("Set" + p.name)
	g.printf("// %s sets it.\n", setter)
	g.printf("%s%s(v %s) { %s = %s(unsafe.Pointer(%s)) }\n\n", receiver, setter, param, set, bytes, address)
}

// writeString writes the methods of a char[N].
func (a *aggregate) writeString(p *part, receiver string) {
	g := a.g
	g.imports["bytes"] = true
	get := p.name
	if p.form == asPointer {
		get += "()"
	}
	getter, setter := a.names.take(p.name+"String"), a.names.take("Set"+p.name+"String")
	g.printf("// %s returns the text of %s, up to its NUL.\n", getter, p.name)
	g.printf("%s%s() string {\ntext, _, _ := bytes.Cut(s.%s[:], []byte{0})\nreturn string(text)\n}\n\n", receiver, getter, get)
	g.printf("// %s sets it to at most %s of text, and NULs.\n", setter, count(p.field.Type.Count-1, "byte"))
	g.printf("%s%s(text string) { clear(s.%s[copy(s.%[3]s[:%d], text):]) }\n\n", receiver, setter, get, p.field.Type.Count-1)
}

// writeBits writes the methods of a bit-field. Only the bytes that it is in
// are read and written.
func (a *aggregate) writeBits(p *part, receiver string) {
	g, f := a.g, p.field
	t := f.Type
	word, v := "uint64", "v"
	switch {
	case t.Kind == Enum:
		t = enumInteger(t)
	case t.Kind != Int && t.Kind != Bool:
		word = p.typ
	}
	if t.Kind == Bool {
		v = "b"
	}
	var terms, stores []string
	for i := range f.Size {
		b := fmt.Sprintf("s.%s[%d]", p.area.name, p.offset-p.area.offset+i)
		mask, shift := a.bitsOfByte(f, i)
		old, load, store := "", b, "byte("+shifted(v, -shift)+")"
		if mask != 0xff {
			old, load, store = fmt.Sprintf("%s&^%#02x | ", b, mask), fmt.Sprintf("%s&%#02x", b, mask), fmt.Sprintf("%s&%#02x", store, mask)
		}
		terms = append(terms, shifted(word+"("+load+")", shift))
		stores = append(stores, b+" = "+old+store)
	}
	sum := strings.Join(terms, " | ")
	switch {
	case t.Kind == Bool:
		sum += " != 0"
	case t.Kind == Int:
		sum = fmt.Sprintf("%s(int64((%s)<<%d) >> %[3]d)", p.typ, sum, 64-f.BitSize)
	case word != p.typ:
		sum = fmt.Sprintf("%s(%s)", p.typ, sum)
	}
	g.printf("// %s returns %s, which is at %d, bit %d.\n", p.name, declaration(f), p.offset, f.BitOffset)
	g.printf("%s%s() %s { return %s }\n\n", receiver, p.name, p.typ, sum)
	setter := a.names.take("Set" + p.name)
	if t.Kind == Bool {
		g.printf("// %s sets it.\n%s%s(v %s) {\nvar b byte\nif v {\nb = 1\n}\n", setter, receiver, setter, p.typ)
	} else {
		g.printf("// %s sets it to the lowest %s of v.\n%s%s(v %s) {\n", setter, count(f.BitSize, "bit"), receiver, setter, p.typ)
	}
	g.printf("%s\n}\n\n", strings.Join(stores, "\n"))
}

// bitsOfByte tells which bits of byte i belong to a bit-field, and how far to
// shift them to the left to have them at their place in its value.
func (a *aggregate) bitsOfByte(f *Field, i int64) (mask uint8, shift int64) {
	from, to := max(f.BitOffset-8*i, 0), min(f.BitOffset+f.BitSize-8*i, 8)
	ones := uint8(1<<(to-from) - 1)
	if a.g.byteOrder == binary.BigEndian {
		return ones << (8 - to), f.BitOffset + f.BitSize - 8*(i+1)
	}
	return ones << from, 8*i - f.BitOffset
}

// shifted writes a shift to the left or, if it is negative, to the right.
func shifted(expr string, left int64) string {
	switch {
	case left > 0:
		return fmt.Sprintf("%s<<%d", expr, left)
	case left < 0:
		return fmt.Sprintf("%s>>%d", expr, -left)
	}
	return expr
}
