//go:build linux && cgo

package shm_test

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/others"
)

// What the tools of util-linux print is what this package tells. Most of it they
// read from /proc, not with the calls.

// makeSegments makes the segments that the tools are to tell of: one that nobody
// was ever attached to; one that is removed; one that is locked; and one of
// another user. Other processes attach: this one starts the tools, and where that
// is a fork, the kernel counts it.
func makeSegments(t *testing.T) []shm.Segment {
	t.Helper()
	page := os.Getpagesize()
	p := startGo(t)
	p.get(-0x7fffffff, 1, shm.IPC_CREAT|0o600)
	removed := p.get(testKey, page+1, shm.IPC_CREAT|0o600)
	p.write(p.attach(removed, 0), "one page")
	p.remove(removed)
	locked := p.get(testKey, 2*page+1, shm.IPC_CREAT|0o640)
	p.fill(p.attach(locked, 0), 2*page, 1)
	p.number("lock %d", locked)
	theirs := p.get(shm.IPC_PRIVATE, 3*page, 0o604)
	p.detach(p.attach(theirs, 0))
	ds := stat(t, theirs)
	ds.Perm.UID, ds.Perm.GID = nobody, nobody
	if err := theirs.Set(&ds); err != nil {
		t.Log("the owner stays: ", err)
	}
	startGo(t).attach(theirs, shm.SHM_RDONLY)
	segs, err := shm.List()
	if err != nil || len(segs) != 4 {
		t.Fatalf("%d segments, %v", len(segs), err)
	}
	return segs
}

func ipcsStatus(s *shm.Segment) string {
	switch {
	case s.Removed():
		return "dest"
	case s.PagesLocked():
		return "locked"
	}
	return ""
}

func TestIpcs(t *testing.T) {
	alone(func(t *testing.T) {
		segs := makeSegments(t)
		for _, c := range []struct {
			option, heading string
			row             func(s *shm.Segment) string
		}{
			{"-m", "key", func(s *shm.Segment) string {
				return fmt.Sprintf("%v %d %s %o %d %d %s", s.Perm.Key, s.ID, others.Owner(s.Perm.UID), s.Perm.Mode.Perm(), s.Segsz, s.Nattch, ipcsStatus(s))
			}},
			{"-mp", "shmid", func(s *shm.Segment) string {
				return fmt.Sprintf("%d %s %d %d", s.ID, others.Owner(s.Perm.UID), s.Cpid, s.Lpid)
			}},
			{"-mt", "shmid", func(s *shm.Segment) string {
				return fmt.Sprintf("%d %s %s %s %s", s.ID, others.Owner(s.Perm.UID), others.Time(s.AttachTime(), time.Stamp),
					others.Time(s.DetachTime(), time.Stamp), others.Time(s.ChangeTime(), time.Stamp))
			}},
			{"-mc", "shmid", func(s *shm.Segment) string {
				p := &s.Perm
				return fmt.Sprintf("%d %o %s %s %s %s", s.ID, p.Mode.Perm(), others.User(p.CUID), others.Group(p.CGID), others.User(p.UID), others.Group(p.GID))
			}},
		} {
			others.SameRows(t, "ipcs "+c.option, segs, others.Rows(others.UtilLinux(t, "ipcs", c.option), c.heading), c.row)
		}
		var details []string
		for _, s := range segs {
			details = append(details, others.Flat(others.UtilLinux(t, "ipcs", "-m", "-i", fmt.Sprint(s.ID))))
		}
		others.SameRows(t, "ipcs -m -i ID", segs, details, func(s *shm.Segment) string {
			p := &s.Perm
			return fmt.Sprintf("Shared memory Segment shmid=%d uid=%d gid=%d cuid=%d cgid=%d mode=%#o access_perms=%#o "+
				"bytes=%d lpid=%d cpid=%d nattch=%d att_time=%s det_time=%s change_time=%s",
				s.ID, p.UID, p.GID, p.CUID, p.CGID, p.Mode, p.Mode.Perm(), s.Segsz, s.Lpid, s.Cpid, s.Nattch,
				others.Time(s.AttachTime(), time.ANSIC), others.Time(s.DetachTime(), time.ANSIC), others.Time(s.ChangeTime(), time.ANSIC))
		})
	})(t)
}

// setLimits makes the limits of a namespace others than each other's and than
// the defaults.
func setLimits(t *testing.T) shm.LimitsInfo {
	t.Helper()
	setSysctl(t, "kernel/shmmax", strconv.Itoa(7<<20))
	setSysctl(t, "kernel/shmmni", "321")
	setSysctl(t, "kernel/shmall", strconv.Itoa(64<<10))
	return limits(t)
}

