//go:build linux && cgo

package main

import (
	"fmt"
	"os"
	"syscall"

	gen2brain "github.com/gen2brain/shm"
	"github.com/gosysv/shm"
	"github.com/gosysv/shm/bench/bare"
	"golang.org/x/sys/unix"
)

// theCalls lists the calls, each with this package first.
func theCalls(made *objects) ([]call, error) {
	key, id, err := made.keyed(callSize)
	if err != nil {
		return nil, err
	}
	set, err := setCall(id)
	if err != nil {
		return nil, err
	}
	ftok, err := ftokCall()
	if err != nil {
		return nil, err
	}
	return []call{
		emptyCall(), getCall(key, id), statCall(id), set, attachCall(id), ftok, limitsCall(), createCall(),
	}, nil
}

const callSize = 4096

// keyed makes a segment that has a key.
func (o *objects) keyed(size int) (shm.Key, shm.ID, error) {
	for key := shm.Key(0x73686d00); ; key++ {
		id, err := o.segmentID(key, size, shm.IPC_CREAT|shm.IPC_EXCL|0o600)
		if !os.IsExist(err) {
			return key, id, err
		}
	}
}

// each is a contender that makes a call n times from Go.
func each(name string, call func() error) contender {
	return timed(name, func(n int) error {
		for range n {
			if err := call(); err != nil {
				return err
			}
		}
		return nil
	})
}

// shim makes an error of what a bare shim returned.
func shim(r int32) error {
	if r < 0 {
		return syscall.Errno(-r)
	}
	return nil
}

// same checks an answer: every call of a measurement has the same one.
func same[T comparable](got, want T, err error) error {
	if err == nil && got != want {
		return fmt.Errorf("answered %v, not %v", got, want)
	}
	return err
}

var asShimAndXsys = map[string]float64{bareShim: 1.10, xsys: 1.10}

func emptyCall() call {
	return call{name: "empty crossing", contenders: []contender{each("cgo", func() error {
		bare.Empty()
		return nil
	})}}
}

func getCall(key shm.Key, id shm.ID) call {
	return call{name: "Get", bars: asShimAndXsys, contenders: []contender{
		each(thisPackage, func() error {
			got, err := shm.Get(key, callSize, 0o600)
			return same(got, id, err)
		}),
		each(bareShim, func() error {
			got := bare.Shmget(int32(key), callSize, 0o600)
			return same(got, int32(id), nil)
		}),
		each(xsys, func() error {
			got, err := unix.SysvShmGet(int(key), callSize, 0o600)
			return same(got, int(id), err)
		}),
		each(gen2, func() error {
			got, err := gen2brain.Get(int(key), callSize, 0o600)
			return same(got, int(id), err)
		}),
		timed(cLoop, func(n int) error { return bare.LoopGet(int32(key), callSize, 0o600, n) }),
	}}
}

func statCall(id shm.ID) call {
	var inC shm.ShmidDS
	return call{name: "Stat", bars: asShimAndXsys, contenders: []contender{
		each(thisPackage, func() error {
			ds, err := id.Stat()
			return same(ds.Segsz, callSize, err)
		}),
		each(bareShim, func() error {
			var ds shm.ShmidDS
			r := bare.Shmctl(int32(id), bare.IPC_STAT, &ds)
			return same(ds.Segsz, callSize, shim(r))
		}),
		each(xsys, func() error {
			var ds unix.SysvShmDesc
			_, err := unix.SysvShmCtl(int(id), unix.IPC_STAT, &ds)
			return same(ds.Segsz, callSize, err)
		}),
		each(gen2, func() error {
			var ds gen2brain.IdDs
			_, err := gen2brain.Ctl(int(id), gen2brain.IPC_STAT, &ds)
			return same(ds.SegSz, callSize, err)
		}),
		timed(cLoop, func(n int) error { return bare.LoopCtl(int32(id), bare.IPC_STAT, &inC, n) }),
	}}
}

// setCall sets what is set already.
func setCall(id shm.ID) (call, error) {
	var (
		xds unix.SysvShmDesc
		gds gen2brain.IdDs
	)
	ds, err := id.Stat()
	if err != nil {
		return call{}, err
	}
	if _, err := unix.SysvShmCtl(int(id), unix.IPC_STAT, &xds); err != nil {
		return call{}, err
	}
	if _, err := gen2brain.Ctl(int(id), gen2brain.IPC_STAT, &gds); err != nil {
		return call{}, err
	}
	c := call{name: "Set", bars: asShimAndXsys, contenders: []contender{
		each(thisPackage, func() error { return id.Set(&ds) }),
		each(bareShim, func() error { return shim(bare.Shmctl(int32(id), bare.IPC_SET, &ds)) }),
		each(xsys, func() error {
			_, err := unix.SysvShmCtl(int(id), unix.IPC_SET, &xds)
			return err
		}),
		each(gen2, func() error {
			_, err := gen2brain.Ctl(int(id), gen2brain.IPC_SET, &gds)
			return err
		}),
		timed(cLoop, func(n int) error { return bare.LoopCtl(int32(id), bare.IPC_SET, &ds, n) }),
	}}
	for i := range c.contenders {
		c.contenders[i].verify = func() error {
			after, err := id.Stat()
			return same(after.Perm.Mode, ds.Perm.Mode, err)
		}
	}
	return c, nil
}

