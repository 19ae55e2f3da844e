//go:build linux

// Package others runs what is neither Go nor this module's C: perl, and the
// tools of util-linux. What such a program sees and makes shows that nothing is
// private between the two. A test that needs one that is missing is skipped.
package others

import (
	"fmt"
	"os/exec"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// find returns the path of a program.
func find(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(err)
	}
	return path
}

// UtilLinux runs a tool of util-linux, such as ipcs, with its texts in English
// and its times in UTC, and returns what it prints. The test fails if the tool
// does.
func UtilLinux(t testing.TB, tool string, args ...string) string {
	t.Helper()
	out, err := utilLinux(t, tool, args)
	if err != nil {
		t.Fatalf("%s %v: %v", tool, args, err)
	}
	return out
}

// UtilLinuxFails runs a tool that must fail.
func UtilLinuxFails(t testing.TB, tool string, args ...string) {
	t.Helper()
	if out, err := utilLinux(t, tool, args); err == nil {
		t.Errorf("%s %v: did not fail, and printed %q", tool, args, out)
	}
}

func utilLinux(t testing.TB, tool string, args []string) (string, error) {
	t.Helper()
	path := find(t, tool)
	if version, _ := exec.Command(path, "--version").Output(); !strings.Contains(string(version), "util-linux") {
		t.Skipf("%s is not that of util-linux: --version says %q", path, version)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := cmd.Output()
	return string(out), err
}

// Rows returns the lines below the heading that begins with that word, with
// single spaces.
func Rows(out, heading string) (rows []string) {
	inside := false
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if inside && len(fields) > 0 {
			rows = append(rows, strings.Join(fields, " "))
		}
		inside = len(fields) > 0 && (inside || fields[0] == heading)
	}
	return rows
}

// SameRows compares what a tool prints with the row that each object must have.
func SameRows[T any](t testing.TB, tool string, objects []T, got []string, row func(*T) string) {
	t.Helper()
	var want []string
	for i := range objects {
		want = append(want, Flat(row(&objects[i])))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-List +%s):\n%s", tool, diff)
	}
}

// Flat returns a text with single spaces, and no line ends.
func Flat(out string) string { return strings.Join(strings.Fields(out), " ") }

// User returns the name of a user, or the number where there is none.
func User(uid uint32) string {
	u, err := user.LookupId(fmt.Sprint(uid))
	if err != nil {
		return fmt.Sprint(uid)
	}
	return u.Username
}

// Owner is User as ipcs has it in most of its tables: cut off.
func Owner(uid uint32) string { return fmt.Sprintf("%.10s", User(uid)) }

// Group returns the name of a group, or the number where there is none.
func Group(gid uint32) string {
	g, err := user.LookupGroupId(fmt.Sprint(gid))
	if err != nil {
		return fmt.Sprint(gid)
	}
	return g.Name
}

// Time gives a time as ipcs does.
func Time(at time.Time, layout string) string {
	if at.IsZero() {
		return "Not set"
	}
	return at.UTC().Format(layout)
}
