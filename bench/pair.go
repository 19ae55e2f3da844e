//go:build linux && cgo

package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/pshared"
	"golang.org/x/sys/unix"
)

//go:embed peer/peer.c
var peerSource []byte

// buildPeer compiles the peer that is in C.
func buildPeer(dir string) (string, error) {
	cc, err := cpeer.CC()
	if err != nil {
		return "", err
	}
	source, program := filepath.Join(dir, "peer.c"), filepath.Join(dir, "peer")
	if err := os.WriteFile(source, peerSource, 0o600); err != nil {
		return "", err
	}
	args := append(slices.Concat(cc, cpeer.ProgramCFlags()), "-pthread", source, "-o", program)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return program, nil
}

// pairing says in which language the two sides of a pair are: first the one
// that asks or produces, then the one that answers or consumes.
type pairing struct{ name, first, second string }

// Two processes differ from two others of the same programs, in where their
// memory lies and so in what collides in a cache. C–C is there twice, for it to
// be seen how much.
var pairings = []pairing{
	{"C–C", "C", "C"}, {"C–C again", "C", "C"}, {"Go–C", "Go", "C"}, {"C–Go", "C", "Go"}, {"Go–Go", "Go", "Go"},
}

// pair are two processes that talk, each on a CPU of its own.
type pair struct {
	pairing
	head       *shared
	locked     *locked
	attachment *shm.Attachment
	first      *side
	second     *side
}

// side is one of the processes.
type side struct {
	cmd     *exec.Cmd
	stdin   *os.File
	answers chan string
}

