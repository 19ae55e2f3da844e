//go:build linux && cgo

package shm_test

import (
	"syscall"
	"testing"

	"github.com/gosysv/shm"
)

var shmgetRows = []row{
	{1, "the first segment of a namespace: id 0", alone(func(t *testing.T) {
		if id := get(t, shm.IPC_PRIVATE, 1, 0o600); id != 0 {
			t.Errorf("id %d", id)
		}
	})},
	{2, "IPC_PRIVATE without IPC_CREAT: creates, mode 0000", func(t *testing.T) {
		id := get(t, shm.IPC_PRIVATE, 1, 0)
		needCaps(t, capIPCOwner) // to see it
		if mode := stat(t, id).Perm.Mode; mode != 0 {
			t.Errorf("mode %v", mode)
		}
	}},
	{7, "a new key without IPC_CREAT: ENOENT", func(t *testing.T) {
		_, err := shm.Get(testKey, 1, 0o600)
		wantErrno(t, err, syscall.ENOENT)
	}},
	{17, "a size over shmmax: EINVAL", alone(func(t *testing.T) {
		setSysctl(t, "kernel/shmmax", "8192")
		get(t, shm.IPC_PRIVATE, 8192, 0o600)
		_, err := shm.Get(shm.IPC_PRIVATE, 8193, 0o600)
		wantErrno(t, err, syscall.EINVAL)
	})},
	{28, "another user asks 0400 or 0004 of a 0640 segment: EACCES", asNobody(
		func(t *testing.T) shm.ID { return get(t, testKey, 1, shm.IPC_CREAT|0o640) },
		func(t *testing.T, _ shm.ID) {
			for _, flags := range []shm.GetFlag{0o400, 0o004} {
				_, err := shm.Get(testKey, 1, flags)
				wantErrno(t, err, syscall.EACCES)
			}
		},
	)},
}
