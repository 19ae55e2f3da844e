//go:build linux && cgo

package shm

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Trust says what a segment must be before its bytes are believed: see
// [Attachment.Check]. The zero Trust trusts nobody.
type Trust struct {
	// UIDs are the users whose segment it may be, such as os.Geteuid(). Both
	// its owner and its creator must be among them: each of the two may
	// change the mode at any time, the creator even after giving it away.
	UIDs []int
	// GIDs are the groups that it may be open to: both its group and its
	// creator's, which count alike. They do not matter if the mode grants a
	// group no more than Perm grants all others.
	GIDs []int
	// Perm is the most that the mode may grant: 0o600, or 0o660 with GIDs.
	Perm Mode
	// Size is its size in bytes, exactly. Where any will do, it is the Len of
	// the attachment.
	Size int
}

// Check tells whether the segment is what the caller trusts. A key is a number
// that every user of the machine may be the first to use; so after [GetOrCreate]
// or [Get] has found a segment, and after the attach, Check comes before the
// first byte is read or written. Before the attach it would be too early: between
// two calls an id can be removed, and even be another segment's. It is one
// [Attachment.Stat], and looks neither at the key nor at SHM_DEST. A thread that
// changes its IPC namespace must not call it.
//
// It changes nothing: if it fails, the caller should [Attachment.Detach].
//
// What it finds stays so as long as the UIDs leave it so. But who attached
// while the mode was wider is still attached. In a user namespace every user of
// outside is 65534, nobody, who is not trusted there.
//
// Errors: [ErrUntrusted], which says whose the segment is and all that is
// wrong with it; those of Stat.
func (a *Attachment) Check(trust Trust) error {
	ds, err := a.Stat()
	if err != nil {
		return err
	}
	if wrong := trust.wrong(&ds); wrong != nil {
		return fmt.Errorf("%w: segment %d of %d bytes is of %s: %s",
			ErrUntrusted, a.id, ds.Segsz, owners(&ds), strings.Join(wrong, ", "))
	}
	return nil
}

// wrong lists what is not as it must be.
func (trust *Trust) wrong(ds *ShmidDS) (wrong []string) {
	p := &ds.Perm
	among := func(what string, id uint32, trusted []int, idMap string) {
		switch {
		case !slices.Contains(trusted, int(id)): // it wraps on 32 bits as that of os.Getuid
			wrong = append(wrong, what+" is not trusted")
		case id == overflowID && !mapsAll(idMap):
			wrong = append(wrong, what+" may be anybody outside of this user namespace")
		}
	}
	among("the owner", p.UID, trust.UIDs, "uid_map")
	among("the creator", p.CUID, trust.UIDs, "uid_map")
	if others := trust.Perm & 7; p.Mode>>3&7&^others != 0 {
		among("the group", p.GID, trust.GIDs, "gid_map")
		among("the creator's group", p.CGID, trust.GIDs, "gid_map")
	}
	if more := p.Mode & 0o777 &^ trust.Perm; more != 0 {
		wrong = append(wrong, fmt.Sprintf("the mode grants %v more than %v", more, trust.Perm))
	}
	if ds.Segsz != uint(trust.Size) {
		wrong = append(wrong, fmt.Sprintf("the size is not %d", trust.Size))
	}
	return wrong
}

// overflowID is whom the kernel shows for who has no number in a user namespace
// (/proc/sys/kernel/overflowuid). Where all have one it is nobody's.
const overflowID = 65534

// mapsAll tells whether this process's user namespace has all users, or groups.
func mapsAll(idMap string) bool {
	content, err := os.ReadFile("/proc/self/" + idMap)
	return err == nil && slices.Equal(strings.Fields(string(content)), []string{"0", "0", "4294967295"})
}
