package layout

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Compile reads the types of a C header, for those who have that and not the
// program: it compiles a file that includes the header, with the compiler that
// cgo uses (go env CC, or the environment's CC) and cflags, and opens the
// result. A header in angle brackets, such as <sys/shm.h>, is looked for as
// the compiler does. The layout is that of the compiler and the flags given
// here; the program's may differ (-m32, -fpack-struct, -fshort-enums).
//
// Errors: the compiler's, with what it printed; those of [Open].
func Compile(header string, cflags ...string) (*Image, error) {
	cc, err := compiler()
	if err != nil {
		return nil, err
	}
	include := header
	if !strings.HasPrefix(header, "<") {
		abs, err := filepath.Abs(header)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(abs, "\"\n") {
			return nil, fmt.Errorf("layout: the name of the header %q cannot be included", header)
		}
		include = `"` + abs + `"`
	}
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, object := filepath.Join(dir, "header.c"), filepath.Join(dir, "header.so")
	if err := os.WriteFile(source, []byte("#include "+include+"\n"), 0o600); err != nil {
		return nil, err
	}
	// Without a variable of it, compilers leave a type out.
	args := append(cc[1:], "-g", "-fno-eliminate-unused-debug-types",
		"-shared", "-fPIC", "-nostdlib") // linked: not every object file can be read
	args = append(append(args, cflags...), "-o", object, source)
	if out, err := exec.Command(cc[0], args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("layout: %s %s: %w\n%s", cc[0], strings.Join(args, " "), err, out)
	}
	im, err := open(object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", header, err)
	}
	im.path = header
	return im, nil
}

// compiler returns the C compiler and its first arguments.
func compiler() ([]string, error) {
	cc := os.Getenv("CC")
	if cc == "" {
		out, err := exec.Command("go", "env", "CC").Output()
		if err != nil {
			return nil, fmt.Errorf("layout: go env CC: %w", err)
		}
		cc = string(out)
	}
	fields := strings.Fields(cc)
	if len(fields) == 0 {
		return nil, fmt.Errorf("layout: no C compiler: go env CC is empty")
	}
	return fields, nil
}
