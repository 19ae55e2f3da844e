//go:build linux && cgo

// Bench measures package shm beside C, beside other packages and beside the
// other ways for two processes to talk, and writes RESULTS.md and plots. Run
// it in its directory:
//
//	go run . [-quick] [-run calls,data,roundtrip,throughput,growth,locks]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gosysv/shm/internal/ipcns"
)

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			exit(role(os.Args[2:]))
		}
	}
	exit(run())
}

// roles are what this program does when it has started itself.
var roles = map[string]func(args []string) error{
	"peer": peerMain,
	"view": viewMain,
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bench is a run.
type bench struct {
	effort effort
	quick  bool
	cpus   []int // that it may use
	start  time.Time
}

// progress says on standard error what is being measured.
func (b *bench) progress(group string, i, of int, what string) {
	fmt.Fprintf(os.Stderr, "%5.1f s  %s %d/%d  %s\n", time.Since(b.start).Seconds(), group, i+1, of, what)
}

type group struct {
	name    string
	measure func(b *bench, ctx context.Context, r *report) error
}

// groups are what is measured, in the order of the report.
var groups = []group{
	{"calls", (*bench).callCost},
	{"data", (*bench).data},
	{"roundtrip", (*bench).roundTrip},
	{"throughput", (*bench).throughput},
	{"growth", (*bench).growth},
	{"locks", (*bench).locks},
}

func run() error {
	quick := flag.Bool("quick", false, "measure less, in less than a minute, and print the report instead of writing RESULTS.md")
	only := flag.String("run", "", "the `groups` to measure, separated by commas; the report is printed")
	flag.Parse()
	if !ipcns.Private() {
		status, err := inNamespace()
		if err == nil {
			os.Exit(status)
		}
		fmt.Fprintf(os.Stderr, "bench: no private IPC namespace (%v): what needs one is left out\n", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	b := &bench{quick: *quick, start: time.Now(), effort: effort{rounds: 32, sample: 6 * time.Millisecond}}
	if *quick {
		b.effort = effort{rounds: 12, sample: 2 * time.Millisecond}
	}
	var r report
	if err := b.measure(ctx, *only, &r); err != nil {
		return err
	}
	if *quick || *only != "" {
		return r.write(os.Stdout)
	}
	return r.save(".")
}

// measure runs the groups, on one thread of one CPU.
func (b *bench) measure(ctx context.Context, only string, r *report) (err error) {
	if b.cpus, err = allowedCPUs(); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, runOn(b.cpus...))
		runtime.UnlockOSThread()
	}()
	if err := pin(b.cpus[0]); err != nil {
		return err
	}
	for _, g := range groups {
		if only != "" && !strings.Contains(","+only+",", ","+g.name+",") {
			continue
		}
		if err := g.measure(b, ctx, r); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	r.machine = append(machine(), fmt.Sprintf("measured in %.0f s; %d rounds, except where a table says otherwise", time.Since(b.start).Seconds(), b.effort.rounds))
	return nil
}

// inNamespace runs this program again, in an IPC namespace of its own, and
// returns its exit status; an error means that it did not start. With the last
// process of the namespace the kernel removes what may be left in it.
func inNamespace() (int, error) {
	// The child is killed when this thread ends, that is, with the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := ipcns.Self(os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	ipcns.Isolate(cmd)

	// An interrupt from a terminal goes to both: the child ends by itself.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		signal.Stop(signals)
		return 0, err
	}
	go func() {
		for range signals {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		}
	}()
	var exited *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exited) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1, nil
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	fmt.Fprintln(os.Stderr, "bench:", cmd.ProcessState)
	return 1, nil
}

// save writes RESULTS.md and the plots, by other names first: an interrupt
// leaves the old ones.
func (r *report) save(dir string) error {
	fresh, err := os.MkdirTemp(dir, ".results")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	f, err := os.Create(filepath.Join(fresh, "RESULTS.md"))
	if err != nil {
		return err
	}
	if err := errors.Join(r.write(f), f.Close()); err != nil {
		return err
	}
	files := []string{"RESULTS.md"}
	for _, p := range r.plots {
		if err := p.save(fresh); err != nil {
			return err
		}
		files = append(files, p.file)
	}
	for _, file := range files {
		if err := os.Rename(filepath.Join(fresh, file), filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	return nil
}
