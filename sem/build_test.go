//go:build linux && cgo

package sem_test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gosysv/shm/internal/cpeer"
)

// edit replaces old by new in a file of this package.
type edit struct{ file, old, replacement string }

// buildWith builds the package as it would be after the edits, and returns
// what the go command printed.
func buildWith(t *testing.T, edits []edit, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for _, e := range edits {
		path, err := filepath.Abs(e.file)
		ok(t, err)
		edited := filepath.Join(dir, e.file)
		source := edited
		if overlay.Replace[path] == "" {
			overlay.Replace[path], source = edited, path
		}
		content, err := os.ReadFile(source)
		ok(t, err)
		if !strings.Contains(string(content), e.old) {
			t.Fatalf("%s has no %q", e.file, e.old)
		}
		ok(t, os.WriteFile(edited, []byte(strings.Replace(string(content), e.old, e.replacement, 1)), 0o600))
	}
	list := filepath.Join(dir, "overlay.json")
	content, err := json.Marshal(overlay)
	ok(t, err)
	ok(t, os.WriteFile(list, content, 0o600))

	cmd := exec.Command("go", "build", "-overlay", list, "-gcflags=-e", ".") // -e: all errors
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return string(out)
}

// TestMismatchDoesNotBuild: a mirror with a wrong member does not compile, and
// the errors name the members.
func TestMismatchDoesNotBuild(t *testing.T) {
	semidDS := "structs_plain.go"
	switch runtime.GOARCH {
	case "386", "amd64", "arm":
		semidDS = "structs_highwords.go"
	}
	if out := buildWith(t, nil); out != "" {
		t.Fatalf("unchanged, it does not build:\n%s", out)
	}
	for _, c := range []struct {
		name  string
		edits []edit
		want  []string
	}{
		{"members", []edit{
			{"structs.go", "Op    int16", "Op    int32"},               // all behind it moves
			{semidDS, "Nsems uint ", "Nsems uint16 "},                  // only its size is wrong
			{"structs.go", "\tSemopm int32", ""},                       // it is missing
			{"structs.go", "[7]int32", "[6]int32"},                     // the one behind it moves
			{"sem.go", "\tID ID\n\tSemidDS\n", "\tSemidDS\n\tID ID\n"}, // the order
		}, []string{
			"unsafe.Offsetof(Op{}.Flags)", "unsafe.Sizeof(SemidDS{}.Nsems)", "unsafe.Offsetof(LimitsInfo{}.Semume)",
			"unsafe.Offsetof(UsageInfo{}.UsedIDs)", "unsafe.Offsetof(Set{}.ID)",
		}},
		{"the kernel writes past it", []edit{{semidDS, "_     [2]uint\n", "_     [1]uint\n"}}, []string{"[unsafe.Sizeof(SemidDS{})]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := buildWith(t, c.edits)
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("the build says %q, want %q", out, want)
				}
			}
		})
	}
}

// TestUnsupported: where the package cannot be built, one identifier says why.
func TestUnsupported(t *testing.T) {
	for _, env := range [][]string{{"CGO_ENABLED=0"}, {"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0"}} {
		out := buildWith(t, nil, env...)
		if !strings.Contains(out, "undefined: sem_requires_linux_and_cgo") || strings.Count(out, "\n") > 2 {
			t.Errorf("%s: the build says %q", env, out)
		}
	}
}

// TestTimeBits: no setting of the C library's time_t changes the structs.
func TestTimeBits(t *testing.T) {
	if ^uint(0)>>32 != 0 {
		t.Skip("there is only one time_t on 64-bit ports")
	}
	if out := buildWith(t, nil, "CGO_CFLAGS=-O2 -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64"); out != "" {
		t.Errorf("with _TIME_BITS=64:\n%s", out)
	}
}

// TestSymbols: the C half defines no name that a user's own C could have, and
// shows none outside of the program it is linked into.
func TestSymbols(t *testing.T) {
	cc, err := cpeer.CC()
	ok(t, err)
	object := filepath.Join(t.TempDir(), "sem_cgo.o")
	if out, err := exec.Command(cc[0], append(cc[1:], "-c", "-o", object, "sem_cgo.c")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	names, err := exec.Command("nm", "--extern-only", "--defined-only", "--format=posix", object).Output()
	ok(t, err)
	defined := map[string]bool{}
	for line := range strings.Lines(string(names)) {
		name, _, _ := strings.Cut(line, " ")
		defined[name] = true
		if !strings.HasPrefix(name, "gosysv_sem_") && !strings.HasPrefix(name, "__x86.get_pc_thunk.") { // gcc's own
			t.Errorf("the C half defines %s", name)
		}
	}
	if len(defined) == 0 {
		t.Fatal("nm shows no symbol")
	}

	file, err := elf.Open(object)
	ok(t, err)
	defer file.Close()
	symbols, err := file.Symbols()
	ok(t, err)
	for _, s := range symbols {
		if defined[s.Name] && elf.ST_VISIBILITY(s.Other) != elf.STV_HIDDEN {
			t.Errorf("%s is not hidden", s.Name)
		}
	}
}
