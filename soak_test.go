//go:build linux && cgo

package shm_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/gosysv/shm"
)

// resources is what a process can leak with this package.
type resources struct {
	segments, mappings, threads int
	heap                        uint64
}

func measure(t *testing.T) resources {
	t.Helper()
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return resources{
		segments: len(procTable(t, "shm")),
		mappings: strings.Count(string(maps), "/SYSV"),
		threads:  len(tasks),
		heap:     mem.HeapAlloc,
	}
}

// TestSoak makes, fills and removes segments, a million with SHM_SOAK=1, and
// compares what the process has before and after.
func TestSoak(t *testing.T) {
	needPrivateNS(t)
	rounds := 10_000
	if os.Getenv("SHM_SOAK") != "" {
		rounds = 1_000_000
	}
	round := func(i int) {
		id, err := shm.Get(shm.IPC_PRIVATE, 1+i%10000, shm.IPC_CREAT|0o600)
		if err != nil {
			t.Fatal(err)
		}
		a, err := id.Attach(0)
		if err != nil {
			t.Fatal(err)
		}
		a.Bytes()[a.Len()-1] = byte(i)
		if _, err := shm.View[uint8](a, a.Len()-1); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // either order
			detach(t, a)
			remove(t, id)
		} else {
			remove(t, id)
			detach(t, a)
		}
	}
	for i := range 1000 { // until threads and caches are there
		round(i)
	}
	before := measure(t)
	for i := range rounds {
		round(i)
		if (i+1)%100_000 == 0 {
			fmt.Printf("%d of %d rounds: %+v\n", i+1, rounds, measure(t))
		}
	}
	after := measure(t)
	t.Logf("before %+v, after %d rounds %+v", before, rounds, after)
	if after.segments != before.segments || after.mappings != before.mappings {
		t.Errorf("segments or mappings leaked: before %+v, after %+v", before, after)
	}
	// The runtime may start a thread or two at any time, and keeps some heap
	// of its own: a byte in every round would show in a million rounds.
	if after.threads > before.threads+4 || after.heap > before.heap+256<<10 {
		t.Errorf("threads or heap grew: before %+v, after %+v", before, after)
	}
}
