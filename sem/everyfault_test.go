//go:build linux && cgo

package sem_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/faults"
	"github.com/gosysv/shm/sem"
)

// TestEveryFault: each call of the libc that each operation makes fails with
// each errno; see package faults. What is there then is what there was before,
// and works.
func TestEveryFault(t *testing.T) {
	faults.Run(t, "../ctest/faults_each.c", func(t *testing.T, in *faults.Injector) {
		t.Run("List", func(t *testing.T) { testListFaults(t, in) }) // while the table is new
		in.Each(t, getFaults...)
		in.Each(t, controlFaults...)
		in.Each(t, tableFaults...)
		in.Each(t, opFaults...)
		in.Each(t, mutexFaults...)
	})
}

var getFaults = []faults.Operation{
	{Name: "Get of a new one", Run: making(func() (sem.ID, error) {
		return sem.Get(testKey, 2, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	})},
	{Name: "Get", Run: onSet(func(sem.ID) error { return getErr(testKey, 1, 0o600) })},
	{
		Name: "GetOrCreate of a new one", Named: "SETALL",
		Run: making(func() (sem.ID, error) { return getOrCreate(true) }),
		Instead: func(f faults.Fault) (bool, error) {
			switch {
			case f.Command == "IPC_STAT" && f.Errno == syscall.EACCES, f.Errno == syscall.EINTR:
				return true, nil // it asks by SEM_STAT_ANY; it tries again
			}
			return f.N == 0 && f.Errno == syscall.EEXIST && !f.Again, nil
		},
	},
	{Name: "GetOrCreate", Instead: whileOpening, Run: onSet(func(sem.ID) error { return lastOf(getOrCreate(false)) })},
}

// getOrCreate is GetOrCreate that says in its error if the set is not new, or
// not old, as is wanted.
func getOrCreate(wantNew bool) (sem.ID, error) {
	id, created, err := sem.GetOrCreate(testKey, 0o600, 1, 2)
	if created != (wantNew && err == nil) {
		return id, errors.New("created")
	}
	return id, err
}

// whileOpening: GetOrCreate tries again where somebody else may have made the
// set, or removed it.
func whileOpening(f faults.Fault) (bool, error) {
	switch {
	case f.Call == "semget":
		lost := f.N == 0 && f.Errno == syscall.EEXIST || f.N == 1 && f.Errno == syscall.ENOENT
		return lost && !f.Again, nil
	case f.Errno == syscall.EACCES: // it asks by SEM_STAT_ANY
		return true, nil
	case f.Again && (f.Errno == syscall.EIDRM || f.Errno == syscall.EINVAL):
		return true, syscall.ENOENT
	}
	return f.Errno == syscall.EIDRM, nil
}

// making has a set made, which is there only if the operation succeeds.
func making(operation func() (sem.ID, error)) func(c *faults.Case) {
	return func(c *faults.Case) {
		var id sem.ID
		made := c.Do(func() (err error) { id, err = operation(); return err })
		if n := len(procTable(c.T())); (n == 1) != made {
			c.Errorf("%d sets", n)
		}
		if !made {
			var err error
			id, err = operation()
			c.OK(err)
		}
		c.OK(id.Remove())
	}
}

// prepare makes a set of the values 1 and 2, which is initialised, and returns
// a function that checks that it is as it was.
func prepare(c *faults.Case) (id sem.ID, unchanged func()) {
	id, err := getOrCreate(true)
	c.OK(err)
	before := stat(c.T(), id)
	return id, func() {
		values, err := id.Values()
		c.OK(err)
		if after := stat(c.T(), id); after != before || !slices.Equal(values, []uint16{1, 2}) {
			c.Errorf("the set was %+v, and is %+v with %v", before, after, values)
		}
	}
}

// onSet has an operation done to a set. If it fails, the set is as it was, and
// the operation can be done once more.
func onSet(operation func(id sem.ID) error) func(c *faults.Case) {
	return func(c *faults.Case) {
		id, unchanged := prepare(c)
		if !c.Do(func() error { return operation(id) }) {
			unchanged()
		}
		c.OK(operation(id), id.Remove())
	}
}

// once is onSet of an operation that cannot be done twice.
func once(operation func(id sem.ID) error) func(c *faults.Case) {
	return func(c *faults.Case) {
		id, unchanged := prepare(c)
		if !c.Do(func() error { return operation(id) }) {
			unchanged()
			c.OK(operation(id))
		}
		if err := id.Remove(); err != nil && !errors.Is(err, shm.ErrRemoved) {
			c.OK(err)
		}
	}
}

var controlFaults = []faults.Operation{
	{Name: "Value", Run: onSet(func(id sem.ID) error { return lastOf(id.Value(0)) })},
	{Name: "SetValue", Run: onSet(func(id sem.ID) error { return id.SetValue(0, 1) })},
	{Name: "PID", Run: onSet(func(id sem.ID) error { return lastOf(id.PID(0)) })},
	{Name: "WaitingIncrease", Run: onSet(func(id sem.ID) error { return lastOf(id.WaitingIncrease(0)) })},
	{Name: "WaitingZero", Run: onSet(func(id sem.ID) error { return lastOf(id.WaitingZero(0)) })},
	{Name: "Values", Named: "GETALL", Instead: anyway, Run: onSet(func(id sem.ID) error { return lastOf(id.Values()) })},
	{Name: "SetValues", Named: "SETALL", Instead: anyway, Run: onSet(func(id sem.ID) error { return id.SetValues([]uint16{1, 2}) })},
	{Name: "Stat", Run: onSet(func(id sem.ID) error { return lastOf(id.Stat()) })},
	{Name: "Set", Run: onSet(func(id sem.ID) error { return id.Set(&sem.SemidDS{Perm: shm.IpcPerm{Mode: 0o640}}) })},
	{Name: "Remove", Run: once(sem.ID.Remove)},
}

// anyway: who may not read a set can be told its size by SEM_STAT_ANY.
func anyway(f faults.Fault) (bool, error) {
	return f.Command == "IPC_STAT" && f.Errno == syscall.EACCES, nil
}

var tableFaults = []faults.Operation{
	{Name: "StatIndex", Run: onSet(func(id sem.ID) error {
		_, _, err := sem.StatIndex(int(id) & 0x7fff)
		return err
	})},
	{Name: "StatIndexAny", Run: onSet(func(id sem.ID) error {
		_, _, err := sem.StatIndexAny(int(id) & 0x7fff)
		return err
	})},
	{Name: "Limits", Run: faults.Alone(func() error { return lastOf(sem.Limits()) })},
	{Name: "Usage", Run: faults.Alone(func() error { return lastOf(sem.Usage()) })},
}

var opFaults = []faults.Operation{
	{Name: "Op", Instead: interrupted, Run: once(func(id sem.ID) error { return id.Op(down) })},
	{Name: "OpTimeout", Instead: notYet, Run: once(func(id sem.ID) error { return id.OpTimeout(time.Hour, down) })},
	{Name: "OpContext", Instead: notYet, Run: once(func(id sem.ID) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		return id.OpContext(ctx, down)
	})},
}

