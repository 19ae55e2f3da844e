//go:build linux

// Package errtest checks the errors of calls.
package errtest

import (
	"errors"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
)

// Same checks that an error and that of a peer are the same errno, or none.
func Same(t testing.TB, err, inPeer error) {
	t.Helper()
	if Errno(t, err) != Errno(t, inPeer) {
		t.Errorf("%v, in the peer %v", err, inPeer)
	}
}

// Errno is the errno of an error of a package or of a peer, 0 without one.
func Errno(t testing.TB, err error) syscall.Errno {
	t.Helper()
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		t.Fatalf("%v has no errno", err)
	}
	return errno
}

// Want compares the whole text of an error with a pattern, and checks that it
// is the errno and, of the targets, those that are in is and no other.
func Want(t testing.TB, err error, pattern string, errno syscall.Errno, targets, is []error) {
	t.Helper()
	var e *shm.Error
	if !errors.As(err, &e) || e.Errno != errno || !errors.Is(err, errno) {
		t.Errorf("got %v, want %v", err, errno)
		return
	}
	if !regexp.MustCompile("^" + pattern + "$").MatchString(err.Error()) {
		t.Errorf("got  %v\nwant %s", err, pattern)
	}
	for _, target := range targets {
		if want := slices.Contains(is, target); errors.Is(err, target) != want {
			t.Errorf("%v: errors.Is %v: %v", err, target, !want)
		}
	}
}
