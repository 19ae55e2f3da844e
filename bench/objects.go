//go:build linux && cgo

package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/bench/bare"
	"github.com/gosysv/shm/sem"
	"golang.org/x/sys/unix"
)

// objects are System V objects that one group of measurements made, and that
// are removed at its end, however that comes.
type objects struct{ remove []func() error }

// segment makes a segment and attaches it.
func (o *objects) segment(size int, flags shm.GetFlag) (*shm.Attachment, error) {
	id, err := o.segmentID(shm.IPC_PRIVATE, size, flags|0o600)
	if err != nil {
		return nil, err
	}
	a, err := id.Attach(0)
	if err != nil {
		return nil, err
	}
	o.later(a.Detach)
	return a, nil
}

// segmentID makes a segment.
func (o *objects) segmentID(key shm.Key, size int, flags shm.GetFlag) (shm.ID, error) {
	id, err := shm.Get(key, size, flags)
	if err == nil {
		o.later(id.Remove)
	}
	return id, err
}

// semaphores makes a set with these values.
func (o *objects) semaphores(values ...uint16) (sem.ID, error) {
	id, err := sem.Get(shm.IPC_PRIVATE, len(values), 0o600)
	if err != nil {
		return 0, err
	}
	o.later(id.Remove)
	return id, id.SetValues(values)
}

// queue makes a message queue.
func (o *objects) queue() (int, error) {
	id, err := bare.Msgget()
	if err == nil {
		o.later(func() error { return bare.MsgRemove(id) })
	}
	return id, err
}

// anonymous maps private memory outside of Go's heap, whose pages are those of
// the kernel's choice.
func (o *objects) anonymous(size int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("mmap of %d bytes: %w", size, err)
	}
	o.later(func() error { return unix.Munmap(mem) })
	return mem, nil
}

func (o *objects) later(f func() error) { o.remove = append(o.remove, f) }

// close removes them, the last one first, and adds what fails to *err.
func (o *objects) close(err *error) {
	for _, remove := range slices.Backward(o.remove) {
		*err = errors.Join(*err, remove())
	}
	o.remove = nil
}
