//go:build linux && cgo

package pshared_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/faults"
	"github.com/gosysv/shm/pshared"
)

// TestEveryFault: each call of the libc that each operation makes fails with
// each errno; see package faults. What was locked is still locked then, what was
// not is not; and nothing holds the attachment.
func TestEveryFault(t *testing.T) {
	needGlibc(t, 1, math.MaxInt)
	faults.Run(t, "../ctest/faults_each.c", func(t *testing.T, in *faults.Injector) {
		a := segment(t)
		c := startC(t, a)
		ctx := cancellable(t)
		for _, name := range []string{"Mutex", "Sem", "Cond", "RWLock"} {
			in.Each(t, initFault(a, name), openFault(a, name))
		}
		for _, m := range faultyMethods(c) {
			in.Each(t, m.fault(ctx, a))
		}
		in.Each(t, waitFault(a, "Cond.Wait", (*pshared.Cond).Wait))
		in.Each(t, waitFault(a, "Cond.WaitContext", func(c *pshared.Cond, m *pshared.Mutex) error {
			return c.WaitContext(ctx, m)
		}))
		in.Each(t, destroyFault(a, "Mutex", func(o objects) func() error { return o.m.Unlock }))
		in.Each(t, destroyFault(a, "RWLock", func(o objects) func() error { return o.rw.Unlock }))
	})
}

// onAttachment gives an operation an attachment of its own, which nothing may
// hold at the end.
func onAttachment(segment *shm.Attachment, run func(c *faults.Case, a *shm.Attachment)) func(c *faults.Case) {
	return func(c *faults.Case) {
		a := must(segment.ID().Attach(0))
		run(c, a)
		c.OK(a.Detach())
	}
}

// initFault initialises an object, and can do so after a failure.
func initFault(a *shm.Attachment, object string) faults.Operation {
	return faults.Operation{Name: "Init" + object, Instead: destroyedAttr, Run: onAttachment(a, func(c *faults.Case, a *shm.Attachment) {
		init := map[string]func() error{
			"Mutex":  func() error { return lastOf(pshared.InitMutex(a, int(theMutex.off))) },
			"Sem":    func() error { return lastOf(pshared.InitSem(a, int(theSem.off), 1)) },
			"Cond":   func() error { return lastOf(pshared.InitCond(a, int(theCond.off))) },
			"RWLock": func() error { return lastOf(pshared.InitRWLock(a, int(theRWLock.off))) },
		}[object]
		if !c.Do(init) {
			c.OK(init())
		}
	})}
}

// openFault opens an object, which is as it was after a failure.
func openFault(a *shm.Attachment, object string) faults.Operation {
	return faults.Operation{Name: "Open" + object, Instead: destroyedAttr, Run: onAttachment(a, func(c *faults.Case, a *shm.Attachment) {
		o := initObjects(a)
		before := string(a.Bytes())
		c.Do(map[string]func() error{
			"Mutex":  func() error { return openMutexErr(a) },
			"Sem":    func() error { return openSemErr(a) },
			"Cond":   func() error { return openCondErr(a) },
			"RWLock": func() error { return openRWLockErr(a) },
		}[object])
		if string(a.Bytes()) != before {
			c.Errorf("to open an object has changed it")
		}
		c.OK(openMutexErr(a), openSemErr(a), openCondErr(a), openRWLockErr(a), o.destroy())
	})}
}

// destroyedAttr: an object is initialised, whatever becomes of its attributes.
func destroyedAttr(f faults.Fault) (bool, error) {
	return strings.HasSuffix(f.Call, "attr_destroy"), nil
}

// destroy ends all the objects, which nobody may have.
func (o objects) destroy() error {
	return errors.Join(o.m.Destroy(), o.s.Destroy(), o.cond.Destroy(), o.rw.Destroy())
}

// faultyMethod is a method that takes, gives or asks.
type faultyMethod struct {
	name    string                                    // in objects.calls
	before  func(o *objects, a *shm.Attachment) error // what must be done first, if anything
	after   func(o objects) error                     // and what when it has succeeded
	named   string                                    // what errors name
	instead map[syscall.Errno]error                   // what is returned instead of these
}

func faultyMethods(c *peer) []faultyMethod {
	unlock := func(o objects) error { return o.m.Unlock() }
	rwUnlock := func(o objects) error { return o.rw.Unlock() }
	post := func(o objects) error { return o.s.Post() }
	later := map[syscall.Errno]error{syscall.ETIMEDOUT: nil} // it waits again
	interrupted := map[syscall.Errno]error{syscall.EINTR: nil}
	notNow := map[syscall.Errno]error{syscall.EBUSY: shm.ErrBusy}
	return []faultyMethod{
		{name: "Mutex.Lock", after: unlock, named: "pthread_mutex_lock", instead: later},
		{name: "Mutex.Lock of one that is not robust", before: func(o *objects, a *shm.Attachment) error {
			c.ok("mutex_init", theMutex, "shared", "errorcheck")
			*o = objects{openMutex(a), o.s, o.cond, o.rw}
			return nil
		}, after: unlock},
		{name: "Mutex.TryLock", after: unlock, instead: map[syscall.Errno]error{
			syscall.ETIMEDOUT: shm.ErrBusy, syscall.EDEADLK: shm.ErrBusy,
		}},
		{name: "Mutex.LockContext", after: unlock, instead: map[syscall.Errno]error{
			syscall.ETIMEDOUT: nil, syscall.EINVAL: nil, // by the other clock
		}},
		{name: "Mutex.Unlock", before: func(o *objects, _ *shm.Attachment) error { return o.m.Lock() }},
		{name: "Mutex.Consistent", before: func(o *objects, _ *shm.Attachment) error {
			c.ok("thread", "mutex_lock", theMutex)
			if err := o.m.Lock(); !errors.Is(err, pshared.ErrOwnerDied) {
				return errors.Join(errors.New("the owner has died"), err)
			}
			return nil
		}, after: unlock},

		{name: "Sem.Wait", after: post, instead: interrupted},
		{name: "Sem.TryWait", after: post, instead: map[syscall.Errno]error{
			syscall.EINTR: nil, syscall.EAGAIN: shm.ErrBusy,
		}},
		{name: "Sem.WaitContext", after: post, instead: map[syscall.Errno]error{
			syscall.EINTR: nil, syscall.ETIMEDOUT: nil,
		}},
		{name: "Sem.Post", after: func(o objects) error { return o.s.TryWait() }},
		{name: "Sem.Value"},
		{name: "Sem.Destroy"},

		{name: "Cond.Signal"},
		{name: "Cond.Broadcast"},
		{name: "Cond.Destroy"},

		{name: "RWLock.RLock", after: rwUnlock},
		{name: "RWLock.Lock", after: rwUnlock},
		{name: "RWLock.TryRLock", after: rwUnlock, instead: notNow},
		{name: "RWLock.TryLock", after: rwUnlock, instead: notNow},
		{name: "RWLock.RLockContext", after: rwUnlock, instead: later},
		{name: "RWLock.LockContext", after: rwUnlock, instead: later},
		{name: "RWLock.Unlock", before: func(o *objects, _ *shm.Attachment) error { return o.rw.Lock() }},
	}
}

