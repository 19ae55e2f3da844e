//go:build linux && cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/bench/bare"
	"github.com/gosysv/shm/pshared"
	"github.com/gosysv/shm/sem"
)

// lockable are the locks that are measured, one of each.
type lockable struct {
	in     *bare.Locks // the segment
	set    sem.ID      // semaphore 0
	mutex  *pshared.Mutex
	rwlock *pshared.RWLock
	sem    *pshared.Sem
	sets   *sem.Mutex
}

func newLockable(made *objects) (*lockable, error) {
	a, err := made.segment(int(unsafe.Sizeof(bare.Locks{})), shm.IPC_CREAT)
	if err != nil {
		return nil, err
	}
	l := &lockable{}
	if l.in, err = shm.View[bare.Locks](a, 0); err != nil {
		return nil, err
	}
	var errs [4]error
	l.mutex, errs[0] = pshared.InitMutex(a, int(unsafe.Offsetof(l.in.Mutex)))
	l.rwlock, errs[1] = pshared.InitRWLock(a, int(unsafe.Offsetof(l.in.RWLock)))
	l.sem, errs[2] = pshared.InitSem(a, int(unsafe.Offsetof(l.in.Sem)), 1)
	l.set, errs[3] = made.semaphores(1)
	l.sets = sem.NewMutex(l.set, 0)
	return l, errors.Join(errs[:]...)
}

// locks measures what taking a lock and giving it back costs.
func (b *bench) locks(ctx context.Context, r *report) (err error) {
	var made objects
	defer made.close(&err)
	l, err := newLockable(&made)
	if err != nil {
		return err
	}
	s := r.section("Locks")
	s.text("A lock that nobody else wants, taken and given back. A *bare shim* is two cgo crossings, one for each of the libc's calls; " +
		"the last column is what this package takes for each unit of time of that row. sync's locks work in one process only.")
	t, err := b.callTable(ctx, r, "locks", uncontended(l))
	if err != nil {
		return err
	}
	s.table(t)
	if err := b.contention(ctx, s, l); err != nil {
		return err
	}
	return b.contentionOfPairs(ctx, s)
}

// pairOf is a contender that takes a lock and gives it back.
func pairOf(name string, take, give func() error) contender {
	return each(name, func() error {
		if err := take(); err != nil {
			return err
		}
		return give()
	})
}

func shims(take, give func() int32) contender {
	return pairOf(bareShim, func() error { return shim(take()) }, func() error { return shim(give()) })
}

func (l *lockable) loop(kind bare.Kind) contender {
	return timed(cLoop, func(n int) error { return bare.LoopLock(kind, l.in, int32(l.set), n) })
}

func uncontended(l *lockable) []call {
	var mu sync.Mutex
	var rw sync.RWMutex
	never := func(lock, unlock func()) contender {
		return pairOf("sync", func() error { lock(); return nil }, func() error { unlock(); return nil })
	}
	return []call{
		{
			name: "robust mutex", bars: map[string]float64{bareShim: 1.25},
			contenders: []contender{
				pairOf(thisPackage, l.mutex.Lock, l.mutex.Unlock),
				shims(func() int32 { return bare.MutexLock(l.in) }, func() int32 { return bare.MutexUnlock(l.in) }),
				l.loop(bare.Mutex), never(mu.Lock, mu.Unlock),
			},
		},
		{
			name: "semaphore with SEM_UNDO",
			contenders: []contender{
				pairOf(thisPackage, l.sets.Lock, l.sets.Unlock),
				shims(func() int32 { return bare.SemopUndo(int32(l.set), -1) }, func() int32 { return bare.SemopUndo(int32(l.set), +1) }),
				l.loop(bare.SemOp), never(mu.Lock, mu.Unlock),
			},
		},
		{
			name: "sem_t",
			contenders: []contender{
				pairOf(thisPackage, l.sem.Wait, l.sem.Post),
				shims(func() int32 { return bare.SemWait(l.in) }, func() int32 { return bare.SemPost(l.in) }),
				l.loop(bare.Sem),
			},
		},
		{
			name: "rwlock, for reading",
			contenders: []contender{
				pairOf(thisPackage, l.rwlock.RLock, l.rwlock.Unlock),
				shims(func() int32 { return bare.RDLockLock(l.in) }, func() int32 { return bare.RDLockUnlock(l.in) }),
				l.loop(bare.RDLock), never(rw.RLock, rw.RUnlock),
			},
		},
	}
}

