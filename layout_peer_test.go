//go:build linux && cgo

package shm_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/layout"
)

// TestLayoutOfPeer: the debugging information of the C peer says the same of
// the structs as the peer itself says in TestStructsAreC, in every member, of
// any depth, and of the kinds of their values.
func TestLayoutOfPeer(t *testing.T) {
	im, err := layout.Open(cpeer.Build(t, "ctest/peer.c"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mirror := range []struct {
		name     string
		of       func() (*layout.Type, error)
		reserved int // words and paddings, of this struct alone
	}{
		{"struct shmid_ds", layout.Of[shm.ShmidDS], 1},
		{"struct ipc_perm", layout.Of[shm.IpcPerm], 2},
		{"struct shminfo", layout.Of[shm.LimitsInfo], 1},
		{"struct shm_info", layout.Of[shm.UsageInfo], 0},
	} {
		c, err := im.Type(mirror.name)
		if err != nil {
			t.Error(err)
			continue
		}
		g, err := mirror.of()
		if err != nil {
			t.Error(err)
			continue
		}
		if err := layout.Compare(withoutReserve(c), g); err != nil {
			t.Error(err)
		}
		t.Log(mirror.name, len(c.Fields), len(withoutReserve(c).Fields), len(g.Fields))
	}
}

// withoutReserve returns a C struct without the members that the libc has
// named as nobody's: they are blank fields in Go.
func withoutReserve(c *layout.Type) *layout.Type {
	if c.Kind != layout.Struct {
		return c
	}
	t := *c
	t.Fields = slices.DeleteFunc(slices.Clone(c.Fields), func(f layout.Field) bool {
		return strings.HasPrefix(f.Name, "__glibc_reserved") || strings.HasPrefix(f.Name, "__pad")
	})
	for i := range t.Fields {
		t.Fields[i].Type = withoutReserve(t.Fields[i].Type)
	}
	return &t
}
