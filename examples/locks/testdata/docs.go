//go:build ignore

// The program that the Go code of docs/locks.md is built into.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
	"github.com/gosysv/shm/sem"
)

// The main thread is this goroutine's: another, that ends with a mutex locked
// there, would leak it.
func init() { runtime.LockOSThread() }

func main() {
	for _, check := range []func() error{testAccount, testCounters, testMailbox, testRW} {
		if err := check(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println("ok")
}

// testAccount opens it twice, has an owner die, and looks at what is mended.
func testAccount() error {
	const key shm.Key = 0x4c4f434b
	acc, mu, err := openAccount(key)
	if err != nil {
		return err
	}
	id, err := shm.Get(key, 0, 0)
	if err != nil {
		return err
	}
	defer id.Remove()
	set, err := sem.Get(key, 0, 0)
	if err != nil {
		return err
	}
	defer set.Remove()
	again, mu2, err := openAccount(key)
	if err != nil {
		return err
	}
	if !mu2.Robust() || again == acc {
		return fmt.Errorf("opened again: %p and %p, robust %v", acc, again, mu2.Robust())
	}
	if err := deposit(mu, acc, 10); err != nil {
		return err
	}
	// A thread ends with the mutex, half through.
	died := make(chan error)
	go func() {
		err := lockAccount(mu2, again)
		again.Out += 3
		died <- err
	}()
	if err := <-died; err != nil {
		return err
	}
	if err := errors.Join(deposit(mu, acc, 2), deposit(mu2, again, 3)); err != nil {
		return err
	}
	if acc.In != 15 || acc.Out != 3 || acc.Balance != 12 {
		return fmt.Errorf("in %d, out %d, balance %d", acc.In, acc.Out, acc.Balance)
	}
	if err := mu.Consistent(); !errors.Is(err, fs.ErrPermission) { // nobody has it
		return fmt.Errorf("consistent: %v", err)
	}
	return nil
}

// testCounters counts in one that was left busy, and waits for a held lock.
func testCounters() error {
	a, remove, err := segment()
	if err != nil {
		return err
	}
	defer remove()
	c, err := shm.View[counters](a, 0)
	if err != nil {
		return err
	}
	const key shm.Key = 0x4c4f434c
	set, _, err := sem.GetOrCreate(key, 0o600, 1)
	if err != nil {
		return err
	}
	defer set.Remove()
	mu := sem.NewMutex(set, 0)
	c.Busy.Store(1)
	c.Done = 7
	if err := count(mu, c); err != nil {
		return err
	}
	if c.Done != 8 || c.Total != 80 || c.Busy.Load() != 0 {
		return fmt.Errorf("done %d, total %d", c.Done, c.Total)
	}
	if done, err := tryFor(time.Minute, mu, c); !done || err != nil {
		return fmt.Errorf("tryFor a free lock: %v, %v", done, err)
	}
	if err := mu.Lock(); err != nil {
		return err
	}
	if done, err := tryFor(time.Millisecond, mu, c); done || err != nil {
		return fmt.Errorf("tryFor a held lock: %v, %v", done, err)
	}
	if c.Done != 9 || c.Total != 90 {
		return fmt.Errorf("done %d, total %d", c.Done, c.Total)
	}
	return mu.Unlock()
}

// testMailbox has many wait, for letters and for a thread that dies.
func testMailbox() error {
	a, remove, err := segment()
	if err != nil {
		return err
	}
	defer remove()
	box, err := shm.View[mailbox](a, 0)
	if err != nil {
		return err
	}
	mu, err := pshared.InitMutex(a, int(unsafe.Offsetof(box.Mutex)))
	if err != nil {
		return err
	}
	wake, err := pshared.InitSem(a, int(unsafe.Offsetof(box.Wake)), 0)
	if err != nil {
		return err
	}
	const takers = 8
	takeAll := func() (taken chan error) {
		taken = make(chan error, takers)
		for range takers {
			go func() { taken <- take(mu, wake, box) }()
		}
		return taken
	}
	await := func(waiting uint64) error {
		for {
			if err := mu.Lock(); err != nil {
				return err
			}
			n := box.Waiting
			if err := mu.Unlock(); err != nil || n == waiting {
				return err
			}
			runtime.Gosched()
		}
	}
	all := func(taken chan error) (err error) {
		for range takers {
			err = errors.Join(err, <-taken)
		}
		return err
	}

	box.Waiting = 1 // a dead one
	taken := takeAll()
	if err := await(takers + 1); err != nil {
		return err
	}
	for range takers {
		if err := put(mu, wake, box); err != nil {
			return err
		}
	}
	if err := all(taken); err != nil {
		return err
	}

	// A post is left of the dead one: one taker looks twice.
	taken = takeAll()
	if err := await(takers + 1); err != nil {
		return err
	}
	died := make(chan error)
	go func() {
		err := mu.Lock()
		box.Letters += takers
		died <- err
	}()
	if err := errors.Join(<-died, lockMailbox(mu, wake, box), mu.Unlock(), all(taken)); err != nil {
		return err
	}
	if box.Letters != 0 {
		return fmt.Errorf("%d letters are left", box.Letters)
	}
	return nil
}

// testRW has readers read together, and a writer alone.
func testRW() error {
	const key shm.Key = 0x4c4f434d
	id, err := openRW(key)
	if err != nil {
		return err
	}
	defer id.Remove()
	if err := errors.Join(rLock(id), rLock(id)); err != nil { // two at once
		return err
	}
	wrote := make(chan error)
	go func() { wrote <- wLock(id) }()
	// The writer waits for all shares, with the door closed.
	for n := 0; n == 0; {
		if n, err = id.WaitingIncrease(shares); err != nil {
			return err
		}
		runtime.Gosched()
	}
	late := id.OpTimeout(0,
		sem.Op{Num: door, Op: -1}, sem.Op{Num: door, Op: +1},
		sem.Op{Num: shares, Op: -1, Flags: sem.SEM_UNDO},
	)
	if !errors.Is(late, syscall.EAGAIN) {
		return fmt.Errorf("a reader that came after a writer: %v", late)
	}
	if err := errors.Join(rUnlock(id), rUnlock(id), <-wrote, wUnlock(id)); err != nil {
		return err
	}
	values, err := id.Values()
	if err == nil && (values[door] != 1 || values[shares] != readers) {
		err = fmt.Errorf("values %v", values)
	}
	return err
}

// segment makes one and attaches it.
func segment() (*shm.Attachment, func(), error) {
	id, err := shm.Get(shm.IPC_PRIVATE, 4096, 0o600)
	if err != nil {
		return nil, nil, err
	}
	a, err := id.Attach(0)
	return a, func() { _ = id.Remove() }, err
}
