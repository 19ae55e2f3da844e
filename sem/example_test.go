//go:build linux && cgo

package sem_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"syscall"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/sem"
)

// A lock that goroutines and C processes share. Whichever process comes first
// makes it.
func Example() {
	const key = 0x47300010
	id, created, err := sem.GetOrCreate(key, 0o600, 1) // one semaphore, of value 1: free
	if err != nil {
		log.Fatal(err)
	}
	if created {
		defer id.Remove()
	}
	mu := sem.NewMutex(id, 0)

	if err := mu.Lock(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("locked:", errors.Is(mu.TryLock(), shm.ErrBusy))
	if err := mu.Unlock(); err != nil {
		log.Fatal(err)
	}
	value, err := id.Value(0)
	fmt.Println("value", value, err)
	// Output:
	// locked: true
	// value 1 <nil>
}

// Exactly one process gives the semaphores their values, and whoever gets the
// id finds them complete.
func ExampleGetOrCreate() {
	const key = 0x47300011
	for range 2 {
		id, created, err := sem.GetOrCreate(key, 0o600, 10, 0, 3)
		if err != nil {
			log.Fatal(err)
		}
		if created {
			defer id.Remove()
		}
		values, err := id.Values()
		fmt.Println(created, values, err)
	}
	// Output:
	// true [10 0 3] <nil>
	// false [10 0 3] <nil>
}

// Who waits for a lock need not wait for ever.
func ExampleMutex_LockContext() {
	id, _, err := sem.GetOrCreate(0x47300012, 0o600, 1)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	mu := sem.NewMutex(id, 0)
	if err := mu.Lock(); err != nil {
		log.Fatal(err)
	}
	defer mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(mu.LockContext(ctx))
	// Output: context deadline exceeded
}

// All of the operations are done at once, or none: here two items are taken
// and room is made for them.
func ExampleID_Op() {
	id, _, err := sem.GetOrCreate(0x47300013, 0o600, 3, 7) // items, and room
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()

	take := []sem.Op{
		{Num: 0, Op: -2, Flags: sem.IPC_NOWAIT},
		{Num: 1, Op: +2},
	}
	for range 2 {
		err := id.Op(take...)
		values, _ := id.Values()
		fmt.Println(values, errors.Is(err, syscall.EAGAIN))
	}
	// Output:
	// [1 9] false
	// [1 9] true
}

// What ipcs -s does.
func ExampleList() {
	id, err := sem.Get(0x47300014, 5, shm.IPC_CREAT|shm.IPC_EXCL|0o640)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	sets, err := sem.List()
	if err != nil && !errors.Is(err, shm.ErrPartial) {
		log.Fatal(err)
	}
	for _, s := range sets {
		if s.ID == id {
			fmt.Println(s.Perm.Key, s.Perm.Mode, s.Nsems)
		}
	}
	// Output: 0x47300014 0640 5
}
