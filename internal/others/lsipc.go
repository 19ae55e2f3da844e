//go:build linux && cgo

package others

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
)

// LsipcPerm returns what lsipc must print of whose an object is, under the names
// of its columns.
func LsipcPerm(p *shm.IpcPerm) map[string]string {
	return map[string]string{
		"KEY": p.Key.String(), "PERMS": p.Mode.Perm().String()[1:], "OWNER": User(p.UID),
		"UID": fmt.Sprint(p.UID), "USER": User(p.UID), "GID": fmt.Sprint(p.GID), "GROUP": Group(p.GID),
		"CUID": fmt.Sprint(p.CUID), "CUSER": User(p.CUID), "CGID": fmt.Sprint(p.CGID), "CGROUP": Group(p.CGID),
	}
}

// LsipcTime gives a time as lsipc does.
func LsipcTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02T15:04:05-07:00")
}

// SameAsLsipc compares all objects of a kind, "shmems" or "semaphores", with what
// lsipc prints of them.
func SameAsLsipc(t testing.TB, kind string, want []map[string]string) {
	t.Helper()
	var columns []string
	for column := range want[0] {
		columns = append(columns, column)
	}
	got := exported(UtilLinux(t, "lsipc", "--"+kind, "--bytes", "--time-format=iso", "--export", "--output="+strings.Join(columns, ",")))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-List +lsipc):\n%s", diff)
	}
}

// SameLimitsAsLsipc compares the limits of a kind, and what of them is used, with
// what lsipc prints.
func SameLimitsAsLsipc(t testing.TB, kind string, want map[string][2]string) {
	t.Helper()
	got := map[string][2]string{}
	for _, o := range exported(UtilLinux(t, "lsipc", "--global", "--"+kind, "--bytes", "--export")) {
		got[o["RESOURCE"]] = [2]string{o["LIMIT"], o["USED"]}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-Limits, Usage +lsipc):\n%s", diff)
	}
}

var assignment = regexp.MustCompile(`([^ ="]+)="([^"]*)"`)

// exported reads the output of lsipc --export, a line an object, with the values
// under their names.
func exported(out string) (objects []map[string]string) {
	for line := range strings.Lines(out) {
		values := map[string]string{}
		for _, m := range assignment.FindAllStringSubmatch(line, -1) {
			values[m[1]] = m[2]
		}
		objects = append(objects, values)
	}
	return objects
}
