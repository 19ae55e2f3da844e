//go:build linux && cgo

package sem_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/cstruct"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// asPeer is the environment variable that makes the test binary a peer.
const asPeer = "SEM_TEST_PEER"

// goPeer is the peer of peer_test.go in Go. It does all it does through the
// package's API.
type goPeer struct {
	words   cpeer.Words // of the command that are not taken yet
	mutexes map[sem.ID]*sem.Mutex
}

func servePeer(in io.Reader, out io.Writer) {
	// Signals are to interrupt calls, and to do nothing else.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	p := goPeer{mutexes: map[sem.ID]*sem.Mutex{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.words = strings.Fields(lines.Text())
		answer, err := p.run(p.word())
		var errno syscall.Errno
		switch {
		case errors.As(err, &errno):
			fmt.Fprintln(out, "err", int(errno))
		case errors.Is(err, sem.ErrUninitialized):
			fmt.Fprintln(out, "err", int(syscall.ETIME))
		case err != nil:
			fmt.Fprintln(out, err)
		default:
			fmt.Fprintln(out, "ok", answer)
		}
	}
}

func (p *goPeer) word() string { return p.words.Next() }

func (p *goPeer) int() int {
	n, _ := strconv.ParseInt(p.word(), 0, 64)
	return int(n)
}

func (p *goPeer) id() sem.ID { return sem.ID(p.int()) }

func (p *goPeer) ops() (ops []sem.Op) {
	for len(p.words) > 0 {
		ops = append(ops, sem.Op{Num: uint16(p.int()), Op: int16(p.int()), Flags: sem.OpFlag(p.int())})
	}
	return ops
}

func (p *goPeer) values() (values []uint16) {
	for len(p.words) > 0 {
		values = append(values, uint16(p.int()))
	}
	return values
}

