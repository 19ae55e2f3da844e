//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/internal/twins"
	"github.com/gosysv/shm/internal/twins/twinstest"
)

func TestMain(m *testing.M) { ipcns.Main(m, cpeer.Remove) }

// transcript matches what a pair prints, with P and C for the languages.
const transcript = `parent  P  pid (\d+)  shmget\(0x53[0-9a-f]{6}\) made segment \d+ of 4096 bytes
parent  P  pid (\d+)  attached at 0x[0-9a-f]+  nattch 0 -> 1
parent  P  pid (\d+)  wrote "Hello from parent!"
child   C  pid (\d+)  attached at 0x[0-9a-f]+  nattch 1 -> 2
child   C  pid (\d+)  read "Hello from parent!"
child   C  pid (\d+)  wrote "Hello from child!"
child   C  pid (\d+)  detached  nattch 2 -> 1
parent  P  pid (\d+)  read "Hello from child!"  nattch 1
parent  P  pid (\d+)  detached  nattch 1 -> 0
parent  P  pid (\d+)  removed segment \d+
`

func TestRun(t *testing.T) {
	twinstest.ReadSources(t, "../parentchild.c", "../parentchild.go")
	before := twinstest.List(t)
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	rest := out.String()
	for _, p := range []struct{ parent, child string }{
		{"Go", "C"},
		{"C", "Go"},
		{"Go", "Go"},
		{"C", "C"},
	} {
		title := fmt.Sprintf("%s parent, %s child:\n", p.parent, p.child)
		t.Run(p.parent+"_"+p.child, func(t *testing.T) {
			block, after, found := strings.Cut(rest, "\n\n")
			lines, titled := strings.CutPrefix(block+"\n", title)
			if !found || !titled {
				t.Fatalf("want a paragraph %q, got:\n%s", title, rest)
			}
			rest = after
			want := strings.NewReplacer(
				"parent  P", fmt.Sprintf("parent  %-2s", p.parent),
				"child   C", fmt.Sprintf("child   %-2s", p.child),
			).Replace(transcript)
			pids := regexp.MustCompile(`\A` + want + `\z`).FindStringSubmatch(lines)
			if pids == nil {
				t.Fatalf("got:\n%s\nwant:\n%s", lines, want)
			}
			parent, child := pids[1], pids[4]
			if parent == child {
				t.Errorf("parent and child are both process %s", parent)
			}
			for i, pid := range pids[1:] {
				if want := map[bool]string{true: child, false: parent}[i >= 3 && i <= 6]; pid != want {
					t.Errorf("line %d is by process %s, not %s:\n%s", i+1, pid, want, lines)
				}
			}
		})
	}
	if want := "no segment is left: /proc/sysvipc/shm has none with these processes' key\n"; rest != want {
		t.Errorf("ends with %q, want %q", rest, want)
	}
	twinstest.NoneLeft(t, before)
}

