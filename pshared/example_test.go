//go:build linux && cgo

package pshared_test

import (
	"errors"
	"fmt"
	"log"
	"unsafe"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/pshared"
)

// account is
//
//	struct account {
//		pthread_mutex_t lock;
//		long in, out;
//	};
type account struct {
	Lock    pshared.MutexT
	In, Out int
}

// A mutex beside what it guards, as a C program would have it in its struct.
// Whoever is killed between two stores leaves the account torn; the next one
// is told, and mends it.
func Example() {
	id, err := shm.Get(shm.IPC_PRIVATE, int(unsafe.Sizeof(account{})), shm.IPC_CREAT|0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	a, err := id.Attach(0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Detach()
	acc, err := shm.View[account](a, 0)
	if err != nil {
		log.Fatal(err)
	}
	mu, err := pshared.InitMutex(a, int(unsafe.Offsetof(acc.Lock)))
	if err != nil {
		log.Fatal(err)
	}

	switch err := mu.Lock(); {
	case errors.Is(err, pshared.ErrOwnerDied): // we have it, but the data may be torn
		acc.Out = -acc.In
		if err := mu.Consistent(); err != nil {
			log.Fatal(err)
		}
	case err != nil: // we do not have it
		log.Fatal(err)
	}
	acc.In++
	acc.Out--
	fmt.Println("in", acc.In, "out", acc.Out)
	if err := mu.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output: in 1 out -1
}
