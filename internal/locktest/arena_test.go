//go:build linux && cgo

package locktest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
	"github.com/gosysv/shm/sem"
)

// soak asks for the long campaigns.
var soak = os.Getenv("LOCK_SOAK") != ""

// emulated tells that children are started with an emulator.
var emulated = os.Getenv("SHM_TEST_EXEC") != ""

// share is the part of n rounds that is made where processes are slow, which it
// says.
func share(t *testing.T, n int) int {
	t.Helper()
	slowness := sanitizerSlowness
	if emulated {
		slowness *= 10
	}
	if slowness > 1 {
		t.Logf("a sanitizer or an emulator is slow: 1/%d of %d", slowness, n)
	}
	return n / slowness
}

// arena is a segment and a set, and the workers that are attached.
type arena struct {
	t       *testing.T
	id      shm.ID
	set     sem.ID
	a       *shm.Attachment
	s       *shared
	workers []worker
}

// newArena makes an arena, whose objects a worker in the language
// initialises, and removes it when the test is over.
func newArena(t *testing.T, lang string) *arena {
	t.Helper()
	ar := &arena{t: t}
	var err error
	check := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ar.id, err = shm.Get(shm.IPC_PRIVATE, int(unsafe.Sizeof(shared{})), shm.IPC_CREAT|0o600)
	check()
	t.Cleanup(func() { ar.must(ar.id.Remove()) })
	ar.set, err = sem.Get(shm.IPC_PRIVATE, 1, shm.IPC_CREAT|0o600)
	check()
	t.Cleanup(func() { ar.must(ar.set.Remove()) })
	ar.a, err = ar.id.Attach(0)
	check()
	t.Cleanup(func() { ar.must(ar.a.Detach()) })
	ar.s, err = shm.View[shared](ar.a, 0)
	check()
	ar.must(ar.set.SetValue(0, 1))
	ar.s.record.mutate(0)
	w := ar.start(lang)
	if _, err := w.Do("init"); err != nil {
		t.Fatalf("%s worker: init: %v", lang, err)
	}
	w.End()
	return ar
}

func (ar *arena) must(err error) {
	ar.t.Helper()
	if err != nil {
		ar.t.Error(err)
	}
}

// start starts a worker and lets it attach.
func (ar *arena) start(lang string) worker {
	ar.t.Helper()
	w := ar.startAsync(lang)
	ar.answer(w)
	return w
}

// startAsync does not wait for its answer.
func (ar *arena) startAsync(lang string) worker {
	ar.t.Helper()
	w := start(ar.t, lang)
	w.Ask("attach %d %d", ar.id, ar.set)
	return w
}

// answer waits for a worker's answer, which must not be an error.
func (ar *arena) answer(w worker) []string {
	ar.t.Helper()
	answer, err := w.Answer()
	if err != nil {
		ar.t.Fatalf("%s worker %d: %v\n%s", w.lang, w.PID(), err, ar)
	}
	return answer
}

// startAll starts so many workers of each language, Go and C in turn.
func (ar *arena) startAll(each int) {
	ar.t.Helper()
	for range each {
		ar.workers = append(ar.workers, ar.startAsync("Go"), ar.startAsync("C"))
	}
	for _, w := range ar.workers {
		ar.answer(w)
	}
}

// run gives a command to all workers, with so many threads each, and starts
// them together.
func (ar *arena) run(command, kind string, threads, rounds int) {
	ar.t.Helper()
	for i, w := range ar.workers {
		w.Ask("%s %s %d %d %d", command, kind, i*threads, threads, rounds)
	}
	ar.until("all threads are ready", func() bool {
		return int(ar.s.ready.Load()) == threads*len(ar.workers)
	})
	ar.s.start.Store(1)
}

// long is how long nothing may happen: a lock that is lost is lost for ever.
const long = 20 * time.Second

// until waits for something to come true.
func (ar *arena) until(what string, ok func() bool) {
	ar.t.Helper()
	for deadline := time.Now().Add(long); !ok(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			ar.t.Fatalf("waited for %v until %s:\n%s", long, what, ar)
		}
	}
}

