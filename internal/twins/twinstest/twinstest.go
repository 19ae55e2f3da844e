//go:build linux

// Package twinstest has what the tests of the examples that are twins share.
package twinstest

import (
	"fmt"
	"os"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/internal/twins"
)

// ReadSources shows the test cache the files that only go build and the C
// compiler read.
func ReadSources(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
}

// Script makes a program of one line of shell.
func Script(t testing.TB, dir, line string) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "script")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f, "#!/bin/sh\n%s\n", line); err != nil {
		t.Fatal(err)
	}
	if err := f.Chmod(0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// List returns the objects that there are.
func List(t testing.TB) map[string]shm.Key {
	t.Helper()
	all, err := twins.Objects()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// NoneLeft fails the test if there are objects that were not there before.
func NoneLeft(t testing.TB, before map[string]shm.Key) {
	t.Helper()
	if !ipcns.Private() {
		t.Log("others may make objects here: not counted")
		return
	}
	for command, key := range List(t) {
		if _, ok := before[command]; !ok {
			t.Errorf("left, to be removed by %s: key %v", command, key)
		}
	}
}
