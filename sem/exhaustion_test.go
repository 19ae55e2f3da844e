//go:build linux && cgo

package sem_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
	"github.com/gosysv/shm/sem"
)

// wantExhausted checks that a call fails and leaves the sets and their values as
// they were, and that it works when there is room again. pattern is the end of
// the error's text, which names the limit and its value.
func wantExhausted(t *testing.T, call func() error, room func(), errno syscall.Errno, pattern string) {
	t.Helper()
	before := setsAndValues(t)
	wantError(t, call(), `[a-z]+\(.*\): `+errno.Error()+`: `+pattern, errno)
	if after := setsAndValues(t); !slices.Equal(after, before) {
		t.Errorf("there are %v, and before there were %v", after, before)
	}
	room()
	if err := call(); err != nil {
		t.Errorf("with room: %v", err)
	}
}

// setsAndValues are the ids that the kernel lists, and the values of the sets.
func setsAndValues(t *testing.T) (sets []string) {
	t.Helper()
	for id := range procTable(t) {
		values, err := id.Values()
		ok(t, err)
		sets = append(sets, fmt.Sprint(id, values))
	}
	slices.Sort(sets)
	return sets
}

// kernelSem returns a number of the sysctl kernel.sem.
func kernelSem(t *testing.T, limit string) string {
	t.Helper()
	line, err := os.ReadFile("/proc/sys/kernel/sem")
	ok(t, err)
	return strings.Fields(string(line))[map[string]int{"semmsl": 0, "semmns": 1, "semopm": 2, "semmni": 3}[limit]]
}

// makeOnce makes a set of n semaphores and removes it.
func makeOnce(n int) func() error {
	return func() error {
		id, err := sem.Get(shm.IPC_PRIVATE, n, 0o600)
		if err != nil {
			return err
		}
		return id.Remove()
	}
}

// getOrCreateOnce does so by GetOrCreate.
func getOrCreateOnce(values ...uint16) func() error {
	return func() error {
		id, created, err := sem.GetOrCreate(testKey, 0o600, values...)
		if err != nil {
			return err
		}
		if !created {
			return errors.New("there was one")
		}
		return id.Remove()
	}
}

// TestExhausted reaches the limits of kernel.sem, each in a namespace of its
// own.
func TestExhausted(t *testing.T) {
	for _, c := range []struct {
		name                           string
		semmsl, semmns, semopm, semmni int
		run                            func(t *testing.T, value string)
	}{
		{"semmsl", 4, 100, 10, 10, func(t *testing.T, value string) {
			for _, call := range []func() error{makeOnce(5), getOrCreateOnce(make([]uint16, 5)...)} {
				setLimits(t, 4, 100, 10, 10)
				wantExhausted(t, call, func() { setLimits(t, 5, 100, 10, 10) }, syscall.EINVAL,
					`semmsl is `+value+` semaphores`)
			}
		}},
		{"semmni", 10, 100, 10, 2, func(t *testing.T, value string) {
			newSet(t, 0)
			last := newSet(t, 0)
			for _, call := range []func() error{makeOnce(1), getOrCreateOnce(1)} {
				wantExhausted(t, call, func() { remove(t, last) }, syscall.ENOSPC,
					`there are 2 sets, and semmni is `+value)
				last = newSet(t, 0)
			}
		}},
		{"semmns", 10, 12, 10, 10, func(t *testing.T, value string) {
			last := newSet(t, make([]uint16, 8)...)
			for _, call := range []func() error{makeOnce(5), getOrCreateOnce(make([]uint16, 5)...)} {
				wantExhausted(t, call, func() { remove(t, last) }, syscall.ENOSPC,
					`there are 8 semaphores, and semmns is `+value)
				last = newSet(t, make([]uint16, 8)...)
			}
		}},
		{"semopm", 10, 100, 3, 10, func(t *testing.T, value string) {
			id := newSet(t, 0)
			ok(t, id.Op(make([]sem.Op, 3)...))
			call := func() error { return id.Op(make([]sem.Op, 4)...) }
			wantError(t, call(), `semop\(id=\d+, \{0 \+0\}, \{0 \+0\}, \{0 \+0\}, \{0 \+0\}\): argument list too long: semopm is `+value, syscall.E2BIG)
			wantExhausted(t, call, func() { setLimits(t, 10, 100, 4, 10) }, syscall.E2BIG, `semopm is `+value)
			// GetOrCreate makes sets of more all the same.
			many := []uint16{1, 2, 3, 4, 5}
			set := openOrCreate(t, true, many...)
			defer discard(t, set)
			wantValues(t, set, many...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ipcns.Run(t, func(t *testing.T) {
				setLimits(t, c.semmsl, c.semmns, c.semopm, c.semmni)
				c.run(t, kernelSem(t, c.name))
			})
		})
	}
}

// TestExhaustedValue: SEMVMX is a constant of the kernel, for values and for
// what a process has to undo.
func TestExhaustedValue(t *testing.T) {
	needPrivateNS(t) // the values of all sets are compared
	limits, err := sem.Limits()
	ok(t, err)
	if limits.Semvmx != sem.SEMVMX {
		t.Errorf("the kernel's SEMVMX is %d", limits.Semvmx)
	}
	hint := fmt.Sprintf(`a value, and what a process has to undo, is at most %d`, limits.Semvmx)
	full := newSet(t, sem.SEMVMX, 0)
	// All of it or nothing: the other semaphore has room.
	both := func() error { return full.Op(sem.Op{Num: 1, Op: 1}, sem.Op{Num: 0, Op: 1}) }
	wantExhausted(t, both, func() { ok(t, full.Op(down)) }, syscall.ERANGE, hint)
	wantValues(t, full, sem.SEMVMX, 1)

	id := newSet(t, 0)
	undone := sem.Op{Op: 30000, Flags: sem.SEM_UNDO}
	ok(t, errors.Join(id.Op(undone), id.Op(sem.Op{Op: -30000})))
	forget := func() { ok(t, id.SetValue(0, 0)) }
	wantExhausted(t, func() error { return id.Op(undone) }, forget, syscall.ERANGE, hint)

	for _, set := range []func() error{
		func() error { return full.SetValue(0, sem.SEMVMX+1) },
		func() error { return full.SetValues([]uint16{sem.SEMVMX + 1, 0}) },
	} {
		wantError(t, set(), `semctl\(.*\): numerical result out of range: a value is at most 32767`, syscall.ERANGE)
	}
	wantValues(t, full, sem.SEMVMX, 1)
}
