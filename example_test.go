//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"structs"
	"sync/atomic"

	"github.com/gosysv/shm"
)

// The life of a segment: a new one, that only this process and those it tells
// the id can find.
func Example() {
	id, err := shm.Get(shm.IPC_PRIVATE, 4096, shm.IPC_CREAT|0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	a, err := id.Attach(0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Detach()

	copy(a.Bytes(), "Hello from Go!")
	ds, err := a.Stat()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %d bytes, mode %v, nattch %d\n", a.Bytes()[:14], ds.Segsz, ds.Perm.Mode, ds.Nattch)
	// Output: Hello from Go! 4096 bytes, mode 0600, nattch 1
}

// Exactly one process fills the segment, whoever comes first.
func ExampleGetOrCreate() {
	const key = 0x47300001
	for range 2 {
		id, created, err := shm.GetOrCreate(key, 4096, 0o600)
		if err != nil {
			log.Fatal(err)
		}
		if created {
			defer id.Remove()
			fmt.Println("created: fill it")
		} else {
			fmt.Println("opened: wait until it is filled")
		}
	}
	// Output:
	// created: fill it
	// opened: wait until it is filled
}

// Any user may have made the segment first: attach, check, and only then
// believe what is in it.
func ExampleAttachment_Check() {
	const key, size = 0x47300004, 4096
	id, created, err := shm.GetOrCreate(key, size, 0o600)
	if err != nil {
		log.Fatal(err) // also if it is somebody else's, and closed to us
	}
	if created {
		defer id.Remove()
	}
	a, err := id.Attach(0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Detach()
	trust := shm.Trust{UIDs: []int{os.Geteuid()}, Perm: 0o600, Size: size}
	fmt.Println(a.Check(trust))

	ds, err := a.Stat()
	if err != nil {
		log.Fatal(err)
	}
	ds.Perm.Mode = 0o606 // what a segment that was made by others may be like
	if err := id.Set(&ds); err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(a.Check(trust), shm.ErrUntrusted))
	// Output:
	// <nil>
	// true
}

// A struct that a C program has in the segment:
//
//	struct status {
//		_Atomic uint32_t ready;
//		int16_t          celsius[3];
//		char             name[10];
//	};
func ExampleView() {
	type status struct {
		_       structs.HostLayout
		Ready   atomic.Uint32
		Celsius [3]int16
		Name    [10]byte
	}
	id, err := shm.Get(shm.IPC_PRIVATE, 4096, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	a, err := id.Attach(0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Detach()

	s, err := shm.View[status](a, 64)
	if err != nil {
		log.Fatal(err)
	}
	s.Celsius[1] = -40
	copy(s.Name[:], "probe")
	s.Ready.Store(1) // the rest is seen by whoever sees this
	fmt.Println(s.Celsius, string(a.Bytes()[64+10:64+15]))

	_, err = shm.View[status](a, 4090)
	fmt.Println(errors.Is(err, shm.ErrBounds))
	_, err = shm.View[struct{ Name string }](a, 0)
	fmt.Println(err)
	// Output:
	// [0 -40 0] probe
	// true
	// shm: type cannot be shared: struct { Name string }.Name is a string, which holds a Go pointer
}

// An error has the whole call, and what was found to be the cause.
func ExampleError() {
	const key = 0x47300002
	_, err := shm.Get(key, 8192, 0o600)
	fmt.Println(err)
	fmt.Println(errors.Is(err, fs.ErrNotExist))

	id, err := shm.Get(key, 4096, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	_, err = shm.Get(key, 8192, 0o600)
	fmt.Println(err)
	// Output:
	// shmget(key=0x47300002, size=8192, 0600): no such file or directory
	// true
	// shmget(key=0x47300002, size=8192, 0600): invalid argument: the segment exists with 4096 bytes
}

// An Attachment is an io.ReaderAt and an io.WriterAt, which check bounds and
// are safe against a Detach by another goroutine.
func ExampleAttachment_ReadAt() {
	id, err := shm.Get(shm.IPC_PRIVATE, 10, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	a, err := id.Attach(0)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Detach()

	_, err = a.WriteAt([]byte("0123456789, and more"), 0)
	fmt.Println(err)
	rest, err := io.ReadAll(io.NewSectionReader(a, 7, 100))
	fmt.Printf("%s, %v\n", rest, err)
	// Output:
	// short write
	// 789, <nil>
}

// One segment twice in a row is a ring buffer that never wraps.
func ExampleReserve() {
	size := shm.SHMLBA()
	id, err := shm.Get(shm.IPC_PRIVATE, size, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	r, err := shm.Reserve(2 * size)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Release()
	first, err := id.AttachAt(r.Addr(), shm.SHM_REMAP)
	if err != nil {
		log.Fatal(err)
	}
	defer first.Detach()
	second, err := id.AttachAt(r.Addr()+uintptr(size), shm.SHM_REMAP)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Detach()

	copy(second.Bytes(), "round")
	fmt.Printf("%s\n", first.Bytes()[:5])
	// Output: round
}

// What ipcs -m does.
func ExampleList() {
	id, err := shm.Get(0x47300003, 1000, shm.IPC_CREAT|shm.IPC_EXCL|0o640)
	if err != nil {
		log.Fatal(err)
	}
	defer id.Remove()
	segs, err := shm.List()
	if err != nil && !errors.Is(err, shm.ErrPartial) {
		log.Fatal(err)
	}
	for _, s := range segs {
		if s.ID == id {
			fmt.Println(s.Perm.Key, s.Perm.Mode, s.Segsz, s.Nattch)
		}
	}
	// Output: 0x47300003 0640 1000 0
}
