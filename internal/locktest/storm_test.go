//go:build linux && cgo

package locktest_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// storm sends SIGUSR1 to every thread of the workers, every millisecond, for
// the time, and returns how many rounds it made of that and how many signals it
// sent. In between it calls look.
func (ar *arena) storm(d time.Duration, look func()) (rounds, signals int) {
	ar.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var tasks [][2]int // process and thread
	for end := time.Now().Add(d); time.Now().Before(end); rounds++ {
		if rounds%100 == 0 {
			tasks = ar.tasks()
			look()
		}
		for _, task := range tasks {
			switch _, _, err := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(task[0]), uintptr(task[1]), uintptr(syscall.SIGUSR1)); err {
			case 0:
				signals++
			case syscall.ESRCH: // a thread that has ended
			default:
				ar.t.Fatal("tgkill:", err)
			}
		}
		<-tick.C
	}
	return rounds, signals
}

// yield makes the workers give way to this process, which has a signal to send
// every millisecond.
func (ar *arena) yield() {
	ar.t.Helper()
	for _, task := range ar.tasks() {
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, task[1], 10); err != nil && !errors.Is(err, syscall.ESRCH) {
			ar.t.Fatal("setpriority:", err)
		}
	}
}

// tasks lists the workers' threads.
func (ar *arena) tasks() (tasks [][2]int) {
	ar.t.Helper()
	for _, w := range ar.workers {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", w.PID()))
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			ar.t.Fatal(err)
		}
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			if err != nil {
				ar.t.Fatal(err)
			}
			tasks = append(tasks, [2]int{w.PID(), tid})
		}
	}
	return tasks
}

// TestStorm: workers that get a signal every millisecond, in each of their
// threads, count on and see no error. When the storm is over all of them can
// finish.
func TestStorm(t *testing.T) {
	d := 10 * time.Second
	switch {
	case soak:
		d = 10 * time.Minute
	case testing.Short():
		d = 2 * time.Second
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { stormOver(t, kind, d/time.Duration(len(kinds))) })
	}
}

func stormOver(t *testing.T, kind string, d time.Duration) {
	const (
		each  = 2   // threads of a worker: the main one, and one that is not
		after = 500 // rounds of a thread, after the storm
	)
	ar := newArena(t, "C")
	ar.startAll(2)
	ar.yield()
	ar.run("storm", kind, each, after)
	rounds, signals := ar.storm(d, ar.progress(kind))
	during := ar.takenBy(each * len(ar.workers))
	ar.s.stop.Store(1)
	seen := map[string]int{}
	for i, answer := range ar.answers(long) {
		n, err := strconv.Atoi(answer[0])
		if err != nil {
			t.Fatal(err)
		}
		seen[ar.workers[i].lang] += n
	}
	t.Logf("%s: %d signals in %v, one to a thread every %v; Go saw %d at least and C %d, %d calls of C were interrupted; counted to %d, %s",
		kind, signals, d, (d / time.Duration(rounds)).Round(time.Microsecond), seen["Go"], seen["C"], ar.sum(interrupted), ar.s.count, ar.fairness(during))
	if slices.Min(during) == 0 {
		t.Errorf("a thread never had the lock: %v", during)
	}
	if n := ar.sum(taken); ar.s.count != uint64(n) || ar.s.twin != uint64(n) || ar.sum(torn) != 0 {
		t.Errorf("counted to %d and %d instead of %d, and they differed %d times", ar.s.count, ar.s.twin, n, ar.sum(torn))
	}
	if seen["Go"] == 0 || seen["C"] == 0 {
		t.Error("signals seen: ", seen)
	}
	ar.end(kind)
}

// progress returns a function to be called during a storm, which fails the test
// if nobody gets the lock any more.
func (ar *arena) progress(kind string) func() {
	began := time.Now()
	counted, grew, reported := 0, began, began
	return func() {
		ar.t.Helper()
		if now := ar.sum(taken); now != counted {
			counted, grew = now, time.Now()
		}
		if time.Since(grew) > long {
			ar.t.Fatalf("nobody has got the lock for %v:\n%s", long, ar)
		}
		if soak && time.Since(reported) > 20*time.Second {
			reported = time.Now()
			fmt.Printf("%s: stormed for %v, counted to %d\n", kind, time.Since(began).Round(time.Second), counted)
		}
	}
}
