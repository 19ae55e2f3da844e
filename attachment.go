//go:build linux && cgo

package shm

import (
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Attachment is a range of this process's addresses that shows a segment,
// from [ID.Attach] to [Attachment.Detach]. Its methods may be called from many
// goroutines at once.
//
// Nothing detaches an Attachment that is forgotten: the garbage collector
// cannot see the slices and pointers that still lead into the segment. The
// kernel detaches what is left when the process ends.
type Attachment struct {
	id       ID
	readOnly bool
	size     int
	base     atomic.Pointer[byte] // nil after Detach
	inside   *Reservation         // where SHM_REMAP put it, or nil
	holds    atomic.Int64         // calls of Hold, or below 0 after Detach

	// Detach takes it for writing; what must not run beside an shmdt, for
	// reading.
	mu sync.RWMutex
}

// Attach makes the segment part of this process's memory, at an address that
// the kernel chooses (shmat(2) with a NULL address). With [SHM_RDONLY] it
// needs read permission, else read and write permission; with [SHM_EXEC]
// execute permission besides. The caller owns the Attachment and should
// Detach it; one segment may be attached many times.
//
// Attach costs the same for every size: the kernel maps pages when they are
// touched. Children started by os/exec do not inherit attachments.
//
// Errors:
//   - EINVAL or EIDRM, both [ErrRemoved]: there is no such segment.
//   - EINVAL: SHM_REMAP, refused before the call (see [Reservation]).
//   - EACCES (fs.ErrPermission): the permissions do not grant it.
//   - ENOMEM: no room in the address space, or too many mappings.
//   - EAGAIN: mlockall(MCL_FUTURE) is in force and RLIMIT_MEMLOCK too small.
//   - ENFILE: the system's limit on open files.
//   - EOVERFLOW: a segment larger than an int counts, on 32-bit ports.
//
// A failed Attach leaves nothing attached, and the segment as it was.
func (id ID) Attach(flags AttachFlag) (*Attachment, error) {
	return id.AttachAt(0, flags)
}

// AttachAt attaches the segment at addr (shmat(2)), which must be a multiple
// of [SHMLBA] where nothing is mapped; with [SHM_RND] it is rounded down
// first. An addr of 0 leaves the choice to the kernel.
//
// To put segments at addresses that belong together, [Reserve] the space
// first and attach with [SHM_REMAP]; that flag is refused anywhere else.
//
// Errors are those of [ID.Attach], and
//   - EINVAL: addr is not a multiple of SHMLBA or, for huge pages, of their
//     size (to which SHM_RND does not round); or the range is in use.
//   - ENOMEM: no process has such addresses.
//   - EINVAL, before the call: SHM_RND with an addr below SHMLBA. As root the
//     kernel would map page zero, and no nil pointer would fault any more.
//   - EINVAL, before the call: SHM_REMAP, where [Reservation] says.
//   - EPERM (fs.ErrPermission): addr is below vm.mmap_min_addr.
func (id ID) AttachAt(addr uintptr, flags AttachFlag) (*Attachment, error) {
	if flags&SHM_REMAP != 0 {
		return id.attachReserved(addr, flags)
	}
	if flags&SHM_RND != 0 && addr != 0 && addr < uintptr(SHMLBA()) {
		return nil, atError(id, addr, flags, syscall.EINVAL, "rounded down, the address is 0")
	}
	return id.attach(addr, flags)
}

func (id ID) attach(addr uintptr, flags AttachFlag) (*Attachment, error) {
	base, size, inStat, err := shmat(id, addr, flags)
	if err != 0 {
		return nil, attachError(id, addr, flags, inStat, err)
	}
	return newAttachment(id, base, size, flags), nil
}

func newAttachment(id ID, base unsafe.Pointer, size int, flags AttachFlag) *Attachment {
	a := &Attachment{id: id, readOnly: flags&SHM_RDONLY != 0, size: size}
	a.base.Store((*byte)(base))
	return a
}

// ID returns the id of the segment, also after Detach.
func (a *Attachment) ID() ID { return a.id }

// Len returns the size of the segment in bytes: exactly what its creator
// asked for. The mapping goes on to the end of the last page. Those bytes are
// shared too, but are no part of the segment: no method reaches them.
func (a *Attachment) Len() int { return a.size }

// ReadOnly tells whether it was attached with [SHM_RDONLY].
func (a *Attachment) ReadOnly() bool { return a.readOnly }

// Bytes returns the memory itself, Len bytes of it, or nil after Detach.
// Every process that is attached sees a store as soon as the CPU makes it
// visible; there is no copy and no flush.
//
// The slice is valid until Detach. After that any use of it, or of a slice or
// pointer made from it, is a fault at best: if something else has been mapped
// there since, it reads and writes that. [Attachment.Hold] keeps others from
// detaching meanwhile. A store to a read-only attachment is a fault. A fault
// ends the process, unless the goroutine has called debug.SetPanicOnFault:
// then it is a panic that can be recovered.
//
// Plain loads and stores on both sides at once are a data race as anywhere,
// which the race detector cannot see here: use sync/atomic on a [View], or a
// lock.
func (a *Attachment) Bytes() []byte {
	base := a.base.Load()
	if base == nil {
		return nil
	}
	return unsafe.Slice(base, a.size)
}

// Pointer returns the address of the first byte, or nil after Detach. What is
// said of [Attachment.Bytes] holds for it.
func (a *Attachment) Pointer() unsafe.Pointer { return unsafe.Pointer(a.base.Load()) }

// Stat reads the status of this very segment (IPC_STAT): while attached, its
// id cannot become another segment's. [Attachment.Check] compares it with what
// the caller trusts.
//
// Errors: [ErrDetached]; EACCES (fs.ErrPermission) if the permission to read
// was taken away since the attach.
func (a *Attachment) Stat() (ShmidDS, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.base.Load() == nil {
		return ShmidDS{}, ErrDetached
	}
	return a.id.Stat()
}

// ReadAt copies from the segment, starting off bytes into it (io.ReaderAt).
// It returns io.EOF if the segment ends before p is full. A Detach waits
// until it is done. Other processes may be writing meanwhile: nothing is
// locked.
//
// Errors: io.EOF; [ErrBounds] for a negative off; [ErrDetached].
func (a *Attachment) ReadAt(p []byte, off int64) (int, error) {
	a.mu.RLock()
	defer a.mu.RUnlock() // also when the copy faults, and that is recovered
	tail, err := a.from(off)
	if err != nil {
		return 0, err
	}
	n := copy(p, tail)
	if n < len(p) || len(tail) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt copies p into the segment, starting off bytes into it
// (io.WriterAt). A segment does not grow: past its end WriteAt returns how
// much it copied, and io.ErrShortWrite. A Detach waits until it is done. Other
// processes may be reading meanwhile: nothing is locked.
//
// Errors: io.ErrShortWrite; [ErrReadOnly]; [ErrBounds] for a negative off;
// [ErrDetached].
func (a *Attachment) WriteAt(p []byte, off int64) (int, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	tail, err := a.from(off)
	if err != nil {
		return 0, err
	}
	if a.readOnly {
		return 0, ErrReadOnly
	}
	n := copy(tail, p)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// from returns the memory from off to the end: nothing, past it.
func (a *Attachment) from(off int64) ([]byte, error) {
	mem := a.Bytes()
	switch {
	case mem == nil:
		return nil, ErrDetached
	case off < 0:
		return nil, fmt.Errorf("%w: offset %d", ErrBounds, off)
	}
	return mem[min(off, int64(len(mem))):], nil
}

// neverHeld is the count of holds after Detach: no number of goroutines can
// raise it to 0.
const neverHeld = math.MinInt64 / 2

// Hold keeps the attachment from being detached: until as many calls of
// Release, Detach answers [ErrBusy]. Whoever hands out pointers into the
// segment, or keeps a lock in it, holds it meanwhile.
//
// Errors: [ErrDetached].
func (a *Attachment) Hold() error {
	if a.holds.Add(1) < 0 || a.base.Load() == nil { // nil alone: never attached
		a.holds.Add(-1)
		return ErrDetached
	}
	return nil
}

// Release undoes one [Attachment.Hold]. It panics if there was none.
func (a *Attachment) Release() {
	if a.holds.Add(-1) < 0 {
		a.holds.Add(1)
		panic("shm: Release of an Attachment without Hold")
	}
}

// Detach gives the memory up (shmdt(2)), after waiting for any ReadAt and
// WriteAt that runs. Every slice and pointer into it is invalid from here on.
// The segment itself stays, unless it is removed and this was the last
// attachment.
//
// Errors: [ErrDetached] if it was detached before; [ErrBusy], and nothing
// done, while it is held; EINVAL if the range was unmapped or replaced behind
// this package's back, and ENOMEM inside a [Reservation], if the process has
// too many mappings: then the Attachment is as good as detached.
func (a *Attachment) Detach() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	base := unsafe.Pointer(a.base.Load())
	switch {
	case base == nil:
		return ErrDetached
	case !a.holds.CompareAndSwap(0, neverHeld):
		return ErrBusy
	}
	a.base.Store(nil)
	if a.inside != nil {
		return a.inside.vacate(uintptr(base))
	}
	if err := shmdt(base); err != 0 {
		return dtError(uintptr(base), err)
	}
	return nil
}
