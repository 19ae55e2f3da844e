//go:build linux && cgo

package shm_test

import (
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

// TestContainer is what a process in a container sees of the host's segments: no
// key; no id or, worse, a segment of the container's under the same id. Ids are
// counted from 0 in each.
func TestContainer(t *testing.T) {
	ipcns.Run(t, func(t *testing.T) {
		needCaps(t, capSysAdmin)
		first, second := get(t, testKey, 100, shm.IPC_CREAT|0o600), get(t, testKey+1, 100, shm.IPC_CREAT|0o600)
		a := attach(t, first, 0)
		copy(a.Bytes(), "host")
		for _, start := range []func(t *testing.T, namespaces uintptr) *peer{startCIn, startGoIn} {
			p := start(t, syscall.CLONE_NEWIPC)
			t.Run(p.lang, func(t *testing.T) {
				p.refuses(syscall.ENOENT, "get %d 0 0", testKey)
				inside := p.get(testKey+1, 200, shm.IPC_CREAT|shm.IPC_EXCL|0o600) // its own
				p.write(p.attach(inside, 0), "container")
				if inside != first {
					t.Errorf("the first of the container is %d, and of the host %d", inside, first)
				}
				if got := p.read(p.attach(first, 0), 9); got != "container" {
					t.Errorf("the host's id %d shows %q", first, got)
				}
				p.refuses(syscall.EINVAL, "at %d 0 0", second)
				p.refuses(syscall.EINVAL, "stat %d", second)
				p.remove(inside)
				p.refuses(syscall.ENOENT, "get %d 0 0", testKey+1)
			})
		}
		if got := string(a.Bytes()[:9]); got != "host\x00\x00\x00\x00\x00" {
			t.Errorf("the host's segment has %q", got)
		}
		wantNattch(t, first, 1)
	})
}
