// Package layout tells how types lie in memory: Go types, and the types of a
// compiled C program, which it reads from the program's debugging information.
// It compares the two, and generates Go types from C ones.
//
// A struct that a Go and a C program share must be the same struct on both
// sides: the same members at the same offsets, with the same sizes and signs.
// Neither compiler can check that, and reading the C source is not enough
// (padding, packing, bit-fields and the sizes of long and char are the C
// compiler's affair). What the C compiler has done is in the DWARF data of
// every program built with -g:
//
//	err := layout.Check[status]("/usr/lib/debug/sensord", "struct status")
//
// A Go struct that mirrors a C one should have a field of type
// [structs.HostLayout], and C's padding spelled out in blank fields.
package layout

import (
	"encoding/binary"
	"fmt"
)

// Kind tells how the bits of a type are to be read.
type Kind uint8

// The kinds of types.
const (
	Opaque  Kind = iota // bytes whose meaning neither Go nor every C shares: long double, __int128, a vector
	Bool                // C's _Bool
	Char                // C's plain char: signed on one port, unsigned on another
	Int                 // a signed integer
	Uint                // an unsigned integer
	Float               // an IEEE 754 number of 4 or 8 bytes
	Complex             // two of them
	Enum                // an integer with names for some values: Elem is the integer, Values the names
	Pointer             // an address, which means nothing in another process: Elem is what it leads to, or nil
	Array               // Count times Elem
	Struct              // Fields, one after the other
	Union               // Fields, one over the other
)

var kindNames = [...]string{
	"opaque", "bool", "char", "int", "uint", "float", "complex", "enum", "pointer", "array", "struct", "union",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Type is how a type lies in memory. A Type is not changed once it is made;
// it may be shared by goroutines. Types can be recursive, through pointers.
type Type struct {
	Name   string // "struct shmTime", "point_t", "unsigned int", "main.T"; "" for a type without a name
	Kind   Kind
	Size   int64 // in bytes
	Align  int64 // in bytes; 0: unknown, for DWARF rarely has it
	Elem   *Type // of an Array, an Enum, a Pointer
	Count  int64 // elements of an Array; 0 also for a flexible array member
	Fields []Field
	Values []Value // of an Enum, in the order of their declaration

	// ByteOrder is that of the program the type is from:
	// binary.LittleEndian or binary.BigEndian.
	ByteOrder binary.ByteOrder

	golang bool // a type of this program, not of a C one
}

// Field is a member of a Struct or Union.
type Field struct {
	Name   string // "" for an anonymous struct or union
	Decl   string // the type as it was declared, typedefs and all: "uint32_t", "struct node *"
	Offset int64  // in bytes, of the (first) byte that it is in
	Size   int64  // in bytes; of a bit-field: of all bytes that it is in

	// A bit-field has a BitSize that is not 0. BitOffset, 0 to 7, is that of
	// its first bit in its first byte, counted from the least significant bit
	// in a little-endian program and from the most significant in a
	// big-endian one.
	BitOffset, BitSize int64

	Type *Type
}

// Value is a named value of an Enum. Val holds the bits; it is negative only
// if the enum's integer is signed.
type Value struct {
	Name string
	Val  int64
}

// String returns the type's name, or what it is.
func (t *Type) String() string {
	switch {
	case t == nil:
		return "void"
	case t.Kind == Array:
		return fmt.Sprintf("%v[%d]", t.Elem, t.Count)
	case t.Kind == Pointer && t.Name == "":
		return fmt.Sprintf("%v *", t.Elem)
	case t.Name != "":
		return t.Name
	}
	return t.Kind.String()
}
