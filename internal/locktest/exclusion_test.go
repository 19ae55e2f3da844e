//go:build linux && cgo

package locktest_test

import (
	"slices"
	"testing"
	"time"
)

const (
	pairs   = 4 // of a process in Go and one in C
	threads = 4 // of each
	all     = 2 * pairs * threads
)

// counting counts to total under a lock, and returns what came out.
func counting(t *testing.T, kind string, total int) (count, differed int) {
	t.Helper()
	rounds := total / all
	ar := newArena(t, "Go")
	ar.startAll(pairs)
	ar.run("count", kind, threads, rounds)
	began := time.Now()
	ar.until("a thread has counted", func() bool {
		return slices.Max(ar.takenBy(all)) >= uint32(rounds)/2
	})
	early := ar.takenBy(all)
	ar.answers(2 * time.Minute)
	took := time.Since(began)
	t.Logf("%s: %d in %v, %v each; when the first thread had %d, %s", kind, total,
		took.Round(time.Millisecond), took/time.Duration(total), slices.Max(early), ar.fairness(early))
	ar.end(kind)
	return int(ar.s.count), ar.sum(torn)
}

// TestExclusion: 8 processes, half of them in C, of 4 threads each count to a
// million.
func TestExclusion(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			total := share(t, 1_000_000)
			if count, differed := counting(t, kind, total); count != total || differed != 0 {
				t.Errorf("counted to %d instead of %d, and the two numbers differed %d times", count, total, differed)
			}
		})
	}
}

// TestNoExclusion: without a lock they do not.
func TestNoExclusion(t *testing.T) {
	total := share(t, 1_000_000)
	for range 10 {
		if count, differed := counting(t, none, total); count != total && differed != 0 {
			t.Logf("counted to %d instead of %d, and the two numbers differed %d times", count, total, differed)
			return
		}
	}
	t.Errorf("counted to %d without a lock: this test sees nothing", total)
}
