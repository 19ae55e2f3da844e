//go:build linux && cgo

package sem_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// fuzzBeside fuzzes with a C peer beside, which makes the same calls with the
// same values: what the kernel answers to both is what it was asked by both. No
// input may leave a set.
func fuzzBeside[F any](f *testing.F, target func(c func(t *testing.T) *peer) F) {
	f.Helper()
	if !ipcns.Private() {
		f.Skip("needs a private IPC namespace")
	}
	shared := cpeer.Start(f, cpeer.Command(cpeer.Program(f, "../ctest")))
	f.Fuzz(target(func(t *testing.T) *peer {
		t.Helper()
		t.Cleanup(func() { wantSets(t, 0) })
		return &peer{shared.For(t), t, "C"}
	}))
}

func wantSets(t *testing.T, n int) {
	t.Helper()
	if table := procTable(t); len(table) != n {
		t.Errorf("%d sets, want %d: %v", len(table), n, table)
	}
}

// sameErrno fails the test unless an error of this package and one of a peer are
// the same errno, or none.
func sameErrno(t *testing.T, err, inC error) {
	t.Helper()
	var mine, theirs syscall.Errno
	errors.As(err, &mine)
	errors.As(inC, &theirs)
	if mine != theirs || (err == nil) != (inC == nil) {
		t.Errorf("%v, in C %v", err, inC)
	}
}

// twins makes two sets with the same values, one for Go and one for C.
func twins(c *peer, values ...uint16) (mine, inC sem.ID) {
	c.t.Helper()
	for _, id := range []*sem.ID{&mine, &inC} {
		*id = c.id("semget 0 %d %d", len(values), 0o600)
		c.t.Cleanup(func() { discard(c.t, *id) })
		c.number("setall %d%s", *id, words(values))
	}
	return mine, inC
}

func words[T any](values []T) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, " %v", v)
	}
	return b.String()
}

// shorts are the 16-bit numbers of some bytes, 100 at most.
func shorts(b []byte) (values []uint16) {
	for ; len(b) > 1 && len(values) < 100; b = b[2:] {
		values = append(values, binary.LittleEndian.Uint16(b))
	}
	return values
}

func FuzzGet(f *testing.F) {
	for i, n := range []int{0, 1, 3, 4, 32000, 32001, -1, math.MinInt, math.MaxInt, math.MaxInt32, math.MaxInt &^ math.MaxUint32} {
		for j, flags := range []shm.GetFlag{0, 0o777, shm.IPC_CREAT, shm.IPC_CREAT | 0o600, shm.IPC_CREAT | shm.IPC_EXCL, shm.IPC_EXCL, math.MaxUint32, 0o10000} {
			f.Add(int32(i+j)%3, n, uint32(flags), i%2 == j%2)
		}
	}
	f.Add(int32(-1), 1, uint32(shm.IPC_CREAT), false)
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, int32, int, uint32, bool) {
		return func(t *testing.T, key int32, n int, flags uint32, exists bool) {
			c, there := beside(t), 0
			if exists {
				there = 1
				defer remove(t, c.id("semget %d 3 %d", key, uint32(shm.IPC_CREAT|0o640)))
			}
			id, err := sem.Get(shm.Key(key), n, shm.GetFlag(flags))
			var mine, theirs sem.SemidDS
			if err == nil {
				mine = madeSet(c, id, there)
			}
			const known = shm.IPC_CREAT | shm.IPC_EXCL | 0o777
			if n != int(int32(n)) || shm.GetFlag(flags)&^known != 0 { // in C, another call
				wantErrno(t, err, syscall.EINVAL)
				wantSets(t, there)
				return
			}
			answer, inC := c.Number("semget %d %d %d", key, n, flags)
			if sameErrno(t, err, inC); inC == nil {
				theirs = madeSet(c, sem.ID(answer), there)
			}
			if mine != theirs {
				t.Errorf("Go: %+v, C: %+v", mine, theirs)
			}
		}
	})
}

// madeSet is what a call has made, as the kernel tells the C peer, and is removed
// if it is one more than there were.
func madeSet(c *peer, id sem.ID, there int) sem.SemidDS {
	c.t.Helper()
	ds := c.stat(id)
	if len(procTable(c.t)) > there {
		remove(c.t, id)
	}
	return sem.SemidDS{Nsems: ds.Nsems, Perm: shm.IpcPerm{
		Key: ds.Perm.Key, UID: ds.Perm.UID, GID: ds.Perm.GID, CUID: ds.Perm.CUID, CGID: ds.Perm.CGID, Mode: ds.Perm.Mode,
	}}
}

