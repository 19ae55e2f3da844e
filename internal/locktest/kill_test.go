//go:build linux && cgo

package locktest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Who is in which slot: the survivors, and the threads of the victim.
const (
	goSurvivor = iota
	cSurvivor
	firstVictim
)

// bar is how long after a kill the survivors may take to get the lock. On a
// machine that does other things besides, more is allowed.
func bar() time.Duration {
	if soak {
		return time.Second
	}
	return 5 * time.Second
}

// TestKill: workers that take a lock and mutate what it guards are killed at
// random points. A survivor in Go and one in C that take the lock too get it
// soon, can tell whether the structure is whole, and are told, if the lock is
// a robust mutex, that its owner has died. LOCK_SEED repeats the random part.
func TestKill(t *testing.T) {
	if emulated {
		t.Skip("qemu-user does not tell the kernel of a thread's robust mutexes")
	}
	kills := share(t, 200)
	switch {
	case soak:
		kills = 10_000
	case testing.Short():
		kills = 40
	}
	seed := rand.Uint64()
	if s := os.Getenv("LOCK_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 0, 64); err != nil {
			t.Fatal("LOCK_SEED: ", err)
		}
	}
	t.Logf("%d kills, LOCK_SEED=%d", kills, seed)
	const campaigns = 6
	each := (kills + campaigns - 1) / campaigns
	for _, v := range []struct {
		kind    string
		threads int
	}{{semMutex, 2}, {psharedMutex, 1}, {psharedMutex, 2}} {
		for _, lang := range []string{"Go", "C"} {
			name := fmt.Sprintf("%s/%s victims of %d threads", v.kind, lang, v.threads)
			t.Run(name, func(t *testing.T) {
				c := newCampaign(t, v.kind, lang, v.threads, seed)
				for c.kills < each || !c.saw() && c.kills < each+mostMore {
					c.kill()
					if soak && c.kills%250 == 0 {
						fmt.Printf("%s: %s\n", name, c)
					}
				}
				c.end()
			})
		}
	}
}

// mostMore is by how many kills a campaign that is short may be prolonged until
// it has seen all that it is there for.
const mostMore = 200

// campaign kills workers in one language, and counts.
type campaign struct {
	*arena
	kind, lang string
	threads    int // of a victim
	rand       *rand.Rand
	next       []worker // the next victims, which are starting

	kills, hits, repairs int         // hits: kills of who had the lock
	phase                [phases]int // of the victims' threads when they died
	total, slowest       time.Duration
}

