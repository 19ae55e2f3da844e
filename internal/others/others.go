//go:build linux

// Package others runs what is neither Go nor this module's C: perl, and the
// tools of util-linux. What such a program sees and makes shows that nothing is
// private between the two. A test that needs one that is missing is skipped.
package others

import (
	"encoding/hex"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/cstruct"
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

// Flat returns a text with single spaces, and no line ends.
func Flat(out string) string { return strings.Join(strings.Fields(out), " ") }

var exported = regexp.MustCompile(`([^ ="]+)="([^"]*)"`)

// Exported reads the output of lsipc --export, a line an object, with the values
// under their names.
func Exported(out string) (objects []map[string]string) {
	for line := range strings.Lines(out) {
		values := map[string]string{}
		for _, m := range exported.FindAllStringSubmatch(line, -1) {
			values[m[1]] = m[2]
		}
		objects = append(objects, values)
	}
	return objects
}

// evaluator answers each line of Perl with its value, or with errno where that
// is undefined.
const evaluator = `
$| = 1;
while (<STDIN>) {
	$! = 0;
	my $value = eval;
	print $@ ? "died $@" : defined $value ? "ok $value\n" : "err " . ($! + 0) . "\n";
}`

// Perl is a process that evaluates Perl, a line at a time.
type Perl struct {
	*cpeer.Peer
	t testing.TB
}

// StartPerl starts a perl.
func StartPerl(t testing.TB) *Perl {
	t.Helper()
	return &Perl{cpeer.Start(t, exec.Command(find(t, "perl"), "-e", evaluator)), t}
}

// NeedSameStructs skips the test if it is of another port than perl, so that
// their C structs differ.
func (p *Perl) NeedSameStructs() {
	p.t.Helper()
	one := 1
	if long := p.Eval("unpack('H*', pack('l!', 1))"); long != hex.EncodeToString(cstruct.Bytes(&one)) {
		p.t.Skip("perl is of another port than the test: its long of 1 is ", long)
	}
}

// Eval returns the value of a line of Perl. The test fails if there is none.
func (p *Perl) Eval(format string, args ...any) string {
	p.t.Helper()
	value, err := p.Do(format, args...)
	if err != nil {
		p.t.Fatalf("perl: "+format+": %v", append(args, err)...)
	}
	return strings.Join(value, " ")
}
