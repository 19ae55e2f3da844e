//go:build linux && cgo

package shm_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/errtest"
)

// fuzzBeside fuzzes with a C peer beside, which makes the same calls with the
// same values: what the kernel answers to both is what it was asked by both. No
// input may leave a segment.
func fuzzBeside[F any](f *testing.F, target func(c func(t *testing.T) *peer) F) {
	f.Helper()
	shared := cpeer.StartFuzz(f, "ctest")
	f.Fuzz(target(func(t *testing.T) *peer {
		t.Helper()
		t.Cleanup(func() { wantSegments(t, 0) })
		return &peer{shared.For(t), t, "C"}
	}))
}

func wantSegments(t *testing.T, n int) {
	t.Helper()
	if table := procTable(t, "shm"); len(table) != n {
		t.Errorf("%d segments, want %d: %v", len(table), n, table)
	}
}

// addGets adds calls with all flags, and sizes at every border.
func addGets(f *testing.F) {
	f.Helper()
	flags := []shm.GetFlag{
		0, 0o600, shm.IPC_CREAT | 0o600, shm.IPC_CREAT | shm.IPC_EXCL | 0o777, shm.IPC_EXCL, shm.SHM_NORESERVE | shm.IPC_CREAT,
		shm.SHM_HUGETLB | shm.IPC_CREAT, shm.SHM_HUGETLB | shm.SHM_HUGE_2MB | shm.IPC_CREAT, math.MaxUint32,
	}
	sizes := []int{0, 1, 4095, 4096, 4097, 1 << 30, math.MaxInt, -1, math.MinInt, math.MaxInt - 1<<24}
	for i, size := range sizes {
		for j, flag := range flags {
			f.Add(int32(i+j)%3, size, uint32(flag), i%2 == j%2)
		}
	}
	f.Add(int32(-1), 1, uint32(shm.IPC_CREAT), false)
	f.Add(int32(math.MinInt32), 1, uint32(shm.IPC_CREAT), true)
}

// made is what a call has made, as the kernel tells the C peer; or, of a segment
// that was there, what became of it.
func made(c *peer, id shm.ID) shm.ShmidDS {
	ds := c.stat(id)
	return shm.ShmidDS{Segsz: ds.Segsz, Nattch: ds.Nattch, Perm: shm.IpcPerm{
		Key: ds.Perm.Key, UID: ds.Perm.UID, GID: ds.Perm.GID, CUID: ds.Perm.CUID, CGID: ds.Perm.CGID, Mode: ds.Perm.Mode,
	}}
}

func FuzzGet(f *testing.F) {
	addGets(f)
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, int32, int, uint32, bool) {
		return func(t *testing.T, key int32, size int, flags uint32, exists bool) {
			c, there := beside(t), 0
			if exists {
				there = 1
				defer c.remove(c.get(shm.Key(key), 4096, shm.IPC_CREAT|shm.IPC_EXCL|0o640))
			}
			var asked, told [2]any // by Go, by C
			id, err := shm.Get(shm.Key(key), size, shm.GetFlag(flags))
			if size < 0 { // in C, a size that is huge
				wantErrno(t, err, syscall.EINVAL)
				wantSegments(t, there)
				return
			}
			if asked[0] = errtest.Errno(t, err); err == nil {
				asked[1] = made(c, id)
				discardNew(t, id, there)
			}
			n, err := c.Number("get %d %d %d", key, size, flags)
			if told[0] = errtest.Errno(t, err); err == nil {
				told[1] = made(c, shm.ID(n))
				discardNew(t, shm.ID(n), there)
			}
			if asked != told {
				t.Errorf("Go: %+v, C: %+v", asked, told)
			}
		}
	})
}

// discardNew removes a segment if there is one more than there were.
func discardNew(t *testing.T, id shm.ID, there int) {
	t.Helper()
	if len(procTable(t, "shm")) > there {
		remove(t, id)
	}
}

func FuzzGetOrCreate(f *testing.F) {
	addGets(f)
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, int32, int, uint32, bool) {
		return func(t *testing.T, key int32, size int, flags uint32, exists bool) {
			c, there, flag := beside(t), 0, shm.GetFlag(flags)
			if exists {
				there = 1
				defer c.remove(c.get(shm.Key(key), 4096, shm.IPC_CREAT|shm.IPC_EXCL|0o640))
			}
			id, created, err := shm.GetOrCreate(shm.Key(key), size, flag)
			if size < 0 || shm.Key(key) == shm.IPC_PRIVATE || flag&shm.IPC_EXCL != 0 {
				wantErrno(t, err, syscall.EINVAL)
				wantSegments(t, there)
				return
			}
			var mine, theirs shm.ShmidDS
			if err == nil {
				mine = made(c, id)
				discardNew(t, id, there)
			}
			n, inC := c.Number("get %d %d %d", key, size, uint32(flag|shm.IPC_CREAT|shm.IPC_EXCL))
			createdInC := inC == nil
			if errors.Is(inC, syscall.EEXIST) {
				n, inC = c.Number("get %d %d %d", key, size, uint32(flag&^shm.IPC_CREAT))
			}
			errtest.Same(t, err, inC)
			if inC == nil {
				theirs = made(c, shm.ID(n))
				discardNew(t, shm.ID(n), there)
			}
			if created != createdInC || mine != theirs || exists && created {
				t.Errorf("Go: created %v, %+v; C: created %v, %+v", created, mine, createdInC, theirs)
			}
		}
	})
}

