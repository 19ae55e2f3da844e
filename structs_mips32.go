//go:build linux && cgo && (mips || mipsle)

package shm

// ShmidDS is C's struct shmid_ds, byte for byte: the status of a segment. The
// times of this port end in 2038.
type ShmidDS struct {
	Perm   IpcPerm // owner and permissions
	Segsz  uint    // size in bytes, as given to Get by the creator
	Atime  int     // last attach, in seconds since 1970; 0: none
	Dtime  int     // last detach, likewise
	Ctime  int     // creation or last Set, likewise
	Cpid   int32   // process that created it
	Lpid   int32   // process that attached or detached last
	Nattch uint    // attachments now: mappings, not processes
	_      [4]uint16
}
