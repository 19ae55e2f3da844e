package layout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// MismatchError says in what two types differ, one difference a line:
//
//	layout: struct shmTime in C is not main.shmTime in Go:
//		receiveTimeStampSec: C at 24, Go at 20
type MismatchError struct {
	C, Go       *Type
	Differences []string
}

func (e *MismatchError) Error() string {
	c, g := e.sides()
	return fmt.Sprintf("layout: %v in %s is not %v in %s:\n\t%s", e.C, c, e.Go, g, strings.Join(e.Differences, "\n\t"))
}

// sides names the two programs.
func (e *MismatchError) sides() (string, string) {
	if e.C.golang == e.Go.golang {
		return "one", "the other"
	}
	return "C", "Go"
}

// Compare compares a C type with a Go type, or two types of either kind. It
// returns nil if they are the same memory: every member of one is in the other
// at the same offset with the same size and the same kind. Otherwise the error
// is a [*MismatchError].
//
// Names are not compared; they only serve the message. Nor is it compared how
// members are nested in structs. Go has other means than C for some members,
// which are the same memory:
//   - A plain char is an int8 or a uint8. A pointer is an unsigned integer of
//     its size, an enum the integer that it is in C.
//   - A union, a group of bit-fields and what is [Opaque] are bytes, or other
//     unsigned integers; a union may also be one of its members.
//   - A member that Go cannot place, as in a packed struct, is bytes.
//   - A flexible array member is nothing.
func Compare(c, g *Type) error {
	if c.golang && !g.golang {
		c, g = g, c
	}
	e := &MismatchError{C: c, Go: g}
	if c.ByteOrder != g.ByteOrder {
		e.Differences = append(e.Differences, fmt.Sprintf("byte order: %v and %v", c.ByteOrder, g.ByteOrder))
	}
	name, other := e.sides()
	if c.Size != g.Size {
		e.Differences = append(e.Differences, fmt.Sprintf("size: %s %d, %s %d", name, c.Size, other, g.Size))
	}
	m := newMatch(g)
	m.match(member{typ: c, size: c.Size, whole: c})
	e.Differences = append(e.Differences, m.differences(c, name, other)...)
	if len(e.Differences) == 0 {
		return nil
	}
	return e
}

// member is a member of a type, at any depth, or the whole type.
type member struct {
	path        string
	offset      int64 // in the whole type
	size        int64
	bit, bits   int64 // of a bit-field
	typ         *Type
	whole       *Type // the innermost struct or array element that it is in
	wholeOffset int64
}

func (m *member) of(f *Field) member {
	inner := member{
		path: m.path, offset: m.offset + f.Offset, size: f.Size, bit: f.BitOffset, bits: f.BitSize,
		typ: f.Type, whole: m.typ, wholeOffset: m.offset,
	}
	switch {
	case f.Name == "":
	case m.path == "":
		inner.path = f.Name
	default:
		inner.path += "." + f.Name
	}
	return inner
}

// describe tells what the member is, and where.
func (m *member) describe() string {
	if m.bits != 0 {
		return fmt.Sprintf("at %d bit %d, %d bits", m.offset, m.bit, m.bits)
	}
	return fmt.Sprintf("at %d", m.offset)
}

func (m *member) name() string {
	if m.path == "" {
		return m.typ.String()
	}
	return m.path
}

// leaves lists the members of a type that are not structs themselves, in the
// order of their offsets.
func leaves(m member, list []member) []member {
	if m.size == 0 {
		return list
	}
	if m.typ.Kind != Struct || m.bits != 0 {
		return append(list, m)
	}
	for i := range m.typ.Fields {
		list = leaves(m.of(&m.typ.Fields[i]), list)
	}
	return list
}

// match looks for the members of one type, the left, in another, the right.
type match struct {
	right   []member
	used    []bool
	missing []member // of the left
}

func newMatch(right *Type) *match {
	list := leaves(member{typ: right, size: right.Size, whole: right}, nil)
	slices.SortStableFunc(list, func(a, b member) int { return cmp.Compare(a.offset, b.offset) })
	return &match{right: list, used: make([]bool, len(list))}
}

// match looks for a member of the left.
func (m *match) match(l member) {
	switch {
	case l.size == 0:
	case m.matchBytes(l):
	case l.bits == 0 && l.typ.Kind == Struct:
		for i := range l.typ.Fields {
			m.match(l.of(&l.typ.Fields[i]))
		}
	case m.matchOne(l):
	case l.bits == 0 && l.typ.Kind == Union && m.matchUnion(l):
	default:
		m.missing = append(m.missing, l)
	}
}

