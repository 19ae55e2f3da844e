package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/gosysv/shm/layout"
)

// check compares the types of two C programs.
func check(args []string, stdout, stderr io.Writer) error {
	f := newFlags("check", "-elf PROGRAM -elf PROGRAM TYPE...", stderr)
	if err := f.parse(args, 2); err != nil {
		return err
	}
	one, err := f.sources[0].types(f.Args())
	if err != nil {
		return err
	}
	other, err := f.sources[1].types(f.Args())
	if err != nil {
		return err
	}
	var result error
	for i, name := range f.Args() {
		err := layout.Compare(one[i], other[i])
		var mismatch *layout.MismatchError
		switch {
		case errors.As(err, &mismatch):
			fmt.Fprintf(stdout, "%s: %v, the one, and %v, the other, differ:\n", name, f.sources[0], f.sources[1])
			for _, line := range mismatch.Differences {
				fmt.Fprintf(stdout, "\t%s\n", line)
			}
			result = errDiffer
		case err != nil:
			return err
		default:
			fmt.Fprintf(stdout, "%s: the same %d bytes\n", name, one[i].Size)
		}
	}
	return result
}
