//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

const litmusSize = int(unsafe.Sizeof(litmus{}))

// testKey is the key of whatever segment a test makes. The namespace is
// private, and tests do not run in parallel.
const testKey shm.Key = 0x5e9

// nobody is the uid and the gid of the other user.
const nobody = 65534

// pairs are who creates a segment and who opens it: two processes each.
var pairs = []struct {
	name            string
	creator, opener func(*testing.T) *peer
}{
	{"Go_C", startGo, startC},
	{"C_Go", startC, startGo},
	{"Go_Go", startGo, startGo},
	{"C_C", startC, startC},
}

// TestInterop runs every case for every pair, as TestInterop/Go_C/name.
func TestInterop(t *testing.T) {
	needPrivateNS(t)
	for _, pair := range pairs {
		t.Run(pair.name, func(t *testing.T) {
			for _, c := range interopCases() {
				t.Run(c.name, func(t *testing.T) {
					c.run(t, pair.creator(t), pair.opener(t))
				})
			}
		})
	}
}

type interopCase struct {
	name string
	run  func(t *testing.T, creator, opener *peer)
}

func interopCases() []interopCase {
	cases := []interopCase{
		{"sparse", testSparse},
		{"read_only", testReadOnly},
		{"bookkeeping", testBookkeeping},
		{"removed_by_creator", func(t *testing.T, c, o *peer) { testRemoved(t, c, o, c) }},
		{"removed_by_opener", func(t *testing.T, c, o *peer) { testRemoved(t, c, o, o) }},
		{"split_brain", testSplitBrain},
		{"killed", testKilled},
		{"forked", testForked},
		{"atomic_add", testAtomicAdd},
		{"message_passing", testMessagePassing},
		{"store_buffering", testStoreBuffering},
	}
	for _, size := range []int{1, 100, 4095, 4096, 4097, 128 << 10, 64 << 20} {
		for _, by := range []string{"key", "id"} {
			cases = append(cases, interopCase{
				fmt.Sprintf("by_%s/%d", by, size),
				func(t *testing.T, c, o *peer) { testExchange(t, c, o, by == "key", size) },
			})
		}
	}
	for class := range permissionClasses {
		for bits := range 8 {
			mode := shm.Mode(bits << (6 - 3*class))
			cases = append(cases, interopCase{
				fmt.Sprintf("permissions/%s_%04o", permissionClasses[class], uint32(mode)),
				func(t *testing.T, c, o *peer) { testPermissions(t, c, o, class, bits) },
			})
		}
	}
	return cases
}

// create makes the segment of a test, and attaches.
func create(c *peer, size int, flags shm.GetFlag) (shm.ID, address) {
	c.t.Helper()
	id := c.get(testKey, size, shm.IPC_CREAT|shm.IPC_EXCL|0o600|flags)
	return id, c.attach(id, 0)
}

func testExchange(t *testing.T, c, o *peer, byKey bool, size int) {
	id, mine := create(c, size, 0)
	defer c.remove(id)
	if byKey {
		if got := o.get(testKey, 0, 0); got != id {
			t.Fatalf("the opener found segment %d, the creator made %d", got, id)
		}
	}
	theirs := o.attach(id, 0)
	if got := o.stat(id).Segsz; got != uint(size) {
		t.Errorf("the opener sees %d bytes, want %d", got, size)
	}

	c.fill(mine, size, 1)
	sent := c.sum(mine, size)
	if got := o.sum(theirs, size); got != sent {
		t.Errorf("the opener reads other bytes than the creator wrote")
	}
	o.fill(theirs, size, 2)
	answered := o.sum(theirs, size)
	if got := c.sum(mine, size); got != answered {
		t.Errorf("the creator reads other bytes than the opener wrote")
	}
	if sent == answered {
		t.Error("the two patterns have the same sum: the test shows nothing")
	}
	o.detach(theirs)
	c.detach(mine)
}

// A segment of more than 4 GiB, of which two pages are ever touched.
func testSparse(t *testing.T, c, o *peer) {
	if unsafe.Sizeof(uintptr(0)) < 8 {
		t.Skip("needs 64-bit addresses")
	}
	needOvercommit(t, "01")
	gib5 := int64(5<<30 + 123)
	size := int(gib5)
	id, mine := create(c, size, shm.SHM_NORESERVE)
	defer c.remove(id)
	theirs := o.attach(id, 0)
	if got := o.stat(id).Segsz; got != uint(size) {
		t.Errorf("the opener sees %d bytes, want %d", got, size)
	}
	c.write(mine, "first")
	o.write(theirs+address(size)-4, "last")
	if got := o.read(theirs, 5); got != "first" {
		t.Errorf("the opener reads %q at the beginning", got)
	}
	if got := c.read(mine+address(size)-4, 4); got != "last" {
		t.Errorf("the creator reads %q at the end", got)
	}
}

