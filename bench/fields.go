//go:build linux && cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/gosysv/shm"
	"github.com/gosysv/shm/internal/ipcns"
)

// Types of 1 to 10,000 fields, each ten of the one before.
type (
	fields1     struct{ A int32 }
	fields10    struct{ A, B, C, D, E, F, G, H, I, J fields1 }
	fields100   struct{ A, B, C, D, E, F, G, H, I, J fields10 }
	fields1000  struct{ A, B, C, D, E, F, G, H, I, J fields100 }
	fields10000 struct{ A, B, C, D, E, F, G, H, I, J fields1000 }
)

// viewOf makes a View and a Slice of a type of so many fields.
var viewOf = map[int]struct{ view, slice func(a *shm.Attachment) error }{
	1:     {viewer[fields1], slicer[fields1]},
	10:    {viewer[fields10], slicer[fields10]},
	100:   {viewer[fields100], slicer[fields100]},
	1000:  {viewer[fields1000], slicer[fields1000]},
	10000: {viewer[fields10000], slicer[fields10000]},
}

func viewer[T any](a *shm.Attachment) error {
	p, err := shm.View[T](a, 0)
	if err == nil && p == nil {
		err = errors.New("no View")
	}
	return err
}

func slicer[T any](a *shm.Attachment) error {
	s, err := shm.Slice[T](a, 0, 2)
	return same(len(s), 2, err)
}

// viewByFields measures the checks of View and Slice: the first of a type,
// which looks at all of its fields, and those after it.
func (b *bench) viewByFields(ctx context.Context, _ *report, s *section) (err error) {
	b.progress("growth", 4, 5, "View and Slice")
	var made objects
	defer made.close(&err)
	a, err := made.segment(1<<20, 0)
	if err != nil {
		return err
	}
	t := newTable("fields", "first View", "View", "to 1 field", "Slice", "to 1 field")
	var contenders, views, slices []contender
	counts := []int{1, 10, 100, 1000, 10000}
	for _, n := range counts {
		contenders = append(contenders, firstView(ctx, a.ID(), n))
		views = append(views, each("View", func() error { return viewOf[n].view(a) }))
		slices = append(slices, each("Slice", func() error { return viewOf[n].slice(a) }))
	}
	e := b.effort
	e.rounds = max(e.rounds/2, 3)
	e.sample = 1 // once: a process has one first View of a type
	first, err := e.measure(ctx, contenders...)
	if err != nil {
		return err
	}
	again, err := b.effort.measure(ctx, append(views, slices...)...)
	if err != nil {
		return err
	}
	for i, n := range counts {
		view, slice := again[i], again[len(counts)+i]
		t.row(fmt.Sprint(n), first[i].time().asTime(),
			view.time().asTime(), ratio(view, again[0]).asRatio(), slice.time().asTime(), ratio(slice, again[len(counts)]).asRatio())
	}
	s.text("The first View of a type in a process looks at all of its fields (a process is started for each); those after it do not, nor does a Slice.")
	s.table(t)
	return nil
}

// firstView starts a process that makes its first View of a type of n fields.
func firstView(ctx context.Context, id shm.ID, n int) contender {
	return contender{name: fmt.Sprintf("first View of %d fields", n), sample: func(int) (time.Duration, error) {
		cmd := ipcns.Self("view", fmt.Sprint(id), fmt.Sprint(n))
		cmd.Stderr = os.Stderr
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
		defer stop()
		out, err := cmd.Output()
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(string(out), 10, 64)
		return time.Duration(ns), err
	}}
}

// viewMain is the program: ID FIELDS. It prints nanoseconds.
func viewMain(args []string) (err error) {
	if len(args) != 2 {
		return errors.New("usage: view ID FIELDS")
	}
	id, err1 := strconv.Atoi(args[0])
	n, err2 := strconv.Atoi(args[1])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	a, err := shm.ID(id).Attach(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Detach()) }()
	view := viewOf[n].view
	if view == nil {
		return fmt.Errorf("no type of %d fields", n)
	}
	start := time.Now()
	err = view(a)
	fmt.Print(time.Since(start).Nanoseconds())
	return err
}
