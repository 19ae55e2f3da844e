//go:build linux && cgo

package shm_test

import (
	"bytes"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

var shmgetRows = []row{
	{1, "the first segment of a namespace: id 0", alone(func(t *testing.T) {
		if id := get(t, shm.IPC_PRIVATE, 1, 0o600); id != 0 {
			t.Errorf("id %d", id)
		}
	})},
	{2, "IPC_PRIVATE without IPC_CREAT: creates, mode 0000", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0)
		needCaps(t, capIPCOwner) // to see it
		if mode := stat(t, id).Perm.Mode; mode != 0 {
			t.Errorf("mode %v", mode)
		}
	}},
	{3, "IPC_PRIVATE twice: two ids, both of key 0", func(t *testing.T) {
		twoPrivate(t, 0o600)
	}},
	{4, "a key 0, as ftok can make it, is IPC_PRIVATE: IPC_EXCL does not find the first", func(t *testing.T) {
		twoPrivate(t, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	}},
	{5, "the keys -1 and 0x80000001 are keys like others", func(t *testing.T) {
		for _, key := range []shm.Key{-1, math.MinInt32 + 1} {
			id := get(t, key, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
			finds(t, id, key, 1, 0)
			if got := stat(t, id).Perm.Key; got != key {
				t.Errorf("key %v, want %v", got, key)
			}
		}
	}},
	{6, "IPC_CREAT of a new key creates, again finds", func(t *testing.T) {
		id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
		finds(t, id, testKey, 1, shm.IPC_CREAT|0o600)
	}},
	{7, "a new key without IPC_CREAT: ENOENT", func(t *testing.T) {
		getFails(t, syscall.ENOENT, testKey, 1, 0o600)
	}},
	{8, "a new key with IPC_EXCL alone, which is ignored: ENOENT", func(t *testing.T) {
		getFails(t, syscall.ENOENT, testKey, 1, shm.IPC_EXCL|0o600)
	}},
	{10, "an existing key with IPC_CREAT|IPC_EXCL: EEXIST", func(t *testing.T) {
		get(t, testKey, 1, shm.IPC_CREAT|0o600)
		getFails(t, syscall.EEXIST, testKey, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	}},
	{11, "an existing key with IPC_CREAT|IPC_EXCL, too big and not permitted: EEXIST all the same", asNobody(
		func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o600) },
		func(t *testing.T, _ shm.ID) {
			getFails(t, syscall.EEXIST, testKey, 1<<20, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
		},
	)},
	{12, "size 0 of a new segment: EINVAL", func(t *testing.T) {
		getFails(t, syscall.EINVAL, shm.IPC_PRIVATE, 0, 0o600)
		getFails(t, syscall.EINVAL, testKey, 0, shm.IPC_CREAT|0o600)
	}},
	{13, "size 0, or a smaller one, of an existing segment: found", func(t *testing.T) {
		id := get(t, testKey, 8192, shm.IPC_CREAT|0o600)
		for _, size := range []int{0, 1, 8191, 8192} {
			finds(t, id, testKey, size, 0)
			finds(t, id, testKey, size, shm.IPC_CREAT|0o600)
		}
	}},
	{14, "a larger size of an existing segment: EINVAL", func(t *testing.T) {
		get(t, testKey, 8192, shm.IPC_CREAT|0o600)
		for _, size := range []int{8193, 1 << 20, math.MaxInt} {
			getFails(t, syscall.EINVAL, testKey, size, 0)
		}
	}},
	{15, "5001 bytes of a segment of 5000, in the same page: EINVAL", func(t *testing.T) {
		get(t, testKey, 5000, shm.IPC_CREAT|0o600)
		getFails(t, syscall.EINVAL, testKey, 5001, 0)
	}},
	{17, "a size over shmmax: EINVAL", alone(func(t *testing.T) {
		setSysctl(t, "kernel/shmmax", "8192")
		get(t, shm.IPC_PRIVATE, 8192, 0o600)
		getFails(t, syscall.EINVAL, shm.IPC_PRIVATE, 8193, 0o600)
	})},
	{18, "C's sizes 2^63 and ULONG_MAX-2^24, the default of shmmax, negative in Go: EINVAL, before the call", func(t *testing.T) {
		for _, size := range []int{math.MinInt, -1 - 1<<24} {
			getFails(t, syscall.EINVAL, shm.IPC_PRIVATE, size, shm.SHM_NORESERVE|0o600)
		}
	}},
	{19, "2^45 or 2^62 bytes, which cannot be accounted for: ENOMEM", func(t *testing.T) {
		needOvercommit(t, "0")
		for _, log := range []int{45, 62} {
			getFails(t, syscall.ENOMEM, shm.IPC_PRIVATE, power(t, log), 0o600)
		}
	}},
	{20, "2^62 bytes with SHM_NORESERVE: created; attaching: ENOMEM", func(t *testing.T) {
		needOvercommit(t, "01")
		id := get(t, shm.IPC_PRIVATE, power(t, 62), shm.SHM_NORESERVE|0o600)
		attachFails(t, syscall.ENOMEM, id, 0, 0)
	}},
	{21, "2^45 bytes with SHM_NORESERVE: created and attached", func(t *testing.T) {
		needOvercommit(t, "01")
		size := power(t, 45)
		a := attach(t, get(t, shm.IPC_PRIVATE, size, shm.SHM_NORESERVE|0o600), 0)
		if a.Len() != size || a.Bytes()[size-1] != 0 {
			t.Errorf("%d bytes", a.Len())
		}
	}},
	{23, "more pages in all segments than shmall: ENOSPC", alone(func(t *testing.T) {
		setSysctl(t, "kernel/shmall", "4")
		get(t, shm.IPC_PRIVATE, 2*os.Getpagesize(), 0o600)
		getFails(t, syscall.ENOSPC, shm.IPC_PRIVATE, 2*os.Getpagesize()+1, 0o600)
		get(t, shm.IPC_PRIVATE, 2*os.Getpagesize(), 0o600)
		getFails(t, syscall.ENOSPC, shm.IPC_PRIVATE, 1, 0o600)
	})},
	{24, "more segments than shmmni: ENOSPC", alone(func(t *testing.T) {
		setSysctl(t, "kernel/shmmni", "0")
		getFails(t, syscall.ENOSPC, shm.IPC_PRIVATE, 1, 0o600)
		setSysctl(t, "kernel/shmmni", "1")
		get(t, shm.IPC_PRIVATE, 1, 0o600)
		getFails(t, syscall.ENOSPC, shm.IPC_PRIVATE, 1, 0o600)
	})},
	{25, "fs.file-max reached: ENFILE, to shmat too, except with CAP_SYS_ADMIN", systemWide(func(t *testing.T) {
		needCaps(t, capSysAdmin)
		fileMax, restore := openSysctl(t, "fs/file-max")
		atMax := func(call func()) {
			defer restore() // by a file that is open: no other can be opened
			if _, err := fileMax.WriteAt([]byte("0"), 0); err != nil {
				t.Fatal(err)
			}
			call()
		}
		id := get(t, shm.IPC_PRIVATE, 1, 0o600)
		atMax(func() { get(t, shm.IPC_PRIVATE, 1, 0o600) })
		atMax(func() { attach(t, id, 0) })
		dropCaps(t, capSysAdmin)
		atMax(func() { getFails(t, syscall.ENFILE, shm.IPC_PRIVATE, 1, 0o600) })
		atMax(func() { attachFails(t, syscall.ENFILE, id, 0, 0) })
	})},
	{26, "RLIMIT_NOFILE 0, RLIMIT_FSIZE 0, RLIMIT_AS small: created all the same", alone(func(t *testing.T) {
		limitAddressSpace(t)
		setRlimit(t, syscall.RLIMIT_FSIZE, 0)
		setRlimit(t, syscall.RLIMIT_NOFILE, 0)
		get(t, shm.IPC_PRIVATE, 1<<30, shm.SHM_NORESERVE|0o600)
	})},
	{27, "another user asks nothing of a 0640 segment: found", asNobody(
		func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o640) },
		func(t *testing.T, id shm.ID) { finds(t, id, testKey, 1, 0) },
	)},
	{28, "another user asks 0400 or 0004 of a 0640 segment: EACCES", asNobody(
		func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o640) },
		func(t *testing.T, _ shm.ID) {
			getFails(t, syscall.EACCES, testKey, 1, 0o400)
			getFails(t, syscall.EACCES, testKey, 1, 0o004)
		},
	)},
	{29, "another user asks 0444 of a 0644 segment: found", asNobody(
		func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o644) },
		func(t *testing.T, id shm.ID) { finds(t, id, testKey, 1, 0o444) },
	)},
	{31, "another user asks 0100 of a 0666 segment: EACCES; of a 0667 one: found", asNobody(
		func(t *testing.T) shm.ID {
			get(t, testKey, 1, shm.IPC_CREAT|0o666)
			return get(t, testKey+1, 1, shm.IPC_CREAT|0o667)
		},
		func(t *testing.T, executable shm.ID) {
			getFails(t, syscall.EACCES, testKey, 1, 0o100)
			finds(t, executable, testKey+1, 1, 0o100)
		},
	)},
	{32, "the owner asks 0600 of a 0066 segment: EACCES, whatever the others may", alone(func(t *testing.T) {
		dropCaps(t, capIPCOwner)
		get(t, testKey, 1, shm.IPC_CREAT|0o066)
		getFails(t, syscall.EACCES, testKey, 1, 0o600)
	})},
	{34, "a member of the group, by its egid or another one, asks 0040 of a 0640 segment: found; 0060: EACCES", alone(func(t *testing.T) {
		needOtherUsers(t)
		const supplementary = nobody - 1
		ids := map[shm.Key]shm.ID{testKey: nobody, testKey + 1: supplementary}
		for key, gid := range ids {
			ids[key] = get(t, key, 1, shm.IPC_CREAT|0o640)
			ds := stat(t, ids[key])
			ds.Perm.GID = uint32(gid)
			if err := ids[key].Set(&ds); err != nil {
				t.Fatal(err)
			}
		}
		become(t, nobody, nobody, supplementary)
		for key, id := range ids {
			finds(t, id, key, 1, 0o040)
			getFails(t, syscall.EACCES, key, 1, 0o060)
		}
	})},
	{35, "root without CAP_IPC_OWNER, on its own 0000 segment: EACCES", alone(func(t *testing.T) {
		needCaps(t, capIPCOwner)
		id := get(t, testKey, 1, shm.IPC_CREAT)
		finds(t, id, testKey, 1, 0o600)
		dropCaps(t, capIPCOwner)
		getFails(t, syscall.EACCES, testKey, 1, 0o400)
		attachFails(t, syscall.EACCES, id, 0, shm.SHM_RDONLY)
		_, err := id.Stat()
		wantErrno(t, err, syscall.EACCES)
	})},
	{37, "a flag that nobody knows: ignored", func(t *testing.T) {
		const unknown shm.GetFlag = 0x200000
		id := get(t, testKey, 1, shm.IPC_CREAT|unknown|0o600)
		finds(t, id, testKey, 1, unknown)
		if mode := stat(t, id).Perm.Mode; mode != 0o600 {
			t.Errorf("mode %v", mode)
		}
	}},
	{38, "SHM_HUGETLB of more pages than are free: ENOMEM", func(t *testing.T) {
		needHugePages(t)
		size := power(t, 45)
		getFails(t, syscall.ENOMEM, shm.IPC_PRIVATE, size, shm.SHM_HUGETLB|0o600)
		getFails(t, syscall.ENOMEM, testKey, size, shm.IPC_CREAT|shm.SHM_HUGETLB|0o600)
	}},
	{39, "SHM_HUGETLB of a page size that the machine has not: EINVAL", func(t *testing.T) {
		if _, err := os.Stat("/sys/kernel/mm/hugepages/hugepages-64kB"); err == nil {
			t.Skip("needs a machine without huge pages of 64 KiB")
		}
		getFails(t, syscall.EINVAL, shm.IPC_PRIVATE, 1, shm.SHM_HUGETLB|shm.SHM_HUGE_64KB|0o600)
	}},
	{40, "SHM_HUGETLB without CAP_IPC_LOCK, or with that of a user namespace only: EPERM", alone(func(t *testing.T) {
		if _, err := os.Stat("/proc/sys/vm/nr_hugepages"); err != nil {
			t.Skip("needs huge pages: ", err)
		}
		if inInitialUserNS(t) {
			needOtherUsers(t)
			become(t, nobody, nobody)
		}
		getFails(t, syscall.EPERM, shm.IPC_PRIVATE, 1, shm.SHM_HUGETLB|shm.SHM_NORESERVE|0o600)
	})},
	{41, "the same in the group vm.hugetlb_shm_group: created", alone(func(t *testing.T) {
		needHugePages(t)
		needOtherUsers(t)
		become(t, nobody, nobody, atoi(t, sysctl(t, "vm/hugetlb_shm_group")))
		get(t, shm.IPC_PRIVATE, 1, shm.SHM_HUGETLB|shm.SHM_NORESERVE|0o600)
	})},
	{42, "SHM_HUGETLB|SHM_NORESERVE without a huge page: created; the first touch: SIGBUS", func(t *testing.T) {
		needHugePages(t)
		if sysctl(t, "vm/nr_hugepages") != "0" || sysctl(t, "vm/nr_overcommit_hugepages") != "0" {
			t.Skip("needs a machine without free huge pages")
		}
		out := ipcns.Crash(t, func(t *testing.T) {
			id := get(t, shm.IPC_PRIVATE, 1, shm.SHM_HUGETLB|shm.SHM_NORESERVE|0o600)
			a := attach(t, id, 0)
			remove(t, id) // with the process
			a.Bytes()[0] = 1
		})
		if !strings.Contains(out, "SIGBUS") {
			t.Errorf("another fault:\n%s", out)
		}
	}},
	{44, "the key of a removed segment that is attached: ENOENT; it makes a second segment", func(t *testing.T) {
		id := get(t, testKey, 1, shm.IPC_CREAT|0o600)
		attach(t, id, 0)
		remove(t, id)
		getFails(t, syscall.ENOENT, testKey, 1, 0)
		if second := get(t, testKey, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600); second == id {
			t.Errorf("id %d again", id)
		}
		if ds := stat(t, id); !ds.Removed() || ds.Nattch != 1 {
			t.Errorf("the first segment: %+v", ds)
		}
	}},
	{45, "the status of a new segment", func(t *testing.T) {
		before := kernelTime(t)
		got := stat(t, get(t, testKey, 100, shm.IPC_CREAT|shm.SHM_NORESERVE|0o642))
		wantSince(t, "ctime", got.Ctime, before)
		euid, egid := uint32(os.Geteuid()), uint32(os.Getegid())
		want := shm.ShmidDS{
			Perm: shm.IpcPerm{
				Key: testKey, UID: euid, GID: egid, CUID: euid, CGID: egid,
				Mode: 0o642, Seq: got.Perm.Seq,
			},
			Segsz: 100, Cpid: int32(os.Getpid()), Ctime: got.Ctime,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}},
	{46, "the contents: zeros, in pages that come when they are touched", alone(func(t *testing.T) {
		const pages = 64
		a := newAttachment(t, pages*os.Getpagesize(), 0)
		if rss := usage(t).ShmRss; rss != 0 {
			t.Errorf("%d pages in memory before any was touched", rss)
		}
		if len(bytes.Trim(a.Bytes(), "\x00")) != 0 {
			t.Error("not all zeros")
		}
		if rss := usage(t).ShmRss; rss < pages { // more, where they are huge
			t.Errorf("%d pages in memory after %d were touched", rss, pages)
		}
	})},
	{47, "vm.overcommit_memory 2: SHM_NORESERVE is ignored", systemWide(func(t *testing.T) {
		needRoomUnderCommitLimit(t)
		size := power(t, 45)
		mode, restore := openSysctl(t, "vm/overcommit_memory")
		defer restore()
		if _, err := mode.WriteAt([]byte("2"), 0); err != nil {
			t.Fatal(err)
		}
		getFails(t, syscall.ENOMEM, shm.IPC_PRIVATE, size, shm.SHM_NORESERVE|0o600)
	})},
}

