//go:build linux && cgo && (386 || amd64 || arm || arm64 || loong64 || mips || mipsle || mips64 || mips64le || riscv64 || s390x)

package shm

// IpcPerm is C's struct ipc_perm, byte for byte: whose a segment is.
type IpcPerm struct {
	Key  Key    // 0 once the segment is removed
	UID  uint32 // owner
	GID  uint32
	CUID uint32 // creator
	CGID uint32
	Mode Mode
	Seq  uint16 // sequence number of the slot, part of the id
	_    uint16
	_    [2]uint
}
