//go:build linux && cgo && (386 || arm)

package shm

// ShmidDS is C's struct shmid_ds, byte for byte: the status of a segment. The
// times of this port end in 2038.
type ShmidDS struct {
	Perm   IpcPerm // owner and permissions
	Segsz  uint    // size in bytes, as given to Get by the creator
	Atime  int     // last attach, in seconds since 1970; 0: none
	_      uint
	Dtime  int // last detach, likewise
	_      uint
	Ctime  int // creation or last Set, likewise
	_      uint
	Cpid   int32 // process that created it
	Lpid   int32 // process that attached or detached last
	Nattch uint  // attachments now: mappings, not processes
	_      [2]uint
}
