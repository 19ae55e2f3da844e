//go:build linux && cgo

package shm_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
)

// documented is what the manual pages let each call answer, where others make
// and remove the segments that it is about: shmget(2), shmat(2), shmctl(2). EIDRM
// is for a segment that goes while the kernel looks at it.
var documented = map[string][]syscall.Errno{
	"create": {0, syscall.EEXIST},
	"open":   {0, syscall.ENOENT, syscall.EINVAL}, // EINVAL: asked for more than its size
	"attach": {0, syscall.EINVAL, syscall.EIDRM},
	"detach": {0},
	"stat":   {0, syscall.EINVAL, syscall.EIDRM},
	"set":    {0, syscall.EINVAL, syscall.EIDRM},
	"remove": {0, syscall.EINVAL, syscall.EIDRM},
	"list":   {0, syscall.EINVAL, syscall.EIDRM}, // in C, of a slot; in Go List leaves it out
}

// TestSoakLifetime: four processes in Go and four in C make, find, attach, look
// at, change, remove and detach the segments of few keys, for five minutes with
// SHM_SOAK=1. Each checks that what it has attached shows the bytes of the
// segment it asked for (ctest/peer_lifetime.c); here is checked how the calls
// ended and, by /proc, that nothing is left.
func TestSoakLifetime(t *testing.T) {
	needPrivateNS(t)
	rounds, duration := 3000, time.Duration(0)
	if os.Getenv("SHM_SOAK") != "" {
		rounds, duration = 100_000, 5*time.Minute
	}
	peers := make([]*peer, lifetimeRoles)
	for i := range peers {
		if i%2 == 0 {
			peers[i] = startGo(t)
		} else {
			peers[i] = startC(t)
		}
	}
	raceOnLifetime(t, peers, rounds/10, 0) // until threads and caches are there
	before := threadsOf(t, peers)

	total := map[string]int{}
	begin := time.Now()
	for seed := 1; seed == 1 || time.Since(begin) < duration; seed++ {
		for outcome, times := range raceOnLifetime(t, peers, rounds, seed) {
			total[outcome] += times
		}
		if duration > 0 {
			fmt.Printf("%v: %d segments made\n", time.Since(begin).Round(time.Second), total["Go create 0"]+total["C create 0"])
		}
		wantNothingAttached(t, peers)
	}
	for _, outcome := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%s: %d times", outcome, total[outcome])
	}
	for call := range documented {
		for _, lang := range []string{"Go", "C"} {
			if total[lang+" "+call+" 0"] == 0 {
				t.Errorf("%s: no %s has worked", lang, call)
			}
		}
	}
	// The runtime may start one or two at any time.
	if after := threadsOf(t, peers); after > before+2*lifetimeRoles {
		t.Errorf("%d threads, and before %d", after, before)
	}
	for k := range shm.Key(lifetimeKeys) {
		if id, err := shm.Get(testKey+k, 0, 0); err == nil {
			remove(t, id)
		}
	}
	if left := procTable(t, "shm"); len(left) > 0 {
		t.Errorf("segments left: %v", left)
	}
}

// raceOnLifetime has all the peers race, and counts how their calls ended, under
// "Go create 17".
func raceOnLifetime(t *testing.T, peers []*peer, rounds, seed int) map[string]int {
	t.Helper()
	for role, p := range peers {
		p.Ask("lifetime %d %d %d", role, rounds, seed*lifetimeRoles+role+1)
	}
	outcomes := map[string]int{}
	for _, p := range peers {
		answer, err := p.Answer()
		if err != nil {
			t.Fatal(err)
		}
		for o := range slices.Chunk(answer, 3) {
			if !slices.Contains(documented[o[0]], syscall.Errno(atoi(t, o[1]))) {
				t.Errorf("%s: %s answers %v: not documented", p.lang, o[0], syscall.Errno(atoi(t, o[1])))
			}
			outcomes[p.lang+" "+o[0]+" "+o[1]] += atoi(t, o[2])
		}
	}
	return outcomes
}

// wantNothingAttached: by the kernel's table, no segment is attached, and there is
// at most one for each key, for the removed ones went with their last detach; by
// their maps, neither has any of the peers anything.
func wantNothingAttached(t *testing.T, peers []*peer) {
	t.Helper()
	keys := map[string]bool{}
	for _, fields := range procTable(t, "shm") { // key id perms size cpid lpid nattch …
		if fields[6] != "0" || keys[fields[0]] || fields[0] == "0" {
			t.Errorf("left: %v", fields)
		}
		keys[fields[0]] = true
	}
	for _, p := range peers {
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.PID()))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(maps), "/SYSV"); n > 0 {
			t.Errorf("%s peer: %d mappings left", p.lang, n)
		}
	}
}

// threadsOf counts the threads of the peers.
func threadsOf(t *testing.T, peers []*peer) (n int) {
	t.Helper()
	for _, p := range peers {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.PID()))
		if err != nil {
			t.Fatal(err)
		}
		n += len(tasks)
	}
	return n
}
