//go:build linux

// Package twins builds an example that is one program twice, in Go and in C,
// runs one as the parent of the other, and tells what they leave behind.
package twins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gosysv/shm"
)

// Build builds both programs into dir, and returns their paths by language:
// "Go" and "C". The example is an import path, and source its C file.
func Build(ctx context.Context, dir, example, source string) (map[string]string, error) {
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
	folder, err := output(ctx, "go", "list", "-f", "{{.Dir}}", example)
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
	compile := append(cc, "-std=gnu11", "-O2", "-g", "-Wall", "-pthread", "-o", programs["C"], filepath.Join(folder, source))
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

// Run runs a program, and the children that it starts, until all have ended.
func Run(ctx context.Context, w io.Writer, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = w, w
	// A group of their own: an interrupt from the terminal ends this program
	// and not a parent that has a segment to remove; the timeout ends both.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// Objects returns the keys of the segments and semaphore sets that there are,
// by the commands that remove them. It asks the kernel and not the packages that
// the examples show.
func Objects() (map[string]shm.Key, error) {
	keys := map[string]shm.Key{}
	for _, table := range []struct{ path, remove string }{
		{"/proc/sysvipc/shm", "ipcrm -m"},
		{"/proc/sysvipc/sem", "ipcrm -s"},
	} {
		text, err := os.ReadFile(table.path)
		if err != nil {
			return nil, err
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		for _, line := range lines[1:] {
			var key shm.Key
			var id int // columns: key id …
			if _, err := fmt.Sscan(line, &key, &id); err != nil {
				return nil, fmt.Errorf("%s: %q: %w", table.path, line, err)
			}
			keys[fmt.Sprint(table.remove, " ", id)] = key
		}
	}
	return keys, nil
}

// Left is an error if there are objects of the key that were not there before.
func Left(before map[string]shm.Key, key shm.Key) error {
	after, err := Objects()
	for command, k := range after {
		if _, ok := before[command]; !ok && k == key {
			err = errors.Join(err, fmt.Errorf("something is left, remove it with: %s", command))
		}
	}
	return err
}
