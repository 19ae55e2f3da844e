//go:build linux && cgo

package shm_test

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

func TestGetOrCreate(t *testing.T) {
	needPrivateNS(t)
	first, created, err := shm.GetOrCreate(testKey, 100, 0o600)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	defer remove(t, first)
	for _, flags := range []shm.GetFlag{0o600, 0, shm.IPC_CREAT | 0o600} {
		id, created, err := shm.GetOrCreate(testKey, 50, flags)
		if id != first || created || err != nil {
			t.Errorf("opened %d, created %v, %v", id, created, err)
		}
	}
	_, created, err = shm.GetOrCreate(testKey, 101, 0o600)
	wantErrno(t, err, syscall.EINVAL)
	if created {
		t.Error("created with an error")
	}
	for _, c := range []struct {
		key   shm.Key
		size  int
		flags shm.GetFlag
	}{{shm.IPC_PRIVATE, 100, 0o600}, {testKey, 100, shm.IPC_EXCL | 0o600}, {testKey, -1, 0o600}} {
		_, created, err := shm.GetOrCreate(c.key, c.size, c.flags)
		wantErrno(t, err, syscall.EINVAL)
		if created {
			t.Error("created with an error")
		}
	}
	if segs, err := shm.List(); err != nil || len(segs) != 1 {
		t.Errorf("a refused call made a segment: %v, %v", segs, err)
	}
}

// Of callers that start at once exactly one creates.
func TestGetOrCreateRace(t *testing.T) {
	needPrivateNS(t)
	for range 100 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		creators := 0
		ids := map[shm.ID]bool{}
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				id, created, err := shm.GetOrCreate(testKey, 100, 0o600)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if created {
					creators++
				}
				ids[id] = true
			}()
		}
		wg.Wait()
		if creators != 1 || len(ids) != 1 {
			t.Fatalf("%d creators, segments %v", creators, ids)
		}
		for id := range ids {
			remove(t, id)
		}
	}
}

// Against somebody who keeps removing the segment: it is opened or created in
// the end, or the bounded attempts say ENOENT.
func TestGetOrCreateAgainstRemove(t *testing.T) {
	needPrivateNS(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
				if id, err := shm.Get(testKey, 0, 0); err == nil {
					_ = id.Remove()
				}
			}
		}
	}()
	for range 5000 {
		if _, _, err := shm.GetOrCreate(testKey, 100, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if id, err := shm.Get(testKey, 0, 0); err == nil {
		remove(t, id)
	}
}

// List against /proc/sysvipc/shm, for as many as fit at once and for more.
func TestList(t *testing.T) {
	needPrivateNS(t)
	for _, count := range []int{0, 1, 63, 64, 65, 300} {
		for i := range count {
			get(t, shm.IPC_PRIVATE, 1+i, 0o600)
		}
		segs, err := shm.List()
		if err != nil {
			t.Fatal(err)
		}
		type row struct {
			ID   shm.ID
			Size uint
		}
		var listed []row
		for _, s := range segs {
			listed = append(listed, row{s.ID, s.Segsz})
		}
		var table []row
		for _, fields := range procTable(t, "shm") {
			table = append(table, row{shm.ID(atoi(t, fields[1])), uint(atoi(t, fields[3]))})
		}
		if diff := cmp.Diff(table, listed); diff != "" {
			t.Errorf("%d segments (-/proc/sysvipc/shm +List):\n%s", count, diff)
		}
		for _, s := range segs {
			remove(t, s.ID)
		}
	}
}

// The number of allocations of each call.
func TestAllocations(t *testing.T) {
	if ipcns.BuiltWith("-race", "-asan", "-msan") {
		t.Skip("sanitizers allocate")
	}
	needPrivateNS(t)
	id := get(t, testKey, 4096, shm.IPC_CREAT|0o600)
	a := attach(t, id, 0)
	ds := stat(t, id)
	p := make([]byte, 100)
	file := t.TempDir()
	for name, c := range map[string]struct {
		want float64
		run  func() error
	}{
		"Get":           {0, func() error { _, err := shm.Get(testKey, 1, 0o600); return err }},
		"GetOrCreate":   {0, func() error { _, _, err := shm.GetOrCreate(testKey, 1, 0o600); return err }},
		"Stat":          {0, func() error { _, err := id.Stat(); return err }},
		"Set":           {0, func() error { return id.Set(&ds) }},
		"LockPages":     {0, func() error { return errors.Join(id.LockPages(), id.UnlockPages()) }},
		"StatIndexAny":  {0, func() error { _, _, err := shm.StatIndexAny(int(id) & 0x7fff); return err }},
		"Limits":        {0, func() error { _, err := shm.Limits(); return err }},
		"Usage":         {0, func() error { _, err := shm.Usage(); return err }},
		"Stat attached": {0, func() error { _, err := a.Stat(); return err }},
		"ReadAt":        {0, func() error { _, err := a.ReadAt(p, 0); return err }},
		"WriteAt":       {0, func() error { _, err := a.WriteAt(p, 0); return err }},
		"View":          {0, func() error { _, err := shm.View[[4]uint64](a, 8); return err }},
		"Slice":         {0, func() error { _, err := shm.Slice[uint32](a, 8, 10); return err }},
		"Hold, Release": {0, func() error { defer a.Release(); return a.Hold() }},
		"Ftok":          {1, func() error { _, err := shm.Ftok(file, 1); return err }},
		"Attach, Detach": {1, func() error {
			a, err := id.Attach(0)
			if err != nil {
				return err
			}
			return a.Detach()
		}},
		"create, Remove": {0, func() error {
			id, err := shm.Get(shm.IPC_PRIVATE, 1, 0o600)
			if err != nil {
				return err
			}
			return id.Remove()
		}},
		"List": {1, func() error { _, err := shm.List(); return err }},
	} {
		if err := c.run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := testing.AllocsPerRun(100, func() { _ = c.run() }); got != c.want {
			t.Errorf("%s: %v allocations, want %v", name, got, c.want)
		}
	}
}