// at returns the indices of the right's members in a range, and whether they
// lie in it entirely.
func (m *match) at(offset, size int64) (from, to int, inside bool) {
	from, _ = slices.BinarySearchFunc(m.right, offset, func(r member, o int64) int { return cmp.Compare(r.offset, o) })
	to, inside = from, from == 0 || m.right[from-1].offset+m.right[from-1].size <= offset
	for ; to < len(m.right) && m.right[to].offset < offset+size; to++ {
		inside = inside && m.right[to].offset+m.right[to].size <= offset+size
	}
	return from, to, inside
}

// matchBytes matches what has no counterpart of its own in Go with unsigned
// integers that fill its place.
func (m *match) matchBytes(l member) bool {
	if !raw(l) && placed(l) {
		return false
	}
	from, to, inside := m.at(l.offset, l.size)
	if l.bits != 0 { // several bit-fields share an integer
		if from > 0 && m.right[from-1].offset+m.right[from-1].size > l.offset {
			from--
		}
		inside = true
	}
	next := l.offset
	for i := from; i < to; i++ {
		r := m.right[i]
		if baseKind(r.typ) != Uint || r.bits != 0 || r.offset > next || !raw(l) && base(r.typ).Size != 1 {
			return false
		}
		next = r.offset + r.size
	}
	if !inside || from == to || next < l.offset+l.size {
		return false
	}
	m.use(from, to)
	return true
}

// raw tells whether a member may be bytes in Go wherever it lies.
func raw(m member) bool {
	return m.bits != 0 || baseKind(m.typ) == Union || baseKind(m.typ) == Opaque
}

func (m *match) use(from, to int) {
	for i := from; i < to; i++ {
		m.used[i] = true
	}
}

// matchOne matches a member with the one at its place.
func (m *match) matchOne(l member) bool {
	from, to, _ := m.at(l.offset, l.size)
	for i := from; i < to; i++ {
		r := m.right[i]
		if r.offset != l.offset || r.size != l.size || r.bit != l.bit || r.bits != l.bits {
			continue
		}
		if l.bits != 0 && baseKind(l.typ) == baseKind(r.typ) || l.bits == 0 && sameValues(l.typ, r.typ) {
			m.used[i] = true
			return true
		}
	}
	return false
}

// matchUnion matches a union with one of its members.
func (m *match) matchUnion(l member) bool {
	for i := range l.typ.Fields {
		try := &match{right: m.right, used: slices.Clone(m.used)}
		try.match(l.of(&l.typ.Fields[i]))
		from, to, inside := m.at(l.offset, l.size)
		if len(try.missing) > 0 || !inside || slices.Contains(try.used[from:to], false) {
			continue
		}
		m.used = try.used
		return true
	}
	return false
}

// base is the type of the elements of an array of any dimensions.
func base(t *Type) *Type {
	for t.Kind == Array {
		t = t.Elem
	}
	return t
}

// baseKind is the kind of the elements, with an enum for the integer it is.
func baseKind(t *Type) Kind {
	t = base(t)
	if t.Kind == Enum && t.Elem != nil {
		return t.Elem.Kind
	}
	return t.Kind
}

// sameValues tells whether two types of the same size are the same values, or
// arrays of them.
func sameValues(l, r *Type) bool {
	l, r = base(l), base(r)
	if l.Size != r.Size {
		return false
	}
	a, b := baseKind(l), baseKind(r)
	switch {
	case a == Union && b == Union:
		return sameUnion(l, r)
	case a == Struct && b == Struct, a == Struct && b == Union, a == Union && b == Struct:
		return Compare(l, r) == nil
	case a == Struct || b == Struct || a == Union || b == Union:
		return false
	case a == Char && l.Size == 1:
		return b == Char || b == Int || b == Uint
	case b == Char && r.Size == 1:
		return a == Int || a == Uint
	case a == Pointer:
		return b == Pointer || b == Uint
	case b == Pointer:
		return a == Uint
	}
	return a == b
}

