//go:build linux && cgo

package shm_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/faults"
)

// TestEveryFault: each call of the libc that each operation makes fails with each
// errno; see package faults. What is there then is what there was before, and
// works.
func TestEveryFault(t *testing.T) {
	faults.Run(t, "ctest/faults_each.c", func(t *testing.T, in *faults.Injector) {
		t.Run("List", func(t *testing.T) { testListFaults(t, in) }) // while the table is new
		in.Each(t, getFaults...)
		in.Each(t, attachFaults...)
		in.Each(t, reservationFaults...)
		in.Each(t, controlFaults...)
		in.Each(t, tableFaults...)
	})
}

var getFaults = []faults.Operation{
	{Name: "Ftok", Run: faults.Alone(func() error { return lastOf(shm.Ftok("/", 1)) })},
	{Name: "Get of a new one", Run: making(func() (shm.ID, error) {
		return shm.Get(testKey, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	})},
	{Name: "Get", Run: onSegment(func(shm.ID) error { return getErr(testKey, 1, 0o600) })},
	{Name: "GetOrCreate of a new one", Instead: lostRace, Run: making(func() (shm.ID, error) {
		return getOrCreate(true)
	})},
	{Name: "GetOrCreate", Instead: lostRace, Run: onSegment(func(shm.ID) error {
		return lastOf(getOrCreate(false))
	})},
}

// getOrCreate is GetOrCreate that says in its error if the segment is not new,
// or not old, as is wanted.
func getOrCreate(wantNew bool) (shm.ID, error) {
	id, created, err := shm.GetOrCreate(testKey, 1, 0o600)
	if created != (wantNew && err == nil) {
		return id, errors.New("created")
	}
	return id, err
}

// lostRace: GetOrCreate tries again where somebody else may have made the
// segment, or removed it.
func lostRace(f faults.Fault) (bool, error) {
	lost := f.N == 0 && f.Errno == syscall.EEXIST || f.N == 1 && f.Errno == syscall.ENOENT
	return lost && !f.Again, nil
}

// making has a segment made, which is there only if the operation succeeds.
func making(operation func() (shm.ID, error)) func(c *faults.Case) {
	return func(c *faults.Case) {
		var id shm.ID
		made := c.Do(func() (err error) {
			id, err = operation()
			return err
		})
		if n := len(procTable(c.T(), "shm")); (n == 1) != made {
			c.Errorf("%d segments", n)
		}
		if !made {
			id = must(operation())(c)
		}
		c.OK(id.Remove())
	}
}

// onSegment has an operation done to a segment. If it fails, the segment is as
// it was, and the operation can be done once more.
func onSegment(operation func(id shm.ID) error) func(c *faults.Case) {
	return func(c *faults.Case) {
		id := newSegment(c)
		before := stat(c.T(), id)
		done := c.Do(func() error { return operation(id) })
		if after := stat(c.T(), id); !done && after != before {
			c.Errorf("the segment was %+v, and is %+v", before, after)
		}
		c.OK(operation(id), id.Remove())
	}
}

func newSegment(c *faults.Case) shm.ID {
	return must(shm.Get(testKey, 2*os.Getpagesize(), shm.IPC_CREAT|shm.IPC_EXCL|0o600))(c)
}

// must is the value of a call that has to succeed.
func must[T any](value T, err error) func(c *faults.Case) T {
	return func(c *faults.Case) T {
		if err != nil {
			c.T().Fatal(err)
		}
		return value
	}
}

var controlFaults = []faults.Operation{
	{Name: "Stat", Run: onSegment(func(id shm.ID) error { return lastOf(id.Stat()) })},
	{Name: "Set", Run: onSegment(func(id shm.ID) error {
		return id.Set(&shm.ShmidDS{Perm: shm.IpcPerm{Mode: 0o640}})
	})},
	{Name: "LockPages", Run: onSegment(shm.ID.LockPages)},
	{Name: "UnlockPages", Run: onSegment(shm.ID.UnlockPages)},
	{Name: "Remove", Run: func(c *faults.Case) {
		id := newSegment(c)
		before := stat(c.T(), id)
		if c.Do(id.Remove) {
			return
		}
		if after := stat(c.T(), id); after != before {
			c.Errorf("the segment was %+v, and is %+v", before, after)
		}
		c.OK(id.Remove())
	}},
}

var tableFaults = []faults.Operation{
	{Name: "StatIndex", Run: onSegment(func(id shm.ID) error {
		_, _, err := shm.StatIndex(int(id) & 0x7fff)
		return err
	})},
	{Name: "StatIndexAny", Run: onSegment(func(id shm.ID) error {
		_, _, err := shm.StatIndexAny(int(id) & 0x7fff)
		return err
	})},
	{Name: "Limits", Run: faults.Alone(func() error { return lastOf(shm.Limits()) })},
	{Name: "Usage", Run: faults.Alone(func() error { return lastOf(shm.Usage()) })},
}

// testListFaults has List find an empty slot and a segment and, again, more than it
// has room for at once.
func testListFaults(t *testing.T, in *faults.Injector) {
	list := faults.Operation{
		Name: "one", Named: "SHM_STAT_ANY", Instead: withoutSlot,
		Run: faults.Alone(func() error { return lastOf(shm.List()) }),
	}
	first := get(t, shm.IPC_PRIVATE, 1, 0o600)
	get(t, shm.IPC_PRIVATE, 1, 0o600)
	remove(t, first)
	in.Each(t, list)
	for range 65 {
		get(t, shm.IPC_PRIVATE, 1, 0o600)
	}
	list.Name = "many"
	in.Each(t, list)
}

// withoutSlot: List does without a slot that is empty by now, and says that
// there are segments that it may not read.
func withoutSlot(f faults.Fault) (bool, error) {
	if !strings.HasPrefix(f.Command, "SHM_STAT") {
		return false, nil
	}
	switch f.Errno {
	case syscall.EINVAL, syscall.EIDRM:
		return true, nil
	case syscall.EACCES:
		return true, shm.ErrPartial
	}
	return false, nil
}
