//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/ipcns"
)

var namespaceRows = []row{
	{180, "another namespace: the key is ENOENT, the id EINVAL, and the key makes a segment of its own", func(t *testing.T) {
		needCaps(t, capSysAdmin)
		id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
		p := startGoIn(t, syscall.CLONE_NEWIPC)
		p.refuses(syscall.ENOENT, "get %d 0 0", testKey)
		p.refuses(syscall.EINVAL, "stat %d", id)
		theirs := p.get(testKey, 2, shm.IPC_CREAT|0o600)
		if mine, other := stat(t, id).Segsz, p.stat(theirs).Segsz; mine != 1 || other != 2 {
			t.Errorf("sizes %d and %d", mine, other)
		}
	}},
	{181, "unshare while attached: still mapped and shared; Detach works, and the id is EINVAL", alone(func(t *testing.T) {
		needCaps(t, capSysAdmin)
		id := get(t, shm.IPC_PRIVATE, 100, 0o600)
		a := attach(t, id, 0)
		p := startGo(t) // stays in the old namespace
		theirs := p.attach(id, 0)
		unshare(t, syscall.CLONE_NEWIPC)
		copy(a.Bytes(), "new")
		if got := p.read(theirs, 3); got != "new" {
			t.Errorf("the old namespace reads %q", got)
		}
		p.write(theirs, "old")
		if got := string(a.Bytes()[:3]); got != "old" {
			t.Errorf("the new namespace reads %q", got)
		}
		wantGone(t, id)
		detach(t, a)
		if ds := p.stat(id); ds.Nattch != 1 {
			t.Errorf("the old namespace: %+v", ds)
		}
	})},
	{182, "setns: the key is found and attached; the namespace lives while a process is in it", func(t *testing.T) {
		needCaps(t, capSysAdmin)
		first := startGoIn(t, syscall.CLONE_NEWIPC)
		id := first.get(testKey, 100, shm.IPC_CREAT|0o600)
		first.write(first.attach(id, 0), "first")

		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(asPeer, "1")
		second := startC(t)
		second.number("setns /proc/%d/ns/ipc", first.PID())
		second.Ask("exec %s", program) // a Go peer from here on
		first.End()
		if got := second.get(testKey, 0, 0); got != id {
			t.Errorf("id %d, want %d", got, id)
		}
		if got := second.read(second.attach(id, 0), 5); got != "first" {
			t.Errorf("read %q", got)
		}
	}},
	{183, "the last process leaves a namespace: its segments are freed, without Remove", systemWide(func(t *testing.T) {
		needCaps(t, capSysAdmin)
		const size = 256 << 20
		before := shmem(t)
		c := startCIn(t, syscall.CLONE_NEWIPC)
		id := c.get(shm.IPC_PRIVATE, size, 0o600)
		addr := c.attach(id, 0)
		c.fill(addr, size, 1)
		c.detach(addr)
		// Others use such memory too: half will do.
		if used := shmem(t) - before; used < size/2 {
			t.Errorf("%d bytes in use, want %d", used, size)
		}
		c.End()
		eventually(t, "the memory to be freed", func() bool { return shmem(t)-before < size/2 })
	})},
	{184, "not attached and not removed: the memory stays after its creator, until Remove", func(t *testing.T) {
		before := usage(t)
		p := startGo(t)
		id := getBy(t, p)
		p.write(p.attach(id, 0), "stays")
		p.End()
		if got := usage(t).ShmRss; got != before.ShmRss+1 {
			t.Errorf("%d pages, want %d", got, before.ShmRss+1)
		}
		a := attach(t, id, 0)
		if got := string(a.Bytes()[:5]); got != "stays" {
			t.Errorf("read %q", got)
		}
		detach(t, a)
		remove(t, id)
		if got := usage(t); got != before {
			t.Errorf("after Remove: %+v, want %+v", got, before)
		}
	}},
	{185, "an ordinary user in a user namespace: all works, sysctls too, and stays inside", alone(func(t *testing.T) {
		const inside = "SHM_TEST_INSIDE"
		if os.Getenv(inside) == "" && inInitialUserNS(t) {
			needOtherUsers(t)
			before := limits(t)
			become(t, nobody, nobody)
			rerunInUserNS(t, inside+"=1")
			if got := limits(t); got != before {
				t.Errorf("outside: %+v, want %+v", got, before)
			}
			return
		}
		setSysctl(t, "kernel/shmmax", "7654321")
		setSysctl(t, "kernel/shmmni", "321")
		setSysctl(t, "kernel/shmall", "54321")
		if got := limits(t); got.Shmmax != 7654321 || got.Shmmni != 321 || got.Shmall != 54321 {
			t.Errorf("%+v", got)
		}
		setSysctl(t, "kernel/shm_rmid_forced", "1")
		setSysctl(t, "kernel/shm_rmid_forced", "0")
		setNextID(t, 77<<15|5)
		id := get(t, testKey, 100, shm.IPC_CREAT|0o600)
		if id != 77<<15|5 {
			t.Errorf("id %d", id)
		}
		attach(t, id, 0).Bytes()[99] = 1
		ds := stat(t, id)
		set(t, id, &ds)
		lock(t, id)
		remove(t, id)
	})},
	{186, "a user namespace without maps: every owner is 65534, which Set refuses; Remove works", func(t *testing.T) {
		needNamespaces(t, syscall.CLONE_NEWUSER|syscall.CLONE_NEWIPC)
		p := startGoIn(t, syscall.CLONE_NEWUSER|syscall.CLONE_NEWIPC)
		id := p.get(shm.IPC_PRIVATE, 1, 0o600)
		const overflow = 65534
		if perm := p.stat(id).Perm; perm.UID != overflow || perm.GID != overflow || perm.CUID != overflow || perm.CGID != overflow {
			t.Errorf("%+v", perm)
		}
		p.refuses(syscall.EINVAL, "set %d %d %d 0600", id, overflow, overflow)
		p.remove(id)
	}},
	{189, "shm_next_id: the next id is that one, and the file says -1 again", alone(func(t *testing.T) {
		setNextID(t, 77<<15|5)
		if id := get(t, shm.IPC_PRIVATE, 1, 0o600); id != 77<<15|5 {
			t.Errorf("id %d", id)
		}
		wantSysctl(t, "kernel/shm_next_id", "-1")
	})},
	{190, "shm_next_id of a slot in use: the next free slot, and the same sequence number", alone(func(t *testing.T) {
		for i := range shm.ID(2) {
			setNextID(t, 77<<15|5)
			if id := get(t, shm.IPC_PRIVATE, 1, 0o600); id != 77<<15|5+i {
				t.Errorf("id %d", id)
			}
		}
	})},
	{191, "shm_next_id of INT_MAX: a valid id", alone(func(t *testing.T) {
		setNextID(t, 1<<31-1)
		if id := get(t, shm.IPC_PRIVATE, 1, 0o600); id != 1<<31-1 {
			t.Errorf("id %d", id)
		}
	})},
	{192, "shm_next_id takes no negative number: EINVAL; and nothing of another user: EACCES", alone(func(t *testing.T) {
		for _, value := range []string{"-1", "-2"} {
			wantErrno(t, writeSysctl("kernel/shm_next_id", value), syscall.EINVAL)
		}
		t.Run("another user", func(t *testing.T) {
			needOtherUsers(t)
			become(t, nobody, nobody)
			wantErrno(t, writeSysctl("kernel/shm_next_id", "1"), syscall.EACCES)
		})
	})},
	{193, "shm_next_id, and a Get that fails: kept for the next one", alone(func(t *testing.T) {
		setNextID(t, 77<<15|5)
		_, err := shm.Get(shm.IPC_PRIVATE, 0, 0o600)
		wantErrno(t, err, syscall.EINVAL)
		wantSysctl(t, "kernel/shm_next_id", strconv.Itoa(77<<15|5))
		if id := get(t, shm.IPC_PRIVATE, 1, 0o600); id != 77<<15|5 {
			t.Errorf("id %d", id)
		}
	})},
	{194, "shmmni of more than 32768: EINVAL", alone(func(t *testing.T) {
		setSysctl(t, "kernel/shmmni", "32768")
		wantErrno(t, writeSysctl("kernel/shmmni", "32769"), syscall.EINVAL)
		if got := limits(t).Shmmni; got != 32768 {
			t.Errorf("shmmni %d", got)
		}
	})},
	{195, "a new namespace: the sysctls are at their defaults, and changes elsewhere do not get in", alone(func(t *testing.T) {
		needCaps(t, capSysAdmin)
		want := limits(t)
		if want.Shmmni != 4096 {
			t.Errorf("shmmni %d", want.Shmmni)
		}
		earlier := startGoIn(t, syscall.CLONE_NEWIPC)
		setSysctl(t, "kernel/shmmax", "7654321")
		setSysctl(t, "kernel/shmmni", "321")
		setSysctl(t, "kernel/shmall", "54321")
		later := startGoIn(t, syscall.CLONE_NEWIPC)
		if limits(t) == want {
			t.Error("nothing changed")
		}
		for _, p := range []*peer{earlier, later} {
			_, raw := p.raw("ipcinfo")
			if got := cstruct.FromBytes[shm.LimitsInfo](t, raw); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	})},
	{196, "shm_rmid_forced set: destroys what is not attached and whose creator is dead, only", alone(func(t *testing.T) {
		runtime.LockOSThread() // the creator is a thread
		alive := get(t, shm.IPC_PRIVATE, 1, 0o600)
		p := startGo(t)
		dead := getBy(t, p)
		p.End()
		stat(t, dead)
		setSysctl(t, "kernel/shm_rmid_forced", "1")
		wantGone(t, dead)
		stat(t, alive)
	})},
	{197, "shm_rmid_forced, never attached, and its creator exits: destroyed", alone(func(t *testing.T) {
		setSysctl(t, "kernel/shm_rmid_forced", "1")
		p := startGo(t)
		id := getBy(t, p)
		p.End()
		wantGone(t, id)
	})},
	{198, "shm_rmid_forced, and the last detach: destroyed, without ever a sign of it", alone(func(t *testing.T) {
		runtime.LockOSThread() // the creator lives
		setSysctl(t, "kernel/shm_rmid_forced", "1")
		id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
		a := attach(t, id, 0)
		if perm := stat(t, id).Perm; perm.Mode != 0o600 || perm.Key != testKey {
			t.Errorf("%+v", perm)
		}
		detach(t, a)
		wantGone(t, id)
		_, err := shm.Get(testKey, 0, 0)
		wantErrno(t, err, syscall.ENOENT)
	})},
	{200, "the creating thread ends, and then shm_rmid_forced is set: destroyed", alone(func(t *testing.T) {
		var id shm.ID
		onEndingThread(t, func() (err error) {
			id, err = shm.Get(shm.IPC_PRIVATE, 1, 0o600)
			return err
		})
		stat(t, id)
		setSysctl(t, "kernel/shm_rmid_forced", "1")
		wantGone(t, id)
	})},
	{201, "shm_rmid_forced set and cleared while attached: kept after the detach", alone(func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		a := attach(t, id, 0)
		setSysctl(t, "kernel/shm_rmid_forced", "1")
		setSysctl(t, "kernel/shm_rmid_forced", "0")
		detach(t, a)
		wantNattch(t, id, 0)
	})},
	{202, "shm_rmid_forced of 2: EINVAL", alone(func(t *testing.T) {
		wantErrno(t, writeSysctl("kernel/shm_rmid_forced", "2"), syscall.EINVAL)
	})},
	{203, "/proc/sysvipc/shm: what Stat tells, keys signed, modes octal with their flags, memory in bytes", alone(func(t *testing.T) {
		page := os.Getpagesize()
		makeOneOfEach(t)
		segs, err := shm.List()
		if err != nil {
			t.Fatal(err)
		}
		var want [][]string
		for i, s := range segs {
			p := &s.Perm
			want = append(want, strings.Fields(fmt.Sprintf("%d %d %o %d %d %d %d %d %d %d %d %d %d %d %d 0",
				p.Key, s.ID, p.Mode, s.Segsz, s.Cpid, s.Lpid, s.Nattch,
				p.UID, p.GID, p.CUID, p.CGID, s.Atime, s.Dtime, s.Ctime, i*page)))
		}
		got := procTable(t, "shm")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-List +/proc/sysvipc/shm):\n%s", diff)
		}
		for i, start := range []string{
			"-2147483647 0 600 1 ",
			fmt.Sprintf("0 1 1600 %d ", page+1),
			fmt.Sprintf("%d 2 2640 %d ", testKey, 2*page+1),
		} {
			if line := strings.Join(got[i], " "); !strings.HasPrefix(line, start) {
				t.Errorf("got %s, want %s", line, start)
			}
		}
	})},
	{204, "ipcs -m: dest and locked, and the key 0x00000000 of what was removed", alone(func(t *testing.T) {
		t.Setenv("LC_ALL", "C")
		page := os.Getpagesize()
		ipcs, err := exec.LookPath("ipcs")
		if err != nil {
			t.Skip(err)
		}
		makeOneOfEach(t)
		out, err := exec.Command(ipcs, "-m").Output()
		if err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(string(out), "status")
		var got []string
		for line := range strings.Lines(table) {
			if f := strings.Fields(line); len(f) > 0 {
				got = append(got, strings.Join(append(f[:2], f[3:]...), " ")) // all but the owner's name
			}
		}
		want := []string{
			"0x80000001 0 600 1 0",
			fmt.Sprintf("0x00000000 1 600 %d 1 dest", page+1),
			fmt.Sprintf("0x000005e9 2 640 %d 1 locked", 2*page+1),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s\nof\n%s", diff, out)
		}
	})},
	{205, "/dev/shm has nothing to do with it: a segment takes no block there", systemWide(func(t *testing.T) {
		const size = 64 << 20
		free := func() int {
			var fs syscall.Statfs_t
			if err := syscall.Statfs("/dev/shm", &fs); err != nil {
				t.Skip("/dev/shm: ", err)
			}
			return int(fs.Bfree) * int(fs.Bsize)
		}
		before := free()
		a := attach(t, get(t, shm.IPC_PRIVATE, size, 0o600), 0)
		for i := 0; i < size; i += os.Getpagesize() {
			a.Bytes()[i] = 1
		}
		// Others use it too: half will do.
		if used := before - free(); used > size/2 {
			t.Errorf("%d bytes fewer are free", used)
		}
	})},
}