// inOneProcess is how many goroutines, or threads, contend in one process.
const inOneProcess = 4

// contention measures a lock that goroutines, or threads, of one process want.
func (b *bench) contention(ctx context.Context, s *section, l *lockable) (err error) {
	b.progress("locks", 0, 1, "contended in one process")
	if err := runOn(b.cpus...); err != nil { // threads of C begin with the CPUs of this one
		return err
	}
	defer func() { err = errors.Join(err, runOn(b.cpus[0])) }()
	all, err := b.effort.measure(ctx,
		l.goroutines("sync.Mutex", &syncLock{}),
		l.goroutines("sem.Mutex", l.sets), l.threads("semop in C", bare.SemOp),
		l.goroutines("pshared.Mutex", l.mutex), l.threads("robust mutex in C", bare.Mutex),
	)
	if err != nil {
		return err
	}
	t := newTable("", "by", "time of one", "/ sync.Mutex")
	for _, c := range all {
		beside := ""
		if c.name != all[0].name {
			beside = ratio(c, all[0]).asRatio()
		}
		t.row(fmt.Sprintf("%d in one process", inOneProcess), c.name, c.time().asTime(), beside)
	}
	s.text("A lock that %d goroutines of one process want, or as many threads in C; the number of times that it was taken is checked by a count that it guards. "+
		"A sem.Mutex is handed over inside of the process without a system call, for a millisecond at a time; the others go to whoever comes first, often the one who had it.", inOneProcess)
	s.table(t)
	return nil
}

// syncLock is a sync.Mutex that looks like the others.
type syncLock struct{ mu sync.Mutex }

func (l *syncLock) Lock() error   { l.mu.Lock(); return nil }
func (l *syncLock) Unlock() error { l.mu.Unlock(); return nil }

// goroutines is a contender whose work is done by several goroutines.
func (l *lockable) goroutines(name string, mu lock) contender {
	return l.counting(name, func(each int) error {
		errs := make(chan error, inOneProcess)
		for range inOneProcess {
			go func() { errs <- l.count(mu, each) }()
		}
		var all error
		for range inOneProcess {
			all = errors.Join(all, <-errs)
		}
		return all
	})
}

func (l *lockable) count(mu lock, n int) error {
	for range n {
		if err := mu.Lock(); err != nil {
			return err
		}
		l.in.Count++
		if err := mu.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

// threads is one whose work is done by several threads in C.
func (l *lockable) threads(name string, kind bare.Kind) contender {
	return l.counting(name, func(each int) error {
		return bare.Contend(kind, l.in, int32(l.set), inOneProcess, each)
	})
}

// counting makes a contender of work that counts under a lock.
func (l *lockable) counting(name string, work func(each int) error) contender {
	return contender{name: name, sample: func(n int) (time.Duration, error) {
		each := n/inOneProcess + 1
		l.in.Count = 0
		start := time.Now()
		err := work(each)
		took := time.Since(start)
		done := inOneProcess * each
		return time.Duration(float64(took) * float64(n) / float64(done)), same(l.in.Count, uint64(done), err)
	}}
}

// contentionOfPairs measures a lock that two processes want.
func (b *bench) contentionOfPairs(ctx context.Context, s *section) error {
	if len(b.cpus) < 2 {
		s.text("Not measured between two processes: it needs two CPUs.")
		return nil
	}
	modes := []mode{{"mutex", "pshared.Mutex and robust mutex", 0}, {"semop", "sem.Mutex and semop", 0}}
	got, err := b.talks(ctx, "locks", modes, []int{stampSize}, (*pair).contend)
	if err != nil {
		return err
	}
	t := newTable("", "lock", "C–C, time of one", "C–C again / C–C", "Go–C / C–C", "C–Go / C–C", "Go–Go / C–C")
	for _, m := range modes {
		base := got[talk{m, "C–C", stampSize}]
		cells := []string{"2 processes", m.name, base.time().asTime()}
		for _, p := range pairings[1:] {
			cells = append(cells, ratio(got[talk{m, p.name, stampSize}], base).asRatio())
		}
		t.row(cells...)
	}
	s.text("A lock that two processes want all the time, each on a CPU of its own and with one thread. " +
		"Whoever gives it back may take it again before the other one has woken up, so that the fastest are those who wait least for each other, not those who are fairest.")
	s.table(t)
	return nil
}
