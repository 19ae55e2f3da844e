//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
)

const docs = "../../docs/locks.md"

// imports are what the Go code of docs/locks.md may use.
var imports = map[string]string{
	"atomic":  "sync/atomic",
	"context": "context",
	"errors":  "errors",
	"pshared": "github.com/gosysv/shm/pshared",
	"sem":     "github.com/gosysv/shm/sem",
	"shm":     "github.com/gosysv/shm",
	"structs": "structs",
	"time":    "time",
	"unsafe":  "unsafe",
}

// TestDocsSnippets builds all the Go code of docs/locks.md as one program, with
// the main function of testdata/docs.go, which uses it.
func TestDocsSnippets(t *testing.T) {
	if !ipcns.Private() {
		t.Skip("the program makes objects with keys: needs a private IPC namespace")
	}
	dir := t.TempDir()
	var files []string
	add := func(name, source string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, docs), -1)
	if len(snippets) == 0 {
		t.Fatal("no Go code")
	}
	for i, s := range snippets {
		add(fmt.Sprintf("snippet%d.go", i), complete(s[1]))
	}
	add("main.go", strings.Replace(read(t, "testdata/docs.go"), "//go:build ignore", "", 1))

	program := filepath.Join(dir, "docs")
	for _, args := range [][]string{{"vet"}, {"build", "-buildvcs=false", "-o", program}} {
		if out, err := exec.Command("go", append(args, files...)...).CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// complete makes a file of some declarations.
func complete(snippet string) string {
	var s strings.Builder
	s.WriteString("package main\n\n")
	for name, path := range imports {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(snippet) {
			fmt.Fprintf(&s, "import %q\n", path)
		}
	}
	return s.String() + snippet
}

// TestDocsNames: what docs/locks.md names in its text and tables is there.
func TestDocsNames(t *testing.T) {
	exported := map[string]bool{} // "sem.NewMutex" and, of methods, ".TryLock"
	for name, dir := range map[string]string{"shm": "../..", "sem": "../../sem", "pshared": "../../pshared"} {
		declared(t, name, dir, exported)
	}
	text := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(read(t, docs), "")
	var found int
	for _, m := range regexp.MustCompile(`\b(?:shm|sem|pshared)\.[A-Z]\w*`).FindAllString(text, -1) {
		found++
		if !exported[m] {
			t.Errorf("there is no %s", m)
		}
	}
	for _, m := range regexp.MustCompile(`\b(?:id|mu|s|c|rw|ID|Cond|Mutex)(\.[A-Z]\w*)`).FindAllStringSubmatch(text, -1) {
		found++
		if !exported[m[1]] {
			t.Errorf("there is no method %s", m[0])
		}
	}
	for _, m := range regexp.MustCompile("`(Err\\w+)`").FindAllStringSubmatch(text, -1) {
		found++
		if !exported["pshared."+m[1]] {
			t.Errorf("there is no pshared.%s", m[1])
		}
	}
	if found < 100 {
		t.Errorf("%d names found: the test does not see what it should", found)
	}
	for _, m := range regexp.MustCompile("`make ([\\w-]+)`").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(read(t, "../../Makefile"), "\n"+m[1]+":") {
			t.Errorf("there is no make %s", m[1])
		}
	}
}

// declared adds the exported names of a package.
func declared(t *testing.T, name, dir string, exported map[string]bool) {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					exported["."+d.Name.Name] = true
				} else {
					exported[name+"."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						exported[name+"."+s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							exported[name+"."+n.Name] = true
						}
					}
				}
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocsC compiles the pieces of C in docs/locks.md.
func TestDocsC(t *testing.T) {
	cc, err := cpeer.CC()
	if err != nil {
		t.Fatal(err)
	}
	pieces := regexp.MustCompile("(?s)```c\n(.*?)```").FindAllStringSubmatch(read(t, docs), -1)
	if len(pieces) == 0 {
		t.Fatal("no C code")
	}
	program := read(t, "testdata/docs.h")
	for i, p := range pieces {
		program += fmt.Sprintf("void piece%d(void);\nvoid piece%d(void)\n{\n%s}\n", i, i, p[1])
	}
	cmd := exec.Command(cc[0], append(cc[1:], "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", "-")...)
	cmd.Stdin = strings.NewReader(program)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
