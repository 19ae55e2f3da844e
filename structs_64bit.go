//go:build linux && cgo && (amd64 || arm64 || loong64 || mips64 || mips64le || riscv64 || s390x)

package shm

// ShmidDS is C's struct shmid_ds, byte for byte: the status of a segment.
type ShmidDS struct {
	Perm   IpcPerm // owner and permissions
	Segsz  uint    // size in bytes, as given to Get by the creator
	Atime  int     // last attach, in seconds since 1970; 0: none
	Dtime  int     // last detach, likewise
	Ctime  int     // creation or last Set, likewise
	Cpid   int32   // process that created it
	Lpid   int32   // process that attached or detached last
	Nattch uint    // attachments now: mappings, not processes
	_      [2]uint
}
