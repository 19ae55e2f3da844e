// Package sem binds System V semaphore sets, and makes of them a lock that
// goroutines and C processes share and that the kernel gives back when a
// process dies.
//
//	id, created, err := sem.GetOrCreate(key, 0o600, 1)  // one semaphore, of value 1
//	mu := sem.NewMutex(id, 0)
//	err = mu.Lock()                                     // semop(-1, SEM_UNDO)
//	…                                                   // the data that it guards
//	err = mu.Unlock()                                   // semop(+1, SEM_UNDO)
//
// A set is an array of semaphores, each a value from 0 to 32767. It has a key,
// an id and a life like those of a segment (see package
// [github.com/gosysv/shm]): it stays until somebody removes it. [ID.Op] takes
// any number of operations on a set, and does all of them or none.
//
// # Initialisation
//
// Making a set and giving it values are two calls, and a process that opens
// the set in between finds it without. The old cure is sem_otime, the time of
// the last semop: it is 0 until the creator has made one, last of all.
// [GetOrCreate] keeps that rule on both sides, so that C programs which keep it
// too may be creator or opener. A C program that initialises by semctl alone
// leaves sem_otime at 0: its openers have no way to know, and GetOrCreate gives
// up with [ErrUninitialized].
//
// # Undo
//
// With [SEM_UNDO] the kernel takes an operation back when the process ends,
// however it does. The process, not the thread: acquire and release may happen
// on different threads and in different goroutines. What the process was doing
// to the data is not taken back; whoever gets the lock next is not told, and
// must be able to see that the data is torn, by a checksum or a flag. (A robust
// mutex tells: package [github.com/gosysv/shm/pshared].)
//
// [ID.SetValue] and [ID.SetValues] forget what every process has to undo.
//
// # Waiting
//
// An operation that waits is a call of the libc that blocks, and keeps one
// thread of the process busy with waiting: 1,000 goroutines that wait in
// [ID.Op] are 1,000 threads. Goroutines that wait for a [Mutex] of their own
// process have no thread, but for one of them. A call with a context that can
// be cancelled wakes up about 17 times a second to look at it; a call without
// one does not wake up at all.
//
// Signals do not end a wait: the call is made again.
//
// # Errors
//
// A failed call is a [*shm.Error], which unwraps to the errno: errors.Is
// answers for syscall.EAGAIN, fs.ErrExist, fs.ErrNotExist, fs.ErrPermission and
// [shm.ErrRemoved]. Its text has the whole call, and a hint at the cause where
// one could be found.
package sem
