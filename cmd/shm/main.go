// Shm tells how the structs of a C program lie in memory, and writes the same
// structs in Go. Where they lie it reads from the program's debugging
// information, or from what the C compiler makes of a header.
//
//	shm gen     writes Go types that are the C types, byte for byte
//	shm layout  shows the members of C types, and the holes between them
//	shm check   tells whether two C programs agree on their types
//
// Which program it is, all three are told by -elf or -header:
//
//	shm layout -elf ./sensord 'struct status'
//	shm check -elf ./sensord -header status.h -cflags '-O2 -m32' 'struct status'
//
// In a Go source file, for go generate:
//
//	//go:generate go run github.com/gosysv/shm/cmd/shm gen -header status.h -o status.go -test "struct status"
//
// The exit status is 0; 1 if types differ or something failed; 2 if it was
// called wrongly.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gosysv/shm/layout"
)

const usage = `usage: shm COMMAND [FLAGS] TYPE...

  shm gen     write Go types that are the C types, byte for byte
  shm layout  show the members of C types, and the holes between them
  shm check   tell whether two C programs agree on their types

TYPE is a name as in C: "struct shmTime", "union u", "point_t".
shm COMMAND -h tells the flags.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// command is what a sub-command does with its arguments.
type command func(args []string, stdout, stderr io.Writer) error

var commands = map[string]command{"gen": gen, "layout": showLayout, "check": check}

// Errors that have been explained on standard error, or are an answer.
var (
	errUsage  = errors.New("called wrongly")
	errDiffer = errors.New("types differ")
)

// run is the whole program; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	do, ok := commands[name]
	switch {
	case ok:
	case name == "help" || name == "-h" || name == "-help" || name == "--help":
		fmt.Fprint(stdout, usage)
		return 0
	case name == "":
		fmt.Fprint(stderr, usage)
		return 2
	default:
		fmt.Fprintf(stderr, "shm: no command %q\n%s", name, usage)
		return 2
	}
	err := do(args[1:], stdout, stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	case !errors.Is(err, errDiffer):
		fmt.Fprintf(stderr, "shm %s: %v\n", name, err)
	}
	return 1
}

// flags are the flags of a sub-command, among them where the types are.
type flags struct {
	*flag.FlagSet
	sources []layout.Source
}

func newFlags(name, synopsis string, stderr io.Writer) *flags {
	f := &flags{FlagSet: flag.NewFlagSet("shm "+name, flag.ContinueOnError)}
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintf(stderr, "usage: shm %s %s\n", name, synopsis)
		f.PrintDefaults()
	}
	f.Func("elf", "read the types from a `program`, library or object file built with -g", func(path string) error {
		f.sources = append(f.sources, layout.Source{Program: path})
		return nil
	})
	f.Func("header", "read them from a C `header`, compiled by go env CC; <name> is looked for as #include does", func(path string) error {
		f.sources = append(f.sources, layout.Source{Header: path})
		return nil
	})
	f.Func("cflags", "compile the -header before this with these `flags`, split at spaces", f.addCflags)
	return f
}

func (f *flags) addCflags(value string) error {
	if len(f.sources) == 0 || f.sources[len(f.sources)-1].Header == "" {
		return errors.New("no -header before it")
	}
	last := &f.sources[len(f.sources)-1]
	last.CFlags = append(last.CFlags, strings.Fields(value)...)
	return nil
}

// parse reads the flags; there must be as many sources, and a type.
func (f *flags) parse(args []string, sources int) error {
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil: // told already
		return errUsage
	case len(f.sources) != sources:
		return f.wrong("%d of -elf and -header, want %d", len(f.sources), sources)
	case f.NArg() == 0:
		return f.wrong("no type")
	}
	return nil
}

// wrong says what is wrong with the arguments.
func (f *flags) wrong(format string, args ...any) error {
	fmt.Fprintf(f.Output(), "%s: %s\n", f.Name(), fmt.Sprintf(format, args...))
	f.Usage()
	return errUsage
}

// read reads types by their names.
func read(from layout.Source, names []string) ([]*layout.Type, error) {
	var im *layout.Image
	var err error
	if from.Header != "" {
		im, err = layout.Compile(from.Header, from.CFlags...)
	} else {
		im, err = layout.Open(from.Program)
	}
	if err != nil {
		return nil, err
	}
	var types []*layout.Type
	for _, name := range names {
		t, err := im.Type(name)
		if err != nil {
			return nil, err
		}
		types = append(types, t)
	}
	return types, nil
}
