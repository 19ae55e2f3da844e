//go:build linux && cgo

package shm_test

import (
	"errors"
	"os"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/faults"
)

var attachFaults = []faults.Operation{
	{Name: "Attach", Run: attaching(0, func(uintptr) uintptr { return 0 })},
	{Name: "Attach read-only", Run: attaching(shm.SHM_RDONLY, func(uintptr) uintptr { return 0 })},
	{Name: "AttachAt", Run: attaching(0, func(free uintptr) uintptr { return free })},
	{Name: "AttachAt rounded", Run: attaching(shm.SHM_RND, func(free uintptr) uintptr { return free + 1 })},
	{Name: "Detach", Run: func(c *faults.Case) {
		id := newSegment(c)
		a := must(id.Attach(0))(c)
		c.Do(a.Detach)
		wantDead(c, a)
		c.OK(id.Remove())
	}},
	{Name: "Attachment.Stat", Run: func(c *faults.Case) {
		id := newSegment(c)
		a := must(id.Attach(0))(c)
		c.Do(func() error { return lastOf(a.Stat()) })
		c.OK(lastOf(a.Stat()), a.Detach(), id.Remove())
	}},
}

// attaching attaches a segment. If that fails, nothing is attached, and it can
// be done once more.
func attaching(flags shm.AttachFlag, at func(free uintptr) uintptr) func(c *faults.Case) {
	return func(c *faults.Case) {
		id := newSegment(c)
		addr := at(freeAddress(c))
		var a *shm.Attachment
		if !c.Do(func() (err error) { a, err = id.AttachAt(addr, flags); return err }) {
			wantUnattached(c, id)
			if a != nil {
				c.Errorf("an Attachment and an error")
			}
			a = must(id.AttachAt(addr, flags))(c)
		}
		c.OK(a.Detach(), id.Remove())
	}
}

// freeAddress is in the middle of much room, which others fill from its end.
func freeAddress(c *faults.Case) uintptr {
	r := must(shm.Reserve(64 << 20))(c)
	c.OK(r.Release())
	return r.Addr() + uintptr(r.Len()/2)
}

// wantUnattached checks, by what the kernel says, that a segment is nowhere
// attached.
func wantUnattached(c *faults.Case, id shm.ID) {
	if n, nattch := mapped(c.T(), id), stat(c.T(), id).Nattch; n != 0 || nattch != 0 {
		c.Errorf("%d mappings and nattch %d are left", n, nattch)
	}
}

// wantDead checks that an attachment is at its end, whatever Detach has said.
func wantDead(c *faults.Case, a *shm.Attachment) {
	for name, err := range map[string]error{
		"Detach": a.Detach(), "Stat": lastOf(a.Stat()), "Hold": a.Hold(), "ReadAt": lastOf(a.ReadAt(nil, 0)),
		"View": lastOf(shm.View[byte](a, 0)),
	} {
		if !errors.Is(err, shm.ErrDetached) {
			c.Errorf("%s after Detach: %v", name, err)
		}
	}
	if a.Bytes() != nil || a.Pointer() != nil {
		c.Errorf("there is still memory after Detach")
	}
}

var reservationFaults = []faults.Operation{
	{Name: "Reserve", Run: func(c *faults.Case) {
		var r *shm.Reservation
		if !c.Do(func() (err error) { r, err = shm.Reserve(1); return err }) {
			r = must(shm.Reserve(1))(c)
		}
		c.OK(r.Release())
	}},
	{Name: "Release", Run: func(c *faults.Case) {
		r := newReservation(c)
		if !c.Do(r.Release) {
			wantReserved(c, r)
			c.OK(r.Release())
		}
		if got := protection(c.T(), r.Addr()); got != "" {
			c.Errorf("after Release the space is mapped %q", got)
		}
	}},
	{Name: "AttachAt in a Reservation", Run: attachingInside, Instead: insteadInside},
	{Name: "Detach in a Reservation", Run: func(c *faults.Case) {
		id, r := newSegment(c), newReservation(c)
		a := must(id.AttachAt(r.Addr(), shm.SHM_REMAP))(c)
		if c.Do(a.Detach) {
			wantReserved(c, r)
		}
		wantDead(c, a)
		again := must(id.AttachAt(r.Addr(), shm.SHM_REMAP))(c) // over what is left
		if nattch := stat(c.T(), id).Nattch; nattch != 1 {
			c.Errorf("nattch is %d", nattch)
		}
		c.OK(again.Detach(), r.Release())
		wantUnattached(c, id)
		c.OK(id.Remove())
	}},
}

func newReservation(c *faults.Case) *shm.Reservation {
	return must(shm.Reserve(3 * max(shm.SHMLBA(), os.Getpagesize())))(c)
}

func attachingInside(c *faults.Case) {
	id, r := newSegment(c), newReservation(c)
	attach := func() (*shm.Attachment, error) { return id.AttachAt(r.Addr(), shm.SHM_REMAP) }
	var a *shm.Attachment
	if !c.Do(func() (err error) { a, err = attach(); return err }) {
		wantUnattached(c, id)
		wantReserved(c, r)
		a = must(attach())(c)
	}
	if n, nattch := mapped(c.T(), id), stat(c.T(), id).Nattch; n != 1 || nattch != 1 {
		c.Errorf("%d mappings and nattch %d", n, nattch)
	}
	c.OK(a.Detach())
	wantReserved(c, r)
	c.OK(r.Release(), id.Remove())
}

// wantReserved checks that a Reservation has no hole, which the heap could
// fill.
func wantReserved(c *faults.Case, r *shm.Reservation) {
	for addr := r.Addr(); addr < r.Addr()+uintptr(r.Len()); addr += uintptr(os.Getpagesize()) {
		if got := protection(c.T(), addr); got != "---p" {
			c.Errorf("%#x in the Reservation is mapped %q", addr, got)
		}
	}
}

// insteadInside: the first look at the size, and the end of the attachment
// that is made for the second, may fail.
func insteadInside(f faults.Fault) (bool, error) {
	first := f.N == 0 && f.Command == "IPC_STAT" && !f.Again
	return first || f.Call == "shmdt", nil
}