func TestIpcsLimitsAndUsage(t *testing.T) {
	alone(func(t *testing.T) {
		makeSegments(t)
		l, u := setLimits(t), usage(t)
		page := uint(os.Getpagesize())
		for option, want := range map[string]string{
			"-ml": fmt.Sprintf("------ Shared Memory Limits -------- max number of segments = %d max seg size (kbytes) = %d "+
				"max total shared memory (kbytes) = %d min seg size (bytes) = %d", l.Shmmni, l.Shmmax>>10, l.Shmall*page>>10, l.Shmmin),
			"-mu": fmt.Sprintf("------ Shared Memory Status -------- segments allocated %d pages allocated %d pages resident %d "+
				"pages swapped %d Swap performance: %d attempts %d successes",
				u.UsedIDs, u.ShmTot, u.ShmRss, u.ShmSwp, u.SwapAttempts, u.SwapSuccesses),
		} {
			if got := others.Flat(others.UtilLinux(t, "ipcs", option)); got != want {
				t.Errorf("ipcs %s:\n got %s\nwant %s", option, got, want)
			}
		}
	})(t)
}

func TestLsipc(t *testing.T) {
	alone(func(t *testing.T) {
		var want []map[string]string
		for _, s := range makeSegments(t) {
			row := others.LsipcPerm(&s.Perm)
			maps.Copy(row, map[string]string{
				"ID": fmt.Sprint(s.ID), "SIZE": fmt.Sprint(s.Segsz), "NATTCH": fmt.Sprint(s.Nattch), "STATUS": ipcsStatus(&s),
				"CTIME": others.LsipcTime(s.ChangeTime()), "ATTACH": others.LsipcTime(s.AttachTime()), "DETACH": others.LsipcTime(s.DetachTime()),
				"CPID": fmt.Sprint(s.Cpid), "LPID": fmt.Sprint(s.Lpid),
			})
			want = append(want, row)
		}
		others.SameAsLsipc(t, "shmems", want)
	})(t)
}

func TestLsipcLimitsAndUsage(t *testing.T) {
	alone(func(t *testing.T) {
		var pages uint // lsipc counts whole ones only
		for _, s := range makeSegments(t) {
			pages += s.Segsz / uint(os.Getpagesize())
		}
		l, u := setLimits(t), usage(t)
		others.SameLimitsAsLsipc(t, "shmems", map[string][2]string{
			"SHMMNI": {fmt.Sprint(l.Shmmni), fmt.Sprint(u.UsedIDs)},
			"SHMALL": {fmt.Sprint(l.Shmall), fmt.Sprint(pages)},
			"SHMMAX": {fmt.Sprint(l.Shmmax), "-"},
			"SHMMIN": {fmt.Sprint(l.Shmmin), "-"},
		})
	})(t)
}

// What ipcmk makes, Go finds, attaches and removes.
func TestIpcmk(t *testing.T) {
	needPrivateNS(t)
	before := kernelTime(t)
	out := others.UtilLinux(t, "ipcmk", "--shmem", "5000", "--mode", "0640")
	var id shm.ID
	if _, err := fmt.Sscanf(out, "Shared memory id: %d", &id); err != nil {
		t.Fatalf("ipcmk printed %q", out)
	}
	ds := stat(t, id)
	wantSince(t, "ctime", ds.Ctime, before)
	if ds.Segsz != 5000 || ds.Perm.Mode != 0o640 || int(ds.Perm.CUID) != os.Geteuid() || ds.Nattch != 0 || ds.Cpid == int32(os.Getpid()) {
		t.Errorf("%+v", ds)
	}
	if got := get(t, ds.Perm.Key, 5000, 0o600); got != id {
		t.Errorf("its key has segment %d, want %d", got, id)
	}
	a := attach(t, id, 0)
	if a.Len() != 5000 {
		t.Errorf("%d bytes", a.Len())
	}
	a.Bytes()[4999] = 1
	detach(t, a)
	remove(t, id)
	if left := others.Rows(others.UtilLinux(t, "ipcs", "-m"), "key"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	others.UtilLinuxFails(t, "ipcrm", "-m", fmt.Sprint(id))
}

// What Go makes, ipcrm removes: by its id, by its key, and all.
func TestIpcrm(t *testing.T) {
	needPrivateNS(t)
	byID, byKey := get(t, shm.IPC_PRIVATE, 100, 0o600), get(t, testKey, 100, shm.IPC_CREAT|0o600)
	a := attach(t, byKey, 0)
	a.Bytes()[99] = 7
	others.UtilLinux(t, "ipcrm", "-m", fmt.Sprint(byID))
	wantGone(t, byID)
	others.UtilLinux(t, "ipcrm", "-M", testKey.String())
	if ds, err := a.Stat(); err != nil || !ds.Removed() || ds.Perm.Key != shm.IPC_PRIVATE || a.Bytes()[99] != 7 {
		t.Errorf("attached: %+v, %v", ds, err)
	}
	detach(t, a)
	wantGone(t, byKey)
	for range 3 {
		get(t, shm.IPC_PRIVATE, 100, 0o600)
	}
	others.UtilLinux(t, "ipcrm", "--all=shm")
	if segs, err := shm.List(); len(segs) != 0 || err != nil {
		t.Errorf("left: %+v, %v", segs, err)
	}
}