// unshare moves this goroutine's thread, and what it starts, to new
// namespaces.
func unshare(t *testing.T, namespaces int) {
	t.Helper()
	runtime.LockOSThread() // not unlocked: the thread must end with the test
	if err := syscall.Unshare(namespaces); err != nil {
		t.Fatal(err)
	}
}

// needNamespaces skips the test unless the kernel starts a process in such new
// namespaces.
func needNamespaces(t *testing.T, namespaces uintptr) {
	t.Helper()
	cmd := goPeerCmd(namespaces) // has no input, and ends
	if err := cmd.Run(); err != nil {
		t.Skip("needs namespaces of its own: ", err)
	}
}

// rerunInUserNS runs the test that this process was started for again, in a
// user and an IPC namespace, with env.
func rerunInUserNS(t *testing.T, env string) {
	t.Helper()
	// A process that changed its user does not own its files in /proc,
	// where the maps of its child are.
	if _, _, errno := syscall.Syscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 1, 0); errno != 0 {
		t.Fatal(errno)
	}
	cmd := ipcns.Self(os.Args[1:]...)
	ipcns.Isolate(cmd)
	cmd.Env = append(cmd.Environ(), env)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) || err == nil && !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Errorf("%v\n%s", err, out)
	case err != nil:
		t.Skip("needs a user namespace: ", err)
	}
}

