//go:build linux && cgo && ppc64le

package shm

// ShmidDS is C's struct shmid_ds, byte for byte: the status of a segment.
type ShmidDS struct {
	Perm   IpcPerm // owner and permissions
	Atime  int     // last attach, in seconds since 1970; 0: none
	Dtime  int     // last detach, likewise
	Ctime  int     // creation or last Set, likewise
	Segsz  uint    // size in bytes, as given to Get by the creator
	Cpid   int32   // process that created it
	Lpid   int32   // process that attached or detached last
	Nattch uint    // attachments now: mappings, not processes
	_      [2]uint
}

// IpcPerm is C's struct ipc_perm, byte for byte: whose a segment is.
type IpcPerm struct {
	Key  Key    // 0 once the segment is removed
	UID  uint32 // owner
	GID  uint32
	CUID uint32 // creator
	CGID uint32
	Mode Mode
	Seq  uint32 // sequence number of the slot, part of the id
	_    uint32
	_    [2]uint
}
