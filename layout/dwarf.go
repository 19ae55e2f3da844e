package layout

import (
	"cmp"
	"debug/dwarf"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Bounds for hostile files: of sizes, so that sums and products of them do not
// overflow; of the nesting of types; and of the members of a type with those
// of its members, for each level of nesting may double them.
const (
	maxSize    = 1 << 48
	maxDepth   = 200
	maxMembers = 1 << 20
)

// reader makes Types of DWARF entries. Entries are read directly, for the
// standard library's types know neither _Atomic nor what is a declaration.
type reader struct {
	im      *Image
	r       *dwarf.Reader
	types   map[dwarf.Offset]*Type // nil while one is being made
	members map[*Type]int          // how many a type has, with those of its members
	unit    *unit
	depth   int
}

func (im *Image) reader() *reader {
	return &reader{im: im, r: im.dwarf.Reader(), types: map[dwarf.Offset]*Type{}, members: map[*Type]int{}}
}

// Attributes that package dwarf has no name for.
const attrGNUVector dwarf.Attr = 0x2107 // DW_AT_GNU_vector

// Encodings of base types: DW_ATE_*.
const (
	encBoolean      = 0x02
	encComplexFloat = 0x03
	encFloat        = 0x04
	encSigned       = 0x05
	encSignedChar   = 0x06
	encUnsigned     = 0x07
	encUnsignedChar = 0x08
	encUTF          = 0x10
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

// typeAt returns the type of an entry.
func (r *reader) typeAt(offset dwarf.Offset) (*Type, error) {
	if t, ok := r.types[offset]; ok {
		if t == nil {
			return nil, corrupt("a type contains itself")
		}
		return t, nil
	}
	if r.depth++; r.depth > maxDepth {
		return nil, corrupt("types are nested more than %d deep", maxDepth)
	}
	defer func() { r.depth-- }()
	r.types[offset] = nil
	t, err := r.make(offset)
	if err != nil {
		delete(r.types, offset)
		return nil, err
	}
	t.ByteOrder = r.im.byteOrder
	r.types[offset] = t
	return t, nil
}

// unitAt returns the unit that an entry is in.
func (im *Image) unitAt(offset dwarf.Offset) *unit {
	i, found := slices.BinarySearchFunc(im.units, offset, func(u *unit, o dwarf.Offset) int { return cmp.Compare(u.offset, o) })
	if !found && i > 0 {
		i--
	}
	return im.units[i]
}

// entry reads one entry, and leaves the reader at its children.
func (r *reader) entry(offset dwarf.Offset) (*dwarf.Entry, error) {
	if u := r.im.unitAt(offset); u != r.unit {
		// Up to Go 1.24, package dwarf finds the strings of a unit only if it
		// has come by the unit's first entry: it would take wrong ones.
		r.unit = u
		r.r.Seek(u.offset)
		_, _ = r.r.Next()
	}
	r.r.Seek(offset)
	e, err := r.r.Next()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if e == nil || e.Offset != offset {
		return nil, corrupt("no entry at offset %#x", offset)
	}
	return e, nil
}

// children reads the children of an entry that was just read.
func (r *reader) children(e *dwarf.Entry) ([]*dwarf.Entry, error) {
	if !e.Children {
		return nil, nil
	}
	var list []*dwarf.Entry
	for {
		c, err := r.r.Next()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if c == nil || c.Tag == 0 {
			return list, nil
		}
		list = append(list, c)
		r.r.SkipChildren()
	}
}

func (r *reader) make(offset dwarf.Offset) (*Type, error) {
	e, err := r.entry(offset)
	if err != nil {
		return nil, err
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	switch e.Tag {
	case dwarf.TagTypedef:
		t, err := r.target(e)
		if err != nil || t.Name != "" || t.Kind != Struct && t.Kind != Union && t.Kind != Enum {
			return t, err
		}
		named := *t // typedef struct { … } name: it has no other
		named.Name = name
		r.members[&named] = r.members[t]
		return &named, nil
	case dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagPackedType:
		return r.target(e)
	case dwarf.TagAtomicType:
		t, err := r.target(e)
		if err == nil && bits.OnesCount64(uint64(t.Size)) != 1 {
			// Compilers may pad it to one, and do not tell.
			return nil, unsupported("_Atomic %v, of %d bytes, which is no power of two", t, t.Size)
		}
		return t, err
	case dwarf.TagBaseType:
		return baseType(e, name)
	case dwarf.TagPointerType, dwarf.TagReferenceType, dwarf.TagRvalueReferenceType:
		size, ok := intVal(e, dwarf.AttrByteSize)
		if !ok {
			size = r.unit.addressSize
		}
		if size < 1 || size > 8 {
			return nil, corrupt("a pointer has %d bytes", size)
		}
		return &Type{Kind: Pointer, Name: r.decl(offset, 0), Size: size}, nil
	case dwarf.TagArrayType:
		return r.arrayType(e)
	case dwarf.TagEnumerationType:
		return r.enumType(e, name)
	case dwarf.TagStructType, dwarf.TagClassType:
		return r.structType(e, Struct, tagged("struct", name))
	case dwarf.TagUnionType:
		return r.structType(e, Union, tagged("union", name))
	}
	return nil, unsupported("a type of kind DW_TAG_%v", e.Tag)
}

func tagged(keyword, name string) string {
	if name == "" {
		return ""
	}
	return keyword + " " + name
}

// target is the type that an entry leads to.
func (r *reader) target(e *dwarf.Entry) (*Type, error) {
	switch v := e.Val(dwarf.AttrType).(type) {
	case dwarf.Offset:
		return r.typeAt(v)
	case uint64:
		return nil, errTypeUnits
	case nil:
		return nil, unsupported("void, which has no size")
	}
	return nil, unsupported("a reference of an unknown form: is it a file of dwz?")
}

// intVal is a constant attribute that is not negative and not absurd.
func intVal(e *dwarf.Entry, attr dwarf.Attr) (int64, bool) {
	v, ok := e.Val(attr).(int64)
	return v, ok && v >= 0 && v <= maxSize
}

func baseType(e *dwarf.Entry, name string) (*Type, error) {
	size, ok := intVal(e, dwarf.AttrByteSize)
	if !ok {
		return nil, corrupt("%s has no size", name)
	}
	t := &Type{Name: name, Size: size}
	encoding, _ := e.Val(dwarf.AttrEncoding).(int64)
	integer := size == 1 || size == 2 || size == 4 || size == 8
	if e.Val(dwarf.AttrBitSize) != nil {
		integer = false // _BitInt
	}
	switch {
	case encoding == encBoolean && size == 1:
		t.Kind = Bool
	case (encoding == encSignedChar || encoding == encUnsignedChar) && name == "char" && size == 1:
		t.Kind = Char
	case (encoding == encSigned || encoding == encSignedChar) && integer:
		t.Kind = Int
	case (encoding == encUnsigned || encoding == encUnsignedChar || encoding == encUTF) && integer:
		t.Kind = Uint
	case encoding == encFloat && (size == 4 || size == 8):
		t.Kind = Float
	case encoding == encComplexFloat && (size == 8 || size == 16):
		t.Kind = Complex
	}
	return t, nil
}

func (r *reader) arrayType(e *dwarf.Entry) (*Type, error) {
	ranges, err := r.children(e)
	if err != nil {
		return nil, err
	}
	elem, err := r.target(e)
	if err != nil {
		return nil, err
	}
	if e.Val(dwarf.AttrStrideSize) != nil {
		return nil, unsupported("an array with a stride")
	}
	var counts []int64
	for _, c := range ranges {
		if c.Tag == dwarf.TagSubrangeType || c.Tag == dwarf.TagEnumerationType {
			n, err := r.arrayCount(c)
			if err != nil {
				return nil, err
			}
			counts = append(counts, n)
		}
	}
	if len(counts) == 0 {
		counts = []int64{0}
	}
	t := elem
	for _, n := range slices.Backward(counts) { // the last dimension is the innermost
		if n > 0 && t.Size > maxSize/n {
			return nil, corrupt("an array of %d times %d bytes", n, t.Size)
		}
		t = &Type{Kind: Array, Elem: t, Count: n, Size: n * t.Size, ByteOrder: r.im.byteOrder}
	}
	if vector, _ := e.Val(attrGNUVector).(bool); vector {
		size := t.Size
		if n, ok := intVal(e, dwarf.AttrByteSize); ok {
			size = n
		}
		return &Type{Kind: Opaque, Name: fmt.Sprintf("vector of %d %v", t.Count, elem), Size: size}, nil
	}
	return t, nil
}

// arrayCount is the number of elements of a dimension; 0 if it is open.
func (r *reader) arrayCount(e *dwarf.Entry) (int64, error) {
	for _, attr := range []dwarf.Attr{dwarf.AttrCount, dwarf.AttrUpperBound} {
		switch v := e.Val(attr).(type) {
		case nil:
			continue
		case int64:
			if attr == dwarf.AttrUpperBound {
				if v == 1<<32-1 && r.unit.addressSize == 4 {
					v = -1 // x[0], from compilers that write the bound in 4 bytes
				}
				v++
			}
			if v < 0 || v > maxSize {
				return 0, corrupt("an array of %d elements", v)
			}
			return v, nil
		default:
			return 0, unsupported("an array whose length is computed")
		}
	}
	return 0, nil
}

func (r *reader) enumType(e *dwarf.Entry, name string) (*Type, error) {
	entries, err := r.children(e)
	if err != nil {
		return nil, err
	}
	size, ok := intVal(e, dwarf.AttrByteSize)
	if declared, _ := e.Val(dwarf.AttrDeclaration).(bool); declared || !ok {
		return nil, fmt.Errorf("%w: %s", ErrDeclared, tagged("enum", name))
	}
	if size != 1 && size != 2 && size != 4 && size != 8 {
		return nil, corrupt("an enum has %d bytes", size)
	}
	t := &Type{Kind: Enum, Name: tagged("enum", name), Size: size}
	negative := false
	for _, c := range entries {
		if c.Tag != dwarf.TagEnumerator {
			continue
		}
		v := Value{}
		v.Name, _ = c.Val(dwarf.AttrName).(string)
		switch n := c.Val(dwarf.AttrConstValue).(type) {
		case int64:
			v.Val = n
		case uint64:
			v.Val = int64(n)
		default:
			return nil, unsupported("the value of %s is not a number", v.Name)
		}
		negative = negative || v.Val < 0
		t.Values = append(t.Values, v)
	}
	if e.Val(dwarf.AttrType) != nil {
		if t.Elem, err = r.target(e); err != nil {
			return nil, err
		}
		if t.Elem.Size != size || t.Elem.Kind != Int && t.Elem.Kind != Uint && t.Elem.Kind != Char && t.Elem.Kind != Bool {
			return nil, corrupt("an enum of %d bytes is a %v", size, t.Elem)
		}
		return t, nil
	}
	// Older DWARF does not tell. gcc and clang make it unsigned unless a
	// value is negative.
	t.Elem = &Type{Kind: Uint, Name: fmt.Sprintf("uint%d_t", 8*size), Size: size, ByteOrder: r.im.byteOrder}
	if negative {
		t.Elem.Kind, t.Elem.Name = Int, fmt.Sprintf("int%d_t", 8*size)
	}
	return t, nil
}

func (r *reader) structType(e *dwarf.Entry, kind Kind, name string) (*Type, error) {
	if e.Val(dwarf.AttrSignature) != nil {
		return nil, errTypeUnits
	}
	entries, err := r.children(e)
	if err != nil {
		return nil, err
	}
	size, ok := intVal(e, dwarf.AttrByteSize)
	if declared, _ := e.Val(dwarf.AttrDeclaration).(bool); declared {
		return nil, fmt.Errorf("%w: %s", ErrDeclared, name)
	}
	if !ok {
		return nil, corrupt("%s has no size", name)
	}
	t := &Type{Kind: kind, Name: name, Size: size}
	t.Align, _ = intVal(e, dwarf.AttrAlignment)
	for _, c := range entries {
		if c.Tag == dwarf.TagInheritance && c.Val(dwarf.AttrVirtuality) != nil {
			return nil, unsupported("%s has a virtual base", name)
		}
		if c.Tag != dwarf.TagMember && c.Tag != dwarf.TagInheritance ||
			c.Val(dwarf.AttrExternal) != nil || c.Val(dwarf.AttrDeclaration) != nil { // a static member
			continue
		}
		f, err := r.field(c)
		if err == nil && f.Offset+f.Size > size {
			err = corrupt("it ends at %d, behind the struct's %d bytes", f.Offset+f.Size, size)
		}
		if err != nil {
			return nil, inMember(t, f.Name, err)
		}
		t.Fields = append(t.Fields, f)
		if r.members[t] += 1 + r.members[base(f.Type)]; r.members[t] > maxMembers {
			return nil, corrupt("%v has more than %d members", t, maxMembers)
		}
	}
	return t, nil
}

// memberError says in which member of a type an error is, by its path.
type memberError struct {
	typ, path string
	err       error
}

func (e *memberError) Error() string { return fmt.Sprintf("%s, member %s: %v", e.typ, e.path, e.err) }
func (e *memberError) Unwrap() error { return e.err }

func inMember(t *Type, name string, err error) error {
	var inner *memberError
	if errors.As(err, &inner) {
		return &memberError{t.String(), name + "." + inner.path, inner.err}
	}
	return &memberError{t.String(), name, err}
}

func (r *reader) field(e *dwarf.Entry) (Field, error) {
	var f Field
	f.Name, _ = e.Val(dwarf.AttrName).(string)
	var err error
	if f.Type, err = r.target(e); err != nil {
		return f, err
	}
	if target, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
		f.Decl = r.decl(target, 0)
	}
	f.Size = f.Type.Size
	if f.Offset, err = memberLocation(e); err != nil {
		return f, err
	}
	bitSize, isBits := e.Val(dwarf.AttrBitSize).(int64)
	if !isBits {
		return f, nil
	}
	return f, r.bitField(&f, e, bitSize)
}

// memberLocation is the offset of a member in bytes. In DWARF 2 it is an
// expression.
func memberLocation(e *dwarf.Entry) (int64, error) {
	switch v := e.Val(dwarf.AttrDataMemberLoc).(type) {
	case nil:
		return 0, nil
	case int64:
		if v >= 0 && v <= maxSize {
			return v, nil
		}
		return 0, corrupt("its offset is %d", v)
	case []byte:
		const plusUconst = 0x23
		var n uint64
		if len(v) < 2 || v[0] != plusUconst {
			return 0, unsupported("its offset is computed")
		}
		for i, b := range v[1:] {
			if i > 6 {
				return 0, corrupt("its offset is too large")
			}
			n |= uint64(b&0x7f) << (7 * i)
			if b&0x80 == 0 && i != len(v)-2 {
				return 0, unsupported("its offset is computed")
			}
		}
		return int64(n), nil
	}
	return 0, unsupported("its offset is computed")
}

// bitField fills in where the bits are. DWARF 4 and before count from the most
// significant bit of a storage unit, DWARF 5 from the beginning of the struct.
func (r *reader) bitField(f *Field, e *dwarf.Entry, bitSize int64) error {
	first, direct := intVal(e, dwarf.AttrDataBitOffset)
	if !direct {
		unit, ok := intVal(e, dwarf.AttrByteSize)
		if !ok {
			unit = f.Type.Size
		}
		fromTop, _ := e.Val(dwarf.AttrBitOffset).(int64) // negative when it begins before its unit
		if fromTop < -maxSize || fromTop > maxSize {
			return corrupt("its bits are at %d", fromTop)
		}
		first = 8*f.Offset + fromTop
		if r.im.byteOrder == binary.LittleEndian {
			first = 8*f.Offset + 8*unit - fromTop - bitSize
		}
	}
	if bitSize < 1 || bitSize > 8*f.Type.Size || first < 0 || f.Type.Size > 8 {
		return corrupt("%d bits at bit %d of a type of %d bytes", bitSize, first, f.Type.Size)
	}
	f.Offset, f.BitOffset, f.BitSize = first/8, first%8, bitSize
	f.Size = (f.BitOffset + bitSize + 7) / 8
	return nil
}

// decl writes a type as C declares it, typedefs and all.
func (r *reader) decl(offset dwarf.Offset, depth int) string {
	e, err := r.entry(offset)
	if err != nil || depth > 20 {
		return "?"
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	inner := func() string {
		if target, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
			return r.decl(target, depth+1)
		}
		return "void"
	}
	switch e.Tag {
	case dwarf.TagTypedef, dwarf.TagBaseType, dwarf.TagUnspecifiedType:
		return name
	case dwarf.TagStructType, dwarf.TagClassType:
		return anonymous("struct", name)
	case dwarf.TagUnionType:
		return anonymous("union", name)
	case dwarf.TagEnumerationType:
		return anonymous("enum", name)
	case dwarf.TagConstType:
		return "const " + inner()
	case dwarf.TagVolatileType:
		return "volatile " + inner()
	case dwarf.TagAtomicType:
		return "_Atomic " + inner()
	case dwarf.TagRestrictType, dwarf.TagPackedType:
		return inner()
	case dwarf.TagPointerType:
		return inner() + " *"
	case dwarf.TagSubroutineType:
		return inner() + " (function)"
	case dwarf.TagArrayType:
		var dims strings.Builder
		ranges, err := r.children(e)
		if err != nil {
			return "?"
		}
		for _, c := range ranges {
			if n, err := r.arrayCount(c); err == nil && c.Tag == dwarf.TagSubrangeType {
				fmt.Fprintf(&dims, "[%d]", n)
			}
		}
		return inner() + dims.String()
	}
	return name
}

func anonymous(keyword, name string) string {
	if name == "" {
		return keyword + " {…}"
	}
	return keyword + " " + name
}
