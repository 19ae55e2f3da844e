//go:build linux && cgo

package shm

import (
	"errors"
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
// the heap. And it is refused, with EINVAL and before the call, where it would
// reach beyond the Reservation or over another attachment, beside [SHM_RND],
// and for segments of huge pages.
//
// To be certain of its size, a segment is attached for a moment elsewhere too:
// that takes address space, and counts in its nattch. If the attach fails then,
// the segment has been attached and detached, which is the end of one that
// nobody else is attached to where kernel.shm_rmid_forced is 1.
//
// Nothing but [Attachment.Detach] should unmap a part of a Reservation: what is
// mapped there afterwards would go with the Detach, unnoticed.
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
		return nil, mmapError(fmt.Sprintf("size=%d", size), syscall.EINVAL, "the size is not positive")
	}
	if uintptr(size) > math.MaxInt-lba {
		return nil, mmapError(fmt.Sprintf("size=%d", size), syscall.ENOMEM, "")
	}
	r := &Reservation{size: roundUp(uintptr(size), page), attached: map[uintptr]uintptr{}}
	r.full = r.size + lba - page
	var err syscall.Errno
	if r.base, err = reserve(r.full); err != 0 {
		return nil, mmapError(fmt.Sprintf("size=%d", size), err, "")
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
// Errors: [ErrBusy], and nothing done, while a segment is attached inside;
// ENOMEM, and nothing done, where the process has too many mappings to split
// one.
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
		return munmapError(r.base, r.full, err)
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

	// Nothing is attached, not even for a moment, where it would not fit.
	if ds, err := stat(id); err == 0 {
		if why := r.unfit(addr, uintptr(ds.Segsz)); why != "" {
			return refuse(why)
		}
	}
	// The size is certain only while the segment is attached somewhere: its
	// id could become another segment's otherwise.
	pin, size, inStat, errno := shmat(id, 0, flags&^SHM_REMAP)
	if errno != 0 {
		return nil, attachError(id, addr, flags, inStat, errno)
	}
	defer func() { _ = shmdt(pin) }() // cannot fail: nobody else knows of it
	if why := r.unfit(addr, uintptr(size)); why != "" {
		return refuse(why)
	}
	switch huge, errno := hugePages(pin); {
	case errno != 0:
		return nil, mprotectError(id, errno)
	case huge:
		return refuse("a segment of huge pages cannot be attached inside a Reservation")
	}

	// No IPC_STAT after it: if that failed, an shmdt would leave a hole.
	base, _, _, errno := shmat(id, addr, flags)
	if errno != 0 {
		return nil, atError(id, addr, flags, errno, "")
	}
	a := newAttachment(id, base, size, flags)
	a.inside = r
	r.attached[addr] = roundUp(uintptr(size), uintptr(os.Getpagesize()))
	return a, nil
}

// unfit says why a segment of the size must not be attached at addr, which is
// inside; or "".
func (r *Reservation) unfit(addr, size uintptr) string {
	if addr%uintptr(SHMLBA()) != 0 {
		return lbaHint()
	}
	if size > r.addr+r.size-addr {
		return fmt.Sprintf("the segment's %d bytes reach beyond the Reservation", size)
	}
	for other, length := range r.attached {
		if addr < other+length && other < addr+size {
			return "a segment is attached there"
		}
	}
	return ""
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
		return vacateError(addr, length, err)
	}
	return nil
}

// hugePages tells whether a segment that is attached has huge pages: then its
// mapping is longer than its size says, and part of it cannot be protected. The
// errno is why that cannot be told.
func hugePages(base unsafe.Pointer) (bool, syscall.Errno) {
	err := syscall.Mprotect(unsafe.Slice((*byte)(base), 1), syscall.PROT_NONE)
	var errno syscall.Errno
	if errors.As(err, &errno) && errno == syscall.EINVAL {
		return true, 0
	}
	return false, errno
}

func roundUp(n, multiple uintptr) uintptr { return (n + multiple - 1) / multiple * multiple }
