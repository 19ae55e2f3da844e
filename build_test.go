//go:build linux && cgo

package shm_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosysv/shm/internal/cpeer"
)

// buildCopy builds a copy of the package, in which old was replaced by new in
// a file, and returns what the go command printed.
func buildCopy(t *testing.T, file, old, replacement string, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	sources, err := filepath.Glob("*.*")
	if err != nil {
		t.Fatal(err)
	}
	replaced := false
	for _, name := range sources {
		switch ext := filepath.Ext(name); {
		case strings.HasSuffix(name, "_test.go"):
			continue
		case ext != ".go" && ext != ".c" && ext != ".h" && name != "go.mod" && name != "go.sum":
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		edited := string(content)
		if name == file {
			edited = strings.Replace(edited, old, replacement, 1)
			replaced = edited != string(content)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if file != "" && !replaced {
		t.Fatalf("%s has no %q", file, old)
	}
	cmd := exec.Command("go", "build", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return string(out)
}

// TestMismatchDoesNotBuild: a mirror with a wrong member does not compile, and
// the error names the member and both numbers.
func TestMismatchDoesNotBuild(t *testing.T) {
	mirror := "structs_64bit.go"
	if ^uint(0)>>32 == 0 {
		mirror = "structs_32bit.go"
	}
	if out := buildCopy(t, "", "", ""); out != "" {
		t.Fatalf("an unchanged copy does not build:\n%s", out)
	}
	for _, c := range []struct{ file, old, replacement, want string }{
		{mirror, "Cpid   int32", "Cpid   int64", "unsafe.Offsetof(ShmidDS{}.Lpid)"},      // all behind it moves
		{mirror, "Nattch uint", "Nattch uint16", "unsafe.Sizeof(ShmidDS{}.Nattch)"},      // only its size is wrong
		{"structs_perm.go", "Mode Mode", "Mode uint16", "unsafe.Sizeof(IpcPerm{}.Mode)"}, // as the manual page has it
		{mirror, "_      [2]uint\n", "_      [1]uint\n", "[unsafe.Sizeof(ShmidDS{})]"},   // too short: the kernel writes past it
	} {
		out := buildCopy(t, c.file, c.old, c.replacement)
		if !strings.Contains(out, c.want) {
			t.Errorf("with %q for %q the build says %q, want %q", c.replacement, c.old, out, c.want)
		}
	}
}

// TestUnsupported: where the package cannot be built, one identifier says why.
func TestUnsupported(t *testing.T) {
	for _, env := range [][]string{{"CGO_ENABLED=0"}, {"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0"}} {
		out := buildCopy(t, "", "", "", env...)
		if !strings.Contains(out, "undefined: shm_requires_linux_and_cgo") || strings.Count(out, "\n") > 2 {
			t.Errorf("%s: the build says %q", env, out)
		}
	}
	// As if this were one more port.
	out := buildCopy(t, "structs_missing.go", "linux && cgo && !(", "linux && cgo || (")
	if !strings.Contains(out, "undefined: this_port_has_no_mirror_of_struct_shmid_ds") {
		t.Errorf("a port without mirrors: the build says %q", out)
	}
}

// TestTimeBits: no setting of the C library's time_t changes the structs.
func TestTimeBits(t *testing.T) {
	if ^uint(0)>>32 != 0 {
		t.Skip("there is only one time_t on 64-bit ports")
	}
	if out := buildCopy(t, "", "", "", "CGO_CFLAGS=-O2 -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64"); out != "" {
		t.Errorf("with _TIME_BITS=64:\n%s", out)
	}
}

// TestSymbols: the C half defines no name that a user's own C could have, and
// shows none outside of the program it is linked into.
func TestSymbols(t *testing.T) {
	cc, err := cpeer.CC()
	if err != nil {
		t.Fatal(err)
	}
	object := filepath.Join(t.TempDir(), "shm_cgo.o")
	if out, err := exec.Command(cc[0], append(cc[1:], "-c", "-o", object, "shm_cgo.c")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	names, err := exec.Command("nm", "--extern-only", "--defined-only", "--format=posix", object).Output()
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for line := range strings.Lines(string(names)) {
		name, _, _ := strings.Cut(line, " ")
		defined[name] = true
		if !strings.HasPrefix(name, "gosysv_shm_") && !strings.HasPrefix(name, "__x86.get_pc_thunk.") { // gcc's own
			t.Errorf("the C half defines %s", name)
		}
	}
	if len(defined) == 0 {
		t.Fatal("nm shows no symbol")
	}

	file, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if defined[s.Name] && elf.ST_VISIBILITY(s.Other) != elf.STV_HIDDEN {
			t.Errorf("%s is not hidden", s.Name)
		}
	}
}

// TestMuslElsewhere: with a libc that is not glibc, shm.h refuses 32 bits and
// big-endian ports by name. The headers here are of no libc at all.
func TestMuslElsewhere(t *testing.T) {
	const cc = "cc" // not cgo's, which brings a libc's headers along if it is musl-gcc
	headers := t.TempDir()
	if err := os.Mkdir(filepath.Join(headers, "sys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ipc.h", "resource.h", "shm.h"} {
		if err := os.WriteFile(filepath.Join(headers, "sys", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own, err := exec.Command(cc, "-print-file-name=include").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bits, order string
		refused     bool
	}{
		"64-bit little-endian": {"0xffffffffffffffffUL", "__ORDER_LITTLE_ENDIAN__", false},
		"64-bit big-endian":    {"0xffffffffffffffffUL", "__ORDER_BIG_ENDIAN__", true},
		"32-bit little-endian": {"0xffffffffU", "__ORDER_LITTLE_ENDIAN__", true},
	} {
		out, err := exec.Command(cc, "-E", "-ffreestanding", "-nostdinc", "-isystem", headers, "-isystem", strings.TrimSpace(string(own)),
			"-U__UINTPTR_MAX__", "-D__UINTPTR_MAX__="+c.bits, "-U__BYTE_ORDER__", "-D__BYTE_ORDER__="+c.order, "shm.h").CombinedOutput()
		if refused := err != nil && strings.Contains(string(out), "musl on 64-bit little-endian ports only"); refused != c.refused {
			t.Errorf("%s: refused: %v, want %v: %v\n%s", name, refused, c.refused, err, out)
		}
	}
}
