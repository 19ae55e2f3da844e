//go:build linux

// Package cpeer builds C programs for tests, and drives a peer: a process, in
// C or in Go, that reads one command a line on its standard input and answers
// each with one line on its standard output, so that a test decides in what
// order the two processes act.
package cpeer

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gosysv/shm/internal/ipcns"
)

// Environment variables that have the C programs checked while they run. What a
// checker finds must end the program with the status found.
const (
	// moreCFlags are the flags of a sanitizer. Libraries are built without:
	// they are preloaded into programs that have no runtime of it.
	moreCFlags = "SHM_TEST_CFLAGS"
	// checker is a command that peers are started with, such as valgrind's.
	checker = "SHM_TEST_CHECKER"

	found = 99
)

// cFlags are what all C of the tests is built with.
var cFlags = []string{
	"-std=gnu11", "-O2", "-g",
	"-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror",
}

// ProgramCFlags returns what every C program of this module is built with.
func ProgramCFlags() []string {
	return slices.Concat(cFlags, strings.Fields(os.Getenv(moreCFlags)))
}

// CC returns the C compiler and its first arguments: what cgo uses.
var CC = sync.OnceValues(func() ([]string, error) {
	cc := os.Getenv("CC")
	if cc == "" {
		out, err := exec.Command("go", "env", "CC").Output()
		if err != nil {
			return nil, fmt.Errorf("go env CC: %w", err)
		}
		cc = strings.TrimSpace(string(out))
	}
	return strings.Fields(cc), nil
})

var built struct {
	sync.Mutex
	dir      string
	programs map[string]string // command line -> path
}

// Build compiles a C program, or with "-shared" a library, once in a test
// process, and returns its path. A compiler that is missing, or a warning, fails
// the test.
func Build(t testing.TB, source string, flags ...string) string {
	t.Helper()
	cc, err := CC()
	if err != nil {
		t.Fatal(err)
	}
	own := ProgramCFlags()
	if slices.Contains(flags, "-shared") {
		own = cFlags
	}
	return build(t, slices.Concat(cc, own), source, flags...)
}

// Preload has the processes that the test starts load a library before the libc,
// which is built from source.
func Preload(t testing.TB, source string) {
	t.Helper()
	if ipcns.BuiltWith("-asan", "-msan") {
		t.Skip("a sanitizer's runtime must be the first library")
	}
	program, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if program.Section(".interp") == nil {
		t.Skip("a program that is linked statically loads no library")
	}
	t.Setenv("LD_PRELOAD", Build(t, source, "-shared", "-fPIC", "-ldl"))
}

func build(t testing.TB, cc []string, source string, flags ...string) string {
	t.Helper()
	// The test cache must see the file, which only the compiler reads.
	if _, err := os.ReadFile(source); err != nil {
		t.Fatal(err)
	}
	built.Lock()
	defer built.Unlock()
	args := append(append(slices.Clone(cc), source), flags...)
	if program, ok := built.programs[strings.Join(args, " ")]; ok {
		return program
	}
	if built.dir == "" {
		//nolint:usetesting // it outlives the test, for the ones to come
		dir, err := os.MkdirTemp("", "cpeer")
		if err != nil {
			t.Fatal(err)
		}
		built.dir = dir
		built.programs = map[string]string{}
	}
	program := filepath.Join(built.dir, fmt.Sprintf("%d-%s", len(built.programs), strings.TrimSuffix(filepath.Base(source), ".c")))
	compile := exec.Command(args[0], append(args[1:], "-o", program)...)
	compile.Env = append(os.Environ(), "LD_PRELOAD=") // what is for the programs is not for it
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	built.programs[strings.Join(args, " ")] = program
	return program
}

// Program builds the C peer from its sources in dir, and returns its path.
func Program(t testing.TB, dir string) string {
	t.Helper()
	return Build(t, filepath.Join(dir, "peer.c"), besides(t, dir)...)
}

// ProgramBy builds it by a compiler that is not cgo's: of it only cFlags are
// asked, and flags.
func ProgramBy(t testing.TB, cc, dir string, flags ...string) string {
	t.Helper()
	return build(t, append([]string{cc}, cFlags...), filepath.Join(dir, "peer.c"), append(besides(t, dir), flags...)...)
}

