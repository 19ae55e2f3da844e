//go:build linux && cgo

package sem

import "time"

// The mirrors of the libc's structs. SemidDS, whose members lie differently
// from port to port, is in structs_*.go, a file a family of ports; sem.go
// compares them all with the libc at compile time.

// Op is C's struct sembuf: an operation on one semaphore of a set.
//
// A positive Op is added to the value. A negative one waits until the value
// is at least as large, and is taken from it. 0 waits until the value is 0.
type Op struct {
	Num   uint16 // the semaphore, from 0
	Op    int16
	Flags OpFlag
}

// LimitsInfo is C's struct seminfo: the limits on semaphores of this IPC
// namespace, from [Limits]. Semmsl, Semmns, Semopm and Semmni are the sysctl
// kernel.sem, in that order; the kernel enforces them and Semvmx only.
type LimitsInfo struct {
	Semmap int32
	Semmni int32 // most sets
	Semmns int32 // most semaphores in all sets
	Semmnu int32
	Semmsl int32 // most semaphores in a set
	Semopm int32 // most operations in a call
	Semume int32
	Semusz int32
	Semvmx int32 // largest value: 32767
	Semaem int32
}

// UsageInfo is C's struct seminfo as SEM_INFO fills it: what semaphores are in
// use in this IPC namespace, from [Usage].
type UsageInfo struct {
	_        [7]int32
	UsedIDs  int32 // sets: C's semusz
	_        int32
	UsedSems int32 // semaphores in all sets: C's semaem
}

// OpTime is the time of the last semop that succeeded, or zero if there was
// none.
//
// The kernel counts these times in whole seconds by a clock that may be
// behind [time.Now] by some milliseconds: a time read can be one second
// before a time.Now that was read first.
func (ds *SemidDS) OpTime() time.Time { return unixTime(ds.Otime) }

// ChangeTime is the time of the creation, or of the last [ID.Set],
// [ID.SetValue] or [ID.SetValues].
func (ds *SemidDS) ChangeTime() time.Time { return unixTime(ds.Ctime) }

func unixTime(sec int) time.Time {
	if sec == 0 {
		return time.Time{}
	}
	return time.Unix(int64(sec), 0)
}
