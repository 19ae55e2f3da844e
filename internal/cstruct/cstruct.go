//go:build linux

// Package cstruct compares Go structs with C structs, as a C program tells of them.
package cstruct

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// Member is where a member of a struct lies. The member of an empty name is
// the struct itself: Offset is its size then, and Size its alignment.
type Member struct {
	Offset, Size uintptr
	Signed       bool
}

// Layout lists the members of a struct under the names they have in C, which are
// given for each of the Go fields: "Segsz shm_segsz".
func Layout[T any](into map[string]Member, tag string, names ...string) {
	t := reflect.TypeFor[T]()
	into[tag+"."] = Member{t.Size(), uintptr(t.Align()), false}
	inC := map[string]string{}
	for _, name := range names {
		golang, c, _ := strings.Cut(name, " ")
		inC[golang] = c
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			continue
		}
		c, ok := inC[f.Name]
		if !ok {
			panic(fmt.Sprintf("%v.%s: no name in C is given", t, f.Name))
		}
		signed := f.Type.Kind() >= reflect.Int && f.Type.Kind() <= reflect.Int64
		into[tag+"."+c] = Member{f.Offset, f.Type.Size(), signed}
	}
}

// SameBytes fails the test unless the struct has the bytes that C printed.
func SameBytes[T any](t testing.TB, command string, fromC []byte, v *T) {
	t.Helper()
	if diff := cmp.Diff(FromBytes[T](t, fromC), *v); diff != "" {
		t.Errorf("%s (-C +Go):\n%s", command, diff)
	}
	fromGo := Bytes(v)
	members := make([]byte, len(fromGo)) // padding is not copied with a Go struct
	markMembers(reflect.TypeFor[T](), members)
	for i, m := range members {
		if m != 0 && fromC[i] != fromGo[i] {
			t.Errorf("%s: byte %d is %#x in C and %#x in Go", command, i, fromC[i], fromGo[i])
		}
	}
}

// markMembers sets the bytes of a struct that are a named member's.
func markMembers(t reflect.Type, b []byte) {
	for i := range t.NumField() {
		switch f := t.Field(i); {
		case f.Name == "_":
		case f.Type.Kind() == reflect.Struct:
			markMembers(f.Type, b[f.Offset:])
		default:
			copy(b[f.Offset:], bytes.Repeat([]byte{1}, int(f.Type.Size())))
		}
	}
}

// Bytes returns the bytes of a struct.
func Bytes[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// FromBytes returns the struct that has these bytes, which C printed.
func FromBytes[T any](t testing.TB, b []byte) (v T) {
	t.Helper()
	if len(b) != len(Bytes(&v)) {
		t.Fatalf("%T has %d bytes, the C struct %d", v, len(Bytes(&v)), len(b))
	}
	copy(Bytes(&v), b)
	return v
}