func FuzzGetOrCreate(f *testing.F) {
	for _, perm := range []shm.GetFlag{0, 0o600, 0o777, shm.IPC_CREAT, shm.IPC_EXCL, math.MaxUint32, 0o1000000} {
		for _, values := range []string{"", "\x00\x00", "\x01\x00", "\xff\x7f\x00\x00", "\x00\x80", "\x00\x00\x00\x80", "\x01\x00\x02\x00\x03\x00\x04\x00"} {
			f.Add(int32(1), uint32(perm), []byte(values), false)
			f.Add(int32(math.MinInt32), uint32(perm), []byte(values), true)
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, int32, uint32, []byte, bool) {
		return func(t *testing.T, key int32, flags uint32, initial []byte, exists bool) {
			c, there, values, perm := beside(t), 0, shorts(initial), shm.GetFlag(flags)
			if exists && key != 0 {
				there = 1
				defer func(id sem.ID) { remove(t, id) }(sem.ID(c.values("semopen %d %d 1 2 3", key, 0o640)[0]))
			}
			id, created, err := sem.GetOrCreate(shm.Key(key), perm, values...)
			outside := slices.ContainsFunc(values, func(v uint16) bool { return v > sem.SEMVMX })
			if key == 0 || len(values) == 0 || perm&^(shm.IPC_CREAT|0o777) != 0 || outside { // in C, another call
				if !errors.Is(err, syscall.EINVAL) && (!outside || !errors.Is(err, syscall.ERANGE)) {
					t.Error(err)
				}
				wantSets(t, there)
				return
			}
			var mine, theirs []int
			if err == nil {
				mine = append(c.values("getall %d", id), bit(created))
				madeSet(c, id, there)
			}
			answer, inC := c.Do("semopen %d %d%s", key, uint32(perm&0o777), words(values))
			if sameErrno(t, err, inC); inC == nil {
				opened := numbers(t, answer)
				theirs = append(c.values("getall %d", opened[0]), opened[1])
				madeSet(c, sem.ID(opened[0]), there)
			}
			if !slices.Equal(mine, theirs) {
				t.Errorf("values and created: Go %v, C %v", mine, theirs)
			}
		}
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FuzzOp does operations of which none waits, by each of the ways.
func FuzzOp(f *testing.F) {
	for way := range uint8(3) {
		f.Add(way, []byte{})
		for _, op := range []string{"\x00\x00\x01\x00\x00\x00", "\x01\x00\xff\xff\x00\x10", "\x03\x00\x00\x00\x00\x00", "\x04\x00\x01\x00\x00\x00", "\x02\x00\xff\x7f\x00\x00", "\xff\xff\x00\x80\xff\xff"} {
			f.Add(way, []byte(op))
			f.Add(way, []byte(op+"\x01\x00\x01\x00\x00\x00"+op))
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, uint8, []byte) {
		return func(t *testing.T, way uint8, b []byte) {
			c := beside(t)
			id, inC := twins(c, 0, 1, 32767, 5)
			var ops []sem.Op
			var command []int
			for v := shorts(b); len(v) > 2; v = v[3:] {
				num, op, flags := v[0], int16(v[1]), int16(v[2])|int16(sem.IPC_NOWAIT)
				ops = append(ops, sem.Op{Num: num, Op: op, Flags: sem.OpFlag(flags)})
				command = append(command, int(num), int(op), int(flags))
			}
			var err error
			switch way % 3 {
			case 0:
				err = id.Op(ops...)
			case 1:
				err = id.OpTimeout(0, ops...)
			case 2:
				ctx, cancel := context.WithCancel(t.Context())
				err = id.OpContext(ctx, ops...)
				cancel()
			}
			_, errInC := c.Number("semop %d%s", inC, words(command))
			sameErrno(t, err, errInC)
			sameValues(t, c, id, inC)
		}
	})
}

func sameValues(t *testing.T, c *peer, mine, inC sem.ID) {
	t.Helper()
	if a, b := c.values("getall %d", mine), c.values("getall %d", inC); !slices.Equal(a, b) {
		t.Errorf("values: %v, in C %v", a, b)
	}
}

// FuzzValue sets and reads one value, and then all.
func FuzzValue(f *testing.F) {
	for _, num := range []int{0, 2, 3, 4, 256, -1, math.MaxInt, math.MinInt, math.MaxInt &^ math.MaxUint32, math.MaxInt32} {
		for _, value := range []int{0, 1, 32767, 32768, -1, math.MaxInt, math.MinInt, math.MaxInt &^ math.MaxUint32} {
			f.Add(num, value, []byte("\x01\x00\x02\x00\xff\x7f"))
			f.Add(num, value, []byte("\x01\x00\x02\x00\x03\x80"))
			f.Add(num, value, []byte("\x01\x00"))
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, int, int, []byte) {
		return func(t *testing.T, num, value int, b []byte) {
			c := beside(t)
			id, inC := twins(c, 7, 8, 9)
			exact := num == int(int32(num)) && value == int(int32(value))
			err := id.SetValue(num, value)
			if exact {
				_, errInC := c.Number("setval %d %d %d", inC, num, value)
				sameErrno(t, err, errInC)
			} else if err == nil { // in C, another semaphore or value
				t.Error("it has set what no int of C counts")
			}
			sameValues(t, c, id, inC)
			for command, get := range map[string]func(int) (int, error){
				"getval": id.Value, "getncnt": id.WaitingIncrease, "getzcnt": id.WaitingZero,
			} {
				got, err := get(num)
				if num != int(int32(num)) {
					wantErrno(t, err, syscall.EINVAL)
					continue
				}
				want, errInC := c.Number("%s %d %d", command, id, num)
				if sameErrno(t, err, errInC); got != int(want) {
					t.Errorf("%s: %d, in C %d", command, got, want)
				}
			}
			values := shorts(b)
			err = id.SetValues(values)
			if len(values) == 3 {
				_, errInC := c.Number("setall %d%s", inC, words(values))
				sameErrno(t, err, errInC)
			} else if err == nil {
				t.Errorf("%d values for a set of 3", len(values))
			}
			sameValues(t, c, id, inC)
		}
	})
}

// FuzzID makes one call on an id, of a set or of none; or on a slot.
func FuzzID(f *testing.F) {
	for call := range uint8(6) {
		for _, id := range []int32{0, 1, -1, math.MaxInt32, math.MinInt32} {
			f.Add(call, id, true, uint32(0), uint32(0), uint32(0o600))
			f.Add(call, id, false, uint32(math.MaxUint32), uint32(65534), uint32(math.MaxUint32))
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, uint8, int32, bool, uint32, uint32, uint32) {
		return func(t *testing.T, call uint8, n int32, live bool, uid, gid, mode uint32) {
			c := beside(t)
			id, twin := twins(c, 1, 2)
			other := twin
			if !live && sem.ID(n) != id && sem.ID(n) != twin {
				id, other = sem.ID(n), sem.ID(n)
			}
			// What the C peer gets for the same id, unless it is gone then.
			var ds sem.SemidDS
			var err error
			switch call % 6 {
			case 0:
				ds, err = id.Stat()
				same(t, c, "semstat", int(id), &ds, err)
			case 1, 2:
				statIndex, command := sem.StatIndex, "semstatidx"
				if call%6 == 2 {
					statIndex, command = sem.StatIndexAny, "semstatany"
				}
				index := int(id)
				if id != sem.ID(n) {
					index &= math.MaxInt16
				}
				_, ds, err = statIndex(index)
				if index < 0 {
					wantErrno(t, err, syscall.EINVAL)
					return
				}
				same(t, c, command, index, &ds, err)
			case 3:
				err = id.Set(&sem.SemidDS{Perm: shm.IpcPerm{UID: uid, GID: gid, Mode: shm.Mode(mode)}})
				_, inC := c.Number("semset %d %d %d %d", other, uid, gid, mode)
				if sameErrno(t, err, inC); err == nil {
					if p := c.stat(id).Perm; p.UID != uid || p.GID != gid || p.Mode != shm.Mode(mode)&0o777 {
						t.Errorf("%+v, want %d %d %o", p, uid, gid, mode&0o777)
					}
				}
			case 4:
				values, err := id.Values()
				answer, inC := c.Do("getall %d", id)
				sameErrno(t, err, inC)
				if inC == nil && words(values) != " "+strings.Join(answer, " ") {
					t.Errorf("%v, in C %v", values, answer)
				}
			case 5:
				err = id.Remove()
				if gone := len(procTable(t)) == 1; gone != (err == nil) {
					t.Errorf("%v, but gone: %v", err, gone)
				}
				_, inC := c.Number("semrmid %d", other)
				sameErrno(t, err, inC)
			}
		}
	})
}

// same compares a status, or the errno, with what the C peer is told.
func same(t *testing.T, c *peer, command string, n int, ds *sem.SemidDS, err error) {
	t.Helper()
	_, inC := c.Number("%s %d", command, n)
	if sameErrno(t, err, inC); err == nil {
		_, raw := c.raw("%s %d", command, n)
		cstruct.SameBytes(t, command, raw, ds)
	}
}
