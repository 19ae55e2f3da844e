//go:build linux && cgo

package shm_test

import (
	"errors"
	"io/fs"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cstruct"
)

func TestStructsAreC(t *testing.T) {
	mirrors := map[string]cstruct.Member{}
	cstruct.Layout[shm.IpcPerm](mirrors, "ipc_perm", "Key __key", "UID uid", "GID gid", "CUID cuid", "CGID cgid",
		"Mode mode", "Seq __seq")
	cstruct.Layout[shm.ShmidDS](mirrors, "shmid_ds", "Perm shm_perm", "Segsz shm_segsz", "Atime shm_atime",
		"Dtime shm_dtime", "Ctime shm_ctime", "Cpid shm_cpid", "Lpid shm_lpid", "Nattch shm_nattch")
	cstruct.Layout[shm.LimitsInfo](mirrors, "shminfo", "Shmmax shmmax", "Shmmin shmmin", "Shmmni shmmni", "Shmseg shmseg",
		"Shmall shmall")
	cstruct.Layout[shm.UsageInfo](mirrors, "shm_info", "UsedIDs used_ids", "ShmTot shm_tot", "ShmRss shm_rss",
		"ShmSwp shm_swp", "SwapAttempts swap_attempts", "SwapSuccesses swap_successes")

	answer, err := startC(t).Do("layout")
	if err != nil {
		t.Fatal(err)
	}
	compiled := map[string]cstruct.Member{}
	for ; len(answer) >= 4; answer = answer[4:] {
		offset, _ := strconv.Atoi(answer[1])
		size, _ := strconv.Atoi(answer[2])
		compiled[answer[0]] = cstruct.Member{Offset: uintptr(offset), Size: uintptr(size), Signed: answer[3] == "1"}
	}
	if _, ok := compiled["ipc_perm.__seq"]; !ok {
		t.Log("musl has another __seq: an int, of the same value")
		delete(mirrors, "ipc_perm.__seq")
	}
	if diff := cmp.Diff(compiled, mirrors); diff != "" {
		t.Errorf("the structs differ (-C +Go):\n%s", diff)
	}
}

// TestSameBytes: what the kernel tells a C program it tells Go, in every byte.
func TestSameBytes(t *testing.T) {
	needPrivateNS(t)
	c := startC(t)
	id := get(t, testKey, 5000, shm.IPC_CREAT|0o640)
	attach(t, id, 0).Bytes()[0] = 1
	c.attach(id, shm.SHM_RDONLY)
	if err := id.LockPages(); err != nil {
		t.Fatal(err)
	}

	ds := stat(t, id)
	_, raw := c.raw("stat %d", id)
	cstruct.SameBytes(t, "IPC_STAT", raw, &ds)
	if ds.Segsz != 5000 || ds.Nattch != 2 || ds.Perm.Key != testKey || int(ds.Lpid) != c.PID() {
		t.Errorf("not the status of the segment: %+v", ds)
	}

	limits, err := shm.Limits()
	if err != nil {
		t.Fatal(err)
	}
	_, raw = c.raw("ipcinfo")
	cstruct.SameBytes(t, "IPC_INFO", raw, &limits)

	usage, err := shm.Usage()
	if err != nil {
		t.Fatal(err)
	}
	highest, raw := c.raw("shminfo")
	cstruct.SameBytes(t, "SHM_INFO", raw, &usage)

	for index := range highest + 1 {
		goID, ds, err := shm.StatIndex(index)
		if errors.Is(err, fs.ErrNotExist) {
			c.refuses(syscall.EINVAL, "shmstat %d", index)
			c.refuses(syscall.EINVAL, "shmstatany %d", index)
			continue
		}
		anyID, anyDS, errAny := shm.StatIndexAny(index)
		if err != nil || errAny != nil {
			t.Fatal(err, errAny)
		}
		cID, raw := c.raw("shmstat %d", index)
		cstruct.SameBytes(t, "SHM_STAT", raw, &ds)
		cAnyID, raw := c.raw("shmstatany %d", index)
		cstruct.SameBytes(t, "SHM_STAT_ANY", raw, &anyDS)
		if int(goID) != cID || int(anyID) != cAnyID {
			t.Errorf("slot %d: ids %d, %d in Go and %d, %d in C", index, goID, anyID, cID, cAnyID)
		}
	}
}

func TestStatusMethods(t *testing.T) {
	ds := shm.ShmidDS{Atime: 1, Ctime: 1 << 30}
	ds.Perm.Mode = shm.SHM_DEST | 0o640
	if got := ds.AttachTime(); !got.Equal(time.Unix(1, 0)) {
		t.Errorf("AttachTime %v", got)
	}
	if got := ds.DetachTime(); !got.IsZero() {
		t.Errorf("DetachTime %v, want zero", got)
	}
	if got := ds.ChangeTime(); !got.Equal(time.Unix(1<<30, 0)) {
		t.Errorf("ChangeTime %v", got)
	}
	if !ds.Removed() || ds.PagesLocked() {
		t.Errorf("Removed %v, PagesLocked %v", ds.Removed(), ds.PagesLocked())
	}
	if got := ds.Perm.Mode.Perm(); got != 0o640 {
		t.Errorf("Perm %v", got)
	}
	if unsafe.Sizeof(ds.Atime) == 8 {
		far := int64(1 << 40) // beyond 2038
		ds.Dtime = int(far)
		if got := ds.DetachTime(); got.Unix() != far {
			t.Errorf("DetachTime %v", got)
		}
	}
}

func TestFlagNames(t *testing.T) {
	for _, c := range []struct {
		flags interface{ String() string }
		want  string
	}{
		{shm.Key(0x162e), "0x0000162e"},
		{shm.Key(-1), "0xffffffff"},
		{shm.GetFlag(0), "0"},
		{shm.IPC_CREAT | shm.IPC_EXCL | 0o600, "IPC_CREAT|IPC_EXCL|0600"},
		{shm.IPC_CREAT | shm.SHM_HUGETLB | shm.SHM_HUGE_2MB | shm.SHM_NORESERVE, "IPC_CREAT|SHM_HUGETLB|SHM_NORESERVE|SHM_HUGE_2MB"},
		{shm.SHM_HUGE_64KB, "SHM_HUGE_64KB"},
		{shm.SHM_HUGE_512KB, "SHM_HUGE_512KB"},
		{shm.SHM_HUGE_1GB, "SHM_HUGE_1GB"},
		{shm.SHM_HUGE_16GB, "SHM_HUGE_16GB"},
		{shm.GetFlag(5 << shm.SHM_HUGE_SHIFT), "5<<SHM_HUGE_SHIFT"},
		{shm.GetFlag(0x200000), "010000000"},
		{shm.AttachFlag(0), "0"},
		{shm.SHM_RDONLY | shm.SHM_EXEC, "SHM_RDONLY|SHM_EXEC"},
		{shm.SHM_RND | shm.SHM_REMAP, "SHM_RND|SHM_REMAP"},
		{shm.Mode(0o600), "0600"},
		{shm.SHM_DEST | shm.SHM_LOCKED | 0o644, "SHM_DEST|SHM_LOCKED|0644"},
	} {
		if got := c.flags.String(); got != c.want {
			t.Errorf("%T: got %q, want %q", c.flags, got, c.want)
		}
	}
}