func interrupted(f faults.Fault) (bool, error) { return f.Errno == syscall.EINTR, nil }

// notYet: there is time left.
func notYet(f faults.Fault) (bool, error) {
	return f.Errno == syscall.EINTR || f.Errno == syscall.EAGAIN, nil
}

var mutexFaults = []faults.Operation{
	{Name: "Mutex.Lock", Instead: interrupted, Run: locking((*sem.Mutex).Lock)},
	{Name: "Mutex.LockContext", Instead: notYet, Run: locking(func(mu *sem.Mutex) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		return mu.LockContext(ctx)
	})},
	{Name: "Mutex.TryLock", Run: locking((*sem.Mutex).TryLock), Instead: func(f faults.Fault) (bool, error) {
		if f.Errno == syscall.EAGAIN {
			return true, shm.ErrBusy
		}
		return interrupted(f)
	}},
	{Name: "Mutex.Unlock", Instead: interrupted, Run: unlocking},
}

// locking takes a Mutex. If that fails, it is not locked, and can be.
func locking(lock func(mu *sem.Mutex) error) func(c *faults.Case) {
	return func(c *faults.Case) {
		id, unchanged := prepare(c)
		mu := sem.NewMutex(id, 0)
		if !c.Do(func() error { return lock(mu) }) {
			unchanged()
			if err := mu.Unlock(); !errors.Is(err, syscall.EPERM) {
				c.Errorf("Unlock: %v", err)
			}
			c.OK(lock(mu))
		}
		if err := mu.TryLock(); !errors.Is(err, shm.ErrBusy) {
			c.Errorf("TryLock of a locked Mutex: %v", err)
		}
		c.OK(mu.Unlock(), mu.Lock(), mu.Unlock(), id.Remove())
	}
}

// unlocking gives a Mutex back. If that fails, it is still locked, and can be
// unlocked; if the set is removed, there is nothing to unlock.
func unlocking(c *faults.Case) {
	id, _ := prepare(c)
	mu := sem.NewMutex(id, 0)
	c.OK(mu.Lock())
	var err error
	if !c.Do(func() error { err = mu.Unlock(); return err }) {
		again := mu.Unlock()
		if errors.Is(err, shm.ErrRemoved) {
			if !errors.Is(again, syscall.EPERM) {
				c.Errorf("Unlock of a removed one: %v", again)
			}
			again = id.SetValue(0, 1) // it was not
		}
		c.OK(again)
	}
	c.OK(mu.Lock(), mu.Unlock(), id.Remove())
}

// testListFaults has List find an empty slot and a set and, again, more than it
// has room for at once.
func testListFaults(t *testing.T, in *faults.Injector) {
	list := faults.Operation{
		Name: "one", Named: "SEM_STAT_ANY", Instead: withoutSlot,
		Run: faults.Alone(func() error { return lastOf(sem.List()) }),
	}
	first := newSet(t, 0)
	newSet(t, 0)
	remove(t, first)
	in.Each(t, list)
	for range 65 {
		newSet(t, 0)
	}
	list.Name = "many"
	in.Each(t, list)
}

// withoutSlot: List does without a slot that is empty by now, and says that
// there are sets that it may not read.
func withoutSlot(f faults.Fault) (bool, error) {
	if !strings.HasPrefix(f.Command, "SEM_STAT") {
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