// pairs starts a pair of each pairing, to be ended by made.
func (b *bench) pairs(ctx context.Context, made *objects, program string) ([]*pair, error) {
	// A process begins with the CPUs of the thread that starts it.
	if err := runOn(b.cpus...); err != nil {
		return nil, err
	}
	defer func() { _ = runOn(b.cpus[0]) }() // it did before
	var all []*pair
	for _, pairing := range pairings {
		p, err := b.startPair(ctx, made, pairing, program)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (b *bench) startPair(ctx context.Context, made *objects, kind pairing, program string) (*pair, error) {
	a, err := made.segment(segmentSize, 0)
	if err != nil {
		return nil, err
	}
	head, err := shm.View[shared](a, 0)
	if err != nil {
		return nil, err
	}
	guarded, err := shm.View[locked](a, lockedAt)
	if err != nil {
		return nil, err
	}
	if _, err := pshared.InitMutex(a, lockedAt); err != nil {
		return nil, err
	}
	semaphores, err := made.semaphores(0, 0, 1)
	if err != nil {
		return nil, err
	}
	queue, err := made.queue()
	if err != nil {
		return nil, err
	}
	files, err := connections()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range slices.Concat(files[0], files[1]) {
			f.Close()
		}
	}()
	p := &pair{pairing: kind, head: head, locked: guarded, attachment: a}
	for i, language := range []string{kind.first, kind.second} {
		args := []string{fmt.Sprint(b.cpus[i]), fmt.Sprint(a.ID()), fmt.Sprint(semaphores), fmt.Sprint(queue)}
		s, err := startSide(ctx, made, language, program, args, files[i])
		if err != nil {
			return nil, err
		}
		if i == 0 {
			p.first = s
		} else {
			p.second = s
		}
	}
	return p, nil
}

// connections makes what two processes are connected by: for each, the pipe
// that it reads from, the one that it writes to, and its end of a socket.
func connections() ([2][]*os.File, error) {
	var files [2][]*os.File
	there, err1 := pipe()
	back, err2 := pipe()
	socks, err3 := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err := errors.Join(err1, err2, err3); err != nil {
		return files, err
	}
	file := func(fd int) *os.File { return os.NewFile(uintptr(fd), "connection") }
	files[0] = []*os.File{file(back[0]), file(there[1]), file(socks[0])}
	files[1] = []*os.File{file(there[0]), file(back[1]), file(socks[1])}
	return files, nil
}

// pipe makes a pipe whose ends block, as a C program's do.
func pipe() ([2]int, error) {
	var ends [2]int
	err := unix.Pipe2(ends[:], unix.O_CLOEXEC)
	return ends, err
}

func startSide(ctx context.Context, made *objects, language, program string, args []string, files []*os.File) (*side, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	if language == "Go" {
		self := ipcns.Self()
		cmd = exec.CommandContext(ctx, self.Path, append([]string{"peer"}, args...)...)
		cmd.Env = self.Env
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = files
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd.Stdin = in
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	s := &side{cmd: cmd, stdin: stdin, answers: make(chan string)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(s.answers)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			s.answers <- lines.Text()
		}
	}()
	made.later(func() error {
		err := stdin.Close()
		for range s.answers { // one of a sample that failed may be left
		}
		<-ended
		_ = cmd.Wait() // a sample has told what went wrong
		return err
	})
	return s, nil
}

// patience is how long a sample may take before the pair is given up.
const patience = time.Minute

// roundTrips has the pair go n round trips, after some to warm it, and returns
// the time that they took the side that began each.
func (p *pair) roundTrips(ctx context.Context, transport string, size, n int) (time.Duration, error) {
	a, err := p.run(ctx, [2]string{"ping", "pong"}, transport, size, n/8+1, n)
	return time.Duration(a[0].end - a[0].start), err
}

// oneWay has the first side send n messages, and returns the time from the
// first made to the last compared. The queue between them is empty at both:
// messages to warm it are another run.
func (p *pair) oneWay(ctx context.Context, transport string, size, n int) (time.Duration, error) {
	roles := [2]string{"produce", "consume"}
	if _, err := p.run(ctx, roles, transport, size, 0, n/8+1); err != nil {
		return 0, err
	}
	a, err := p.run(ctx, roles, transport, size, 0, n)
	return time.Duration(a[1].end - a[0].start), err
}

// contend has both sides take a lock n/2 times each, and returns the time from
// the first of them to the last.
func (p *pair) contend(ctx context.Context, lock string, _, n int) (time.Duration, error) {
	each := n/2 + 1
	warm := each/8 + 1
	before := p.locked.count
	a, err := p.run(ctx, [2]string{"take", "take"}, lock, stampSize, warm, each)
	if err != nil {
		return 0, err
	}
	if err := same(p.locked.count-before, uint64(2*(warm+each)), nil); err != nil {
		return 0, fmt.Errorf("%s, %s: counted under the lock: %w", p.name, lock, err)
	}
	took := max(a[0].end, a[1].end) - min(a[0].start, a[1].start)
	return time.Duration(float64(took) * float64(n) / float64(2*each)), nil
}

// run gives both sides their command, and returns their answers.
func (p *pair) run(ctx context.Context, roles [2]string, transport string, size, warm, n int) (answers [2]answer, err error) {
	fail := func(err error) ([2]answer, error) {
		return answers, p.giveUp(fmt.Errorf("%s, %s, %s: %w", p.name, transport, asSize(size), err))
	}
	*p.head = shared{}
	sides := [2]*side{p.first, p.second}
	for i := 1; i >= 0; i-- { // the second waits for the first
		if _, err := fmt.Fprintf(sides[i].stdin, "%s %s %d %d %d\n", roles[i], transport, size, warm, n); err != nil {
			return fail(err)
		}
	}
	from := [2]chan string{p.first.answers, p.second.answers}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for range sides {
		var line string
		i := 0
		select {
		case line = <-from[0]:
		case line = <-from[1]:
			i = 1
		case <-ctx.Done():
			return fail(ctx.Err())
		case <-timeout.C:
			return fail(fmt.Errorf("no answer for %v", patience))
		}
		from[i] = nil
		if answers[i], err = parseAnswer(line, warm, n); err != nil {
			return fail(fmt.Errorf("%s: %w", roles[i], err))
		}
	}
	return answers, nil
}

// parseAnswer reads "ok START END SUM". The sum must be that of the numbers
// of the messages that were timed.
func parseAnswer(line string, warm, n int) (answer, error) {
	var a answer
	if _, err := fmt.Sscanf(line, "ok %d %d %d", &a.start, &a.end, &a.sum); err != nil {
		return a, fmt.Errorf("answered %q", line)
	}
	first, count := uint64(warm+1), uint64(n)
	return a, same(a.sum, count*first+count*(count-1)/2, nil)
}

// giveUp ends both: one may be waiting for the other for ever.
func (p *pair) giveUp(err error) error {
	return errors.Join(err, p.first.cmd.Process.Kill(), p.second.cmd.Process.Kill())
}
