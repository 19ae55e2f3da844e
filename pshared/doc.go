// Package pshared binds the POSIX objects that processes share by keeping them
// in their shared memory: pthread_mutex_t, sem_t, and for old layouts
// pthread_cond_t and pthread_rwlock_t. The C side has one inside a struct of
// its own; the Go side opens it at its offset.
//
//	type record struct {                      // struct record {
//		Lock  pshared.MutexT                  //	pthread_mutex_t lock;
//		Count int64                           //	long count;
//	}                                         // };
//
//	r, err := shm.View[record](a, 0)
//	mu, err := pshared.OpenMutex(a, int(unsafe.Offsetof(r.Lock)))
//	switch err := mu.Lock(); {
//	case errors.Is(err, pshared.ErrOwnerDied): // we have it, but the data may be torn
//		r.Count = recount()
//		err = mu.Consistent()
//	case err != nil:
//		return err                             // we do not have it
//	}
//	r.Count++
//	err = mu.Unlock()
//
// New code that is free to choose should look at the Mutex of package
// [github.com/gosysv/shm/sem] first. It is a lock of goroutines. A
// pthread_mutex_t is one of threads, but much faster when nobody else wants it,
// and it can tell that its owner died.
//
// # Threads
//
// POSIX locks belong to threads. A goroutine that has locked a [Mutex] or an
// [RWLock] is bound to its thread until it unlocks it (as by
// runtime.LockOSThread), and must unlock it itself. Switching to such a
// goroutine and away from it costs some microseconds instead of some hundred
// nanoseconds: hold these locks for short, and do not wait for other goroutines
// meanwhile.
//
// A goroutine that ends without unlocking ends its thread, and a robust mutex
// passes on with [ErrOwnerDied], as after the death of a process. But the main
// thread of a Go program never ends: what it has locked stays locked until the
// process ends. And in both cases the attachment stays held.
//
// Waiting keeps a thread: as many threads as goroutines that wait. A wait with
// a context that can be cancelled wakes up about 17 times a second to look at
// it. A wait without one does not wake up, but for [Mutex.Lock] of a robust
// mutex: four times a second, for the libc can lose a wake-up when a process is
// killed.
//
// Threads are told apart by their numbers (gettid(2)). Processes that share such
// an object must share a pid namespace too: across containers with pid
// namespaces of their own, two threads may have the same number, and one is
// taken for the owner of what the other has locked. Package sem does not mind.
//
// # The attachment
//
// A lock that is held, and any call that runs, holds the attachment
// ([shm.Attachment.Hold]): Detach answers [shm.ErrBusy] meanwhile. (Memory that
// is detached with a robust mutex locked in it would crash the thread at its
// next lock.) After Detach every method says [shm.ErrDetached].
//
// The objects must have been initialised as process-shared. Open answers
// [ErrNotShared] to others, and to memory that is all zeros, which is how a new
// segment looks before somebody has initialised it. (With musl, that is a sem_t of
// value 0.) Beyond that it cannot tell an object from any other bytes.
//
// # Errors
//
// A failed call is a [*shm.Error], which unwraps to the errno.
package pshared
