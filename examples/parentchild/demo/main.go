//go:build linux

// Demo builds both programs of examples/parentchild, in Go and in C, runs
// them in all four pairings and shows what they print. It needs Go and a C
// compiler:
//
//	go run ./examples/parentchild/demo
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	example = "github.com/gosysv/shm/examples/parentchild"

	// timeout is for everything, with a first build of the standard library.
	timeout = 5 * time.Minute
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	err := run(ctx, os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run is the whole demo.
func run(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "parentchild")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs, err := build(ctx, dir)
	if err != nil {
		return err
	}
	before, err := segments()
	if err != nil {
		return err
	}
	var parents []int
	for _, p := range []struct{ parent, child string }{
		{"Go", "C"},
		{"C", "Go"},
		{"Go", "Go"},
		{"C", "C"},
	} {
		title := fmt.Sprintf("%s parent, %s child", p.parent, p.child)
		if _, err := fmt.Fprintf(w, "%s:\n", title); err != nil {
			return err
		}
		pid, err := pair(ctx, w, programs[p.parent], programs[p.child], dir)
		parents = append(parents, pid)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", title, err), left(before, parents...))
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	if err := left(before, parents...); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, "no segment is left: /proc/sysvipc/shm lists none of these processes'")
	return err
}

// build builds both programs into dir, and returns their paths by language.
func build(ctx context.Context, dir string) (map[string]string, error) {
	env, err := output(ctx, "go", "env", "CC")
	if err != nil {
		return nil, err
	}
	cc := strings.Fields(env)
	if len(cc) == 0 {
		return nil, errors.New("no C compiler: go env CC is empty")
	}
	// Without a compiler, go build would blame a missing cgo.
	if _, err := exec.LookPath(cc[0]); err != nil {
		return nil, fmt.Errorf("no C compiler, install one or set CC: %w", err)
	}
	source, err := output(ctx, "go", "list", "-f", "{{.Dir}}", example)
	if err != nil {
		return nil, err
	}
	programs := map[string]string{
		"Go": filepath.Join(dir, "go-side"),
		"C":  filepath.Join(dir, "c-side"),
	}
	// No -buildvcs: git may refuse a tree that belongs to somebody else.
	if _, err := output(ctx, "go", "build", "-buildvcs=false", "-o", programs["Go"], example); err != nil {
		return nil, err
	}
	compile := append(cc, "-std=gnu11", "-O2", "-Wall", "-o", programs["C"], filepath.Join(source, "parentchild.c"))
	if _, err := output(ctx, compile...); err != nil {
		return nil, err
	}
	return programs, nil
}

// output runs a command and returns what it prints; an error has what it
// prints to standard error.
func output(ctx context.Context, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// pair runs one program as the parent of the other until both have ended, and
// returns the parent's pid.
func pair(ctx context.Context, w io.Writer, parent, child, file string) (int, error) {
	cmd := exec.CommandContext(ctx, parent, "parent", child, file)
	cmd.Stdout, cmd.Stderr = w, w
	// A group of their own: an interrupt from the terminal ends this program
	// and not a parent that has a segment to remove; the timeout ends both.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err := cmd.Wait()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return cmd.Process.Pid, err
}

// left is an error if a segment is there that was not before and that one of
// the processes has made.
func left(before map[int]int, pids ...int) error {
	after, err := segments()
	for id, pid := range after {
		if _, ok := before[id]; !ok && slices.Contains(pids, pid) {
			err = errors.Join(err, fmt.Errorf("segment %d is left by process %d, remove it with: ipcrm -m %d", id, pid, id))
		}
	}
	return err
}

// segments returns the pids of the segments' creators by the segments' ids. It
// asks the kernel and not the package that is shown.
func segments() (map[int]int, error) {
	const path = "/proc/sysvipc/shm"
	table, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	creators := map[int]int{}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	for _, line := range lines[1:] {
		var skip string
		var id, pid int // columns: key shmid perms size cpid …
		if _, err := fmt.Sscan(line, &skip, &id, &skip, &skip, &pid); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, line, err)
		}
		creators[id] = pid
	}
	return creators, nil
}
