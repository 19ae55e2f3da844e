//go:build linux && cgo && (386 || amd64 || arm)

package sem

import "github.com/gosysv/shm"

// SemidDS is C's struct semid_ds, byte for byte: the status of a set. On
// 32-bit ports the times end in 2038.
type SemidDS struct {
	Perm  shm.IpcPerm // owner and permissions
	Otime int         // last semop, in seconds since 1970; 0: none yet
	_     uint
	Ctime int // creation, or last change by semctl
	_     uint
	Nsems uint // semaphores in the set
	_     [2]uint
}
