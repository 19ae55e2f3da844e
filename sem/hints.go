//go:build linux && cgo

package sem

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/gosysv/shm"
)

// The errors of each call, with a hint at the cause, as in package shm: looked
// up after the call has failed, by calls that change nothing, for people and
// never for programs. ENOENT, EEXIST and EAGAIN get none: programs run into
// them on purpose.

func getError(key shm.Key, n int, flags shm.GetFlag, errno syscall.Errno, hint string) error {
	if hint == "" {
		hint = getHint(key, n, errno)
	}
	return &shm.Error{Op: "semget", Args: fmt.Sprintf("key=%v, nsems=%d, %v", key, n, flags), Errno: errno, Hint: hint}
}

func getHint(key shm.Key, n int, errno syscall.Errno) string {
	switch errno {
	case syscall.EINVAL:
		if key != shm.IPC_PRIVATE {
			if id, err := semget(key, 0, 0); err == 0 {
				return countHint(id)
			}
		}
		if n == 0 {
			return "a new set has at least 1 semaphore"
		}
		if limits, err := Limits(); err == nil {
			return fmt.Sprintf("semmsl is %d semaphores", limits.Semmsl)
		}
	case syscall.EACCES:
		if id, err := semget(key, 0, 0); err == 0 {
			return ownerHint(id)
		}
	case syscall.ENOSPC:
		return spaceHint()
	}
	return ""
}

func spaceHint() string {
	limits, err := Limits()
	if err != nil {
		return ""
	}
	usage, err := Usage()
	if err != nil {
		return ""
	}
	if usage.UsedIDs >= limits.Semmni {
		return fmt.Sprintf("there are %d sets, and semmni is %d", usage.UsedIDs, limits.Semmni)
	}
	return fmt.Sprintf("there are %d semaphores, and semmns is %d", usage.UsedSems, limits.Semmns)
}

func opError(id ID, ops []Op, call string, errno syscall.Errno) error {
	e := &shm.Error{Op: call, Args: fmt.Sprintf("id=%d%s", id, opsString(ops)), Errno: errno}
	if errno == syscall.EINVAL && len(ops) == 0 {
		e.Hint = "there is no operation"
	} else if !explainDeadID(e, id) {
		e.Hint = opHint(id, errno)
	}
	return e
}

// opsString shows the first operations of a call.
func opsString(ops []Op) string {
	const most = 4
	var s strings.Builder
	for i, op := range ops {
		if i == most {
			fmt.Fprintf(&s, ", … %d in all", len(ops))
			break
		}
		s.WriteString(", " + op.String())
	}
	return s.String()
}

func opHint(id ID, errno syscall.Errno) string {
	switch errno {
	case syscall.EFBIG:
		return countHint(id)
	case syscall.EACCES:
		return ownerHint(id)
	case syscall.ERANGE:
		return "a value, and what a process has to undo, is at most 32767"
	case syscall.E2BIG:
		if limits, err := Limits(); err == nil {
			return fmt.Sprintf("semopm is %d", limits.Semopm)
		}
	}
	return ""
}

// numError is an operation of a Mutex that was not made, for no set can have
// the semaphore; notLockedError is an Unlock of one that nobody has locked.

func numError(id ID, num int) error {
	return &shm.Error{
		Op: "semop", Args: fmt.Sprintf("id=%d, semnum=%d", id, num), Errno: syscall.EFBIG,
		Hint: "no set has a semaphore of that number",
	}
}

func notLockedError(id ID, num uint16) error {
	return &shm.Error{
		Op: "semop", Args: fmt.Sprintf("id=%d, {%d +1 SEM_UNDO}", id, num), Errno: syscall.EPERM,
		Hint: "this Mutex is not locked",
	}
}

func ctlError(id ID, cmd string, errno syscall.Errno) error {
	e := &shm.Error{Op: "semctl", Args: fmt.Sprintf("id=%d, %s", id, cmd), Errno: errno}
	if !explainDeadID(e, id) {
		e.Hint = ctlHint(id, cmd, errno)
	}
	return e
}

func ctlHint(id ID, cmd string, errno syscall.Errno) string {
	switch errno {
	case syscall.EACCES, syscall.EPERM:
		return ownerHint(id)
	case syscall.ERANGE:
		return "a value is at most 32767"
	case syscall.EINVAL:
		if cmd == "IPC_SET" {
			return "the user namespace has no such uid or gid"
		}
	case syscall.EFAULT:
		return "the *SemidDS is nil"
	}
	return ""
}

// valueError is the error of a command on one semaphore.
func valueError(id ID, num int, cmd string, errno syscall.Errno) error {
	e := &shm.Error{Op: "semctl", Args: fmt.Sprintf("id=%d, semnum=%d, %s", id, num, cmd), Errno: errno}
	switch {
	case explainDeadID(e, id):
	case errno == syscall.EINVAL:
		e.Hint = countHint(id)
	default:
		e.Hint = ctlHint(id, cmd, errno)
	}
	return e
}

// countError is a SETALL that was not made.
func countError(id ID, given, want int) error {
	return &shm.Error{
		Op: "semctl", Args: fmt.Sprintf("id=%d, SETALL", id), Errno: syscall.EINVAL,
		Hint: fmt.Sprintf("%d values for %d semaphores", given, want),
	}
}

func indexError(index int, cmd string, errno syscall.Errno) error {
	e := &shm.Error{Op: "semctl", Args: fmt.Sprintf("index=%d, %s", index, cmd), Errno: errno}
	if errno == syscall.EINVAL || errno == syscall.EIDRM {
		e.Hint, e.Means = "the slot has no set", fs.ErrNotExist
	}
	return e
}

func infoError(cmd string, errno syscall.Errno) error {
	return &shm.Error{Op: "semctl", Args: cmd, Errno: errno}
}

// explainDeadID completes the error if its cause is that the id has no set,
// and tells whether it is. The kernel answers EINVAL to an id that it does not
// know, and EIDRM to who was waiting; but EINVAL to other mistakes too.
func explainDeadID(e *shm.Error, id ID) bool {
	switch {
	case e.Errno != syscall.EINVAL && e.Errno != syscall.EIDRM:
		return false
	case id < 0:
		e.Hint = "no id is negative"
		return true
	case e.Errno == syscall.EINVAL:
		if _, err := stat(id); err != syscall.EINVAL && err != syscall.EIDRM {
			return false
		}
	}
	e.Hint, e.Means = "no such set: it is removed, or never was", shm.ErrRemoved
	return true
}

func countHint(id ID) string {
	ds, err := stat(id)
	if err != 0 {
		return ""
	}
	return fmt.Sprintf("the set has %d semaphores", ds.Nsems)
}

func ownerHint(id ID) string {
	ds, err := stat(id)
	if err != 0 {
		return ""
	}
	p := &ds.Perm
	hint := fmt.Sprintf("the set is of uid %d, gid %d, mode %v", p.UID, p.GID, p.Mode)
	if p.CUID != p.UID || p.CGID != p.GID {
		hint += fmt.Sprintf(", created by uid %d, gid %d", p.CUID, p.CGID)
	}
	return hint
}
