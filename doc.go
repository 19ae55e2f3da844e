// Package shm lets Go and C processes share System V shared memory, byte for
// byte. It calls the libc's shmget, shmat, shmdt, shmctl and ftok, and its
// structs are the libc's: a build whose libc disagrees does not compile.
//
//	key, err := shm.Ftok("/etc/my.conf", 'S')                        // ftok
//	id, err := shm.Get(key, 4096, shm.IPC_CREAT|shm.IPC_EXCL|0o600)  // shmget
//	a, err := id.Attach(0)                                           // shmat
//	copy(a.Bytes(), "Hello from Go!")                                // it is memory
//	err = a.Detach()                                                 // shmdt
//	err = id.Remove()                                                // shmctl(IPC_RMID)
//
// # Three things with three lifetimes
//
// A [Key] is a number that processes agree on, by [Ftok] or by convention. An
// [ID] is the kernel's number of a segment, from [Get]. An [Attachment] is a
// range of this process's addresses that shows a segment, from [ID.Attach].
//
// A segment lives until it is removed, by [ID.Remove] or ipcrm(1), not until
// its creator ends; when all its users have crashed it still takes up memory.
// Removal marks it: the kernel destroys it at the last detach. So a
// program that needs its segment for itself and its children can remove it as
// soon as all are attached, and nothing is left behind however they end. But
// its key is free then: the next [IPC_CREAT] makes a second segment beside it.
//
// An attachment lives until [Attachment.Detach] or the end of the process. The
// garbage collector never ends one, for it cannot see what still points into
// it. Children started by os/exec have none: tell them the key or the id.
//
// Nothing in this package creates, rounds, removes or detaches what the caller
// did not say.
//
// # Memory
//
// The segment is the same physical pages in every process that is attached;
// what one stores the others load, with no copy and no system call. For a Go
// program that means:
//
//   - [Attachment.Bytes] and [View] are as fast as other memory, and as
//     dangerous: they end with Detach, and a use after that faults or, worse,
//     reaches what was mapped there since. [Attachment.Hold] keeps them.
//   - A pointer means nothing to the other side: each has its own addresses.
//     Store offsets. View refuses types that hold Go pointers.
//   - Pages come when they are touched. A new segment costs no memory and is
//     full of zeros. With [SHM_NORESERVE] a first touch can find no memory
//     left, and then the process is killed: of huge pages by SIGBUS.
//   - When a C peer forks, its child has the segment too, while the rest of
//     its memory is copied as it is written.
//   - The collector neither scans nor moves a segment, and its size does not
//     count for GOGC or GOMEMLIMIT.
//
// # Order
//
// Plain loads and stores by two processes at once are a data race, as between
// goroutines. sync/atomic and C11's atomics (with the default, sequentially
// consistent order) agree: what a process wrote before an atomic store is seen
// by a process that has loaded what was stored. View a struct with fields of
// types like atomic.Uint32 where C has _Atomic uint32_t. (On mips and mipsle not
// of 64 bits: C and Go take locks for those, each its own.) Types of package
// sync do not work between processes, and View refuses them: the locks that do
// are in packages [github.com/gosysv/shm/sem] and
// [github.com/gosysv/shm/pshared].
//
// # The race detector
//
// It knows only Go's own memory. Races on bytes of a segment are never
// reported. And it does not see an atomic in a segment order anything: Go
// data handed from one goroutine to another through such an atomic alone is
// reported falsely (golang.org/issue/16206).
//
// In a program built with -race, atomic stores to a segment are release stores
// only: a later load may come before them. What relies on more (each of two
// sides stores and then looks at the other's variable) needs Swap instead of
// Store there.
//
// # Trust
//
// Whoever knows a key can make its segment before you, open to all, and read
// and write it for as long as he likes. So say with what permissions you make
// one (0o600, or 0o660 for a group; never 0o666), and [Attachment.Check] one
// that you found before you touch a byte of it. A segment of [IPC_PRIVATE],
// whose id you tell to those concerned, cannot be made by others.
//
// # Errors
//
// A failed call is an [*Error], which unwraps to the errno: errors.Is answers
// for syscall.EACCES, fs.ErrExist, fs.ErrNotExist, fs.ErrPermission and
// [ErrRemoved]. Its text has the whole call, and a hint at the cause where one
// could be found.
//
// # Concurrency
//
// All functions and methods may be called from many goroutines at once.
package shm
