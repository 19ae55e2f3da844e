//go:build linux && cgo

package shm_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
)

var ftokRows = []row{
	{210, "the key: 16 bits of the inode, 8 of the device, 8 of the project, as in C", func(t *testing.T) {
		c := startC(t)
		for _, path := range []string{newFile(t), t.TempDir(), "/", "/dev/null", "/proc/version"} {
			for _, proj := range []int{1, 'S', 0x7f, 0, 0x100, 0x12345678} {
				key := wantFormula(t, path, proj)
				if inC := c.number("ftok %d %s", proj, path); key != shm.Key(inC) {
					t.Errorf("%s, %d: %v, and in C %v", path, proj, key, shm.Key(inC))
				}
			}
		}
	}},
	{211, "a hard link, a symbolic link and another path to it: the same key", func(t *testing.T) {
		file := newFile(t)
		t.Chdir(filepath.Dir(file))
		if err := os.Link(file, "hard"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, "symbolic"); err != nil {
			t.Fatal(err)
		}
		want := ftok(t, file, 1)
		for _, path := range []string{"hard", "symbolic", "./" + filepath.Base(file)} {
			if key := ftok(t, path, 1); key != want {
				t.Errorf("%s: %v, want %v", path, key, want)
			}
		}
	}},
	{213, "a project of 0x80 and more, or -1: a negative key, as good as any", func(t *testing.T) {
		file := newFile(t)
		for _, proj := range []int{0x80, 0xff, -1} {
			key := wantFormula(t, file, proj)
			if key >= 0 {
				t.Errorf("%d: key %d", proj, key)
			}
			id := get(t, key, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
			if found := get(t, key, 0, 0); found != id {
				t.Errorf("id %d, want %d", found, id)
			}
			remove(t, id)
		}
	}},
	{215, "the key -1 is a success", alone(func(t *testing.T) {
		dir := mountTmpfs(t)
		for range 1 << 9 {
			if status(t, dir).Dev&0xff == 0xff {
				break
			}
			mountOver(t, dir) // devices without a disk are numbered in turn
		}
		file := filepath.Join(dir, "file")
		makeFile(t, file)
		for range 0xffff - status(t, file).Ino&0xffff {
			if err := syscall.Unlink(file); err != nil {
				t.Fatal(err)
			}
			makeFile(t, file) // and so are the inodes of a tmpfs
		}
		if st := status(t, file); st.Dev&0xff != 0xff || st.Ino&0xffff != 0xffff {
			t.Skipf("found no suitable file: device %#x, inode %#x", st.Dev, st.Ino)
		}
		if key := wantFormula(t, file, 0xff); key != -1 {
			t.Errorf("key %d", key)
		}
		if key := startC(t).number("ftok 0xff %s", file); key != -1 {
			t.Errorf("key %d in C", key)
		}
		id := get(t, -1, 1, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
		if found := get(t, -1, 0, 0); found != id {
			t.Errorf("id %d, want %d", found, id)
		}
	})},
	{216, "a file that is missing, no name, a dangling link: ENOENT", func(t *testing.T) {
		missing := filepath.Join(t.TempDir(), "missing")
		link := missing + ".link"
		if err := os.Symlink(missing, link); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{missing, "", link} {
			wantErrno(t, lastOf(shm.Ftok(path, 1)), syscall.ENOENT)
		}
	}},
	{217, "paths that cannot be followed: ENOTDIR, ELOOP, ENAMETOOLONG, EACCES", func(t *testing.T) {
		file := newFile(t)
		loop := file + ".loop"
		if err := os.Symlink(loop, loop); err != nil {
			t.Fatal(err)
		}
		wantErrno(t, lastOf(shm.Ftok(file+"/x", 1)), syscall.ENOTDIR)
		wantErrno(t, lastOf(shm.Ftok(loop, 1)), syscall.ELOOP)
		wantErrno(t, lastOf(shm.Ftok("/"+strings.Repeat("x", 5000), 1)), syscall.ENAMETOOLONG)
		t.Run("EACCES", func(t *testing.T) {
			other := startNobody(t)
			if err := os.Chmod(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			other.refuses(syscall.EACCES, "ftok 1 %s", file)
		})
	}},
	{218, "a file that only another user may read, in a directory to search: its key", func(t *testing.T) {
		other := startNobody(t)
		file := newFile(t)
		for _, dir := range []string{filepath.Dir(file), filepath.Dir(filepath.Dir(file))} {
			if err := os.Chmod(dir, 0o711); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := other.Do("ftok 1 %s", os.TempDir()); err != nil {
			t.Skipf("%s is closed to other users", os.TempDir())
		}
		if key, want := shm.Key(other.number("ftok 1 %s", file)), ftok(t, file, 1); key != want {
			t.Errorf("%v, want %v", key, want)
		}
	}},
	{219, "a file made again: the same key if it has the same inode", func(t *testing.T) {
		file := newFile(t)
		before, inode := wantFormula(t, file, 1), status(t, file).Ino
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		makeFile(t, file)
		key, again := wantFormula(t, file, 1), status(t, file).Ino
		if (key == before) != (again&0xffff == inode&0xffff) {
			t.Errorf("keys %v and %v, inodes %d and %d", before, key, inode, again)
		}
		t.Logf("inodes %d and %d", inode, again)
	}},
	{220, "two files of one directory with the same key", alone(func(t *testing.T) {
		dir := mountTmpfs(t)
		first := filepath.Join(dir, "0")
		makeFile(t, first)
		for i := 1; i < 1<<16; i++ {
			makeFile(t, filepath.Join(dir, strconv.Itoa(i)))
		}
		last := filepath.Join(dir, "last") // has the same 16 bits
		makeFile(t, last)
		if a, b := wantFormula(t, first, 1), wantFormula(t, last, 1); a != b || status(t, first).Ino == status(t, last).Ino {
			t.Errorf("keys %v and %v", a, b)
		}
	})},
	{221, "directories and devices have keys", func(t *testing.T) {
		for _, path := range []string{t.TempDir(), "/", "/dev", "/dev/null"} {
			wantFormula(t, path, 1)
		}
	}},
}

func ftok(t *testing.T, path string, proj int) shm.Key {
	t.Helper()
	key, err := shm.Ftok(path, proj)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// wantFormula returns the key, and wants it to be what the file's inode and
// device make it.
func wantFormula(t *testing.T, path string, proj int) shm.Key {
	t.Helper()
	key, st := ftok(t, path, proj), status(t, path)
	inode, device := uint32(st.Ino&0xffff), uint32(st.Dev&0xff)
	if want := shm.Key(inode | device<<16 | uint32(proj)<<24); key != want {
		t.Errorf("%s, %d: %v, want %v", path, proj, key, want)
	}
	return key
}

func status(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

// newFile makes a file that its owner may read, until the end of the test.
func newFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	makeFile(t, file)
	return file
}

// makeFile is os.WriteFile of nothing, in one system call.
func makeFile(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mknod(path, syscall.S_IFREG|0o600, 0); err != nil {
		t.Fatal(err)
	}
}

func startNobody(t *testing.T) *peer {
	t.Helper()
	needOtherUsers(t)
	p := startGo(t)
	p.setuid(nobody, nobody)
	return p
}

// mountTmpfs gives this goroutine's thread, and what it starts, a mount
// namespace with a new file system in it, and returns its directory.
func mountTmpfs(t *testing.T) string {
	t.Helper()
	needCaps(t, capSysAdmin)
	unshare(t, syscall.CLONE_NEWNS)
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		t.Skip("needs a / that is a mount point: ", err)
	}
	dir := t.TempDir()
	mountOver(t, dir)
	return dir
}

// mountOver mounts a new file system over what is there.
func mountOver(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Skip("needs a tmpfs: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
