//go:build linux && cgo

package sem_test

import (
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
	"github.com/gosysv/shm/internal/errtest"
	"github.com/gosysv/shm/sem"
)

// fuzzBeside fuzzes with a C peer beside, which makes the same calls with the
// same values: what the kernel answers to both is what it was asked by both. No
// input may leave a set.
func fuzzBeside[F any](f *testing.F, target func(c func(t *testing.T) *peer) F) {
	f.Helper()
	shared := cpeer.StartFuzz(f, "../ctest")
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
			if errtest.Same(t, err, inC); inC == nil {
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
			if errtest.Same(t, err, inC); inC == nil {
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
