//go:build linux && cgo

package layout_test

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"structs"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/layout"
)

// header is what the C programs include.
const header = `
#include <stdint.h>

struct status {
	uint32_t ready;
	char     name[11];
	int32_t  celsius;
	uint32_t count;
};
`

// status is C's struct status.
type status struct {
	_       structs.HostLayout
	Ready   uint32
	Name    [11]byte
	_       [1]byte
	Celsius int32
	Count   uint32
}

// mistaken has a member of a wrong sign. It is C's struct as long as it does not
// freeze.
type mistaken struct {
	_       structs.HostLayout
	Ready   uint32
	Name    [11]byte
	_       [1]byte
	Celsius uint32
	Count   uint32
}

// A program that looks into C programs' segments checks when it starts that
// its structs are theirs.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "status.h")
	if err := os.WriteFile(path, []byte(header), 0o600); err != nil {
		log.Fatal(err)
	}
	types, err := layout.Compile(path) // or Open, of a program
	if err != nil {
		log.Fatal(err)
	}
	c, err := types.Type("struct status")
	if err != nil {
		log.Fatal(err)
	}
	g, err := layout.Of[status]()
	if err != nil {
		log.Fatal(err)
	}
	if err := layout.Compare(c, g); err != nil {
		log.Fatal(err)
	}
	wrong, err := layout.Of[mistaken]()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(layout.Compare(c, wrong))

	id, err := shm.Get(shm.IPC_PRIVATE, int(c.Size), shm.IPC_CREAT|0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	a, err := id.Attach(0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Detach()

	s, err := shm.View[status](a, 0)
	if err != nil {
		log.Fatal(err)
	}
	// This is the C program, at work on its name and celsius.
	mem, frost := a.Bytes(), int32(-40)
	copy(mem[c.Fields[1].Offset:], "probe")
	binary.NativeEndian.PutUint32(mem[c.Fields[2].Offset:], uint32(frost))

	fmt.Printf("%s %d\n", s.Name[:5], s.Celsius)
	// Output:
	// layout: struct status in C is not layout_test.mistaken in Go:
	// 	celsius: C has int (int of 4 bytes), Go uint32 (uint of 4 bytes)
	// probe -40
}
