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
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/twins"
)

const (
	example = "github.com/gosysv/shm/examples/parentchild"
	source  = "parentchild.c"

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
	programs, err := twins.Build(ctx, dir, example, source)
	if err != nil {
		return err
	}
	key, err := shm.Ftok(dir, 'S')
	if err != nil {
		return err
	}
	before, err := twins.Objects()
	if err != nil {
		return err
	}
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
		if err := twins.Run(ctx, w, programs[p.parent], "parent", programs[p.child], dir); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", title, err), twins.Left(before, key))
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	if err := twins.Left(before, key); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, "no segment is left: /proc/sysvipc/shm has none with these processes' key")
	return err
}