func testReadOnly(t *testing.T, c, o *peer) {
	id, mine := create(c, 100, 0)
	defer c.remove(id)
	c.write(mine, "hello")
	theirs := o.attach(id, shm.SHM_RDONLY)
	if got := o.read(theirs, 5); got != "hello" {
		t.Errorf("the opener reads %q", got)
	}
	if o.lang == "Go" { // its peer recovers from the fault
		o.refuses(syscall.EFAULT, "write %d %x", theirs, "damage")
	} else {
		o.Ask("write %d %x", theirs, "damage")
		if status := o.End().Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGSEGV {
			t.Errorf("the opener's store: %v, want SIGSEGV", status)
		}
	}
	if got := c.read(mine, 5); got != "hello" {
		t.Errorf("the creator reads %q", got)
	}
}

// testBookkeeping compares the status after each step: both sides see the
// same, and the right processes, times and number of attachments.
func testBookkeeping(t *testing.T, c, o *peer) {
	var want shm.ShmidDS
	var id shm.ID
	before := kernelTime(t)
	check := func(step string) {
		t.Helper()
		got := c.stat(id)
		if diff := cmp.Diff(got, o.stat(id)); diff != "" {
			t.Errorf("%s: the two sides differ (-creator +opener):\n%s", step, diff)
		}
		now := kernelTime(t)
		for _, times := range [][2]*int{{&got.Atime, &want.Atime}, {&got.Dtime, &want.Dtime}, {&got.Ctime, &want.Ctime}} {
			if *times[1] != 0 && *times[0] >= before && *times[0] <= now {
				*times[1] = *times[0]
			}
		}
		before = now
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	const some = 1 // a time that check may replace by a recent one
	creator, opener := int32(c.PID()), int32(o.PID())

	id = c.get(testKey, 100, shm.IPC_CREAT|shm.IPC_EXCL|0o640)
	defer func() { c.remove(id) }()
	want = c.stat(id)
	want.Perm = shm.IpcPerm{
		Key: testKey, Mode: 0o640, Seq: want.Perm.Seq,
		UID: uint32(syscall.Geteuid()), GID: uint32(syscall.Getegid()),
		CUID: uint32(syscall.Geteuid()), CGID: uint32(syscall.Getegid()),
	}
	want.Segsz, want.Cpid, want.Lpid = 100, creator, 0
	want.Atime, want.Dtime, want.Ctime, want.Nattch = 0, 0, some, 0
	check("created")
	mine := c.attach(id, 0)
	want.Atime, want.Lpid, want.Nattch = some, creator, 1
	check("the creator attached")
	theirs := o.attach(id, shm.SHM_RDONLY)
	want.Atime, want.Lpid, want.Nattch = some, opener, 2
	check("the opener attached")
	again := o.attach(id, 0)
	want.Nattch = 3
	check("the opener attached again")
	o.detach(theirs)
	want.Dtime, want.Nattch = some, 2
	check("the opener detached")
	o.set(id, int(want.Perm.UID), int(want.Perm.GID), 0o600)
	want.Perm.Mode, want.Ctime = 0o600, some
	check("the opener set the mode")
	o.number("lock %d", id)
	want.Perm.Mode |= shm.SHM_LOCKED
	check("the opener locked the pages")
	c.number("unlock %d", id)
	want.Perm.Mode &^= shm.SHM_LOCKED
	check("the creator unlocked the pages")
	c.detach(mine)
	want.Lpid, want.Nattch = creator, 1
	check("the creator detached")
	o.detach(again)
	want.Lpid, want.Nattch = opener, 0
	check("both detached")
}

// testRemoved: until the last detach a removed segment works as before, but
// its key is free.
func testRemoved(t *testing.T, c, o, remover *peer) {
	id, mine := create(c, 100, 0)
	theirs := o.attach(id, 0)
	remover.remove(id)
	for _, p := range []*peer{c, o} {
		p.refuses(syscall.ENOENT, "get %d 0 0", testKey)
		if ds := p.stat(id); !ds.Removed() || ds.Perm.Key != shm.IPC_PRIVATE || ds.Nattch != 2 {
			t.Errorf("the %s side sees %+v", p.lang, ds)
		}
	}
	c.write(mine, "still here")
	if got := o.read(theirs, 10); got != "still here" {
		t.Errorf("the opener reads %q", got)
	}
	c.detach(mine)
	again := c.attach(id, 0) // by id it can still be attached
	if got := c.read(again, 10); got != "still here" {
		t.Errorf("the creator reads %q", got)
	}
	c.detach(again)
	o.detach(theirs)
	for _, p := range []*peer{c, o} {
		p.refuses(syscall.EINVAL, "stat %d", id)
	}
}

// testSplitBrain: the key of a removed segment makes another one beside it.
func testSplitBrain(t *testing.T, c, o *peer) {
	first, mine := create(c, 100, 0)
	c.write(mine, "first ")
	c.remove(first)
	second, theirs := create(o, 100, 0)
	defer o.remove(second)
	if first == second {
		t.Fatalf("the id %d was used again", first)
	}
	o.write(theirs, "second")
	if a, b := c.read(mine, 6), o.read(theirs, 6); a != "first " || b != "second" {
		t.Errorf("read %q and %q", a, b)
	}
	if got := c.get(testKey, 0, 0); got != second {
		t.Errorf("the key has segment %d, want %d", got, second)
	}
	c.detach(mine)
	c.refuses(syscall.EINVAL, "stat %d", first)
}

// testKilled: the kernel detaches for a process that dies.
func testKilled(t *testing.T, c, o *peer) {
	id, mine := create(c, 100, 0)
	defer c.remove(id)
	theirs := o.attach(id, 0)
	o.attach(id, shm.SHM_RDONLY)
	o.write(theirs, "last words")
	o.Ask("kill")
	if status := o.End().Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Errorf("the opener ended by %v", status)
	}
	if ds := c.stat(id); ds.Nattch != 1 || int(ds.Lpid) != o.PID() || ds.Dtime == 0 {
		t.Errorf("after the kill: %+v", ds)
	}
	if got := c.read(mine, 10); got != "last words" {
		t.Errorf("the creator reads %q", got)
	}
}

