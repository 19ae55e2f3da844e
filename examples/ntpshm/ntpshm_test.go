//go:build linux && (amd64 || arm64 || loong64 || mips64le || riscv64)

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/layout"
)

// asProgram is the environment variable that makes the test binary ntpshm.
const asProgram = "NTPSHM_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	ipcns.Main(m, cpeer.Remove)
}

// sides are the program in both languages.
var sides = map[string]func(t *testing.T, args ...string) *exec.Cmd{
	"Go": func(_ *testing.T, args ...string) *exec.Cmd {
		cmd := ipcns.Self(args...)
		cmd.Env = append(cmd.Environ(), asProgram+"=1")
		return cmd
	},
	"C": func(t *testing.T, args ...string) *exec.Cmd {
		t.Helper()
		return ipcns.Emulate(build(t), args...)
	},
}

func build(t *testing.T, flags ...string) string {
	t.Helper()
	if _, err := os.ReadFile("shmtime.h"); err != nil { // for the test cache
		t.Fatal(err)
	}
	return cpeer.Build(t, "ntpshm.c", flags...)
}

// needUnit skips the test where the unit's key may be that of a real clock,
// and removes the unit's segment when the test is over.
func needUnit(t *testing.T, number int) {
	t.Helper()
	if !ipcns.Private() {
		t.Skip("needs a private IPC namespace")
	}
	t.Cleanup(func() {
		id, err := shm.Get(base+shm.Key(number), 0, 0)
		if err == nil {
			err = id.Remove()
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// mustOpen opens a unit until the end of the test.
func mustOpen(t *testing.T, number int) *unit {
	t.Helper()
	u, err := open(number)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

// output runs a command and returns what it prints.
func output(t *testing.T, cmd *exec.Cmd, stdin string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	return string(out)
}

// TestStructIsC: what the C compiler has made of the header is in Go's struct.
func TestStructIsC(t *testing.T) {
	if err := layout.Check[ShmTime](build(t), "struct shmTime"); err != nil {
		t.Error(err)
	}
}

// TestGenerated: what go generate would write now is what is there.
func TestGenerated(t *testing.T) {
	source, err := os.ReadFile("ntpshm.go")
	if err != nil {
		t.Fatal(err)
	}
	_, directive, _ := strings.Cut(string(source), "\n//go:generate ")
	directive, _, _ = strings.Cut(directive, "\n")
	var args []string
	for _, word := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(directive, -1) {
		args = append(args, strings.Trim(word, `"`))
	}
	i := slices.Index(args, "shmtime.go")
	if i < 0 {
		t.Fatalf("go:generate does not write shmtime.go: %s", directive)
	}
	args[i] = "-" // standard output
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "GOPACKAGE=main")
	committed, err := os.ReadFile("shmtime.go")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), output(t, cmd, "")); diff != "" {
		t.Errorf("run go generate (-shmtime.go +generated):\n%s", diff)
	}
}

// TestPairs: what one side writes the other reads, once.
func TestPairs(t *testing.T) {
	const line = "1735689600.123456789 1735689599.000000001 1 -20\n"
	for writer, write := range sides {
		for reader, read := range sides {
			t.Run(writer+"_"+reader, func(t *testing.T) {
				needUnit(t, 2)
				output(t, write(t, "write", "2"), "1.000000000 1.000000000 0 0\n"+line)
				if got := output(t, read(t, "read", "2", "1"), ""); got != line {
					t.Errorf("got %q, want %q", got, line)
				}
				if _, err := mustOpen(t, 2).read(); !errors.Is(err, errNone) {
					t.Errorf("after it was read: %v, want %v", err, errNone)
				}
			})
		}
	}
}

// TestNtpshmmon: gpsd's own monitor reads what Go writes.
func TestNtpshmmon(t *testing.T) {
	monitor, err := exec.LookPath("ntpshmmon")
	if err != nil {
		t.Skip("needs ntpshmmon, from gpsd: ", err)
	}
	needUnit(t, 2)
	mustOpen(t, 2).write(sample{time.Unix(1735689600, 123456789), time.Unix(1735689599, 987654321), 2, -20})

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := output(t, exec.CommandContext(ctx, monitor, "-n", "1"), "")
	// sample NAME SEEN RECEIVED CLOCK LEAP PRECISION
	if want := regexp.MustCompile(`(?m)^sample +NTP2 +\S+ +1735689599\.987654321 +1735689600\.123456789 +2 +-20$`); !want.MatchString(out) {
		t.Errorf("it prints:\n%s\nwant %v", out, want)
	}
}

// numbered returns a sample that says the same number everywhere.
func numbered(n int64) sample {
	stamp := time.Unix(n, n%1e9)
	return sample{stamp, stamp, int32(n), int32(-n)}
}

func checkNumbered(t *testing.T, s sample) {
	t.Helper()
	if want := numbered(s.clock.Unix()); s.String() != want.String() {
		t.Fatalf("torn: %v, of %v", s, want)
	}
}

const rounds = 2000

// hammer writes numbered samples until stopped.
var hammer = map[string]func(t *testing.T, stop *atomic.Bool){
	"Go": func(t *testing.T, stop *atomic.Bool) {
		u, err := open(2)
		if err != nil {
			t.Error(err)
			return
		}
		for n := int64(1); !stop.Load(); n++ {
			u.write(numbered(n))
		}
		if err := u.close(); err != nil {
			t.Error(err)
		}
	},
	"C": func(t *testing.T, stop *atomic.Bool) {
		cmd := sides["C"](t, "write", "2")
		lines := &generator{stop: stop}
		cmd.Stdin, cmd.Stderr = lines, os.Stderr
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
	},
}

// generator is a reader of lines of numbered samples.
type generator struct {
	stop *atomic.Bool
	n    int64
	rest []byte
}

func (g *generator) Read(p []byte) (int, error) {
	if g.stop.Load() && len(g.rest) == 0 {
		return 0, io.EOF
	}
	for len(g.rest) < len(p) {
		g.n++
		g.rest = fmt.Appendln(g.rest, numbered(g.n))
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// TestTorn: under a writer that does not pause, no sample is a mix of two.
func TestTorn(t *testing.T) {
	build(t) // for those that run beside the test and must not end it
	for language, write := range hammer {
		start := func(t *testing.T) <-chan struct{} {
			t.Helper()
			needUnit(t, 2)
			var stop atomic.Bool
			done := make(chan struct{})
			go func() { defer close(done); write(t, &stop) }()
			t.Cleanup(func() { stop.Store(true); <-done })
			return done
		}
		t.Run(language+"_Go", func(t *testing.T) {
			ended := start(t)
			u := mustOpen(t, 2)
			torn := 0
			for whole := 0; whole < rounds; {
				select {
				case <-ended:
					t.Fatal("the writer has ended")
				default:
				}
				s, err := u.read()
				switch {
				case err == nil:
					checkNumbered(t, s)
					whole++
				case errors.Is(err, errTorn):
					torn++
				case !errors.Is(err, errNone):
					t.Fatal(err)
				}
			}
			t.Logf("%d of %d were torn", torn, rounds+torn)
		})
		t.Run(language+"_C", func(t *testing.T) {
			start(t)
			out := output(t, ipcns.Emulate(build(t, "-DPOLL=0"), "read", "2", fmt.Sprint(rounds)), "")
			for line := range strings.Lines(out) {
				s, err := parse(strings.TrimSuffix(line, "\n"))
				if err != nil {
					t.Fatal(err)
				}
				checkNumbered(t, s)
			}
		})
	}
}

// TestStopped: a writer that was stopped at any step leaves a sample that is
// whole, or none, and the next one goes on from there.
func TestStopped(t *testing.T) {
	needUnit(t, 2)
	u := mustOpen(t, 2)
	u.write(numbered(1))
	u.time.Valid = 0
	u.time.Count++
	u.time.Leap = 77
	if s, err := u.read(); !errors.Is(err, errNone) {
		t.Errorf("in the middle of a write: %v, %v", s, err)
	}
	for n := int64(2); n < 4; n++ {
		u.write(numbered(n))
		s, err := u.read()
		if err != nil {
			t.Fatal(err)
		}
		checkNumbered(t, s)
	}
}

// TestFractions: the nanoseconds count if they go with the microseconds.
func TestFractions(t *testing.T) {
	for _, c := range []struct {
		usec int32
		nsec uint32
		want int64
	}{
		{123456, 123456789, 123456789},
		{123456, 0, 123456000},
		{123456, 123455999, 123456000},
		{123456, 123457000, 123456000},
		{0, 999, 999},
		{0, 1<<32 - 1, 0},
	} {
		if got := stamp(7, c.usec, c.nsec); !got.Equal(time.Unix(7, c.want)) {
			t.Errorf("%d µs and %d ns: %d ns", c.usec, c.nsec, got.Nanosecond())
		}
	}
}

// TestMode: a writer that does not count is refused.
func TestMode(t *testing.T) {
	needUnit(t, 2)
	u := mustOpen(t, 2)
	u.write(numbered(1))
	u.time.Mode = 0
	if _, err := u.read(); err == nil || !strings.Contains(err.Error(), "mode 0") {
		t.Errorf("error %v", err)
	}
}

// TestSquatted: a segment that others have made under the unit's key is
// refused, by both sides and for a reason, and is not touched.
func TestSquatted(t *testing.T) {
	const nobody = 65534
	for _, c := range []struct {
		name       string
		unit, size int
		uid        uint32
		mode       shm.Mode
		want       string
	}{
		{"owner", 2, 96, nobody, 0o666, `is in the hands of uid 65534`},
		{"others may write", 0, 96, 0, 0o666, `mode 0666: others can write`},
		{"the group may write", 1, 96, 0, 0o660, `mode 0660: others can write`},
		{"too small", 2, 80, 0, 0o666, `(?i)shmget\(.*invalid argument`},
	} {
		t.Run(c.name, func(t *testing.T) {
			needUnit(t, c.unit)
			id, err := shm.Get(base+shm.Key(c.unit), c.size, shm.IPC_CREAT|shm.IPC_EXCL|shm.GetFlag(c.mode))
			if err != nil {
				t.Fatal(err)
			}
			if c.uid != 0 {
				chown(t, id, c.uid)
			}
			refused(t, c.unit, c.want)
		})
	}
}

// TestGivenAway: a creator can make a segment root's, and still do with it
// what it likes.
func TestGivenAway(t *testing.T) {
	const nobody = 65534
	needUnit(t, 2)
	cmd := sides["Go"](t, "write", "2")
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		mustOpen(t, 2) // there is one to be removed
		t.Skip("needs a second user: ", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	refused(t, 2, `is in the hands of uid 65534`)
	id, err := shm.Get(base+2, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	chown(t, id, 0)
	refused(t, 2, `is in the hands of uid 65534`)
}

func chown(t *testing.T, id shm.ID, uid uint32) {
	t.Helper()
	ds, err := id.Stat()
	if err != nil {
		t.Fatal(err)
	}
	ds.Perm.UID = uid
	err = id.Set(&ds)
	if errors.Is(err, syscall.EINVAL) {
		t.Skip("needs a second user: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, number int, want string) {
	t.Helper()
	for language, side := range sides {
		cmd := side(t, "write", fmt.Sprint(number))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		if cmd.ProcessState.ExitCode() != 1 || !regexp.MustCompile(want).MatchString(stderr.String()) {
			t.Errorf("%s: %v, standard error %q, want %q", language, err, &stderr, want)
		}
	}
	id, err := shm.Get(base+shm.Key(number), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ds, err := id.Stat(); err != nil || ds.Nattch != 0 {
		t.Errorf("nattch %d afterwards, %v", ds.Nattch, err)
	}
}

// TestUsage: arguments and lines that are wrong.
func TestUsage(t *testing.T) {
	needUnit(t, 2)
	mustOpen(t, 2)
	for _, c := range []struct {
		args, stdin, want string
	}{
		{"", "", `usage: `},
		{"read", "", `usage: `},
		{"write 2 1", "", `usage: `},
		{"show 2", "", `usage: `},
		{"read 256", "", `not a unit: 256$`},
		{"read -1", "", `not a unit: -1$`},
		{"read 2 x", "", `not a count: x$`},
		{"write 2", "1.5 1.5 0 0\n", `not a sample: 1\.5 1\.5 0 0$`},
		{"write 2", "yesterday\n", `not a sample: yesterday$`},
		{"write 2", "1.000000000 1.000000000 0 0 0\n", `not a sample: 1\.000000000 1\.000000000 0 0 0$`},
	} {
		for language, side := range sides {
			t.Run(language+"/"+c.args+c.stdin, func(t *testing.T) {
				cmd := side(t, strings.Fields(c.args)...)
				var stderr bytes.Buffer
				cmd.Stdin, cmd.Stderr = strings.NewReader(c.stdin), &stderr
				err := cmd.Run()
				got := strings.TrimSpace(stderr.String())
				if cmd.ProcessState.ExitCode() != 1 || !regexp.MustCompile(c.want).MatchString(got) {
					t.Errorf("%v, standard error %q, want %q", err, got, c.want)
				}
			})
		}
	}
}
