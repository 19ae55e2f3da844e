//go:build linux && cgo

package sem_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

func openOrCreate(t *testing.T, wantCreated bool, initial ...uint16) sem.ID {
	t.Helper()
	id, created, err := sem.GetOrCreate(testKey, 0o600, initial...)
	ok(t, err)
	if created != wantCreated {
		t.Errorf("created %v, want %v", created, wantCreated)
	}
	return id
}

func TestGetOrCreate(t *testing.T) {
	needPrivateNS(t)
	limits, err := sem.Limits()
	ok(t, err)
	many := make([]uint16, limits.Semopm+100)
	for i := range many {
		many[i] = uint16(i)
	}
	for _, values := range [][]uint16{{0}, {1}, {sem.SEMVMX}, {0, 0}, {1, 2, 3}, {0, sem.SEMVMX}, many} {
		t.Run(fmt.Sprint(len(values), values[0]), func(t *testing.T) {
			id := openOrCreate(t, true, values...)
			defer discard(t, id)
			wantValues(t, id, values...)
			if ds := stat(t, id); ds.Otime == 0 || ds.Perm.Mode != 0o600 || int(ds.Nsems) != len(values) {
				t.Errorf("%+v", ds)
			}
			// An opener's values are not set.
			if got := openOrCreate(t, false, make([]uint16, len(values))...); got != id {
				t.Errorf("id %d, want %d", got, id)
			}
			wantValues(t, id, values...)
		})
	}
}

// TestGetOrCreatePeers: either side is the creator, and either the opener.
func TestGetOrCreatePeers(t *testing.T) {
	needPrivateNS(t)
	forPairs(t, func(t *testing.T, a, b *peer) {
		first := a.values("semopen %d 0600 4 5 6", testKey)
		id := sem.ID(first[0])
		defer discard(t, id)
		second := b.values("semopen %d 0600 1 1 1", testKey)
		if first[1] != 1 || second[1] != 0 || first[0] != second[0] {
			t.Errorf("ids and created: %v, %v", first, second)
		}
		if got := b.values("getall %d", id); !slices.Equal(got, []int{4, 5, 6}) {
			t.Errorf("values %v", got)
		}
	})
}

// TestGetOrCreateWaits: an opener waits for a creator that is not done yet.
func TestGetOrCreateWaits(t *testing.T) {
	needPrivateNS(t)
	for lang, start := range map[string]func(*testing.T) *peer{"C": startC, "Go": startGo} {
		t.Run(lang, func(t *testing.T) {
			creator, opener := startC(t), start(t)
			id := creator.id("semget %d 2 %d", testKey, creat)
			defer discard(t, id)
			before := switches(t, opener.PID(), opener.PID())
			opener.Ask("semopen %d 0600 9 9", testKey)
			eventually(t, "the opener to sleep now and then", func() bool {
				return switches(t, opener.PID(), opener.PID()) >= before+5
			})
			creator.number("setall %d 0 2", id)
			creator.number("semop %d 0 1 0", id)
			answer, err := opener.Answer()
			ok(t, err)
			if got := numbers(t, answer); got[0] != int(id) || got[1] != 0 {
				t.Errorf("opened %v, want %d", got, id)
			}
			wantValues(t, id, 1, 2)
		})
	}
}

// TestUninitialized: the creator died before it was done. The set is left as
// it is, for whoever knows better.
func TestUninitialized(t *testing.T) {
	needPrivateNS(t)
	c := startC(t)
	want := c.id("semget %d 1 %d", testKey, creat)
	defer discard(t, want)
	c.die()
	began := time.Now()
	id, created, err := sem.GetOrCreate(testKey, 0o600, 1)
	if id != want || created || !errors.Is(err, sem.ErrUninitialized) {
		t.Errorf("got %d, %v, %v; want id %d and %v", id, created, err, want, sem.ErrUninitialized)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("gave up after %v", took)
	}
	if ds := stat(t, want); ds.Otime != 0 {
		t.Errorf("changed: %+v", ds)
	}
}

// TestGetOrCreateRemoved: the set is removed while an opener waits for it. The
// opener makes a new one.
func TestGetOrCreateRemoved(t *testing.T) {
	needPrivateNS(t)
	old := get(t, testKey, 1, shm.IPC_CREAT|0o600)
	var id sem.ID
	var created bool
	opened := async(t, func() (err error) {
		id, created, err = sem.GetOrCreate(testKey, 0o600, 7)
		return err
	})
	awaitIn(t, "sem.ID.awaitInitialized", 1)
	remove(t, old)
	ok(t, opened())
	defer discard(t, id)
	if id == old || !created {
		t.Errorf("id %d (the old one is %d), created %v", id, old, created)
	}
	wantValues(t, id, 7)
}

