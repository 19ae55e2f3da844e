//go:build linux && cgo

package main

import (
	"reflect"
	"testing"

	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/layout"
)

func TestMain(m *testing.M) { ipcns.Main(m, cpeer.Remove) }

// The debugging information of the C program says where its members are. The
// libc's objects are opaque in Go: package layout can compare their places, and
// not what is in them.
func TestRecord(t *testing.T) {
	image, err := layout.Open(cpeer.Build(t, "locks.c", "-pthread"))
	if err != nil {
		t.Fatal(err)
	}
	for name, goType := range map[string]reflect.Type{
		"struct record": reflect.TypeFor[record](),
		"struct tally":  reflect.TypeFor[tally](),
	} {
		c, err := image.Type(name)
		if err != nil {
			t.Fatal(err)
		}
		if int64(goType.Size()) != c.Size {
			t.Errorf("%s: %d bytes in C, %d in Go", name, c.Size, goType.Size())
		}
		type place struct {
			offset, size int64
		}
		places := map[place]string{}
		for _, f := range c.Fields {
			places[place{f.Offset, f.Type.Size}] = f.Name
		}
		for i := range goType.NumField() {
			f := goType.Field(i)
			p := place{int64(f.Offset), int64(f.Type.Size())}
			if _, ok := places[p]; !ok && p.size > 0 {
				t.Errorf("%s: C has no member at %d of %d bytes, Go has %s", name, p.offset, p.size, f.Name)
			}
			if p.size > 0 {
				delete(places, p)
			}
		}
		for p, member := range places {
			t.Errorf("%s: Go has no member at %d of %d bytes, C has %s", name, p.offset, p.size, member)
		}
	}
}