// besides lists what the C peer is built from besides peer.c.
func besides(t testing.TB, dir string) []string {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(dir, "peer*.[ch]"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources of the peer in %s: %v", dir, err)
	}
	flags := []string{"-pthread"}
	for _, source := range sources {
		if _, err := os.ReadFile(source); err != nil { // for the test cache, as in Build
			t.Fatal(err)
		}
		if filepath.Ext(source) == ".c" && filepath.Base(source) != "peer.c" {
			flags = append(flags, source)
		}
	}
	return flags
}

// Command returns a command that runs a program of Build, under the checker and
// the emulator where there are any.
func Command(program string) *exec.Cmd {
	words := append(strings.Fields(os.Getenv(checker)), program)
	return ipcns.Emulate(words[0], words[1:]...)
}

// Remove deletes what Build has built, at the end of a test process.
func Remove() { _ = os.RemoveAll(built.dir) }

// Peer is a process on the other side.
type Peer struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
	pid   int
	ended bool
}

// Start starts a peer. It is told to end, by the end of its input, when the
// test is over.
func Start(t testing.TB, cmd *exec.Cmd) *Peer {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Peer{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewReader(stdout), pid: cmd.Process.Pid}
	t.Cleanup(func() {
		if !p.ended {
			p.End()
		}
	})
	return p
}

// StartFuzz starts the C peer, from its sources in dir, for all inputs of a fuzz
// test.
func StartFuzz(f *testing.F, dir string) *Peer {
	f.Helper()
	if !ipcns.Private() {
		f.Skip("needs a private IPC namespace")
	}
	return Start(f, Command(Program(f, dir)))
}

// For returns the same peer for another test: an input of a fuzz test that has
// started it.
func (p *Peer) For(t testing.TB) *Peer {
	other := *p
	other.t = t
	return &other
}

// PID returns the peer's process id.
func (p *Peer) PID() int { return p.pid }

// Ask sends a command and does not wait for the answer.
func (p *Peer) Ask(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.stdin, format+"\n", args...); err != nil {
		p.t.Fatalf("peer %d: %v", p.pid, err)
	}
}

// Answer waits for an answer and returns what follows its "ok", in fields. An
// answer "err N" is the errno N.
func (p *Peer) Answer() ([]string, error) {
	p.t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("peer %d: no answer: %v", p.pid, err)
	}
	fields := strings.Fields(line)
	if len(fields) == 2 && fields[0] == "err" {
		if errno, err := strconv.Atoi(fields[1]); err == nil {
			return nil, syscall.Errno(errno)
		}
	}
	if len(fields) == 0 || fields[0] != "ok" {
		p.t.Fatalf("peer %d: answered %q", p.pid, line)
	}
	return fields[1:], nil
}

// Do sends a command and waits for the answer.
func (p *Peer) Do(format string, args ...any) ([]string, error) {
	p.t.Helper()
	p.Ask(format, args...)
	return p.Answer()
}

// Number is Do for a command that answers a number, or nothing: then 0.
func (p *Peer) Number(format string, args ...any) (int64, error) {
	p.t.Helper()
	answer, err := p.Do(format, args...)
	if err != nil || len(answer) == 0 {
		return 0, err
	}
	if strings.HasPrefix(answer[0], "-") {
		return strconv.ParseInt(answer[0], 0, 64)
	}
	n, err := strconv.ParseUint(answer[0], 0, 64)
	return int64(n), err
}

// End tells the peer to end, waits until it has, and returns how it did. The
// test fails if a checker has found something, which is on standard error.
func (p *Peer) End() *os.ProcessState {
	p.t.Helper()
	p.ended = true
	p.stdin.Close()
	_, _ = io.Copy(io.Discard, p.lines)
	_ = p.cmd.Wait() // how it ended is in ProcessState
	if p.cmd.ProcessState.ExitCode() == found {
		p.t.Errorf("peer %d: a checker has found something", p.pid)
	}
	return p.cmd.ProcessState
}

// Words are those of a command that a peer in Go has not taken yet.
type Words []string

// Next takes a word, or "" if there is none left.
func (w *Words) Next() string {
	if len(*w) == 0 {
		return ""
	}
	word := (*w)[0]
	*w = (*w)[1:]
	return word
}