// testForked: a child that a C program forks has its attachments, too.
func testForked(t *testing.T, c, o *peer) {
	forker, other := o, c
	if forker.lang != "C" {
		forker, other = c, o
	}
	if forker.lang != "C" {
		t.Skip("only C may fork")
	}
	id := c.get(testKey, 100, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	defer c.remove(id)
	theirs, mine := forker.attach(id, 0), other.attach(id, 0)

	child := int32(forker.number("fork"))
	if ds := other.stat(id); ds.Nattch != 3 || int(ds.Lpid) != forker.PID() {
		t.Errorf("after fork, by %d: %+v", forker.PID(), ds)
	}
	forker.write(theirs, "child") // it is the child that answers
	forker.Ask("exit 7")
	if status, err := forker.Answer(); err != nil || status[0] != "7" {
		t.Errorf("the child ended with %v, %v", status, err)
	}
	if ds := other.stat(id); ds.Nattch != 2 || ds.Lpid != child {
		t.Errorf("after the exit of %d: %+v", child, ds)
	}
	if got := other.read(mine, 5); got != "child" {
		t.Errorf("the other side reads %q", got)
	}

	child = int32(forker.number("fork"))
	forker.Ask("kill")
	if status, err := forker.Answer(); err != nil || status[0] != fmt.Sprint(-int(syscall.SIGKILL)) {
		t.Errorf("the second child ended with %v, %v", status, err)
	}
	if ds := other.stat(id); ds.Nattch != 2 || ds.Lpid != child {
		t.Errorf("after the kill of %d: %+v", child, ds)
	}
}

// both runs a command on both sides at once, with what differs between them.
func both(t *testing.T, c, o *peer, format string, mine, theirs []any) (a, b string) {
	t.Helper()
	c.Ask(format, mine...)
	o.Ask(format, theirs...)
	answers := [2]string{}
	for i, p := range []*peer{c, o} {
		answer, err := p.Answer()
		if err != nil {
			t.Fatalf("%s peer: %v", p.lang, err)
		}
		answers[i] = strings.Join(answer, " ")
	}
	return answers[0], answers[1]
}

func testAtomicAdd(t *testing.T, c, o *peer) {
	const times = 1_000_000
	id, mine := create(c, 4096, 0)
	defer c.remove(id)
	theirs := o.attach(id, 0)
	for _, width := range []int{32, 64} {
		if width == 64 && (runtime.GOARCH == "mips" || runtime.GOARCH == "mipsle") {
			t.Log("not of 64 bits: for want of instructions, C and Go take locks for that, each process its own")
			continue
		}
		c.number("store %d %d %d", width, mine, 1<<width-times)
		both(t, c, o, "add %d %d %d", []any{width, mine, times}, []any{width, theirs, times})
		for _, got := range []int64{
			c.number("load %d %d", width, mine), o.number("load %d %d", width, theirs),
		} {
			if got != times { // it has wrapped once
				t.Errorf("%d bits: counted %d, want %d", width, got, times)
			}
		}
	}
}

// litmusSegment makes the segment of a litmus test. One language with itself
// is for comparison only, and gets a tenth of the rounds.
func litmusSegment(t *testing.T, c, o *peer) (id shm.ID, mine, theirs address, rounds int) {
	t.Helper()
	rounds = 1_000_000
	if c.lang == o.lang {
		rounds /= 10
	}
	id, mine = create(c, litmusSize+2*4*rounds, 0)
	return id, mine, o.attach(id, 0), rounds
}

func testMessagePassing(t *testing.T, c, o *peer) {
	id, mine, theirs, rounds := litmusSegment(t, c, o)
	defer c.remove(id)
	_, torn := both(t, c, o, "litmus mp %d %d %d", []any{mine, 0, rounds}, []any{theirs, 1, rounds})
	if torn != "0" {
		t.Errorf("%s of %d messages were torn", torn, rounds)
	}
}

func testStoreBuffering(t *testing.T, c, o *peer) {
	if ipcns.BuiltWith("-race") && (c.lang == "Go" || o.lang == "Go") {
		t.Skip("the race detector's atomic stores to memory that is not Go's are release stores only")
	}
	id, mine, theirs, rounds := litmusSegment(t, c, o)
	defer c.remove(id)
	both(t, c, o, "litmus sb %d %d %d", []any{mine, 0, rounds}, []any{theirs, 1, rounds})
	seen, err := shm.Slice[uint32](attach(t, id, shm.SHM_RDONLY), litmusSize, 2*rounds)
	if err != nil {
		t.Fatal(err)
	}
	forbidden, fresh := 0, 0
	for n := range rounds {
		i := uint32(n + 1)
		switch a, b := seen[n], seen[rounds+n]; {
		case a < i && b < i:
			forbidden++
		case a == i && b == i:
			fresh++
		}
	}
	if forbidden > 0 {
		t.Errorf("in %d of %d rounds neither side saw the other's store", forbidden, rounds)
	}
	t.Logf("in %d of %d rounds both sides saw the other's store", fresh, rounds)
}

var permissionClasses = []string{"owner", "group", "other"}

// testPermissions: the opener is another user, to whom the segment grants bits
// as its owner, its group or neither.
func testPermissions(t *testing.T, c, o *peer, class, bits int) {
	needOtherUsers(t)
	id := c.get(testKey, 100, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	uid, gid := 0, 0
	switch permissionClasses[class] {
	case "owner":
		uid = nobody
	case "group":
		gid = nobody
	}
	c.set(id, uid, gid, shm.Mode(bits<<(6-3*class)))
	o.setuid(nobody, nobody)

	read, write, exec := bits&4 != 0, bits&2 != 0, bits&1 != 0
	allowed := func(want bool, format string, args ...any) {
		t.Helper()
		_, err := o.Do(format, args...)
		switch {
		case want && err != nil:
			t.Errorf(format+": %v", append(args, err)...)
		case !want && !errors.Is(err, syscall.EACCES):
			t.Errorf(format+": %v, want EACCES", append(args, err)...)
		}
	}
	allowed(true, "get %d 0 0", testKey)
	allowed(read, "get %d 0 0444", testKey)
	allowed(write, "get %d 0 0222", testKey)
	allowed(read && write, "get %d 0 0666", testKey)
	allowed(read, "stat %d", id)
	allowed(read, "at %d 0 %d", id, shm.SHM_RDONLY)
	allowed(read && write, "at %d 0 0", id)
	allowed(read && exec, "at %d 0 %d", id, shm.SHM_RDONLY|shm.SHM_EXEC)
	allowed(read && write && exec, "at %d 0 %d", id, shm.SHM_EXEC)
	if class == 0 {
		o.remove(id) // an owner needs no permission for that
		return
	}
	o.refuses(syscall.EPERM, "set %d %d %d 0666", id, nobody, nobody)
	o.refuses(syscall.EPERM, "lock %d", id)
	o.refuses(syscall.EPERM, "rmid %d", id)
	c.remove(id)
}