func (p *goPeer) run(command string) (string, error) {
	switch command {
	case "semget":
		key, n := shm.Key(p.int()), p.int()
		id, err := sem.Get(key, n, shm.GetFlag(p.int()))
		return fmt.Sprint(int32(id)), err
	case "semop":
		id := p.id()
		return "0", id.Op(p.ops()...)
	case "semtimedop":
		id, d := p.id(), time.Duration(p.int())
		return "0", id.OpTimeout(d, p.ops()...)
	case "semopthread":
		id, ops := p.id(), p.ops()
		return "0", onThreadOfItsOwn(func() error { return id.Op(ops...) })
	case "semopen":
		key, perm := shm.Key(p.int()), shm.GetFlag(p.int())
		id, created, err := sem.GetOrCreate(key, perm, p.values()...)
		return fmt.Sprint(int32(id), btoi(created)), err
	case "semrace":
		gate := p.id()
		key, perm, values := shm.Key(p.int()), shm.GetFlag(p.int()), p.values()
		return race(gate, key, perm, values)
	case "lock":
		return "0", p.mutex().Lock()
	case "unlock":
		return "0", p.mutex().Unlock()
	case "cancels":
		return "0", cancels(p.id())
	case "guarded":
		return "0", guarded(p.id())
	case "unguarded":
		return "0", unguarded(p.id())
	case "setuid":
		uid, gid := p.int(), p.int()
		return "0", ipcns.SetUser(uid, gid)
	case "kill":
		return "", syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return p.control(command)
}

// control runs the commands of semctl(2).
func (p *goPeer) control(command string) (string, error) {
	switch command {
	case "getval":
		return number(p.id().Value(p.int()))
	case "getpid":
		return number(p.id().PID(p.int()))
	case "getncnt":
		return number(p.id().WaitingIncrease(p.int()))
	case "getzcnt":
		return number(p.id().WaitingZero(p.int()))
	case "setval":
		id, num := p.id(), p.int()
		return "0", id.SetValue(num, p.int())
	case "getall":
		values, err := p.id().Values()
		return join(values), err
	case "setall":
		id := p.id()
		return "0", id.SetValues(p.values())
	case "semstat":
		ds, err := p.id().Stat()
		return rawAnswer(0, &ds), err
	case "semstatidx":
		id, ds, err := sem.StatIndex(p.int())
		return rawAnswer(int(id), &ds), err
	case "semstatany":
		id, ds, err := sem.StatIndexAny(p.int())
		return rawAnswer(int(id), &ds), err
	case "semipcinfo":
		info, err := sem.Limits()
		return rawAnswer(0, &info), err
	case "seminfo":
		info, err := sem.Usage()
		return rawAnswer(0, &info), err
	case "semset":
		var ds sem.SemidDS
		id := p.id()
		ds.Perm.UID, ds.Perm.GID, ds.Perm.Mode = uint32(p.int()), uint32(p.int()), shm.Mode(p.int())
		return "0", id.Set(&ds)
	case "semrmid":
		return "0", p.id().Remove()
	}
	return "", fmt.Errorf("unknown command: %s", command)
}

func number(n int, err error) (string, error) { return strconv.Itoa(n), err }

func rawAnswer[T any](result int, v *T) string { return fmt.Sprintf("%d %x", result, cstruct.Bytes(v)) }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func join(values []uint16) string { return strings.Trim(fmt.Sprint(values), "[]") }

// onThreadOfItsOwn calls f on a thread that ends after it.
func onThreadOfItsOwn(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}

func race(gate sem.ID, key shm.Key, perm shm.GetFlag, initial []uint16) (string, error) {
	if err := gate.Op(sem.Op{}); err != nil {
		return "", err
	}
	id, created, err := sem.GetOrCreate(key, perm, initial...)
	if err != nil {
		return "", err
	}
	values, err := id.Values()
	return fmt.Sprint(int32(id), btoi(created), " ", join(values)), err
}

func (p *goPeer) mutex() *sem.Mutex {
	id := p.id()
	if p.mutexes[id] == nil {
		p.mutexes[id] = sem.NewMutex(id, 0)
	}
	return p.mutexes[id]
}

// cancels has goroutines lock a Mutex with contexts that are cancelled at any
// time: before it is locked, meanwhile and after. What they do under the lock
// would show a second owner.
func cancels(id sem.ID) error {
	const goroutines, times = 16, 100
	mu := sem.NewMutex(id, 0)
	var inside, locked int
	errs := make(chan error, goroutines)
	for range goroutines {
		go func() {
			var err error
			for range times {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.N(500))*time.Microsecond)
				if e := mu.LockContext(ctx); e == nil {
					inside++
					if inside != 1 {
						err = fmt.Errorf("%d goroutines have the lock", inside)
					}
					locked++
					if rand.N(10) == 0 {
						time.Sleep(time.Duration(rand.N(300)) * time.Microsecond)
					}
					inside--
					err = errors.Join(err, mu.Unlock())
				} else if !errors.Is(e, context.DeadlineExceeded) {
					err = errors.Join(err, e)
				}
				cancel()
			}
			errs <- err
		}()
	}
	var err error
	for range goroutines {
		err = errors.Join(err, <-errs)
	}
	if err == nil && locked == 0 {
		err = errors.New("nobody ever had the lock")
	}
	// Nobody has left anything behind that keeps others out.
	return errors.Join(err, mu.Lock(), mu.Unlock())
}

// guarded has goroutines increment a Go variable under a lock: by one Mutex,
// by another on the same semaphore, and by plain operations on it. The race
// detector is to be silent.
func guarded(id sem.ID) error {
	const goroutines, times = 9, 200
	one, other := sem.NewMutex(id, 0), sem.NewMutex(id, 0)
	ways := []struct{ lock, unlock func() error }{
		{one.Lock, one.Unlock},
		{other.Lock, other.Unlock},
		{
			func() error { return id.Op(sem.Op{Op: -1, Flags: sem.SEM_UNDO}) },
			func() error { return id.Op(sem.Op{Op: +1, Flags: sem.SEM_UNDO}) },
		},
	}
	n := 0
	var wg sync.WaitGroup
	for i := range goroutines {
		way := ways[i%len(ways)]
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range times {
				if way.lock() == nil {
					n++
					_ = way.unlock()
				}
			}
		}()
	}
	wg.Wait()
	if n != goroutines*times {
		return fmt.Errorf("%d increments, want %d", n, goroutines*times)
	}
	return nil
}

// unguarded is a program with a mistake: one of two goroutines has forgotten
// to lock. The race detector is to say so.
func unguarded(id sem.ID) error {
	mu := sem.NewMutex(id, 0)
	var n int
	var wg sync.WaitGroup
	wg.Add(2)
	go func() {
		defer wg.Done()
		for range 1000 {
			if mu.Lock() == nil {
				n++
				_ = mu.Unlock()
			}
		}
	}()
	go func() {
		defer wg.Done()
		for range 1000 {
			n++
			runtime.Gosched()
		}
	}()
	wg.Wait()
	return nil
}
