//go:build linux && cgo

package shm_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/layout"
)

// TestLayoutOfPeer: the debugging information of the C peer says of the
// structs what the peer itself says in TestStructsAreC, in every member at any
// depth, and of what kind its values are.
func TestLayoutOfPeer(t *testing.T) {
	if answer, err := startC(t).Do("libc"); err != nil || answer[0] == "0" {
		t.Skip("musl's structs have other names, and an int for __seq: ", err)
	}
	im, err := layout.Open(cpeer.Program(t, "ctest"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mirror := range []struct {
		name    string
		of      func() (*layout.Type, error)
		reserve bool
	}{
		{"struct shmid_ds", layout.Of[shm.ShmidDS], true},
		{"struct ipc_perm", layout.Of[shm.IpcPerm], true},
		{"struct shminfo", layout.Of[shm.LimitsInfo], true},
		{"struct shm_info", layout.Of[shm.UsageInfo], false},
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
		// That the reserve is all that was left out, and is seen.
		if err := layout.Compare(c, g); (err != nil) != mirror.reserve {
			t.Errorf("%s with its reserve: %v", mirror.name, err)
		}
	}
}

// reserveName matches the names of members that are nobody's, and blank fields
// in Go.
var reserveName = regexp.MustCompile(`^__(glibc_reserved|pad|unused|shm_[adc]time_high)`)

// withoutReserve returns a C type without those members.
func withoutReserve(c *layout.Type) *layout.Type {
	if c.Kind != layout.Struct {
		return c
	}
	t := *c
	t.Fields = slices.DeleteFunc(slices.Clone(c.Fields), func(f layout.Field) bool { return reserveName.MatchString(f.Name) })
	for i := range t.Fields {
		t.Fields[i].Type = withoutReserve(t.Fields[i].Type)
	}
	return &t
}