// answers waits for the answers of all workers. Those that do not answer are
// killed, which fails the test.
func (ar *arena) answers(limit time.Duration) [][]string {
	ar.t.Helper()
	late := time.AfterFunc(limit, func() {
		fmt.Printf("no answer for %v:\n%s", limit, ar)
		for _, w := range ar.workers {
			_ = w.process.Kill()
		}
	})
	defer late.Stop()
	all := make([][]string, len(ar.workers))
	for i, w := range ar.workers {
		all[i] = ar.answer(w)
	}
	return all
}

// end ends the workers, and fails the test if anything is left of them: all
// locks can be taken, and nobody else is attached.
func (ar *arena) end(kind string) {
	ar.t.Helper()
	for _, w := range ar.workers {
		if state := w.End(); !state.Success() {
			ar.t.Errorf("%s worker: %v", w.lang, state)
		}
	}
	ar.workers = nil
	for _, lang := range []string{"C", "Go"} {
		w := ar.start(lang)
		if lang == "C" {
			if answer, err := w.Do("value"); err != nil || answer[0] != "1" {
				ar.t.Errorf("the semaphore's value is %v (%v)", answer, err)
			}
		}
		if kind == semMutex || kind == psharedMutex {
			if _, err := w.Do("try " + kind); err != nil {
				ar.t.Errorf("afterwards %s in %s: %v", kind, lang, err)
			}
		}
		w.End()
	}
	if ds, err := ar.id.Stat(); err != nil || ds.Nattch != 1 {
		ar.t.Errorf("the segment is attached %d times (%v)", ds.Nattch, err)
	}
}

// sum adds up what the threads tell.
func (ar *arena) sum(of func(*slot) uint32) int {
	total := 0
	for i := range ar.s.slots {
		total += int(of(&ar.s.slots[i]))
	}
	return total
}

func taken(s *slot) uint32       { return s.taken.Load() }
func notices(s *slot) uint32     { return s.notices.Load() }
func left(s *slot) uint32        { return s.left.Load() }
func torn(s *slot) uint32        { return s.torn.Load() }
func unnoticed(s *slot) uint32   { return s.unnoticed.Load() }
func interrupted(s *slot) uint32 { return s.interrupted.Load() }

// takenBy tells how often each thread has had the lock.
func (ar *arena) takenBy(threads int) []uint32 {
	n := make([]uint32, threads)
	for i := range n {
		n[i] = ar.s.slots[i].taken.Load()
	}
	return n
}

// fairness tells how often the threads, of as many of each worker, have had the
// lock.
func (ar *arena) fairness(taken []uint32) string {
	sum := map[string]int{}
	for i, n := range taken {
		sum[ar.workers[i*len(ar.workers)/len(taken)].lang] += int(n)
	}
	return fmt.Sprintf("a thread in Go had the lock %d times, one in C %d; the slowest %d, the fastest %d",
		2*sum["Go"]/len(taken), 2*sum["C"]/len(taken), slices.Min(taken), slices.Max(taken))
}

// String tells what an arena that has come to a halt looks like.
func (ar *arena) String() string {
	var b strings.Builder
	value, err := ar.set.Value(0)
	fmt.Fprintf(&b, "semaphore %d (%v), held by slot+1 %d, mutex %#x\n", value, err, ar.s.held,
		unsafe.Slice((*uint32)(unsafe.Pointer(&ar.s.mutex)), unsafe.Sizeof(pshared.MutexT{})/4))
	for _, w := range ar.workers {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", w.PID()))
		for _, task := range tasks {
			call, err := os.ReadFile(task)
			fmt.Fprintf(&b, "%s worker %d: %s %s (%v)\n", w.lang, w.PID(), task, strings.TrimSpace(string(call)), err)
		}
	}
	for i := range ar.s.slots {
		s := &ar.s.slots[i]
		if s.taken.Load() == 0 && s.phase.Load() == idle {
			continue
		}
		fmt.Fprintf(&b, "slot %d: %s, taken %d, notices %d, left %d, torn %d, unnoticed %d, interrupted %d, errno %d\n",
			i, phaseNames[s.phase.Load()%phases], s.taken.Load(), s.notices.Load(), s.left.Load(),
			s.torn.Load(), s.unnoticed.Load(), s.interrupted.Load(), s.error.Load())
	}
	return b.String()
}
