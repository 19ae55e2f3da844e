package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"structs"
)

// ErrType tells of a Go type whose values mean nothing to another process,
// because they hold Go pointers or are of package sync.
var ErrType = errors.New("layout: type cannot be shared")

// Of returns the layout of a Go type, as this program's compiler has made it.
// A type of package sync/atomic is the integer that it holds. Blank fields
// are padding, and fields of no size are nothing.
//
// Errors: [ErrType], naming the first member that cannot be shared.
func Of[T any]() (*Type, error) { return OfType(reflect.TypeFor[T]()) }

// OfType is [Of] for a type known at run time.
func OfType(t reflect.Type) (*Type, error) {
	l, path, why := ofType(t)
	if why != "" {
		return nil, fmt.Errorf("%w: %v%s %s", ErrType, t, path, why)
	}
	return l, nil
}

// ofType returns the layout, or the path to the first member that cannot be
// shared and what it is.
func ofType(t reflect.Type) (l *Type, path, why string) {
	l = &Type{Name: t.String(), Size: int64(t.Size()), Align: int64(t.Align()), ByteOrder: native, golang: true}
	switch t.PkgPath() {
	case "sync":
		return nil, "", fmt.Sprintf("is a %v, which works in one process only", t)
	case "sync/atomic":
		if kind := atomics[t.Name()]; kind != Opaque {
			l.Kind = kind
			return l, "", ""
		}
	}
	switch t.Kind() {
	case reflect.Bool:
		l.Kind = Bool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		l.Kind = Int
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		l.Kind = Uint
	case reflect.Float32, reflect.Float64:
		l.Kind = Float
	case reflect.Complex64, reflect.Complex128:
		l.Kind = Complex
	case reflect.Array:
		l.Kind, l.Count = Array, int64(t.Len())
		l.Elem, path, why = ofType(t.Elem())
		if t.Len() == 0 {
			return l, "", "" // whatever it is of, there is none
		}
		return l, "[0]" + path, why
	case reflect.Struct:
		l.Kind = Struct
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Type.Size() == 0 || f.Type == reflect.TypeFor[structs.HostLayout]() {
				continue
			}
			ft, path, why := ofType(f.Type)
			if why != "" {
				return nil, "." + f.Name + path, why
			}
			if f.Name != "_" {
				l.Fields = append(l.Fields, Field{
					Name: f.Name, Decl: f.Type.String(),
					Offset: int64(f.Offset), Size: int64(f.Type.Size()), Type: ft,
				})
			}
		}
	default:
		return nil, "", fmt.Sprintf("is a %v, which holds a Go pointer", t)
	}
	return l, "", ""
}

// native is this machine's byte order, as one of the two that can be compared.
var native = func() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}()

// atomics are the types of sync/atomic that are an integer, and nothing else,
// in memory. Bool holds 4 bytes: it is not C's _Atomic _Bool.
var atomics = map[string]Kind{
	"Bool": Uint, "Int32": Int, "Int64": Int, "Uint32": Uint, "Uint64": Uint, "Uintptr": Uint,
}
