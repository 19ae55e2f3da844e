//go:build linux

// Demo builds both programs of examples/locks, in Go and in C, runs each as the
// parent of the other under both kinds of lock, and shows what they print. It
// needs Go and a C compiler:
//
//	go run ./examples/locks/demo
//	LIVE_DANGEROUSLY=1 go run ./examples/locks/demo
//
// The second leaves the lock out, and shows what that does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/twins"
)

const (
	example = "github.com/gosysv/shm/examples/locks"
	source  = "locks.c"

	// timeout is for everything, with a first build of the standard library.
	timeout = 5 * time.Minute

	// attempts are how often a structure without a lock may survive.
	attempts = 10

	// corrupted is the status of a parent that has found the structure so.
	corrupted = 2
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	err := run(ctx, os.Stdout, os.Getenv("LIVE_DANGEROUSLY") != "")
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run is the whole demo.
func run(ctx context.Context, w io.Writer, dangerously bool) error {
	dir, err := os.MkdirTemp("", "locks")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs, err := twins.Build(ctx, dir, example, source)
	if err != nil {
		return err
	}
	key, err := shm.Ftok(dir, 'L')
	if err != nil {
		return err
	}
	before, err := twins.Objects()
	if err != nil {
		return err
	}
	show := safely
	if dangerously {
		show = dangerous
	}
	if err := errors.Join(show(ctx, w, programs, dir), twins.Left(before, key)); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, "nothing is left: /proc/sysvipc has no segment or semaphore set with these processes' key")
	return err
}

// pairs has each program be the parent of the other.
func pairs(w io.Writer, what string, pair func(parent, child string) error) error {
	for _, p := range []struct{ parent, child string }{{"Go", "C"}, {"C", "Go"}} {
		title := fmt.Sprintf("%s, %s parent, %s child", what, p.parent, p.child)
		if _, err := fmt.Fprintf(w, "%s:\n", title); err != nil {
			return err
		}
		if err := pair(p.parent, p.child); err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}

// safely runs the programs under each kind of lock.
func safely(ctx context.Context, w io.Writer, programs map[string]string, dir string) error {
	for _, l := range []struct{ kind, title string }{
		{"sem", "semaphore with SEM_UNDO"},
		{"mutex", "robust mutex"},
	} {
		err := pairs(w, l.title, func(parent, child string) error {
			return twins.Run(ctx, w, programs[parent], "parent", l.kind, programs[child], dir)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dangerous runs them without a lock, until that has shown.
func dangerous(ctx context.Context, w io.Writer, programs map[string]string, dir string) error {
	return pairs(w, "NO LOCK", func(parent, child string) error {
		for range attempts {
			err := twins.Run(ctx, w, programs[parent], "parent", "none", programs[child], dir)
			var exit *exec.ExitError
			switch {
			case err == nil:
				err = say(w, "by luck nothing was corrupted: once more")
			case errors.As(err, &exit) && exit.ExitCode() == corrupted:
				return say(w, "as was to be expected: without a lock the structure is CORRUPTED")
			}
			if err != nil {
				return err
			}
		}
		return say(w, fmt.Sprintf("by luck nothing was corrupted in %d attempts; it is wrong all the same", attempts))
	})
}

func say(w io.Writer, line string) error {
	_, err := fmt.Fprintln(w, line)
	return err
}
