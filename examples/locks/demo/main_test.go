//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/internal/twins"
	"github.com/gosysv/shm/internal/twins/twinstest"
	"github.com/gosysv/shm/sem"
)

func TestMain(m *testing.M) { ipcns.Main(m, cpeer.Remove, removeAll) }

// kinds are what the locks are called, and what differs between them.
var kinds = []struct{ kind, title, made, told string }{
	{
		"sem", "semaphore with SEM_UNDO",
		`parent  P  pid \d+  made semaphore set \d+` + "\n", "told nothing",
	},
	{"mutex", "robust mutex", "", "told that its owner died"},
}

// transcript matches what a pair prints, with P and C for the languages. The
// lines of the two that work come in any order: the child's ends with its
// process.
const transcript = `parent  P  pid \d+  made segment \d+
MADE` + `child   C  pid \d+  (\d+) increments, (\d+) after one by the other; torn seen: 0
parent  P  pid \d+  (\d+) increments, (\d+) after one by the other; torn seen: 0
parent  P  pid \d+  counter (\d+) after (\d+) increments, 0 lost; wrong words: 0; checksum right
victim  C  pid (\d+)  has the lock, and is half through an increment
parent  P  pid \d+  kills process (\d+)
parent  P  pid \d+  has the lock: TOLD; mends what is torn
parent  P  pid \d+  counter (\d+) after (\d+) increments, 0 lost; wrong words: 0; checksum right
`

func TestSafely(t *testing.T) {
	out := demo(t, false)
	rest := out
	for _, k := range kinds {
		for _, p := range []struct{ parent, child string }{{"Go", "C"}, {"C", "Go"}} {
			t.Run(k.kind+"/"+p.parent+"_"+p.child, func(t *testing.T) {
				title := fmt.Sprintf("%s, %s parent, %s child:\n", k.title, p.parent, p.child)
				block, after, found := strings.Cut(rest, "\n\n")
				lines, titled := strings.CutPrefix(block+"\n", title)
				if !found || !titled {
					t.Fatalf("want a paragraph %q, got:\n%s", title, rest)
				}
				rest = after
				want := strings.NewReplacer("MADE", k.made, "TOLD", k.told).Replace(transcript)
				want = strings.NewReplacer(
					"parent  P", fmt.Sprintf("parent  %-2s", p.parent),
					"child   C", fmt.Sprintf("child   %-2s", p.child),
					"victim  C", fmt.Sprintf("victim  %-2s", p.child),
				).Replace(want)
				m := regexp.MustCompile(`\A` + want + `\z`).FindStringSubmatch(lines)
				if m == nil {
					t.Fatalf("got:\n%s\nwant:\n%s", lines, want)
				}
				n := numbers(t, m[1:])
				child, parent := n[0], n[2]
				if child == 0 || parent == 0 || n[1]+n[3] == 0 {
					t.Errorf("the two did not work together:\n%s", lines)
				}
				if sum := child + parent; n[4] != sum || n[5] != sum {
					t.Errorf("counter %d after %d increments, want %d", n[4], n[5], sum)
				}
				if n[6] != n[7] {
					t.Errorf("killed process %d, and %d was the victim", n[7], n[6])
				}
				if want := n[4] + 3; n[8] != want || n[9] != want { // the victim's and two more
					t.Errorf("counter %d after %d increments, want %d", n[8], n[9], want)
				}
			})
		}
	}
	if rest != nothingLeft {
		t.Errorf("ends with %q", rest)
	}
}

const nothingLeft = "nothing is left: /proc/sysvipc has no segment or semaphore set with these processes' key\n"

func TestDangerously(t *testing.T) {
	out := demo(t, true)
	if !strings.HasSuffix(out, "\n\n"+nothingLeft) {
		t.Errorf("ends with:\n%s", out)
	}
	for _, title := range []string{"NO LOCK, Go parent, C child:\n", "NO LOCK, C parent, Go child:\n"} {
		_, rest, found := strings.Cut(out, title)
		block, _, _ := strings.Cut(rest, "\n\n")
		if !found || !strings.Contains(block, "the structure is corrupted") || !strings.HasSuffix(block, "the structure is CORRUPTED") {
			t.Fatalf("%s no corruption:\n%s", title, out)
		}
		// The programs have not made it up.
		figures := regexp.MustCompile(` [1-9]\d* lost|torn seen: [1-9]|wrong words: [1-9]|checksum wrong`)
		if !figures.MatchString(block) {
			t.Errorf("%s corrupted, and no figure that shows it:\n%s", title, block)
		}
	}
}

// The parent, whose lock works, finds out that its child does not take it.
func TestOneSideOnly(t *testing.T) {
	dir := t.TempDir()
	programs := buildAll(t)
	for _, k := range kinds {
		for _, p := range []struct{ parent, child string }{{"Go", "C"}, {"C", "Go"}} {
			t.Run(k.kind+"/"+p.parent+"_"+p.child, func(t *testing.T) {
				before := twinstest.List(t)
				child := twinstest.Script(t, dir, "exec "+programs[p.child]+` "$1" none "$3"`)
				var out bytes.Buffer
				var exit *exec.ExitError
				for range attempts { // as in the demo: it can be lucky
					err := twins.Run(t.Context(), &out, programs[p.parent], "parent", k.kind, child, dir)
					if errors.As(err, &exit) && exit.ExitCode() == corrupted {
						break
					}
				}
				if exit == nil || exit.ExitCode() != corrupted {
					t.Errorf("%v, want exit status %d\n%s", exit, corrupted, &out)
				}
				twinstest.NoneLeft(t, before)
			})
		}
	}
}

