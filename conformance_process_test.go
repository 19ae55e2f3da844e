//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gosysv/shm"
)

// Only a C program can fork and go on, so it is C peers that do.
var processRows = []row{
	{160, "fork: the child inherits every attachment; atime is now, lpid the parent", func(t *testing.T) {
		id, c, _ := attachedByC(t)
		c.attach(id, shm.SHM_RDONLY)
		before := kernelTime(t)
		c.number("fork")
		ds := stat(t, id)
		if ds.Nattch != 2+2 || int(ds.Lpid) != c.PID() {
			t.Errorf("parent %d: %+v", c.PID(), ds)
		}
		wantSince(t, "atime", ds.Atime, before)
		endChild(c, "exit 0")
	}},
	{161, "a child exits or is killed: detached; dtime is now, lpid the child", func(t *testing.T) {
		for _, end := range []string{"exit 0", "kill"} {
			t.Run(end, func(t *testing.T) {
				id, c, _ := attachedByC(t)
				child := c.number("fork")
				before := kernelTime(t)
				endChild(c, end)
				ds := stat(t, id)
				if ds.Nattch != 1 || int64(ds.Lpid) != child {
					t.Errorf("child %d: %+v", child, ds)
				}
				wantSince(t, "dtime", ds.Dtime, before)
			})
		}
	}},
	{162, "a child execs: detached before the new program runs; lpid is the child", func(t *testing.T) {
		id, c, _ := attachedByC(t)
		child := c.number("fork")
		c.Ask("exec /proc/self/exe")
		ds := c.stat(id)
		wantSame(t, ds, stat(t, id))
		if ds.Nattch != 1 || int64(ds.Lpid) != child {
			t.Errorf("child %d: %+v", child, ds)
		}
		endChild(c, "exit 0")
	}},
	{164, "MADV_DONTFORK: the child does not inherit the attachment", func(t *testing.T) {
		id, c, addr := attachedByC(t)
		c.number("dontfork %d %d", addr, os.Getpagesize())
		want := stat(t, id)
		c.number("fork")
		wantSame(t, want, stat(t, id))
		endChild(c, "exit 0")
		wantSame(t, want, stat(t, id))
	}},
	{165, "a thread attaches and ends: the attachment is the process's, and stays", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		var a *shm.Attachment
		onEndingThread(t, func() (err error) {
			a, err = id.Attach(0)
			return err
		})
		a.Bytes()[0] = 1
		if ds := stat(t, id); ds.Nattch != 1 || int(ds.Lpid) != os.Getpid() {
			t.Errorf("process %d: %+v", os.Getpid(), ds)
		}
		detach(t, a)
	}},
	{166, "20 children attach and detach, or inherit and end: nattch counts them", func(t *testing.T) {
		const children = 20
		id, c, addr := attachedByC(t)
		var pids []int64
		for range children {
			pids = append(pids, c.number("spawn"))
		}
		wantNattch(t, id, 1+children)
		for _, pid := range pids {
			c.number("reap %d", pid)
		}
		wantNattch(t, id, 1)
		c.detach(addr)

		attached := map[*peer]address{}
		for range children {
			c := startC(t)
			attached[c] = c.attach(id, 0)
		}
		wantNattch(t, id, children)
		for c, addr := range attached {
			c.detach(addr)
		}
		wantNattch(t, id, 0)
	}},
	{167, "removed, and attached in a child that inherited it only: its SIGKILL destroys it", func(t *testing.T) {
		id, c, addr := attachedByC(t)
		child := c.number("spawn")
		c.remove(id)
		c.detach(addr)
		wantNattch(t, id, 1)
		c.number("reap %d", child)
		wantGone(t, id)
	}},
	{168, "what sets the times", func(t *testing.T) {
		for name, detachSomehow := range map[string]func(id shm.ID){
			"shmdt": func(id shm.ID) { detach(t, attach(t, id, 0)) },
			"munmap": func(id shm.ID) {
				a := attach(t, id, 0)
				unmapBehind(t, uintptr(a.Pointer()), uintptr(os.Getpagesize()))
				wantErrno(t, a.Detach(), syscall.EINVAL)
			},
			"exit": func(id shm.ID) {
				c := startC(t)
				c.attach(id, 0)
				c.End()
			},
			"exec": func(id shm.ID) {
				c := startC(t)
				c.attach(id, 0)
				c.Ask("exec /proc/self/exe")
				c.stat(id)
			},
		} {
			before := kernelTime(t)
			id := get(t, shm.IPC_PRIVATE, 1, 0o600)
			created := stat(t, id)
			wantSince(t, "ctime", created.Ctime, before)
			if created.Atime != 0 || created.Dtime != 0 {
				t.Errorf("created: %+v", created)
			}
			detachSomehow(id)
			ds := stat(t, id)
			wantSince(t, "atime after "+name, ds.Atime, before)
			wantSince(t, "dtime after "+name, ds.Dtime, before)
			if ds.Ctime != created.Ctime {
				t.Errorf("%s set ctime", name)
			}
			set(t, id, &ds)
			wantSince(t, "ctime after Set", stat(t, id).Ctime, before)
		}
	}},
	{169, "ctime is of a coarse clock: up to 1 s before a time.Now that was read first", func(t *testing.T) {
		for range 100 {
			now, before := time.Now(), kernelTime(t)
			id := get(t, shm.IPC_PRIVATE, 1, 0o600)
			ds := stat(t, id)
			remove(t, id)
			wantSince(t, "ctime", ds.Ctime, before)
			if sec := int(now.Unix()); ds.Ctime < sec-1 {
				t.Errorf("ctime %d, and it was %d before", ds.Ctime, sec)
			}
		}
	}},
	{170, "the creator is dead: cpid keeps its number", func(t *testing.T) {
		c := startC(t)
		id := getBy(t, c)
		c.End()
		if ds := stat(t, id); int(ds.Cpid) != c.PID() {
			t.Errorf("cpid %d, want %d", ds.Cpid, c.PID())
		}
		wantErrno(t, syscall.Kill(c.PID(), 0), syscall.ESRCH)
	}},
	{172, "pids of a pid namespace: each reader sees its own numbers, and the parent also later", func(t *testing.T) {
		needCaps(t, capSysAdmin)
		p := startGoIn(t, syscall.CLONE_NEWPID)
		id := getBy(t, p)
		p.attach(id, 0)
		if ds := p.stat(id); ds.Cpid != 1 || ds.Lpid != 1 {
			t.Errorf("inside: %+v", ds)
		}
		for range 2 {
			if ds := stat(t, id); int(ds.Cpid) != p.PID() || int(ds.Lpid) != p.PID() {
				t.Errorf("outside, pid %d: %+v", p.PID(), ds)
			}
			p.End()
		}
	}},
	{173, "a child writes: its parent, and any other process, reads it", func(t *testing.T) {
		id, c, addr := attachedByC(t)
		c.number("fork")
		c.write(addr, "child")
		endChild(c, "exit 0")
		if got := c.read(addr, 5); got != "child" {
			t.Errorf("its parent reads %q", got)
		}
		if got := string(attach(t, id, 0).Bytes()[:5]); got != "child" {
			t.Errorf("another process reads %q", got)
		}
	}},
}

