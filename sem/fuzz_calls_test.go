//go:build linux && cgo

package sem_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/errtest"
	"github.com/gosysv/shm/sem"
)

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
			errtest.Same(t, err, errInC)
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
				errtest.Same(t, err, errInC)
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
				if errtest.Same(t, err, errInC); got != int(want) {
					t.Errorf("%s: %d, in C %d", command, got, want)
				}
			}
			values := shorts(b)
			err = id.SetValues(values)
			if len(values) == 3 {
				_, errInC := c.Number("setall %d%s", inC, words(values))
				errtest.Same(t, err, errInC)
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
				if errtest.Same(t, err, inC); err == nil {
					if p := c.stat(id).Perm; p.UID != uid || p.GID != gid || p.Mode != shm.Mode(mode)&0o777 {
						t.Errorf("%+v, want %d %d %o", p, uid, gid, mode&0o777)
					}
				}
			case 4:
				values, err := id.Values()
				answer, inC := c.Do("getall %d", id)
				errtest.Same(t, err, inC)
				if inC == nil && words(values) != " "+strings.Join(answer, " ") {
					t.Errorf("%v, in C %v", values, answer)
				}
			case 5:
				err = id.Remove()
				if gone := len(procTable(t)) == 1; gone != (err == nil) {
					t.Errorf("%v, but gone: %v", err, gone)
				}
				_, inC := c.Number("semrmid %d", other)
				errtest.Same(t, err, inC)
			}
		}
	})
}

// same compares a status, or the errno, with what the C peer is told.
func same(t *testing.T, c *peer, command string, n int, ds *sem.SemidDS, err error) {
	t.Helper()
	_, inC := c.Number("%s %d", command, n)
	if errtest.Same(t, err, inC); err == nil {
		_, raw := c.raw("%s %d", command, n)
		cstruct.SameBytes(t, command, raw, ds)
	}
}
