//go:build linux && cgo

package shm

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// View returns a pointer to the T that lies off bytes into the segment, like
// a C program's cast of its address. T's layout must be that of the C struct;
// a struct with a structs.HostLayout field says so. What is said of
// [Attachment.Bytes] holds for the pointer; stores through it to a read-only
// attachment fault.
//
// Atomic access: C11's atomics and sync/atomic agree. A field of a type such
// as atomic.Uint32 can be that of a C side's _Atomic uint32_t.
//
// Errors, each saying what was wrong: [ErrBounds] unless all of the T is in
// the segment; [ErrAlign] unless its address suits T; [ErrType] if T holds a
// Go pointer of any kind (also a string, slice, map, interface, channel or
// func), which would mean nothing to another process, or a type of package
// sync, which parks its waiters in one process; [ErrDetached].
func View[T any](a *Attachment, off int) (*T, error) {
	p, err := a.locate(reflect.TypeFor[T](), off, 1)
	return (*T)(p), err
}

// Slice returns the n consecutive T that lie off bytes into the segment, like
// a C program's array there. It is [View] otherwise; a negative n is
// [ErrBounds].
func Slice[T any](a *Attachment, off, n int) ([]T, error) {
	p, err := a.locate(reflect.TypeFor[T](), off, n)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(p), n), nil
}

// locate returns the address of n values of type t, off bytes into the segment.
// Go's own checks know nothing of memory that is not Go's; these are all
// there are.
func (a *Attachment) locate(t reflect.Type, off, n int) (unsafe.Pointer, error) {
	base := a.Pointer()
	if base == nil {
		return nil, ErrDetached
	}
	if err := shareable(t); err != nil {
		return nil, err
	}
	size := int(t.Size())
	if off < 0 || off > a.size || n < 0 || size > 0 && n > (a.size-off)/size {
		return nil, fmt.Errorf("%w: %d of %v, of %d bytes, at offset %d in a segment of %d", ErrBounds, n, t, size, off, a.size)
	}
	p := unsafe.Add(base, off)
	if align := t.Align(); uintptr(p)%uintptr(align) != 0 {
		return nil, fmt.Errorf("%w: %v at offset %d, needs a multiple of %d", ErrAlign, t, off, align)
	}
	return p, nil
}

var shareableTypes sync.Map // reflect.Type -> struct{}

// shareable tells whether values of the type mean the same in every process.
func shareable(t reflect.Type) error {
	if _, ok := shareableTypes.Load(t); ok {
		return nil
	}
	if path, why := unshareable(t); why != "" {
		return fmt.Errorf("%w: %v%s %s", ErrType, t, path, why)
	}
	shareableTypes.Store(t, struct{}{})
	return nil
}

// unshareable finds the first member that cannot be shared, and says why.
func unshareable(t reflect.Type) (path, why string) {
	if t.PkgPath() == "sync" {
		return "", fmt.Sprintf("is a %v, which works in one process only", t)
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Uintptr,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return "", ""
	case reflect.Array:
		if t.Len() == 0 {
			return "", ""
		}
		path, why = unshareable(t.Elem())
		return "[0]" + path, why
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if path, why = unshareable(f.Type); why != "" {
				return "." + f.Name + path, why
			}
		}
		return "", ""
	}
	return "", fmt.Sprintf("is a %v, which holds a Go pointer", t)
}
