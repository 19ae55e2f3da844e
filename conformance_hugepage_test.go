//go:build linux && cgo

package shm_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
)

// What needs a free huge page is here and, where one call is its subject, in the
// rows of that call.
var hugePageRows = []row{
	{222, "a huge page, of C or of Go: both sides have it as one page, and the same bytes", systemWide(func(t *testing.T) {
		size := reserveHugePage(t)
		for _, pair := range pairs {
			t.Run(pair.name, func(t *testing.T) {
				c, o := pair.creator(t), pair.opener(t)
				id, mine := create(c, size, shm.SHM_HUGETLB)
				defer c.remove(id)
				theirs := o.attach(id, 0)
				c.fill(mine, size, 1)
				if got, want := o.sum(theirs, size), c.sum(mine, size); got != want {
					t.Error("the opener reads other bytes than the creator wrote")
				}
				o.fill(theirs, size, 2)
				if got, want := c.sum(mine, size), o.sum(theirs, size); got != want {
					t.Error("the creator reads other bytes than the opener wrote")
				}
				for addr, p := range map[address]*peer{mine: c, theirs: o} {
					if got := pageSizeAt(t, p.PID(), addr); got != size {
						t.Errorf("%s peer: pages of %d bytes, want %d", p.lang, got, size)
					}
				}
				o.detach(theirs)
				c.detach(mine)
			})
		}
	})},
}

// reserveHugePage has the kernel keep one more huge page until the end of the
// test, when there must be as many as before. It tells their size.
func reserveHugePage(t *testing.T) (size int) {
	t.Helper()
	needHugePages(t)
	size, ok := meminfo(t, "Hugepagesize")
	if !ok {
		t.Skip("/proc/meminfo tells no size of huge pages")
	}
	before := sysctl(t, "vm/nr_hugepages")
	t.Cleanup(func() { wantSysctl(t, "vm/nr_hugepages", before) })
	setSysctl(t, "vm/nr_hugepages", strconv.Itoa(1+atoi(t, before)))
	switch err := makeOnce(size, shm.SHM_HUGETLB)(); {
	case errors.Is(err, syscall.ENOMEM):
		t.Skip("the kernel found no memory for a huge page")
	case err != nil:
		t.Fatal(err)
	}
	return size
}

// getHugePage makes a segment of one huge page, and tells its size.
func getHugePage(t *testing.T) (shm.ID, int) {
	t.Helper()
	size := reserveHugePage(t)
	return get(t, testKey, size, shm.IPC_CREAT|shm.SHM_HUGETLB|0o600), size
}

// pageSizeAt tells by what pages the kernel maps an address of a process.
func pageSizeAt(t *testing.T, pid int, addr address) int {
	t.Helper()
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, mapping, found := strings.Cut(string(smaps), fmt.Sprintf("%08x-", addr))
	if !found {
		t.Fatalf("nothing is mapped at %#x", addr)
	}
	_, after, _ := strings.Cut(mapping, "KernelPageSize:")
	return atoi(t, strings.Fields(after)[0]) << 10
}