// newCampaign starts the survivors.
//
// Of a robust mutex a wake-up can be lost. When a thread that was woken up is
// killed before it has the mutex, and another one has taken that meanwhile,
// which does not know then that others wait, neither its unlock nor its death
// wakes them up (glibc 2.36, Linux 6.18). Two threads of one victim make that
// happen every hundred kills or so. Go's Lock looks at the mutex four times a second
// for that; plain pthread_mutex_lock would wait for ever, so that the C
// survivor does as Go then.
func newCampaign(t *testing.T, kind, lang string, threads int, seed uint64) *campaign {
	t.Helper()
	c := &campaign{arena: newArena(t, lang), kind: kind, lang: lang, threads: threads, rand: rand.New(rand.NewPCG(seed, 0))}
	c.startAll(1)
	if kind == psharedMutex && threads > 1 {
		if _, err := c.workers[cSurvivor].Do("slices"); err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range c.workers {
		w.Ask("survivor %s %d", kind, i)
	}
	return c
}

// victim starts a worker that takes the lock and mutates. Those after it begin
// to start meanwhile.
func (c *campaign) victim() worker {
	c.t.Helper()
	const ahead = 2
	for len(c.next) <= ahead {
		c.next = append(c.next, c.startAsync(c.lang))
	}
	v := c.next[0]
	c.next = c.next[1:]
	c.answer(v)
	// With pauses most of its time it has the lock; without, most of it goes
	// into locking and unlocking.
	pause := []int{0, 2_000, 20_000, 20_000}[c.rand.IntN(4)]
	v.Ask("victim %s %d %d %d", c.kind, firstVictim, c.threads, pause)
	return v
}

// kill kills a victim, and sees to it that both survivors get the lock.
func (c *campaign) kill() {
	c.t.Helper()
	v := c.victim()
	// Every other time only the survivor in the other language may get the
	// lock first.
	other, same := goSurvivor, cSurvivor
	if c.lang == "Go" {
		other, same = same, other
	}
	alone := c.kills%2 == 0
	if alone {
		c.s.only.Store(uint32(other + 1))
		c.until("a survivor steps back", func() bool { return c.s.slots[same].phase.Load() == parked })
	}
	time.Sleep(time.Duration(c.rand.Int64N(int64(3 * time.Millisecond))))

	before := c.told()
	began := time.Now()
	if err := syscall.Kill(v.PID(), syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	if status := v.End().Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		c.t.Fatalf("a victim ended by itself: %v\n%s", status, c.arena)
	}
	had := c.deathPhases()
	c.survive(other)
	c.s.only.Store(0)
	c.survive(same)
	took := time.Since(began)

	c.kills++
	c.total += took
	c.slowest = max(c.slowest, took)
	if took > bar() {
		c.t.Errorf("kill %d: the survivors got the lock after %v", c.kills, took)
	}
	after := c.told()
	if alone && after.noticesBy[same] != before.noticesBy[same] {
		c.t.Errorf("kill %d: the survivor in slot %d learned of it, and was not the first", c.kills, same)
	}
	c.check(had, before, after)
}

// told is what the threads have told so far.
type told struct {
	notices, left, torn int
	noticesBy           [2]int // of the survivors
}

func (c *campaign) told() told {
	by := func(slot int) int { return int(c.s.slots[slot].notices.Load()) }
	return told{c.sum(notices), c.sum(left), c.sum(torn), [2]int{by(goSurvivor), by(cSurvivor)}}
}

// check compares what was told before a kill and after it; had tells whether
// the victim certainly had the lock.
func (c *campaign) check(had bool, before, after told) {
	c.t.Helper()
	notices, left, torn := after.notices-before.notices, after.left-before.left, after.torn-before.torn
	if notices > 0 || left > 0 {
		c.hits++
	}
	c.repairs += torn
	switch {
	case c.kind == psharedMutex && had && notices == 0:
		c.t.Errorf("kill %d: the victim had the mutex, and nobody was told", c.kills)
	case c.kind == semMutex && notices != 0:
		c.t.Errorf("kill %d: a semaphore told of a death", c.kills)
	case had && left == 0:
		c.t.Errorf("kill %d: the victim had the lock, and nobody found its mark", c.kills)
	case torn > left:
		c.t.Errorf("kill %d: %d torn structures, and %d marks of those who died", c.kills, torn, left)
	}
	if n := c.sum(unnoticed); n != 0 {
		c.t.Fatalf("kill %d: %d times somebody should have been told, or nothing should have been torn:\n%s", c.kills, n, c.arena)
	}
}

// deathPhases counts what a dead victim's threads were doing, and tells
// whether one of them certainly had the lock.
func (c *campaign) deathPhases() (had bool) {
	for i := range c.threads {
		phase := c.s.slots[firstVictim+i].phase.Swap(idle)
		c.phase[phase]++
		had = had || phase == mutating // the mark is set
	}
	return had
}

// survive waits until a survivor has had the lock once more.
func (c *campaign) survive(slot int) {
	c.t.Helper()
	s := &c.s.slots[slot]
	before := s.taken.Load()
	c.until(fmt.Sprintf("the survivor in slot %d gets the lock after kill %d", slot, c.kills+1), func() bool {
		if errno := s.error.Load(); errno != 0 {
			c.t.Fatalf("the survivor in slot %d: %v\n%s", slot, syscall.Errno(errno), c.arena)
		}
		return s.taken.Load() != before
	})
}

func (c *campaign) String() string {
	s := fmt.Sprintf("%d kills, %d of who had the lock, %d torn structures; survivors got the lock after %v on average, %v at most",
		c.kills, c.hits, c.repairs, (c.total / time.Duration(c.kills)).Round(time.Microsecond), c.slowest.Round(time.Microsecond))
	if c.kind == psharedMutex {
		by := c.told().noticesBy
		s += fmt.Sprintf("; told of a death: Go %d times, C %d", by[goSurvivor], by[cSurvivor])
	}
	s += "; threads died while"
	for phase, n := range c.phase {
		if n != 0 {
			s += fmt.Sprintf(" %s %d", phaseNames[phase], n)
		}
	}
	return s
}

func (c *campaign) end() {
	c.t.Helper()
	c.s.stop.Store(1)
	c.answers(long)
	for _, v := range c.next {
		v.End()
	}
	c.arena.end(c.kind)
	c.t.Logf("%s; the structure was mutated %d times", c, c.s.record.seq)
	if !c.s.record.whole() {
		c.t.Error("the structure is torn")
	}
	if !c.saw() {
		c.t.Errorf("%d of %d kills hit who had the lock, and %d structures were torn", c.hits, c.kills, c.repairs)
	}
	if soak && c.hits < c.kills/5 { // in a short campaign chance decides
		c.t.Errorf("only %d of %d kills hit who had the lock", c.hits, c.kills)
	}
}

// saw tells whether the campaign has killed who had the lock, and torn a
// structure: without, it has tested nothing.
func (c *campaign) saw() bool { return c.hits > 0 && c.repairs > 0 }