// A program that fails says why, exits with status 1 and leaves nothing.
func TestFailure(t *testing.T) {
	dir := t.TempDir()
	programs := buildAll(t)
	killed := twinstest.Script(t, dir, "kill -9 $$")
	missing := filepath.Join(dir, "missing")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()

	// Files whose keys have a segment or a set of somebody else's.
	segment, set := twinstest.Script(t, dir, ""), twinstest.Script(t, dir, "")
	id, err := shm.Get(ftok(t, segment), 4096, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer id.Remove()
	sid, _, err := sem.GetOrCreate(ftok(t, set), 0o600, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sid.Remove()

	for _, tt := range []struct {
		name   string
		args   []string
		stdout *os.File
		want   string
	}{
		{"child exits with 1", []string{"parent", "sem", "false", dir}, nil, `child: exit status 1$`},
		{"child exits with 0", []string{"parent", "mutex", "true", dir}, nil, `child: ended before it was ready$`},
		{"child is killed", []string{"parent", "none", killed, dir}, nil, `child: signal: killed$`},
		{"no such child", []string{"parent", "sem", missing, dir}, nil, `child: .*no such file or directory$`},
		{"no such file", []string{"parent", "sem", "true", missing}, nil, `ftok\(.*no such file or directory$`},
		{"segment's key is taken", []string{"parent", "mutex", "true", segment}, nil, `shmget\(.*file exists$`},
		{"set's key is taken", []string{"parent", "sem", "true", set}, nil, `semget\(.*file exists$|somebody else's: semaphore set \d+$`},
		{"output is full", []string{"parent", "mutex", "true", dir}, full, `no space left on device$`},
		{"no such segment", []string{"child", "sem", "-1"}, nil, `shm.*invalid argument`},
		{"no such segment", []string{"victim", "mutex", "-1"}, nil, `shm.*invalid argument`},
		{"not an id", []string{"child", "sem", "0x1"}, nil, `not an id: 0x1$`},
		{"id too large", []string{"child", "sem", "2147483648"}, nil, `not an id: 2147483648$`},
		{"no such kind", []string{"child", "spin", "1"}, nil, `usage: `},
		{"no such role", []string{"uncle", "sem", "1"}, nil, `usage: `},
		{"no arguments", nil, nil, `usage: `},
		{"too many arguments", []string{"child", "sem", "1", "2"}, nil, `usage: `},
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
	if _, err := sid.Stat(); err != nil {
		t.Errorf("somebody else's set: %v", err)
	}
}

// What a killed parent leaves is reported: the segment, and the set.
func TestLeft(t *testing.T) {
	dir := t.TempDir()
	key := ftok(t, dir)
	programs := buildAll(t)
	killer := twinstest.Script(t, dir, "kill -9 $PPID")
	for language, program := range programs {
		t.Run(language, func(t *testing.T) {
			before := twinstest.List(t)
			err := twins.Run(t.Context(), &bytes.Buffer{}, program, "parent", "sem", killer, dir)
			if err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("error %v", err)
			}
			err = twins.Left(before, key)
			if err == nil {
				t.Fatal("nothing is reported")
			}
			var kinds []string
			for _, m := range regexp.MustCompile(`ipcrm (-[ms]) (\d+)`).FindAllStringSubmatch(err.Error(), -1) {
				kinds = append(kinds, m[1])
				remove(t, m[1], int32(numbers(t, m[2:])[0]))
			}
			slices.Sort(kinds)
			if !slices.Equal(kinds, []string{"-m", "-s"}) {
				t.Errorf("error %v", err)
			}
			if err := twins.Left(before, key); err != nil {
				t.Error(err)
			}
		})
	}
}

func remove(t *testing.T, kind string, id int32) {
	t.Helper()
	err := shm.ID(id).Remove
	if kind == "-s" {
		err = sem.ID(id).Remove
	}
	if err := err(); err != nil {
		t.Error(err)
	}
}

// The demo is built without -Werror, which would break with newer compilers.
func TestWarnings(t *testing.T) {
	cpeer.Build(t, "../locks.c", "-pthread")
}

// demo runs the demo, and returns what it prints.
func demo(t *testing.T, dangerously bool) string {
	t.Helper()
	twinstest.ReadSources(t, "../locks.c", "../locks.go")
	before := twinstest.List(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out, dangerously); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	twinstest.NoneLeft(t, before)
	return out.String()
}

var built struct {
	dir      string
	programs map[string]string
}

// buildAll builds the programs, once in a test process.
func buildAll(t *testing.T) map[string]string {
	t.Helper()
	twinstest.ReadSources(t, "../locks.c", "../locks.go")
	if built.programs != nil {
		return built.programs
	}
	var err error
	//nolint:usetesting // it outlives the test, for the ones to come
	if built.dir, err = os.MkdirTemp("", "locks"); err != nil {
		t.Fatal(err)
	}
	if built.programs, err = twins.Build(t.Context(), built.dir, example, source); err != nil {
		t.Fatal(err)
	}
	return built.programs
}

func removeAll() { _ = os.RemoveAll(built.dir) }

func ftok(t *testing.T, path string) shm.Key {
	t.Helper()
	key, err := shm.Ftok(path, 'L')
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func numbers(t *testing.T, words []string) []int {
	t.Helper()
	var n []int
	for _, w := range words {
		i, err := strconv.Atoi(w)
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, i)
	}
	return n
}