// getFails fails the test unless Get fails with the errno.
func getFails(t *testing.T, want syscall.Errno, key shm.Key, size int, flags shm.GetFlag) {
	t.Helper()
	id, err := shm.Get(key, size, flags)
	wantErrno(t, err, want)
	if err == nil && (key == shm.IPC_PRIVATE || flags&shm.IPC_CREAT != 0) {
		remove(t, id)
	}
}

// finds fails the test unless Get finds the segment.
func finds(t *testing.T, want shm.ID, key shm.Key, size int, flags shm.GetFlag) {
	t.Helper()
	if id, err := shm.Get(key, size, flags); err != nil || id != want {
		t.Errorf("found %d, %v, want %d", id, err, want)
	}
}

func twoPrivate(t *testing.T, flags shm.GetFlag) {
	t.Helper()
	a, b := get(t, 0, 1, flags), get(t, 0, 1, flags)
	if a == b {
		t.Errorf("id %d twice", a)
	}
	for _, id := range []shm.ID{a, b} {
		if key := stat(t, id).Perm.Key; key != shm.IPC_PRIVATE {
			t.Errorf("key %v", key)
		}
	}
}

// power returns 2 to the power of log, where that is an int.
func power(t *testing.T, log int) int {
	t.Helper()
	if math.MaxInt>>log == 0 {
		t.Skip("needs a larger int")
	}
	return 1 << log
}

