//go:build linux && cgo

package shm_test

import (
	"fmt"
	"os"
	"structs"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/others"
)

// perl has shmget, shmread, shmwrite and shmctl built in, by the numbers of C.

// The commands of shmctl.
const (
	ipcRmid = 0
	ipcSet  = 1
	shmLock = 11
)

func perlBytes(t *testing.T, p *others.Perl, format string, args ...any) []byte {
	t.Helper()
	return unhex(t, p.Eval("unpack('H*', "+format+")", args...))
}

// What Go made perl reads and writes, and Go sees it at once.
func TestPerlOpens(t *testing.T) {
	needPrivateNS(t)
	p := others.StartPerl(t)
	id := get(t, testKey, 100, shm.IPC_CREAT|0o600)
	mem := attach(t, id, 0).Bytes()
	if got := p.Eval("shmget(%d, 100, 0)", testKey); got != fmt.Sprint(id) {
		t.Fatalf("perl found segment %s, want %d", got, id)
	}
	for _, off := range []int{0, 1, 50, 95} {
		copy(mem[off:], "hello")
		p.Eval("shmread(%d, $mem, %d, 5) ? 1 : undef", id, off)
		if got := string(perlBytes(t, p, "$mem")); got != "hello" {
			t.Errorf("perl reads %q at %d", got, off)
		}
		p.Eval("shmwrite(%d, 'wo', %d, 5) ? 1 : undef", id, off) // pads with zeros
		if got := string(mem[off : off+5]); got != "wo\x00\x00\x00" {
			t.Errorf("Go reads %q at %d", got, off)
		}
	}
	// It knows the exact size, not that of the pages.
	_, err := p.Do("shmread(%d, $mem, 96, 5) ? 1 : undef", id)
	wantErrno(t, err, syscall.EFAULT)
	_, err = p.Do("shmget(%d, 101, 0)", testKey)
	wantErrno(t, err, syscall.EINVAL)
	if ds := stat(t, id); int(ds.Lpid) != p.PID() || ds.Nattch != 1 {
		t.Errorf("%+v", ds)
	}
}

// What perl made Go attaches, and perl reads what Go wrote.
func TestPerlCreates(t *testing.T) {
	needPrivateNS(t)
	p := others.StartPerl(t)
	p.Eval("$id = shmget(%d, 5000, %d)", testKey, shm.IPC_CREAT|shm.IPC_EXCL|0o640)
	p.Eval("shmwrite($id, 'from perl', 4990, 9) ? 1 : undef")
	id := get(t, testKey, 5000, 0)
	if got := p.Eval("$id"); got != fmt.Sprint(id) {
		t.Fatalf("perl made segment %s, Go found %d", got, id)
	}
	a := attach(t, id, 0)
	if got := string(a.Bytes()[4990:4999]); a.Len() != 5000 || got != "from perl" {
		t.Errorf("Go reads %q of %d bytes", got, a.Len())
	}
	copy(a.Bytes()[4990:], "from Go!!")
	p.Eval("shmread($id, $mem, 4990, 9) ? 1 : undef")
	if got := string(perlBytes(t, p, "$mem")); got != "from Go!!" {
		t.Errorf("perl reads %q", got)
	}
	if ds := stat(t, id); int(ds.Cpid) != p.PID() || ds.Perm.Mode != 0o640 {
		t.Errorf("%+v", ds)
	}
	p.Eval("shmctl($id, %d, 0)", ipcRmid)
	if ds, err := a.Stat(); err != nil || !ds.Removed() {
		t.Errorf("perl removed it: %+v, %v", ds, err)
	}
	detach(t, a)
	wantGone(t, id)
}

