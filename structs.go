//go:build linux && cgo

package shm

import "time"

// The mirrors of the libc's structs. Those whose members lie differently from
// port to port, ShmidDS and IpcPerm, are in structs_*.go, a file a family of
// ports; shm.go compares them all with the libc at compile time.

// LimitsInfo is C's struct shminfo: the limits of this IPC namespace, from
// [Limits]. They are sysctls of the same names under kernel. Pages are those of
// os.Getpagesize. A 64-bit kernel shows 32-bit programs a Shmmax of at most
// 2 GiB - 1, and the low 32 bits of Shmall.
type LimitsInfo struct {
	Shmmax uint // largest size of a segment, in bytes
	Shmmin uint // smallest size of a segment, in bytes: 1
	Shmmni uint // most segments
	Shmseg uint // most segments a process: as Shmmni, and not enforced
	Shmall uint // most memory in all segments, in pages
	_      [4]uint
}

// UsageInfo is C's struct shm_info: what is in use in this IPC namespace, from
// [Usage]. Pages are those of os.Getpagesize, but of huge pages Linux counts
// too many into ShmRss: each of 2 MiB for 262,144.
type UsageInfo struct {
	UsedIDs       int32 // segments
	ShmTot        uint  // their memory in pages, touched or not
	ShmRss        uint  // pages of it in memory
	ShmSwp        uint  // pages of it in swap
	SwapAttempts  uint  // 0 since Linux 2.4
	SwapSuccesses uint  // 0 since Linux 2.4
}

// AttachTime is the time of the last attach, or zero if there was none.
//
// The kernel counts these times in whole seconds by a clock that may be
// behind [time.Now] by some milliseconds: a time read can be one second
// before a time.Now that was read first.
func (ds *ShmidDS) AttachTime() time.Time { return unixTime(ds.Atime) }

// DetachTime is the time of the last detach, or zero if there was none.
func (ds *ShmidDS) DetachTime() time.Time { return unixTime(ds.Dtime) }

// ChangeTime is the time of the creation or of the last [ID.Set].
func (ds *ShmidDS) ChangeTime() time.Time { return unixTime(ds.Ctime) }

func unixTime(sec int) time.Time {
	if sec == 0 {
		return time.Time{}
	}
	return time.Unix(int64(sec), 0)
}

// Removed tells whether the segment is marked to be destroyed at the last
// detach ([ID.Remove], SHM_DEST).
func (ds *ShmidDS) Removed() bool { return ds.Perm.Mode&SHM_DEST != 0 }

// PagesLocked tells whether the segment's pages are kept out of swap
// ([ID.LockPages], SHM_LOCKED). Huge pages are never marked so.
func (ds *ShmidDS) PagesLocked() bool { return ds.Perm.Mode&SHM_LOCKED != 0 }
