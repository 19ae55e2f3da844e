//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
)

// victim is the user whose key somebody else makes a segment with.
const (
	victim   = nobody - 1
	somebody = nobody - 2
)

const trustSize = 4096

// mine is what the victim trusts.
var mine = shm.Trust{UIDs: []int{victim}, Perm: 0o600, Size: trustSize}

// squatted runs a test as the victim, with a squatter beside it.
func squatted(t *testing.T, run func(t *testing.T, squatter *peer)) {
	t.Helper()
	alone(func(t *testing.T) {
		needOtherUsers(t)
		squatter := startGo(t)
		squatter.setuid(somebody, somebody)
		become(t, victim, victim)
		run(t, squatter)
	})(t)
}

// found attaches what is found under testKey, as a program would.
func found(t *testing.T, flags shm.GetFlag) *shm.Attachment {
	t.Helper()
	id, created, err := shm.GetOrCreate(testKey, trustSize, flags)
	if err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	return attach(t, id, 0)
}

// wantUntrusted wants Check to find exactly that.
func wantUntrusted(t *testing.T, a *shm.Attachment, trust shm.Trust, format string, args ...any) {
	t.Helper()
	err := a.Check(trust)
	want := fmt.Sprintf("shm: not to be trusted: segment %d of "+format, append([]any{a.ID()}, args...)...)
	if !errors.Is(err, shm.ErrUntrusted) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func wantTrusted(t *testing.T, a *shm.Attachment, trust shm.Trust) {
	t.Helper()
	if err := a.Check(trust); err != nil {
		t.Error(err)
	}
}

// Somebody else was first: they have the key's segment, and what is in it.
func TestSquatter(t *testing.T) {
	for _, c := range []struct {
		name string
		mode shm.GetFlag
		size int
		want string
	}{
		{"open to all", 0o666, trustSize, "4096 bytes is of uid 65532, gid 65532, mode 0666: the owner is not trusted, " +
			"the creator is not trusted, the group is not trusted, the creator's group is not trusted, the mode grants 066 more than 0600"},
		{"to others than its group", 0o606, trustSize, "4096 bytes is of uid 65532, gid 65532, mode 0606: the owner is not trusted, " +
			"the creator is not trusted, the mode grants 06 more than 0600"},
		{"larger", 0o606, trustSize + 1, "4097 bytes is of uid 65532, gid 65532, mode 0606: the owner is not trusted, " +
			"the creator is not trusted, the mode grants 06 more than 0600, the size is not 4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			squatted(t, func(t *testing.T, squatter *peer) {
				id := squatter.get(testKey, c.size, shm.IPC_CREAT|c.mode)
				squatter.write(squatter.attach(id, 0), "poison")
				a := found(t, 0o600)
				if got := string(a.Bytes()[:6]); got != "poison" {
					t.Errorf("read %q: this is no attack", got)
				}
				wantUntrusted(t, a, mine, "%s", c.want)
				theirs := shm.Trust{UIDs: []int{1, somebody}, GIDs: []int{2, somebody}, Perm: 0o666, Size: c.size}
				wantTrusted(t, a, theirs)
			})
		})
	}
}

// A smaller segment is refused by the call, unless that asks for no size.
func TestSquatterSmaller(t *testing.T) {
	squatted(t, func(t *testing.T, squatter *peer) {
		squatter.get(testKey, 100, shm.IPC_CREAT|0o606)
		_, _, err := shm.GetOrCreate(testKey, trustSize, 0o600)
		wantErrno(t, err, syscall.EINVAL)
		a := attach(t, get(t, testKey, 0, 0), 0)
		wantUntrusted(t, a, mine, "100 bytes is of uid 65532, gid 65532, mode 0606: the owner is not trusted, "+
			"the creator is not trusted, the mode grants 06 more than 0600, the size is not 4096")
	})
}

// A squatter can keep others out, and that is all: the key is lost to them.
func TestSquatterKeepsOut(t *testing.T) {
	squatted(t, func(t *testing.T, squatter *peer) {
		id := squatter.get(testKey, trustSize, shm.IPC_CREAT|0o600)
		_, _, err := shm.GetOrCreate(testKey, trustSize, 0o600)
		wantErrno(t, err, syscall.EACCES)
		wantErrno(t, id.Remove(), syscall.EPERM)
	})
}

