//go:build linux && cgo

package shm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme runs what README shows: the example and the commands. Of the make
// targets it sees that they exist; CI runs them.
func TestReadme(t *testing.T) {
	needPrivateNS(t)
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(snippets) != 1 {
		t.Fatalf("%d Go snippets, want 1", len(snippets))
	}
	example := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(example, snippets[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", example).CombinedOutput()
	if want := regexp.MustCompile(`^segment \d+ has "Hello from Go!"\n$`); err != nil || !want.Match(out) {
		t.Errorf("the example prints %q, %v", out, err)
	}

	for _, m := range regexp.MustCompile("(?m)^    (go run .*)$").FindAllStringSubmatch(string(readme), -1) {
		if out, err := exec.Command("sh", "-c", m[1]).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", m[1], err, out)
		}
	}

	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^    make ([\\w-]+)|`make ([\\w-]+)`").FindAllStringSubmatch(string(readme), -1) {
		if target := m[1] + m[2]; !strings.Contains(string(makefile), "\n"+target+":") {
			t.Errorf("README says make %s, and the Makefile has no such target", target)
		}
	}

	for _, m := range regexp.MustCompile(`\]\(([\w./-]+)[)#]`).FindAllStringSubmatch(string(readme), -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("README has a link to %v", err)
		}
	}
}
