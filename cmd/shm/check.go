package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gosysv/shm/layout"
)

// check compares the types of two C programs.
func check(args []string, stdout, stderr io.Writer) error {
	f := newFlags("check", "-elf PROGRAM -elf PROGRAM TYPE...", stderr)
	if err := f.parse(args, 2); err != nil {
		return err
	}
	one, err := read(f.sources[0], f.Args())
	if err != nil {
		return err
	}
	other, err := read(f.sources[1], f.Args())
	if err != nil {
		return err
	}
	var result error
	for i, name := range f.Args() {
		err := layout.Compare(one[i], other[i])
		var mismatch *layout.MismatchError
		switch {
		case errors.As(err, &mismatch):
			fmt.Fprintf(stdout, "%s: %v, the one, and %v, the other, differ:\n", name, describe(f.sources[0]), describe(f.sources[1]))
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

func describe(from layout.Source) string {
	return strings.Join(append([]string{from.Program + from.Header}, from.CFlags...), " ")
}