// Given to the victim by IPC_SET, with the best of modes: its creator can take
// it back.
func TestSquatterGivesAway(t *testing.T) {
	squatted(t, func(t *testing.T, squatter *peer) {
		id := squatter.get(testKey, trustSize, shm.IPC_CREAT|0o600)
		squatter.set(id, victim, victim, 0o600)
		a := found(t, 0o600)
		const all = "4096 bytes is of uid 65533, gid 65533, mode %s, created by uid 65532, gid 65532: the creator is not trusted"
		wantUntrusted(t, a, mine, all, "0600")
		wantTrusted(t, a, shm.Trust{UIDs: []int{victim, somebody}, Perm: 0o600, Size: trustSize})

		// The creator's group counts as much as the group that was set.
		squatter.set(id, victim, victim, 0o660)
		group := shm.Trust{UIDs: []int{victim, somebody}, GIDs: []int{victim}, Perm: 0o660, Size: trustSize}
		wantUntrusted(t, a, group, "4096 bytes is of uid 65533, gid 65533, mode 0660, created by uid 65532, gid 65532: "+
			"the creator's group is not trusted")
		group.GIDs = append(group.GIDs, somebody)
		wantTrusted(t, a, group)

		squatter.set(id, somebody, somebody, 0)
		wantErrno(t, a.Check(mine), syscall.EACCES)
	})
}

// The victim's own segment: open to others, by mistake or by its C program.
func TestModeOpenedUp(t *testing.T) {
	squatted(t, func(t *testing.T, squatter *peer) {
		id := get(t, testKey, trustSize, shm.IPC_CREAT|0o600)
		a := found(t, 0o600)
		wantTrusted(t, a, mine)
		squatter.refuses(syscall.EACCES, "at %d 0 0", id)
		ds := stat(t, id)
		ds.Perm.Mode = 0o602
		set(t, id, &ds)
		wantUntrusted(t, a, mine, "4096 bytes is of uid 65533, gid 65533, mode 0602: the mode grants 02 more than 0600")
		ds.Perm.Mode = 0o660
		set(t, id, &ds)
		group := shm.Trust{UIDs: []int{victim}, GIDs: []int{victim}, Perm: 0o660, Size: trustSize}
		wantTrusted(t, a, group)
		ds.Perm.GID = somebody // as root could
		if err := id.Set(&ds); err != nil {
			t.Fatal(err)
		}
		squatter.attach(id, 0)
		wantUntrusted(t, a, group, "4096 bytes is of uid 65533, gid 65532, mode 0660, created by uid 65533, gid 65533: "+
			"the group is not trusted")

		// Less than what is trusted is fine, and so are the bits of the status.
		ds.Perm.Mode = 0o400
		set(t, id, &ds)
		remove(t, id)
		wantTrusted(t, a, mine)
		detach(t, a)
		if err := a.Check(mine); !errors.Is(err, shm.ErrDetached) {
			t.Errorf("detached: %v", err)
		}
	})
}