// fault calls the method, and once more if it fails; then nobody has a lock, and
// the semaphore has its value.
func (m faultyMethod) fault(ctx context.Context, a *shm.Attachment) faults.Operation {
	method, _, _ := strings.Cut(m.name, " of ")
	return faults.Operation{
		Name: m.name, Named: m.named,
		Instead: func(f faults.Fault) (bool, error) {
			want, found := m.instead[f.Errno]
			return found, want
		},
		Run: onAttachment(a, func(c *faults.Case, a *shm.Attachment) {
			o := initObjects(a)
			c.OK(o.s.Post())
			if m.before != nil {
				c.OK(m.before(&o, a))
			}
			call := o.calls(ctx)[method]
			if !c.Do(call) {
				o.wantUnlocked(c, method)
				c.OK(call())
			}
			if m.after != nil {
				c.OK(m.after(o))
			}
			if v, err := o.s.Value(); v != 1 || err != nil {
				c.Errorf("the semaphore's value is %d, %v", v, err)
			}
			c.OK(o.destroy())
		}),
	}
}

// wantUnlocked checks that a method that has not taken a lock has not.
func (o objects) wantUnlocked(c *faults.Case, method string) {
	object, call, _ := strings.Cut(method, ".")
	unlock := o.calls(context.Background())[object+".Unlock"]
	if !strings.Contains(call, "Lock") { // Unlock has none of these
		return
	}
	if err := unlock(); !errors.Is(err, syscall.EPERM) {
		c.Errorf("Unlock of what was not locked: %v", err)
	}
}

// waitFault waits for a broadcast. Whatever happens, the mutex is the
// goroutine's then, unless nobody can have it.
func waitFault(a *shm.Attachment, name string, wait func(c *pshared.Cond, m *pshared.Mutex) error) faults.Operation {
	return faults.Operation{
		Name: name,
		Instead: func(f faults.Fault) (bool, error) {
			return f.Errno == syscall.ETIMEDOUT, nil // as without a signal
		},
		Run: onAttachment(a, func(c *faults.Case, a *shm.Attachment) {
			o := initObjects(a)
			c.OK(o.m.Lock())
			stop := broadcasting(o)
			var err error
			c.Do(func() error { err = wait(o.cond, o.m); return err })
			if errors.Is(err, pshared.ErrNotRecoverable) {
				c.OK(o.m.Lock())
			}
			c.OK(o.m.Unlock(), stop(), o.destroy())
		}),
	}
}

// broadcasting wakes up who waits, again and again, until the function that it
// returns is called. (With the mutex, so that it does so while somebody waits.)
func broadcasting(o objects) (stop func() error) {
	var stopped atomic.Bool
	var wg sync.WaitGroup
	var err error
	wg.Add(1)
	go func() {
		defer wg.Done()
		for !stopped.Load() && err == nil {
			err = errors.Join(o.m.Lock(), o.cond.Broadcast(), o.m.Unlock())
		}
	}()
	return func() error {
		stopped.Store(true)
		wg.Wait()
		return err
	}
}

// destroyFault ends a lock. If that fails, it is whole, and if the unlocking
// before was what failed, it is the goroutine's.
func destroyFault(a *shm.Attachment, object string, unlock func(o objects) func() error) faults.Operation {
	return faults.Operation{
		Name: object + ".Destroy",
		Instead: func(f faults.Fault) (bool, error) {
			switch f.Call {
			case "pthread_mutex_timedlock":
				switch f.Errno {
				case syscall.ETIMEDOUT, syscall.EDEADLK:
					return true, shm.ErrBusy
				case syscall.ENOTRECOVERABLE: // which is a reason to destroy it
					return true, nil
				}
			case "pthread_rwlock_trywrlock":
				return f.Errno == syscall.EBUSY, shm.ErrBusy
			}
			return false, nil
		},
		Run: onAttachment(a, func(c *faults.Case, a *shm.Attachment) {
			o := initObjects(a)
			var err error
			destroy := o.calls(context.Background())[object+".Destroy"]
			if c.Do(func() error { err = destroy(); return err }) {
				return
			}
			var e *shm.Error
			if errors.As(err, &e) && strings.HasSuffix(e.Op, "_unlock") {
				c.OK(unlock(o)())
			}
			c.OK(o.destroy())
		}),
	}
}