func sameUnion(l, r *Type) bool {
	return slices.EqualFunc(l.Fields, r.Fields, func(a, b Field) bool {
		return a.Offset == b.Offset && a.BitSize == b.BitSize && a.BitOffset == b.BitOffset &&
			(a.BitSize == 0 && Compare(a.Type, b.Type) == nil || a.BitSize != 0 && baseKind(a.Type) == baseKind(b.Type))
	})
}

// placed tells whether Go can place the member in its struct: where it is, and
// without making the struct larger.
func placed(m member) bool {
	if m.whole.golang {
		return true
	}
	align := goAlign(m.typ)
	return (m.offset-m.wholeOffset)%align == 0 && m.whole.Size%align == 0
}

// goAlign is the alignment that Go may want of a type: as on 64-bit ports, the
// larger of the two. That of a struct or union is of those of its members that
// Go can place.
func goAlign(t *Type) int64 {
	t = base(t)
	switch t.Kind {
	case Struct, Union:
		align := int64(1)
		for i := range t.Fields {
			f := &t.Fields[i]
			if f.BitSize != 0 || f.Size == 0 {
				continue
			}
			if inner := goAlign(f.Type); f.Offset%inner == 0 && t.Size%inner == 0 {
				align = max(align, inner)
			}
		}
		return align
	case Opaque:
		return 1
	case Complex:
		return min(max(t.Size/2, 1), 8)
	}
	return min(max(t.Size, 1), 8)
}

// differences lists what is wrong, if anything is. Members of one name are
// compared with each other, wherever they are, so that it is seen which one
// has moved; only what has no namesake is said to be missing.
func (m *match) differences(c *Type, left, right string) (lines []string) {
	if len(m.missing) == 0 && !slices.Contains(m.used, false) {
		return nil
	}
	lefts := leaves(member{typ: c, size: c.Size, whole: c}, nil)
	names, otherNames := byName(lefts), byName(m.right)
	for i := range lefts {
		l := &lefts[i]
		missing := slices.ContainsFunc(m.missing, func(o member) bool { return o.path == l.path && o.offset == l.offset && o.bit == l.bit })
		if j, ok := otherNames[plain(l.path)]; ok && names[plain(l.path)] == i {
			lines = append(lines, pair(l, &m.right[j], missing || !m.used[j], left, right)...)
			m.used[j] = true
		} else if missing {
			lines = append(lines, fmt.Sprintf("%s: %s %s (%v), %s has no such member there", l.name(), left, l.describe(), l.typ, right))
		}
	}
	for j, used := range m.used {
		if r := &m.right[j]; !used {
			lines = append(lines, fmt.Sprintf("%s: %s %s (%v), %s has no such member there", r.name(), right, r.describe(), r.typ, left))
		}
	}
	return lines
}

// byName finds members by their plain names, where those are unique.
func byName(list []member) map[string]int {
	names := map[string]int{}
	twice := map[string]bool{}
	for i := range list {
		name := plain(list[i].path)
		if _, ok := names[name]; ok {
			twice[name] = true
		}
		names[name] = i
	}
	for name := range twice {
		delete(names, name)
	}
	return names
}

// pair says in what two members of one name differ, if they do. They may have
// moved and yet have each a match in another; without one they do differ.
func pair(l, r *member, unmatched bool, left, right string) []string {
	switch {
	case l.describe() != r.describe() && (l.bits == 0) == (r.bits == 0):
		return []string{fmt.Sprintf("%s: %s %s, %s %s", l.name(), left, l.describe(), right, r.describe())}
	case l.offset != r.offset:
		return []string{fmt.Sprintf("%s: %s at %d, %s at %d", l.name(), left, l.offset, right, r.offset)}
	case l.size != r.size:
		return []string{fmt.Sprintf("%s: %s has %s, %s %d", l.name(), left, count(l.size, "byte"), right, r.size)}
	case unmatched:
		return []string{fmt.Sprintf("%s: %s has %v (%v), %s %v (%v)", l.name(), left, l.typ, kinds(l.typ), right, r.typ, kinds(r.typ))}
	}
	return nil
}

func kinds(t *Type) string {
	if k := baseKind(t); t.Kind == Array {
		return fmt.Sprintf("%v of %s, in an array", k, count(base(t).Size, "byte"))
	}
	return fmt.Sprintf("%v of %s", baseKind(t), count(t.Size, "byte"))
}

// plain is a name as it is compared between C's habits and Go's.
func plain(path string) string {
	return strings.ToLower(strings.ReplaceAll(path, "_", ""))
}