// Between shmget and shmat the segment is removed, and the key used again.
func TestReplacedBeforeAttach(t *testing.T) {
	squatted(t, func(t *testing.T, squatter *peer) {
		theirs := squatter.get(testKey, trustSize, shm.IPC_CREAT|0o666)
		id := get(t, testKey, trustSize, 0o600)
		squatter.remove(theirs)
		again := squatter.get(testKey, trustSize, shm.IPC_CREAT|0o666)
		if _, err := id.Attach(0); again == id || !errors.Is(err, shm.ErrRemoved) {
			t.Errorf("attached %d, made again as %d: %v", id, again, err)
		}

		// While they are attached, the id of before stays good: of the
		// victim's two tries only the one that found its own is trusted.
		id = get(t, testKey, trustSize, 0o600)
		squatter.attach(again, 0)
		squatter.remove(again)
		own := get(t, testKey, trustSize, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
		wantUntrusted(t, attach(t, id, 0), mine, "4096 bytes is of uid 65532, gid 65532, mode SHM_DEST|0666: the owner is not trusted, "+
			"the creator is not trusted, the group is not trusted, the creator's group is not trusted, the mode grants 066 more than 0600")
		wantTrusted(t, attach(t, own, 0), mine)
	})
}

// Under the very id: what Stat said before the attach is of another segment.
func TestSameIDReplacedBeforeAttach(t *testing.T) {
	alone(func(t *testing.T) {
		needOtherUsers(t)
		squatter := startGo(t)
		squatter.setuid(somebody, somebody)
		id := get(t, testKey, trustSize, shm.IPC_CREAT|0o600)
		if before := stat(t, id); int(before.Perm.UID) != os.Geteuid() || before.Perm.Mode != 0o600 {
			t.Errorf("before: %+v", before)
		}
		remove(t, id)
		setNextID(t, int(id))
		if again := squatter.get(testKey, trustSize, shm.IPC_CREAT|0o600); again != id {
			t.Fatalf("id %d, want %d", again, id)
		}
		a := attach(t, id, 0)
		wantUntrusted(t, a, shm.Trust{UIDs: []int{os.Geteuid()}, Perm: 0o600, Size: trustSize},
			"4096 bytes is of uid 65532, gid 65532, mode 0600: the owner is not trusted, the creator is not trusted")
		wantUntrusted(t, a, shm.Trust{}, "4096 bytes is of uid 65532, gid 65532, mode 0600: the owner is not trusted, "+
			"the creator is not trusted, the mode grants 0600 more than 0, the size is not 0")
	})(t)
}

// What Check says of groups is what the kernel does: the group that Set gave and
// the creator's count alike.
func TestBothGroupsCount(t *testing.T) {
	alone(func(t *testing.T) {
		needOtherUsers(t)
		id := get(t, testKey, trustSize, shm.IPC_CREAT|0o600)
		ds := stat(t, id)
		ds.Perm.GID, ds.Perm.Mode = ds.Perm.CGID+1, 0o060
		set(t, id, &ds)
		for _, gid := range []uint32{ds.Perm.CGID, ds.Perm.GID} {
			member := startGo(t)
			member.setuid(somebody, int(gid))
			member.attach(id, 0)
		}
		stranger := startGo(t)
		stranger.setuid(somebody, int(ds.Perm.GID)+1)
		stranger.refuses(syscall.EACCES, "at %d 0 0", id)
	})(t)
}

// A group needs no trust for what all others may do as well.
func TestGroupLikeOthers(t *testing.T) {
	a := attach(t, get(t, shm.IPC_PRIVATE, trustSize, 0o654), 0)
	trust := shm.Trust{UIDs: []int{os.Geteuid()}, Perm: 0o655, Size: trustSize}
	wantTrusted(t, a, trust)
	trust.Perm = 0o654
	if err := a.Check(trust); !errors.Is(err, shm.ErrUntrusted) || !strings.HasSuffix(err.Error(), ": the group is not trusted, the creator's group is not trusted") {
		t.Error(err)
	}
	trust.GIDs = []int{os.Getegid()}
	wantTrusted(t, a, trust)
}

// In a user namespace everybody outside of it is nobody: who is not trusted then.
func TestNobodyIsEverybody(t *testing.T) {
	alone(func(t *testing.T) {
		needOtherUsers(t)
		needNamespaces(t, syscall.CLONE_NEWUSER)
		id := get(t, testKey, trustSize, shm.IPC_CREAT|0o666)
		for inside, want := range map[*peer]string{
			startAsUserNSRoot(t, "Go"): "shm: not to be trusted: segment 0 of 4096 bytes is of uid 65534, gid 65534, mode 0666: " +
				"the owner may be anybody outside of this user namespace, the creator may be anybody outside of this user namespace",
			startGo(t): "shm: not to be trusted: segment 0 of 4096 bytes is of uid 0, gid 0, mode 0666: " +
				"the owner is not trusted, the creator is not trusted",
		} {
			answer, err := inside.Do("check %d %d 0666 %d", id, nobody, trustSize)
			if got := strings.Join(answer, " "); err != nil || got != want {
				t.Errorf("got  %s, %v\nwant %s", got, err, want)
			}
		}
		theirs := startGo(t)
		theirs.setuid(nobody, nobody)
		a := attach(t, shm.ID(theirs.number("get 0 %d 0600", trustSize)), 0)
		err := a.Check(shm.Trust{UIDs: []int{nobody}, Perm: 0o600, Size: trustSize})
		if trusted := err == nil; trusted != inInitialUserNS(t) {
			t.Errorf("nobody, in a user namespace of %s: %v", uidMap(t), err)
		}
	})(t)
}