func attachCall(id shm.ID) call {
	c := call{name: "Attach+Detach", bars: map[string]float64{bareShim: 1.10}, contenders: []contender{
		each(thisPackage, func() error {
			a, err := id.Attach(0)
			if err != nil {
				return err
			}
			return a.Detach()
		}),
		each(bareShim, func() error {
			var addr uintptr
			if r := bare.Shmat(int32(id), &addr); r < 0 {
				return shim(r)
			}
			return shim(bare.Shmdt(addr))
		}),
		each(bareShim+", with IPC_STAT", func() error {
			var addr uintptr
			if r := bare.ShmatStat(int32(id), &addr); r < 0 {
				return shim(r)
			}
			return shim(bare.Shmdt(addr))
		}),
		each(xsys, func() error {
			mem, err := unix.SysvShmAttach(int(id), 0, 0)
			if err != nil {
				return err
			}
			return unix.SysvShmDetach(mem)
		}),
		each(gen2, func() error {
			mem, err := gen2brain.At(int(id), 0, 0)
			if err != nil {
				return err
			}
			return gen2brain.Dt(mem)
		}),
		timed(cLoop, func(n int) error { return bare.LoopAttach(int32(id), n) }),
	}}
	for i := range c.contenders {
		c.contenders[i].verify = func() error {
			ds, err := id.Stat()
			return same(ds.Nattch, 0, err)
		}
	}
	c.note = func(all []series) string {
		own, two, three := all[0], all[1], all[2]
		return fmt.Sprintf("IPC_STAT alone makes %s of the two; this package takes %s of the three calls",
			ratio(three, two).asRatio(), ratio(own, three).asRatio())
	}
	return c
}

func ftokCall() (call, error) {
	file, err := os.Executable()
	if err != nil {
		return call{}, err
	}
	path, err := syscall.BytePtrFromString(file)
	if err != nil {
		return call{}, err
	}
	key, err := shm.Ftok(file, 'S')
	if err != nil {
		return call{}, err
	}
	var inC int32
	return call{name: "Ftok", contenders: []contender{
		each(thisPackage, func() error {
			got, err := shm.Ftok(file, 'S')
			return same(got, key, err)
		}),
		each(bareShim, func() error {
			var got int32
			r := bare.Ftok(path, 'S', &got)
			return same(got, int32(key), shim(r))
		}),
		timed(cLoop, func(n int) error { return bare.LoopFtok(path, 'S', &inC, n) }),
	}}, nil
}

func limitsCall() call {
	var inC shm.LimitsInfo
	return call{name: "Limits", contenders: []contender{
		each(thisPackage, func() error {
			info, err := shm.Limits()
			return same(info.Shmmin, 1, err)
		}),
		each(bareShim, func() error {
			var info shm.LimitsInfo
			r := bare.Shminfo(&info)
			return same(info.Shmmin, 1, shim(r))
		}),
		timed(cLoop, func(n int) error { return bare.LoopLimits(&inC, n) }),
	}}
}

func createCall() call {
	return call{name: "create+remove", contenders: []contender{
		each(thisPackage, func() error {
			id, err := shm.Get(shm.IPC_PRIVATE, callSize, 0o600)
			if err != nil {
				return err
			}
			return id.Remove()
		}),
		each(bareShim, func() error {
			id := bare.Shmget(0, callSize, 0o600)
			if id < 0 {
				return shim(id)
			}
			return shim(bare.Shmctl(id, bare.IPC_RMID, nil))
		}),
		each(xsys, func() error {
			id, err := unix.SysvShmGet(unix.IPC_PRIVATE, callSize, 0o600)
			if err != nil {
				return err
			}
			_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
			return err
		}),
		each(gen2, func() error {
			id, err := gen2brain.Get(gen2brain.IPC_PRIVATE, callSize, 0o600)
			if err != nil {
				return err
			}
			return gen2brain.Rm(id)
		}),
		timed(cLoop, func(n int) error { return bare.LoopCreate(callSize, n) }),
	}}
}
