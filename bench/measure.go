//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// contender is one way of doing the work that is measured.
type contender struct {
	name string
	// sample does the work n times and tells how long that took.
	sample func(n int) (time.Duration, error)
	// verify tells whether it was done, after each sample and outside of its
	// time; nil where sample does that, or where there is nothing to see.
	verify func() error
	// Contenders of a group do as many pieces of work in a sample as the
	// fastest of them: the same work, and none is taken for slow because
	// something disturbed it at first. "" is no group.
	group string
}

// series is what was measured of a contender: a value each round, all of them.
type series struct {
	name          string
	ns            []float64 // of one piece of work
	allocs, bytes float64   // of one piece of work, on the Go heap
}

func (s series) time() spread { return spreadOf(s.ns) }

// timed makes a contender of a function that does the work n times.
func timed(name string, work func(n int) error) contender {
	return contender{name: name, sample: func(n int) (time.Duration, error) {
		start := time.Now()
		err := work(n)
		return time.Since(start), err
	}}
}

// warmed makes a contender do the work once before each sample.
func warmed(c contender) contender {
	sample := c.sample
	c.sample = func(n int) (time.Duration, error) {
		if _, err := sample(1); err != nil {
			return 0, err
		}
		return sample(n)
	}
	return c
}

// effort is how much is measured.
type effort struct {
	rounds int
	sample time.Duration // what one sample should take
}

// measure takes a sample of every contender in every round, in an order that is
// drawn anew: none always comes after the same other one. The orders are those
// of every run. All are warm when the first round begins.
func (e effort) measure(ctx context.Context, contenders ...contender) ([]series, error) {
	all := make([]series, len(contenders))
	counts := make([]int, len(contenders))
	for i, c := range contenders {
		all[i].name = c.name
		n, err := e.calibrate(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		counts[i] = n
	}
	level(contenders, counts)
	order := rand.New(rand.NewPCG(1, 2))
	for range e.rounds {
		for _, i := range order.Perm(len(contenders)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			d, err := contenders[i].once(counts[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", contenders[i].name, err)
			}
			all[i].ns = append(all[i].ns, float64(d.Nanoseconds())/float64(counts[i]))
		}
	}
	return all, nil
}

// level gives all contenders of a group the largest count of the group.
func level(contenders []contender, counts []int) {
	most := map[string]int{}
	for i, c := range contenders {
		most[c.group] = max(most[c.group], counts[i])
	}
	for i, c := range contenders {
		if c.group != "" {
			counts[i] = most[c.group]
		}
	}
}

// once takes a sample and verifies the work.
func (c contender) once(n int) (time.Duration, error) {
	d, err := c.sample(n)
	if err == nil && c.verify != nil {
		err = c.verify()
	}
	return d, err
}

// calibrate finds how often the work must be done for a sample to take its
// time, and warms the contender by that.
func (e effort) calibrate(ctx context.Context, c contender) (int, error) {
	for n := 1; ; {
		d := time.Duration(math.MaxInt64)
		for range 2 { // one may have been cold, or disturbed
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			once, err := c.once(n)
			if err != nil {
				return 0, err
			}
			if d = min(d, max(once, 1)); d < e.sample/2 {
				break
			}
		}
		fits := max(1, int(float64(n)*float64(e.sample)/float64(d)))
		if d >= e.sample/2 {
			return fits, nil
		}
		n = min(max(2*n, fits), 16*n)
	}
}

// countAllocs fills in what the work allocates on the Go heap.
func countAllocs(s *series, c contender, n int) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := c.sample(n); err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	s.allocs = float64(after.Mallocs-before.Mallocs) / float64(n)
	s.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	return nil
}

// pin binds this goroutine to its thread, and the thread to a CPU.
func pin(cpu int) error {
	runtime.LockOSThread()
	return runOn(cpu)
}

// runOn lets the present thread run on these CPUs only.
func runOn(cpus ...int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("sched_setaffinity(%v): %w", cpus, err)
	}
	return nil
}

// allowedCPUs are those that this process may run on.
func allowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
