//go:build linux && cgo

package shm

import (
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"syscall"
	"unsafe"
)

// Reservation is a range of this process's addresses that nothing else will
// use, for segments that must lie at chosen addresses: one segment twice in a
// row, say, for a ring buffer that never wraps.
//
// It is the only place where [SHM_REMAP] is accepted. Anywhere else that flag
// replaces whatever is mapped, without a word, and in a Go program that may be
// the heap.
//
// Its methods may be called from many goroutines at once.
type Reservation struct {
	addr, size uintptr             // what the caller may use
	base, full uintptr             // what is mapped: more, where SHMLBA is more than a page
	attached   map[uintptr]uintptr // attachments inside: address -> length in whole pages
}

// reservations are those not released. The lock is for what is in them too:
// an attachment must not come into a range while it is looked at.
var reservations struct {
	sync.Mutex
	list []*Reservation
}

// Reserve takes size bytes of address space, rounded up to whole pages, that
// cannot be read or written and cost no memory (mmap(2) with PROT_NONE). It
// begins at a multiple of [SHMLBA]. The caller owns it until
// [Reservation.Release]; nothing releases one that is forgotten.
//
// Errors: EINVAL for a size below 1, before the call; ENOMEM when the address
// space has no such room.
func Reserve(size int) (*Reservation, error) {
	page, lba := uintptr(os.Getpagesize()), uintptr(SHMLBA())
	if size < 1 {
		return nil, mmapError(size, syscall.EINVAL, "the size is not positive")
	}
	if uintptr(size) > math.MaxInt-lba {
		return nil, mmapError(size, syscall.ENOMEM, "")
	}
	r := &Reservation{size: roundUp(uintptr(size), page), attached: map[uintptr]uintptr{}}
	r.full = r.size + lba - page
	var err syscall.Errno
	if r.base, err = reserve(r.full); err != 0 {
		return nil, mmapError(size, err, "")
	}
	r.addr = roundUp(r.base, lba)

	reservations.Lock()
	defer reservations.Unlock()
	reservations.list = append(reservations.list, r)
	return r, nil
}

// Addr returns the first address.
func (r *Reservation) Addr() uintptr { return r.addr }

// Len returns the size in bytes, a multiple of the page size.
func (r *Reservation) Len() int { return int(r.size) }

// Release gives the address space back (munmap(2)). A second Release does
// nothing.
//
// Errors: [ErrBusy], and nothing done, while a segment is attached inside.
func (r *Reservation) Release() error {
	reservations.Lock()
	defer reservations.Unlock()
	if len(r.attached) > 0 {
		return ErrBusy
	}
	i := slices.Index(reservations.list, r)
	if i < 0 {
		return nil
	}
	if err := unmap(r.base, r.full); err != 0 {
		return &Error{Op: "munmap", Args: fmt.Sprintf("addr=%#x, size=%d", r.base, r.full), Errno: err}
	}
	reservations.list = slices.Delete(reservations.list, i, i+1)
	return nil
}

// attachReserved attaches over a part of a Reservation (SHM_REMAP).
func (id ID) attachReserved(addr uintptr, flags AttachFlag) (*Attachment, error) {
	refuse := func(hint string) (*Attachment, error) {
		return nil, atError(id, addr, flags, syscall.EINVAL, hint)
	}
	if flags&SHM_RND != 0 {
		return refuse("with SHM_REMAP the address must be exact: no SHM_RND")
	}
	reservations.Lock()
	defer reservations.Unlock()
	r := reservationOf(addr)
	if r == nil {
		return refuse("SHM_REMAP is accepted only inside a Reservation")
	}

	// How long the segment is cannot change while it is attached somewhere:
	// its id could become another segment's otherwise.
	pin, err := id.attach(0, flags&^SHM_REMAP)
	if err != nil {
		return nil, err
	}
	defer func() { _ = pin.Detach() }() // cannot fail: nobody else knows of it
	if pin.hugePages() {
		return refuse("a segment of huge pages cannot be attached inside a Reservation")
	}
	length := roundUp(uintptr(pin.size), uintptr(os.Getpagesize()))
	if length > r.addr+r.size-addr {
		return refuse(fmt.Sprintf("the segment's %d bytes reach beyond the Reservation", pin.size))
	}
	for other, otherLen := range r.attached {
		if addr < other+otherLen && other < addr+length {
			return refuse("a segment is attached there")
		}
	}

	a, err := id.attach(addr, flags)
	if err != nil {
		return nil, err
	}
	a.inside = r
	r.attached[addr] = length
	return a, nil
}

func reservationOf(addr uintptr) *Reservation {
	for _, r := range reservations.list {
		if r.addr <= addr && addr < r.addr+r.size {
			return r
		}
	}
	return nil
}

// vacate ends an attachment by mapping nothing over it. After an shmdt there
// would be a hole, which any mmap of the process could fill.
func (r *Reservation) vacate(addr uintptr) error {
	reservations.Lock()
	defer reservations.Unlock()
	length := r.attached[addr]
	delete(r.attached, addr)
	if err := cover(addr, length); err != 0 {
		return mmapError(int(length), err, "the segment is still mapped in its Reservation")
	}
	return nil
}

// hugePages tells whether the segment has huge pages: then its mapping is
// longer than its size says, and part of it cannot be protected.
func (a *Attachment) hugePages() bool {
	err := syscall.Mprotect(unsafe.Slice(a.base.Load(), 1), syscall.PROT_NONE)
	return err == syscall.EINVAL
}

//go:noinline
func mmapError(size int, errno syscall.Errno, hint string) error {
	return &Error{Op: "mmap", Args: fmt.Sprintf("size=%d, PROT_NONE", size), Errno: errno, Hint: hint}
}

func roundUp(n, multiple uintptr) uintptr { return (n + multiple - 1) / multiple * multiple }