// makeOneOfEach makes the segments of a fresh namespace: a negative key, and
// nothing touched; removed, and a page touched; locked, and two touched.
func makeOneOfEach(t *testing.T) {
	t.Helper()
	page := os.Getpagesize()
	get(t, -0x7fffffff, 1, shm.IPC_CREAT|0o600)
	removed := get(t, testKey, page+1, shm.IPC_CREAT|0o600)
	attach(t, removed, 0).Bytes()[0] = 1
	remove(t, removed)
	locked := get(t, testKey, 2*page+1, shm.IPC_CREAT|0o640)
	mem := attach(t, locked, 0).Bytes()
	mem[0], mem[page] = 1, 1
	lock(t, locked)
}

// setNextID does not restore the -1 that the file says before and after: it
// takes none.
func setNextID(t *testing.T, id int) {
	t.Helper()
	if err := writeSysctl("kernel/shm_next_id", strconv.Itoa(id)); err != nil {
		t.Fatal(err)
	}
}

func writeSysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
}

func wantSysctl(t *testing.T, name, want string) {
	t.Helper()
	if got := sysctl(t, name); got != want {
		t.Errorf("%s is %s, want %s", name, got, want)
	}
}

// shmem tells how much memory of this kind the whole system uses.
func shmem(t *testing.T) int {
	t.Helper()
	n, ok := meminfo(t, "Shmem")
	if !ok {
		t.Skip("/proc/meminfo does not tell")
	}
	return n
}

// meminfo reads a number of bytes from /proc/meminfo.
func meminfo(t *testing.T, name string) (n int, ok bool) {
	t.Helper()
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(info), "\n"+name+":")
	if ok {
		n = atoi(t, strings.Fields(after)[0]) << 10
	}
	return n, ok
}
