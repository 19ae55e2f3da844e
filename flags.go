//go:build linux && cgo

package shm

import (
	"fmt"
	"io/fs"
	"strings"
)

// Key names a segment among the processes of an IPC namespace (key_t).
type Key int32

// String gives the key as ipcs(1) prints it: 0x0000162e.
func (k Key) String() string { return fmt.Sprintf("0x%08x", uint32(k)) }

// ID is the kernel's number of a segment (shmid). 0 is a valid id, and the
// first one of a fresh IPC namespace.
type ID int32

// GetFlag holds the flags of [Get], or-ed with the permissions.
//
// The three families of flags share numbers in C (IPC_CREAT is SHM_DEST,
// SHM_RDONLY is SHM_NORESERVE), so each is a type of its own.
type GetFlag uint32

// String gives the C names and the permissions in octal: IPC_CREAT|0600.
func (f GetFlag) String() string {
	s := flagNames{rest: uint32(f)}
	s.take("IPC_CREAT", uint32(IPC_CREAT))
	s.take("IPC_EXCL", uint32(IPC_EXCL))
	s.take("SHM_HUGETLB", uint32(SHM_HUGETLB))
	s.take("SHM_NORESERVE", uint32(SHM_NORESERVE))
	if size := f >> SHM_HUGE_SHIFT & SHM_HUGE_MASK; size != 0 {
		s.take(hugeName(uint(size)), uint32(SHM_HUGE_MASK<<SHM_HUGE_SHIFT))
	}
	return s.String()
}

// hugeName names the code of a huge page size, its logarithm to the base 2.
func hugeName(log uint) string {
	const units = "KMGTPE"
	if unit := int(log)/10 - 1; unit >= 0 && unit < len(units) {
		return fmt.Sprintf("SHM_HUGE_%d%cB", 1<<(log%10), units[unit])
	}
	return fmt.Sprintf("%d<<SHM_HUGE_SHIFT", log)
}

// AttachFlag holds the flags of [ID.Attach].
type AttachFlag uint32

// String gives the C names: SHM_RDONLY|SHM_EXEC.
func (f AttachFlag) String() string {
	s := flagNames{rest: uint32(f)}
	s.take("SHM_RDONLY", uint32(SHM_RDONLY))
	s.take("SHM_RND", uint32(SHM_RND))
	s.take("SHM_REMAP", uint32(SHM_REMAP))
	s.take("SHM_EXEC", uint32(SHM_EXEC))
	return s.String()
}

// Mode is the mode of a segment: permissions, [SHM_DEST], [SHM_LOCKED]
// (ipc_perm.mode).
type Mode uint32

// Perm returns the permissions.
func (m Mode) Perm() fs.FileMode { return fs.FileMode(m) & fs.ModePerm }

// String gives the C names and the permissions in octal: SHM_DEST|0600.
func (m Mode) String() string {
	s := flagNames{rest: uint32(m)}
	s.take("SHM_DEST", uint32(SHM_DEST))
	s.take("SHM_LOCKED", uint32(SHM_LOCKED))
	return s.String()
}

// flagNames collects the names of the bits of a word.
type flagNames struct {
	names []string
	rest  uint32
}

// take adds the name if any of the bits is set, and takes them off the rest.
func (s *flagNames) take(name string, bits uint32) {
	if s.rest&bits != 0 {
		s.names = append(s.names, name)
		s.rest &^= bits
	}
}

func (s *flagNames) String() string {
	if s.rest != 0 || len(s.names) == 0 {
		s.names = append(s.names, fmt.Sprintf("%#o", s.rest))
	}
	return strings.Join(s.names, "|")
}