// limitAddressSpace leaves room for the test itself, but not for 1 GiB.
func limitAddressSpace(t *testing.T) {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages := atoi(t, strings.Fields(string(statm))[0])
	setRlimit(t, syscall.RLIMIT_AS, uint64(pages*os.Getpagesize()+256<<20))
}

func sysctl(t *testing.T, name string) string {
	t.Helper()
	value, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// systemWide is alone for a row that, for an instant, takes something from all
// processes of the system. They may notice, and so may tests that run at the
// same time: it is skipped unless SHM_TEST_SYSTEM is set.
func systemWide(run func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) {
		if os.Getenv("SHM_TEST_SYSTEM") == "" {
			t.Skip("needs a system of its own, and SHM_TEST_SYSTEM=1")
		}
		needInitialUserNS(t)
		alone(run)(t)
	}
}

// openSysctl opens a sysctl of the whole system, to be set for an instant. The
// test is skipped where it cannot be.
func openSysctl(t *testing.T, name string) (file *os.File, restore func()) {
	t.Helper()
	before := sysctl(t, name)
	file, err := os.OpenFile("/proc/sys/"+name, os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs to set a sysctl: ", err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file, func() {
		if _, err := file.WriteAt([]byte(before), 0); err != nil {
			t.Error(err)
		}
	}
}

// needOvercommit skips the test unless vm.overcommit_memory is one of modes.
func needOvercommit(t *testing.T, modes string) {
	t.Helper()
	if mode := sysctl(t, "vm/overcommit_memory"); !strings.Contains(modes, mode) {
		t.Skip("vm.overcommit_memory is ", mode)
	}
}

// needRoomUnderCommitLimit skips the test where vm.overcommit_memory 2 could
// leave processes without memory.
func needRoomUnderCommitLimit(t *testing.T) {
	t.Helper()
	committed, ok := meminfo(t, "Committed_AS")
	limit, ok2 := meminfo(t, "CommitLimit")
	if !ok || !ok2 || committed > limit/2 {
		t.Skipf("%d bytes are committed, and the limit would be %d", committed, limit)
	}
}

func usage(t *testing.T) shm.UsageInfo {
	t.Helper()
	info, err := shm.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return info
}
