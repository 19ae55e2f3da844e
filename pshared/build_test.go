//go:build linux && cgo

package pshared_test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosysv/shm/internal/cpeer"
)

// build builds this package, with edits of a file as pairs of what is replaced
// and by what, and returns what the go command printed, "" if it succeeded.
func build(t *testing.T, file string, edits [][2]string, env ...string) string {
	t.Helper()
	path, err := filepath.Abs(file)
	ok(t, err)
	content, err := os.ReadFile(path)
	ok(t, err)
	edited := string(content)
	for _, edit := range edits {
		if !strings.Contains(edited, edit[0]) {
			t.Fatalf("%s has no %q", file, edit[0])
		}
		edited = strings.Replace(edited, edit[0], edit[1], 1)
	}
	copied, overlay := filepath.Join(t.TempDir(), "edited.go"), filepath.Join(t.TempDir(), "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: copied}})
	ok(t, err, os.WriteFile(copied, []byte(edited), 0o600), os.WriteFile(overlay, list, 0o600))
	cmd := exec.Command("go", "build", "-overlay", overlay, ".")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return string(out)
}

// TestMismatchDoesNotBuild: an image that is not of the libc's size, or of its
// alignment, does not compile, and the errors name each.
func TestMismatchDoesNotBuild(t *testing.T) {
	if out := build(t, "pshared.go", nil); out != "" {
		t.Fatalf("unchanged, it does not build:\n%s", out)
	}
	for name, edits := range map[string][][2]string{
		"size": {
			{"C.gosysv_size_mutex / word]uint", "C.gosysv_size_mutex/word + 1]uint"},
			{"unsafe.Sizeof(C.gosysv_sem_word(0))]C.gosysv_sem_word", "word - 1]uint"},
			{"C.gosysv_size_cond / word]uint", "C.gosysv_size_rwlock/word]uint"},
			{"C.gosysv_size_rwlock / word]uint", "C.gosysv_size_cond/word]uint"},
		},
		"alignment": {
			{"C.gosysv_size_mutex / word]uint", "C.gosysv_size_mutex]byte"},
			{"unsafe.Sizeof(C.gosysv_sem_word(0))]C.gosysv_sem_word", "2]uint16"},
			{"condAlign\n\t\twords [C.gosysv_size_cond / word]uint", "[C.gosysv_size_cond]byte"},
			{"C.gosysv_size_rwlock / word]uint", "C.gosysv_size_rwlock]byte"},
		},
	} {
		out := build(t, "pshared.go", edits)
		for _, image := range []string{"MutexT", "SemT", "CondT", "RWLockT"} {
			if !strings.Contains(out, "Alignof("+image+"{})") {
				t.Errorf("of a wrong %s of %s the build says nothing:\n%s", name, image, out)
			}
		}
	}
}

// TestUnsupported: where the package cannot be built, one identifier says why.
func TestUnsupported(t *testing.T) {
	for _, env := range [][]string{{"CGO_ENABLED=0"}, {"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0"}} {
		out := build(t, "pshared.go", nil, env...)
		if !strings.Contains(out, "undefined: pshared_requires_linux_and_cgo") || strings.Count(out, "\n") > 2 {
			t.Errorf("%s: the build says %q", env, out)
		}
	}
}

// TestSymbols: the C half defines no name that a user's own C could have, and
// shows none outside of the program it is linked into.
func TestSymbols(t *testing.T) {
	cc, err := cpeer.CC()
	ok(t, err)
	object := filepath.Join(t.TempDir(), "pshared_cgo.o")
	if out, err := exec.Command(cc[0], append(cc[1:], "-c", "-o", object, "pshared_cgo.c")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := elf.Open(object)
	ok(t, err)
	defer file.Close()
	symbols, err := file.Symbols()
	ok(t, err)
	defined := 0
	for _, s := range symbols {
		if elf.ST_BIND(s.Info) == elf.STB_LOCAL || s.Section == elf.SHN_UNDEF {
			continue
		}
		defined++
		if !strings.HasPrefix(s.Name, "gosysv_pshared_") && !strings.HasPrefix(s.Name, "__x86.get_pc_thunk.") { // gcc's own
			t.Errorf("the C half defines %s", s.Name)
		}
		if elf.ST_VISIBILITY(s.Other) != elf.STV_HIDDEN {
			t.Errorf("%s is not hidden", s.Name)
		}
	}
	if defined == 0 {
		t.Fatal("no symbols")
	}
}

// TestVet: go vet finds copies of the objects.
func TestVet(t *testing.T) {
	const program = `package main

import "github.com/gosysv/shm/pshared"

type record struct {
	Lock  pshared.MutexT
	Sem   pshared.SemT
	Cond  pshared.CondT
	RW    pshared.RWLockT
	Count int
}

func main() {
	var r record
	m, s, c, rw := r.Lock, r.Sem, r.Cond, r.RW
	_, _, _, _ = &m, &s, &c, &rw
	whole := r
	_ = whole.Count
}
`
	file := filepath.Join(t.TempDir(), "main.go")
	ok(t, os.WriteFile(file, []byte(program), 0o600))
	out, err := exec.Command("go", "vet", "-copylocks", file).CombinedOutput()
	if err == nil {
		t.Fatalf("vet finds nothing: %s", out)
	}
	for to, image := range map[string]string{"m": "MutexT", "s": "SemT", "c": "CondT", "rw": "RWLockT", "whole": ""} {
		if want := "copies lock value to " + to + ": "; !strings.Contains(string(out), want) || !strings.Contains(string(out), image) {
			t.Errorf("vet does not say %q of %s:\n%s", want, image, out)
		}
	}
}