// getBy makes a segment in a peer, until the end of the test.
func getBy(t *testing.T, p *peer) shm.ID {
	t.Helper()
	p.get(testKey, os.Getpagesize(), shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	return get(t, testKey, 0, 0)
}

// attachedByC makes a segment in a C peer, which attaches.
func attachedByC(t *testing.T) (id shm.ID, c *peer, addr address) {
	t.Helper()
	c = startC(t)
	id = getBy(t, c)
	return id, c, c.attach(id, 0)
}

// endChild tells a forked child how to end, and waits until it has.
func endChild(c *peer, how string) {
	c.t.Helper()
	c.number("%s", how) // it is the parent that answers
}

func wantNattch(t *testing.T, id shm.ID, want uint) {
	t.Helper()
	if got := stat(t, id).Nattch; got != want {
		t.Errorf("nattch %d, want %d", got, want)
	}
}

// kernelTime reads the clock that the kernel takes a segment's times from.
// What time.Now reads may be ahead of it.
func kernelTime(t *testing.T) int {
	t.Helper()
	const clockRealtimeCoarse = 5
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockRealtimeCoarse, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		t.Fatal(errno)
	}
	sec, _ := now.Unix()
	return int(sec)
}

// wantSince wants a time between a kernelTime and now.
func wantSince(t *testing.T, what string, got, before int) {
	t.Helper()
	if now := kernelTime(t); got < before || got > now {
		t.Errorf("%s %d, want %d to %d", what, got, before, now)
	}
}

// onEndingThread runs f on a thread that ends then, and waits for its end.
func onEndingThread(t *testing.T, f func() error) {
	t.Helper()
	thread, err := runOnEndingThread(f)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the thread", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return errors.Is(err, fs.ErrNotExist)
	})
}

func runOnEndingThread(f func() error) (thread int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Go ends the thread of a goroutine that returns while locked to
		// it, but for the main thread: then another is to be found.
		runtime.LockOSThread()
		if thread = syscall.Gettid(); thread != os.Getpid() {
			err = f()
			return
		}
		thread, err = runOnEndingThread(f)
		runtime.UnlockOSThread()
	}()
	<-done
	return thread, err
}

// eventually waits for what the kernel does in its own time.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