// A C struct that perl packs, with padding, is what a View of it reads; and the
// reverse.
func TestPerlStruct(t *testing.T) {
	type sample struct {
		_       structs.HostLayout
		Count   int32
		Channel int16
		Celsius float64 // at 8, on every port
		Name    [10]byte
		Flags   uint32 // at 28
		Total   uint64
	}
	const template = "l s x2 d a10 x2 L Q"
	p := others.StartPerl(t)
	p.NeedSameStructs()
	id := get(t, shm.IPC_PRIVATE, 4096, 0o600)
	v, err := shm.View[sample](attach(t, id, 0), 64)
	if err != nil {
		t.Fatal(err)
	}
	size := int(unsafe.Sizeof(*v))
	if got := p.Eval("length pack('%s', (0) x 6)", template); got != fmt.Sprint(size) {
		t.Fatalf("perl packs %s bytes, Go's struct has %d", got, size)
	}
	p.Eval("shmwrite(%d, pack('%s', -7, 300, -40.25, 'probe', 0xdeadbeef, 2**53 + 2), 64, %d) ? 1 : undef", id, template, size)
	want := sample{Count: -7, Channel: 300, Celsius: -40.25, Name: [10]byte{'p', 'r', 'o', 'b', 'e'}, Flags: 0xdeadbeef, Total: 1<<53 + 2}
	if diff := cmp.Diff(want, *v); diff != "" {
		t.Errorf("(-want +View of what perl packed):\n%s", diff)
	}
	*v = sample{Count: 1 << 30, Channel: -2, Celsius: 1.5, Name: [10]byte{'G', 'o'}, Flags: 1, Total: 1 << 63}
	p.Eval("shmread(%d, $mem, 64, %d) ? 1 : undef", id, size)
	if got, want := p.Eval("join(' ', unpack('%s', $mem))", template), "1073741824 -2 1.5 Go\x00\x00\x00\x00\x00\x00\x00\x00 1 9223372036854775808"; got != want {
		t.Errorf("perl unpacks %q, want %q", got, want)
	}
}

// The status that perl is told is Go's in every byte; and what it sets, Go reads.
func TestPerlStatus(t *testing.T) {
	needPrivateNS(t)
	p := others.StartPerl(t)
	p.NeedSameStructs()
	id := get(t, testKey, 5000, shm.IPC_CREAT|0o640)
	attach(t, id, 0)
	p.Eval("shmwrite(%d, 'x', 0, 1) ? 1 : undef", id) // a time and a process each
	p.Eval("shmctl(%d, %d, 0)", id, shmLock)
	ds := stat(t, id)
	if !ds.PagesLocked() || ds.Atime == 0 || ds.Dtime == 0 || int(ds.Lpid) != p.PID() {
		t.Errorf("%+v", ds)
	}
	const ipcStat = 2
	p.Eval("shmctl(%d, %d, $ds)", id, ipcStat)
	cstruct.SameBytes(t, "IPC_STAT by perl", perlBytes(t, p, "$ds"), &ds)

	ds.Perm.Mode = 0o606
	p.Eval("shmctl(%d, %d, $new = pack('H*', '%x'))", id, ipcSet, cstruct.Bytes(&ds))
	if got := stat(t, id).Perm.Mode; got != shm.SHM_LOCKED|0o606 {
		t.Errorf("perl set mode %v", got)
	}
	ds.Perm.Mode = 0o640
	set(t, id, &ds)
	p.Eval("shmctl(%d, %d, $ds)", id, ipcStat)
	if got := cstruct.FromBytes[shm.ShmidDS](t, perlBytes(t, p, "$ds")).Perm.Mode; got != shm.SHM_LOCKED|0o640 {
		t.Errorf("perl reads mode %v", got)
	}
}

// perl attached, with its module IPC::SysV: each sees the other's stores.
func TestPerlAttached(t *testing.T) {
	p := others.StartPerl(t)
	if p.Eval("eval { require IPC::SysV } ? 1 : 0") != "1" {
		t.Skip("perl has no module IPC::SysV")
	}
	id := get(t, shm.IPC_PRIVATE, os.Getpagesize(), 0o600)
	mem := attach(t, id, 0).Bytes()
	p.Eval("defined($addr = IPC::SysV::shmat(%d, undef, 0)) ? 1 : undef", id)
	wantNattch(t, id, 2)
	p.Eval("IPC::SysV::memwrite($addr, 'from perl', 100, 9) ? 1 : undef")
	if got := string(mem[100:109]); got != "from perl" {
		t.Errorf("Go reads %q", got)
	}
	copy(mem[100:], "from Go!!")
	p.Eval("IPC::SysV::memread($addr, $mem, 100, 9) ? 1 : undef")
	if got := string(perlBytes(t, p, "$mem")); got != "from Go!!" {
		t.Errorf("perl reads %q", got)
	}
	p.Eval("IPC::SysV::shmdt($addr)")
	wantNattch(t, id, 1)
}