// A program that fails says why, exits with status 1 and leaves no segment.
func TestFailure(t *testing.T) {
	dir := t.TempDir()
	programs := buildAll(t, dir)
	killed := twinstest.Script(t, dir, "kill -9 $$")
	missing := filepath.Join(dir, "missing")
	full := open(t, "/dev/full")
	closed := closedPipe(t)

	// A segment of somebody else's: it has the key of a file, and no NUL.
	taken := twinstest.Script(t, dir, "")
	key, err := shm.Ftok(taken, 'S')
	if err != nil {
		t.Fatal(err)
	}
	id, err := shm.Get(key, 4096, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := id.Remove(); err != nil {
			t.Error(err)
		}
	})
	mem, err := id.Attach(0)
	if err != nil {
		t.Fatal(err)
	}
	copy(mem.Bytes(), strings.Repeat("x", mem.Len()))
	if err := mem.Detach(); err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		name   string
		args   []string
		stdout *os.File
		want   string
	}{
		{"child exits with 1", []string{"parent", "false", dir}, nil, `child: exit status 1$`},
		{"child exits with 0", []string{"parent", "true", dir}, nil, `not the answer: "Hello from parent!"$`},
		{"child is killed", []string{"parent", killed, dir}, nil, `child: signal: killed$`},
		{"no such child", []string{"parent", missing, dir}, nil, `child: .*no such file or directory$`},
		{"no such file", []string{"parent", "true", missing}, nil, `ftok\(.*no such file or directory$`},
		{"key is taken", []string{"parent", "true", taken}, nil, `shmget\(.*file exists$`},
		{"parent's output is full", []string{"parent", "true", dir}, full, `no space left on device$`},
		{"parent's output is closed", []string{"parent", "true", dir}, closed, `broken pipe$`},
		{"not the greeting", []string{"child", fmt.Sprint(id)}, nil, `not the greeting: "` + strings.Repeat("x", 4096) + `"$`},
		{"no such segment", []string{"child", "-1"}, nil, `shm.*invalid argument`},
		{"not an id", []string{"child", "0x1"}, nil, `not an id: 0x1$`},
		{"id too large", []string{"child", "2147483648"}, nil, `not an id: 2147483648$`},
		{"no arguments", nil, nil, `usage: `},
		{"too many arguments", []string{"child", "1", "2"}, nil, `usage: `},
	} {
		for language, program := range programs {
			t.Run(language+"/"+tt.name, func(t *testing.T) {
				before := twinstest.List(t)
				cmd := exec.CommandContext(t.Context(), program, tt.args...)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				if tt.stdout != nil {
					cmd.Stdout = tt.stdout
				}
				err := cmd.Run()
				if cmd.ProcessState.ExitCode() != 1 {
					t.Errorf("%v, want exit status 1", err)
				}
				if got := strings.TrimSpace(stderr.String()); !regexp.MustCompile(`(?i)` + tt.want).MatchString(got) {
					t.Errorf("standard error %q, want %q", got, tt.want)
				}
				twinstest.NoneLeft(t, before)
			})
		}
	}
	if _, err := id.Stat(); err != nil {
		t.Errorf("somebody else's segment: %v", err)
	}
}

// A child that does not end is ended with its parent, whose segment is then
// left, and reported.
func TestTimeout(t *testing.T) {
	dir := t.TempDir()
	programs := buildAll(t, dir)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	hang := twinstest.Script(t, dir, "echo hanging; read line <"+fifo)
	for language, program := range programs {
		t.Run(language, func(t *testing.T) {
			key, err := shm.Ftok(dir, 'S')
			if err != nil {
				t.Fatal(err)
			}
			before := twinstest.List(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err = twins.Run(ctx, &trigger{word: "hanging", pull: cancel}, program, "parent", hang, dir)
			if err == nil || !strings.Contains(err.Error(), "context canceled: signal: killed") {
				t.Errorf("error %v", err)
			}
			if w, err := syscall.Open(fifo, syscall.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				t.Error("the child is still there")
				_ = syscall.Close(w) // ends it
			}
			err = twins.Left(before, key)
			if err == nil {
				t.Fatal("the segment is not reported")
			}
			command := regexp.MustCompile(`ipcrm -m (\d+)$`).FindStringSubmatch(err.Error())
			if command == nil {
				t.Fatalf("error %v", err)
			}
			id, err := strconv.Atoi(command[1])
			if err != nil {
				t.Fatal(err)
			}
			if err := shm.ID(id).Remove(); err != nil {
				t.Error(err)
			}
			if err := twins.Left(before, key); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoCompiler(t *testing.T) {
	t.Setenv("CC", "/nonexistent/cc -O2")
	err := run(t.Context(), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "no C compiler") || !strings.Contains(err.Error(), "/nonexistent/cc") {
		t.Errorf("error %v", err)
	}
}

// The demo is built without -Werror, which would break with newer compilers.
func TestWarnings(t *testing.T) {
	cpeer.Build(t, "../parentchild.c")
}

func buildAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	twinstest.ReadSources(t, "../parentchild.c", "../parentchild.go")
	programs, err := twins.Build(t.Context(), dir, example, source)
	if err != nil {
		t.Fatal(err)
	}
	return programs
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// closedPipe returns the writing end of a pipe that nobody reads any more.
func closedPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// trigger is an io.Writer that calls a function when a word has been written.
type trigger struct {
	word string
	pull func()
	seen bytes.Buffer
}

func (t *trigger) Write(p []byte) (int, error) {
	t.seen.Write(p)
	if strings.Contains(t.seen.String(), t.word) {
		t.pull()
	}
	return len(p), nil
}