func TestGetOrCreateErrors(t *testing.T) {
	needPrivateNS(t)
	open := func(key shm.Key, perm shm.GetFlag, initial ...uint16) error {
		_, created, err := sem.GetOrCreate(key, perm, initial...)
		if created {
			t.Error("created with an error")
		}
		return err
	}
	id := get(t, testKey, 2, shm.IPC_CREAT|0o600)
	ok(t, id.Op(sem.Op{}))
	for _, c := range []struct {
		err     error
		pattern string
		errno   syscall.Errno
	}{
		{open(shm.IPC_PRIVATE, 0o600, 1), `semget\(key=0x00000000, nsems=1, 0600\): invalid argument: with IPC_PRIVATE every set is a new one: use Get`, syscall.EINVAL},
		{open(testKey, shm.IPC_EXCL|0o600, 1), `semget\(key=0x000005e9, nsems=1, IPC_EXCL\|0600\): invalid argument: with IPC_EXCL an existing set is an error: use Get`, syscall.EINVAL},
		{open(testKey, 0o600), `semget\(key=0x000005e9, nsems=0, 0600\): invalid argument: a set has at least 1 semaphore`, syscall.EINVAL},
		{open(testKey+1, 0o600, 1, 32768), `semget\(.*, nsems=2, 0600\): numerical result out of range: a value is larger than 32767`, syscall.ERANGE},
		{open(testKey, shm.SHM_HUGETLB|0o600, 1), `semget\(.*SHM_HUGETLB\|0600\): invalid argument: semget knows IPC_CREAT, IPC_EXCL and permissions only`, syscall.EINVAL},
		{open(testKey, 0o600, 1, 2, 3), `semget\(.*, nsems=3, 0600\): invalid argument: the set has 2 semaphores`, syscall.EINVAL},
		{open(testKey+1, 0o600, make([]uint16, 32001)...), `semget\(.*, nsems=32001, IPC_CREAT\|IPC_EXCL\|0600\): invalid argument: semmsl is 32000 semaphores`, syscall.EINVAL},
	} {
		wantError(t, c.err, c.pattern, c.errno)
	}
	if n := len(procTable(t)); n != 1 {
		t.Errorf("%d sets, want 1", n)
	}
}

// TestGetOrCreateAsNobody: a creator that may not initialise its set removes
// it; one that may not read it can.
func TestGetOrCreateAsNobody(t *testing.T) {
	ipcns.Run(t, func(t *testing.T) {
		needOtherUsers(t)
		secret := openOrCreate(t, true, 1)
		become(t, nobody, nobody)
		_, _, err := sem.GetOrCreate(testKey, 0o600, 1)
		wantError(t, err, `semget\(.*\): permission denied: the set is of uid 0, gid 0, mode 0600`, syscall.EACCES, fs.ErrPermission)
		_, _, err = sem.GetOrCreate(testKey+1, 0o400, 1)
		wantError(t, err, `semctl\(id=\d+, SETALL\): permission denied: the set is of uid 65534, gid 65534, mode 0400`,
			syscall.EACCES, fs.ErrPermission)
		if left := procTable(t); len(left) != 1 || left[secret] == nil {
			t.Errorf("left: %v", left)
		}
		for _, wantCreated := range []bool{true, false} {
			id, created, err := sem.GetOrCreate(testKey+1, 0o200, 5, 6)
			if created != wantCreated || err != nil {
				t.Errorf("write-only: %d, %v, %v", id, created, err)
			}
		}
	})
}

// TestGetOrCreateRace: 32 processes, half of them C, want the set at the same
// time. One of them makes it, and all see the values that it gives.
func TestGetOrCreateRace(t *testing.T) {
	needPrivateNS(t)
	const each = 1000 // rounds of the same processes
	campaigns := 1
	if os.Getenv("SEM_SOAK") != "" {
		campaigns = 20
	}
	creators := map[string]int{}
	for i := range campaigns {
		t.Run(strconv.Itoa(i), func(t *testing.T) { raceToCreate(t, each, creators) })
		fmt.Printf("%d of %d rounds of GetOrCreate by %d processes: creators %v\n", (i+1)*each, campaigns*each, racers, creators)
	}
}

const racers = 32

// raceToCreate starts processes, and has them race so often.
func raceToCreate(t *testing.T, rounds int, creators map[string]int) {
	t.Helper()
	peers := make([]*peer, racers)
	for i := range peers {
		if i%2 == 0 {
			peers[i] = startC(t)
		} else {
			peers[i] = startGo(t)
		}
	}
	gate := newSet(t, 1)
	for round := range rounds {
		creators[raceRound(t, peers, gate, round)]++
	}
}

// raceRound has all peers open the key at once, and returns the language of
// the one that made the set.
func raceRound(t *testing.T, peers []*peer, gate sem.ID, round int) (creator string) {
	t.Helper()
	sizes := []int{1, 2, 7, 40}
	n := sizes[round%len(sizes)]
	if round%50 == 49 {
		n = 600 // more than SEMOPM
	}
	values := make([]uint16, n)
	for i := range values {
		values[i] = uint16((round + i) % (sem.SEMVMX + 1))
	}
	ok(t, gate.SetValue(0, 1))
	for _, p := range peers {
		p.Ask("semrace %d %d 0600 %s", gate, testKey, join(values))
	}
	awaitWaitingZero(t, gate, 0, len(peers))
	ok(t, gate.SetValue(0, 0))

	var id sem.ID
	for i, p := range peers {
		words, err := p.Answer()
		p.check(err, "semrace", nil)
		answer := numbers(t, words)
		if i == 0 {
			id = sem.ID(answer[0])
		}
		if answer[0] != int(id) {
			t.Errorf("round %d: ids %d and %d", round, answer[0], id)
		}
		if answer[1] == 1 {
			if creator != "" {
				t.Errorf("round %d: a second creator", round)
			}
			creator = p.lang
		}
		for j, got := range answer[2:] {
			if got != int(values[j]) {
				t.Fatalf("round %d: the %s peer sees value %d of semaphore %d, want %d", round, p.lang, got, j, values[j])
			}
		}
		if len(answer[2:]) != n {
			t.Errorf("round %d: %d values, want %d", round, len(answer[2:]), n)
		}
	}
	if creator == "" {
		t.Errorf("round %d: no creator", round)
	}
	remove(t, id)
	return creator
}
