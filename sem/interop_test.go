//go:build linux && cgo

package sem_test

import (
	"math"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// The flags of an operation, as the peers take them.
const (
	undo   = int(sem.SEM_UNDO)
	nowait = int(sem.IPC_NOWAIT)
)

const creat = int(shm.IPC_CREAT | 0o600)

// made makes a set by a peer, of which the test takes care.
func made(t *testing.T, p *peer, values ...uint16) sem.ID {
	t.Helper()
	id := p.id("semget 0 %d %d", len(values), creat)
	t.Cleanup(func() { discard(t, id) })
	p.number("setall %d %s", id, join(values))
	return id
}

// TestControl: what one side sets the other one reads, with every command.
func TestControl(t *testing.T) {
	forPairs(t, func(t *testing.T, a, b *peer) {
		id := made(t, a, 1, 0, 32767)
		if got := b.values("getall %d", id); !slices.Equal(got, []int{1, 0, 32767}) {
			t.Errorf("GETALL %v", got)
		}
		b.number("setval %d 1 77", id)
		if got := a.number("getval %d 1", id); got != 77 {
			t.Errorf("GETVAL %d", got)
		}
		if got := a.number("getpid %d 1", id); got != b.PID() {
			t.Errorf("GETPID %d, want %d", got, b.PID())
		}
		if got := b.number("getpid %d 0", id); got != a.PID() {
			t.Errorf("GETPID %d, want %d", got, a.PID())
		}
		a.number("semset %d 0 0 0640", id)
		if mode := b.stat(id).Perm.Mode; mode != 0o640 {
			t.Errorf("mode %v", mode)
		}
		b.number("semop %d 0 -1 0", id)
		ofA, ofB, ours := a.stat(id), b.stat(id), stat(t, id)
		if ofA != ofB || ofA != ours || ofA.Otime == 0 {
			t.Errorf("IPC_STAT: %s%s", cmp.Diff(ofA, ofB), cmp.Diff(ofA, ours))
		}
		b.number("semrmid %d", id)
		a.refuses(syscall.EINVAL, "getval %d 0", id)
	})
}

// TestKey: one side finds by its key what the other one has made.
func TestKey(t *testing.T) {
	needPrivateNS(t)
	forPairs(t, func(t *testing.T, a, b *peer) {
		b.refuses(syscall.ENOENT, "semget %d 0 0", testKey)
		id := a.id("semget %d 2 %d", testKey, creat)
		defer discard(t, id)
		b.refuses(syscall.EEXIST, "semget %d 2 %d", testKey, creat|int(shm.IPC_EXCL))
		b.refuses(syscall.EINVAL, "semget %d 3 0", testKey)
		if got := b.id("semget %d 2 %d", testKey, creat); got != id {
			t.Errorf("id %d, want %d", got, id)
		}
		usage, err := sem.Usage()
		ok(t, err)
		if usage.UsedIDs != 1 {
			t.Errorf("%d sets, want 1", usage.UsedIDs)
		}
		index, _ := startC(t).raw("seminfo") // the highest in use
		idA, dsA := a.raw("semstatidx %d", index)
		idB, dsB := b.raw("semstatany %d", index)
		if idA != int(id) || idB != int(id) || !slices.Equal(dsA, dsB) {
			t.Errorf("SEM_STAT %d %x, SEM_STAT_ANY %d %x", idA, dsA, idB, dsB)
		}
		for _, cmd := range []string{"semipcinfo", "seminfo"} {
			_, infoA := a.raw(cmd)
			if _, infoB := b.raw(cmd); !slices.Equal(infoA, infoB) {
				t.Errorf("%s: %x and %x", cmd, infoA, infoB)
			}
		}
	})
}

// TestWait: one side waits for what the other one does.
func TestWait(t *testing.T) {
	forPairs(t, func(t *testing.T, a, b *peer) {
		id := made(t, a, 0, 2)
		count := func(cmd string, want int) {
			t.Helper()
			if got := a.number("%s %d 0", cmd, id); got != want {
				t.Errorf("%s %d, want %d", cmd, got, want)
			}
		}
		value := func(want ...int) {
			t.Helper()
			if got := a.values("getall %d", id); !slices.Equal(got, want) {
				t.Errorf("values %v, want %v", got, want)
			}
		}

		b.Ask("semop %d 0 -3 0", id)
		awaitWaiting(t, id, 0, 1)
		count("getncnt", 1)
		a.number("semop %d 0 2 0", id) // not enough
		count("getncnt", 1)
		value(2, 2)
		a.number("semop %d 0 1 0", id)
		b.done()
		count("getncnt", 0)
		value(0, 2)

		b.Ask("semop %d 1 0 0", id) // until it is zero
		awaitWaitingZero(t, id, 1, 1)
		a.number("semop %d 1 -1 0", id)
		if got := a.number("getzcnt %d 1", id); got != 1 {
			t.Errorf("getzcnt %d", got)
		}
		a.number("semop %d 1 -1 0", id)
		b.done()

		b.Ask("semtimedop %d %d 0 -1 0", id, time.Hour) // in time
		awaitWaiting(t, id, 0, 1)
		a.number("setval %d 0 1", id)
		b.done()
		b.refuses(syscall.EAGAIN, "semtimedop %d %d 0 -1 0", id, time.Millisecond)
		b.refuses(syscall.EAGAIN, "semop %d 0 -1 %d", id, nowait)

		b.Ask("semop %d 0 -1 0", id) // until it is removed
		awaitWaiting(t, id, 0, 1)
		a.number("semrmid %d", id)
		if _, err := b.Answer(); err != syscall.EIDRM { //nolint:errorlint // exactly that
			t.Errorf("removed while waiting: %v", err)
		}
	})
}

// TestAllOrNone: an operation of many waits until it can do all of them, and
// takes nothing before.
func TestAllOrNone(t *testing.T) {
	forPairs(t, func(t *testing.T, a, b *peer) {
		id := made(t, a, 1, 0, 5)
		value := func(want ...int) {
			t.Helper()
			if got := a.values("getall %d", id); !slices.Equal(got, want) {
				t.Errorf("values %v, want %v", got, want)
			}
		}
		b.Ask("semop %d 0 -1 0  2 3 0  1 -1 0", id)
		awaitWaiting(t, id, 1, 1)
		value(1, 0, 5)
		a.number("semop %d 0 -1 0", id) // now the first cannot be done either
		a.number("semop %d 1 1 0", id)
		awaitWaiting(t, id, 0, 1)
		value(0, 1, 5)
		a.number("semop %d 0 1 0", id)
		b.done()
		value(0, 0, 8)

		// Operations on one semaphore, in their order.
		b.number("semop %d 0 0 0  0 1 0  0 4 0  0 -2 0", id)
		value(3, 0, 8)
		// One that fails undoes those before it.
		b.refuses(syscall.ERANGE, "semop %d 0 1 0  2 32767 0", id)
		b.refuses(syscall.EAGAIN, "semop %d 0 1 0  1 -1 %d", id, nowait)
		value(3, 0, 8)
	})
}

// TestUndo: what a process has not given back when it ends, the kernel does.
func TestUndo(t *testing.T) {
	starts := map[string]func(*testing.T) *peer{"C": startC, "Go": startGo}
	ends := map[string]func(*peer){
		"killed": (*peer).die,
		"exits":  func(p *peer) { p.End() },
	}
	for holder, start := range starts {
		for how, end := range ends {
			for waiter, startWaiter := range starts {
				t.Run(holder+" "+how+", "+waiter+" waits", func(t *testing.T) {
					a, b := start(t), startWaiter(t)
					id := made(t, a, 1, 3)
					a.number("semop %d 0 -1 %d  1 -2 %d", id, undo, undo)
					a.number("semop %d 1 2 0", id) // not undone
					b.refuses(syscall.EAGAIN, "semop %d 0 -1 %d", id, nowait)
					b.Ask("semop %d 0 -1 %d", id, undo)
					awaitWaiting(t, id, 0, 1)
					end(a)
					b.done()
					wantValues(t, id, 0, 5)
					b.End()
					wantValues(t, id, 1, 5)
				})
			}
		}
	}
}

// TestUndoThreads: the undo is the process's. A thread may end before what it
// took is given back, by another one.
func TestUndoThreads(t *testing.T) {
	for lang, start := range map[string]func(*testing.T) *peer{"C": startC, "Go": startGo} {
		t.Run(lang, func(t *testing.T) {
			p := start(t)
			id := made(t, p, 1)
			p.number("semopthread %d 0 -1 %d", id, undo)
			wantValues(t, id, 0)
			p.number("semopthread %d 0 1 %d", id, undo)
			wantValues(t, id, 1)
			p.number("semopthread %d 0 -1 %d", id, undo)
			p.number("semop %d 0 1 %d", id, undo)
			wantValues(t, id, 1)
			p.number("semopthread %d 0 -1 %d", id, undo)
			wantValues(t, id, 0)
			p.die()
			wantValues(t, id, 1)
		})
	}
}

// TestUndoForgotten: SetValue and SetValues make every process forget.
func TestUndoForgotten(t *testing.T) {
	c := startC(t)
	id := newSet(t, 5, 5)
	c.number("semop %d 0 -1 %d  1 -1 %d", id, undo, undo)
	ok(t, id.SetValue(0, 4))
	c.die()
	wantValues(t, id, 4, 5)

	c = startC(t)
	c.number("semop %d 0 -1 %d  1 -1 %d", id, undo, undo)
	ok(t, id.SetValues([]uint16{7, 8}))
	c.die()
	wantValues(t, id, 7, 8)
}

// TestOtherUser: a process without the permission is refused.
func TestOtherUser(t *testing.T) {
	needPrivateNS(t)
	needOtherUsers(t)
	forPairs(t, func(t *testing.T, a, b *peer) {
		id := made(t, a, 1)
		b.number("setuid %d %d", nobody, nobody)
		for _, cmd := range []string{"getval %d 0", "setval %d 0 1", "semop %d 0 1 0", "semop %d 0 0 0", "semstat %d", "setall %d 1"} {
			b.refuses(syscall.EACCES, cmd, id)
		}
		b.refuses(syscall.EPERM, "semrmid %d", id)
		b.refuses(syscall.EPERM, "semset %d 0 0 0666", id)
		a.number("semset %d 0 0 0604", id) // to read
		if got := b.number("getval %d 0", id); got != 1 {
			t.Errorf("GETVAL %d", got)
		}
		b.refuses(syscall.EACCES, "semop %d 0 1 0", id)
		a.number("semset %d 0 0 0602", id) // to alter
		b.number("semop %d 0 1 0", id)
		b.refuses(syscall.EACCES, "getval %d 0", id)
		a.number("semset %d %d %d 0", id, nobody, nobody) // to own
		b.number("semset %d %d %d 0600", id, nobody, nobody)
		b.number("semrmid %d", id)
	})
}

// TestHere: this process is one of the sides, with the values of the methods.
func TestHere(t *testing.T) {
	c := startC(t)
	id := newSet(t, 0, 5)
	op := async(t, func() error {
		return id.Op(sem.Op{Num: 0, Op: -2, Flags: sem.SEM_UNDO}, sem.Op{Num: 1, Op: -1})
	})
	awaitWaiting(t, id, 0, 1)
	if got := c.number("getncnt %d 0", id); got != 1 {
		t.Errorf("GETNCNT %d", got)
	}
	c.number("semop %d 0 2 0", id)
	ok(t, op())
	wantValues(t, id, 0, 4)
	ok(t, id.Op(sem.Op{Num: 0, Op: +2, Flags: sem.SEM_UNDO})) // on any thread

	c.Ask("semop %d 1 0 0", id)
	awaitWaitingZero(t, id, 1, 1)
	ok(t, id.SetValue(1, 0))
	c.done()
	c.number("setval %d 0 9", id)
	if pid, err := id.PID(0); pid != c.PID() || err != nil {
		t.Errorf("PID %d, %v", pid, err)
	}
	if v, err := id.Value(0); v != 9 || err != nil {
		t.Errorf("Value %d, %v", v, err)
	}
	ds := stat(t, id)
	ds.Perm.Mode = 0o644
	ds.Nsems, ds.Perm.Key, ds.Perm.CUID = 77, 77, 77 // ignored
	ok(t, id.Set(&ds))
	if got := c.stat(id); got.Perm.Mode != 0o644 || got.Nsems != 2 || got.Perm.Key != 0 || got.Perm.CUID == 77 {
		t.Errorf("after Set: %+v", got)
	}
	c.number("semrmid %d", id)
}

// TestIDs: 0 is a valid id, and so is the largest one.
func TestIDs(t *testing.T) {
	for _, next := range []string{"", "2147483647"} {
		t.Run("sem_next_id "+next, func(t *testing.T) {
			ipcns.Run(t, func(t *testing.T) {
				want := sem.ID(0)
				if next != "" {
					want = math.MaxInt32
					if err := os.WriteFile("/proc/sys/kernel/sem_next_id", []byte(next), 0); err != nil {
						t.Skip("needs to set kernel.sem_next_id: ", err)
					}
				}
				id := newSet(t, 3)
				if id != want || procTable(t)[want] == nil {
					t.Errorf("id %d, want %d; /proc has %v", id, want, procTable(t))
				}
				wantValues(t, id, 3)
				sets, err := sem.List()
				if len(sets) != 1 || sets[0].ID != want || err != nil {
					t.Errorf("List: %v, %v", sets, err)
				}
			})
		})
	}
}

// List against /proc/sysvipc/sem, for as many as fit at once and for more.
func TestList(t *testing.T) {
	for _, count := range []int{0, 1, 63, 64, 65, 300} {
		t.Run(strconv.Itoa(count), func(t *testing.T) {
			ipcns.Run(t, func(t *testing.T) {
				for i := range count {
					get(t, shm.IPC_PRIVATE, 1+i%7, 0o600)
				}
				sets, err := sem.List()
				ok(t, err)
				table := procTable(t)
				if len(sets) != len(table) || len(sets) != count {
					t.Errorf("List has %d sets and /proc/sysvipc/sem %d, want %d", len(sets), len(table), count)
				}
				for _, s := range sets {
					row := table[s.ID]
					if row == nil || uint(atoi(t, row[3])) != s.Nsems {
						t.Errorf("List has %d with %d semaphores, /proc/sysvipc/sem has %v", s.ID, s.Nsems, row)
					}
				}
			})
		})
	}
}
