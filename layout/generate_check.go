package layout

import (
	"fmt"
	"go/format"
	"io"
	"strings"
)

// Source tells where C types are: in Program, an ELF file for [Open], or else
// in Header, for [Compile] with CFlags.
type Source struct {
	Program string
	Header  string
	CFlags  []string
}

// GenerateTest writes the test that belongs to a file that [Generate] has
// written for the same types and package: it reads the C types again, from
// where they then are, and compares them with the Go types. So it fails when
// the C side has changed. Relative names of files are relative to the package.
// The test's name has that of the first type.
//
// Errors: as those of Generate.
func GenerateTest(w io.Writer, pkg string, from Source, types ...*Type) error {
	g, err := newGenerator(pkg, types)
	if err != nil {
		return err
	}
	var file strings.Builder
	g.header(&file)
	var open string
	switch {
	case from.Program != "" && from.Header != "" || from.Program == "" && from.Header == "":
		return unsupported("types of the program %q and of the header %q", from.Program, from.Header)
	case from.Program != "":
		open = fmt.Sprintf("Open(%q)", from.Program)
	default:
		open = fmt.Sprintf("Compile(%q", from.Header)
		for _, flag := range from.CFlags {
			open += fmt.Sprintf(", %q", flag)
		}
		open += ")"
	}
	name := g.byType[types[0]].goName
	fmt.Fprintf(&file, `import (
	"testing"

	"github.com/gosysv/shm/layout"
)

// Test%sLayout compares the C types, as they are now, with the Go types.
func Test%[1]sLayout(t *testing.T) {
	im, err := layout.%s
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		c  string
		of func() (*layout.Type, error)
	}{
`, name, open)
	written := map[*decl]bool{}
	for _, t := range types {
		if d := g.byType[t]; !written[d] {
			fmt.Fprintf(&file, "{%q, layout.Of[%s]},\n", t.Name, d.goName)
			written[d] = true
		}
	}
	fmt.Fprint(&file, `} {
		c, err := im.Type(tt.c)
		if err != nil {
			t.Error(err)
			continue
		}
		g, err := tt.of()
		if err == nil {
			err = layout.Compare(c, g)
		}
		if err != nil {
			t.Error(err)
		}
	}
}
`)
	source, err := format.Source([]byte(file.String()))
	if err != nil {
		return fmt.Errorf("layout: the generated test is not Go: %w", err)
	}
	_, err = w.Write(source)
	return err
}
