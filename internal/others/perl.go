//go:build linux

package others

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/cstruct"
)

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
// their C structs may differ: on another machine, as an emulator has it, or with
// another long.
func (p *Perl) NeedSameStructs() {
	p.t.Helper()
	one := 1
	var host syscall.Utsname
	if err := syscall.Uname(&host); err != nil {
		p.t.Fatal(err)
	}
	want := fmt.Sprintf("%x %x", cstruct.Bytes(&host.Machine), cstruct.Bytes(&one))
	got := p.Eval("require POSIX; unpack('H*', pack('a%d', (POSIX::uname())[4])) . ' ' . unpack('H*', pack('l!', 1))", len(host.Machine))
	if got != want {
		p.t.Skipf("perl is of another port than the test: its machine and its long of 1 are %s, not %s", got, want)
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