// A key is what stat(2) and ftok(3) make of the path.
func FuzzFtok(f *testing.F) {
	for _, path := range []string{"/", ".", "", "/etc/passwd", "/none", "/etc/passwd/", "a\x00b", "a b", "\n", "go.mod", "ctest/../go.mod", strings.Repeat("/", 5000), "\xff"} {
		for _, proj := range []int{0, 'S', 255, 256, -1, math.MaxInt, math.MinInt} {
			f.Add(path, proj)
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, string, int) {
		return func(t *testing.T, path string, proj int) {
			c := beside(t)
			key, err := shm.Ftok(path, proj)
			var file syscall.Stat_t
			if inStat := syscall.Stat(path, &file); !errors.Is(err, inStat) {
				t.Fatalf("%v, of stat %v", err, inStat)
			}
			want := shm.Key(uint32(proj)<<24 | uint32(file.Dev)&0xff<<16 | uint32(file.Ino)&0xffff)
			if err != nil {
				want = 0
			}
			if key != want {
				t.Errorf("%v, want %v", key, want)
			}
			// A command's path is one word, and the peer's own files are others.
			if words := strings.Fields(path); len(words) != 1 || words[0] != path || len(path) > 8000 ||
				strings.ContainsAny(path, "\x00\v\f") || strings.Contains(path, "proc") || strings.Contains(path, "dev") {
				return
			}
			n, inC := c.Number("ftok %d %s", proj, path)
			if errtest.Same(t, err, inC); shm.Key(n) != key {
				t.Errorf("%v, in C %v", key, shm.Key(n))
			}
		}
	})
}

// FuzzID makes one call on an id, of a segment or of none.
func FuzzID(f *testing.F) {
	for call := range uint8(5) {
		for _, id := range []int32{0, 1, -1, math.MaxInt32, math.MinInt32} {
			f.Add(call, id, true, uint32(0), uint32(0), uint32(0o600))
			f.Add(call, id, false, uint32(math.MaxUint32), uint32(65534), uint32(math.MaxUint32))
		}
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, uint8, int32, bool, uint32, uint32, uint32) {
		return func(t *testing.T, call uint8, n int32, live bool, uid, gid, mode uint32) {
			c := beside(t)
			segment := c.get(shm.IPC_PRIVATE, 4096, 0o600)
			t.Cleanup(func() { _ = segment.Remove() }) // unless the call has
			id := shm.ID(n)
			if live {
				id = segment
			}
			switch call % 5 {
			case 0:
				ds, err := id.Stat()
				answer, inC := c.Do("stat %d", id)
				if errtest.Same(t, err, inC); err == nil {
					cstruct.SameBytes(t, "stat", unhex(t, answer[1]), &ds)
				}
			case 1:
				err := id.Set(&shm.ShmidDS{Perm: shm.IpcPerm{UID: uid, GID: gid, Mode: shm.Mode(mode)}})
				if err == nil {
					if p := c.stat(id).Perm; p.UID != uid || p.GID != gid || p.Mode != shm.Mode(mode)&0o777 {
						t.Errorf("%+v, want %d %d %o", p, uid, gid, mode&0o777)
					}
				}
				_, inC := c.Do("set %d %d %d %d", id, uid, gid, mode)
				errtest.Same(t, err, inC)
			case 2:
				err := id.LockPages()
				if locked := c.stat(segment).Perm.Mode&shm.SHM_LOCKED != 0; locked != (err == nil) {
					t.Errorf("%v, but locked: %v", err, locked)
				}
				_, inC := c.Do("lock %d", id)
				errtest.Same(t, err, inC)
			case 3:
				err := id.UnlockPages()
				_, inC := c.Do("unlock %d", id)
				errtest.Same(t, err, inC)
			case 4:
				err := id.Remove()
				if gone := len(procTable(t, "shm")) == 0; gone != (err == nil) {
					t.Errorf("%v, but gone: %v", err, gone)
				}
				if err != nil {
					_, inC := c.Do("rmid %d", id)
					errtest.Same(t, err, inC)
				}
			}
		}
	})
}

func FuzzStatIndex(f *testing.F) {
	for _, index := range []int{0, 1, -1, 1 << 15, 1 << 24, math.MaxInt32, math.MaxInt &^ math.MaxUint32, math.MinInt, math.MaxInt} {
		f.Add(index, false, false)
		f.Add(index, true, true)
	}
	fuzzBeside(f, func(beside func(*testing.T) *peer) func(*testing.T, int, bool, bool) {
		return func(t *testing.T, index int, live, anyone bool) {
			c := beside(t)
			segment := c.get(shm.IPC_PRIVATE, 4096, 0o600)
			defer c.remove(segment)
			if live { // the kernel takes the slot from the low bits
				index = index&^math.MaxInt16 | int(segment)&math.MaxInt16
			}
			statIndex, command := shm.StatIndex, "shmstat"
			if anyone {
				statIndex, command = shm.StatIndexAny, "shmstatany"
			}
			id, ds, err := statIndex(index)
			if index != int(int32(index)) { // in C, another index
				wantErrno(t, err, syscall.EINVAL)
				return
			}
			answer, inC := c.Do("%s %d", command, index)
			errtest.Same(t, err, inC)
			if err != nil {
				if !errors.Is(err, fs.ErrNotExist) || id != 0 || !bytes.Equal(cstruct.Bytes(&ds), make([]byte, len(cstruct.Bytes(&ds)))) {
					t.Errorf("%v, %v, %+v", err, id, ds)
				}
				return
			}
			if atoi(t, answer[0]) != int(id) {
				t.Errorf("%v, in C %s", id, answer[0])
			}
			cstruct.SameBytes(t, command, unhex(t, answer[1]), &ds)
		}
	})
}
