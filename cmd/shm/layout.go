package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gosysv/shm/layout"
)

// cacheLine is what most machines have, and what pahole takes.
const cacheLine = 64

// outline is a type as it is shown. Its fields are the JSON's.
type outline struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Size int64  `json:"size"`
	body
}

// body has what lies between the braces of a struct or union.
type body struct {
	Members []member `json:"members,omitempty"`
	Holes   []hole   `json:"holes,omitempty"`
	Padding int64    `json:"padding,omitempty"` // bytes behind the last member

	end int64 // of the last member
}

// member is a member of a struct or union. Offsets count from the beginning of
// the whole type; the members of an array's struct are those of its first
// element.
type member struct {
	Offset int64  `json:"offset"`
	Bit    *int64 `json:"bit,omitempty"` // of a bit-field: its first bit in the byte at Offset
	Size   int64  `json:"size"`
	Bits   int64  `json:"bits,omitempty"` // of a bit-field
	Type   string `json:"type"`
	Name   string `json:"name,omitempty"`
	Kind   string `json:"kind"`
	body
}

// hole is a gap between two members: Size bytes, or Bits bits of one.
type hole struct {
	Offset int64 `json:"offset"`
	Bit    int64 `json:"bit,omitempty"`
	Size   int64 `json:"size,omitempty"`
	Bits   int64 `json:"bits,omitempty"`
}

// showLayout prints where the members of C types are. As pahole does, it counts
// the holes of the type itself, and not those of the types it holds.
func showLayout(args []string, stdout, stderr io.Writer) error {
	f := newFlags("layout", "-elf PROGRAM [-json] TYPE...", stderr)
	asJSON := f.Bool("json", false, "print an array of JSON objects")
	if err := f.parse(args, 1); err != nil {
		return err
	}
	types, err := read(f.sources[0], f.Args())
	if err != nil {
		return err
	}
	var outlines []outline
	for i, t := range types {
		outlines = append(outlines, outline{f.Arg(i), t.Kind.String(), t.Size, inside(t, 0)})
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "\t")
		return e.Encode(outlines)
	}
	for i := range outlines {
		if i > 0 {
			fmt.Fprintln(stdout)
		}
		if err := outlines[i].print(stdout); err != nil {
			return err
		}
	}
	return nil
}

// inside lists what is in a type that lies at an offset.
func inside(t *layout.Type, offset int64) body {
	for t.Kind == layout.Array {
		t = t.Elem
	}
	var b body
	end := int64(0) // of the members so far, in bits
	fields := slices.SortedStableFunc(slices.Values(t.Fields), func(a, b layout.Field) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.BitOffset, b.BitOffset))
	})
	for _, f := range fields {
		m := member{
			Offset: offset + f.Offset, Size: f.Size, Bits: f.BitSize,
			Type: f.Decl, Name: f.Name, Kind: f.Type.Kind.String(),
		}
		start, size := 8*f.Offset, 8*f.Size
		if f.BitSize != 0 {
			m.Bit = &f.BitOffset
			start, size = start+f.BitOffset, f.BitSize
		} else {
			m.body = inside(f.Type, m.Offset)
		}
		b.Members = append(b.Members, m)
		b.addHoles(8*offset+end, 8*offset+start)
		end = max(end, start+size)
	}
	if t.Kind == layout.Struct {
		b.end = offset + (end+7)/8
		b.Padding = offset + t.Size - b.end
	}
	return b
}

// addHoles adds what is between two places, in bits: the rest of a byte, bytes,
// and the beginning of another.
func (b *body) addHoles(from, to int64) {
	for from < to {
		h := hole{Offset: from / 8, Bit: from % 8}
		if h.Bit != 0 || to-from < 8 {
			h.Bits = min(8-h.Bit, to-from)
		} else {
			h.Size = (to - from) / 8
		}
		b.Holes = append(b.Holes, h)
		from += h.Bits + 8*h.Size
	}
}

// print writes the outline as a table.
func (o *outline) print(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d bytes:\n", o.Name, o.Size)
	var text strings.Builder
	t := &table{w: tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)}
	fmt.Fprint(t.w, "offset\tsize\ttype\tmember\n")
	t.body(&o.body, "")
	_ = t.w.Flush() // to memory
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
	var bytes, bits int64
	for _, h := range o.Holes {
		bytes, bits = bytes+h.Size, bits+h.Bits
	}
	_, err := fmt.Fprintf(w, "size %d, cache lines %d, members %d, holes %d (%d bytes, %d bits), padding %d\n",
		o.Size, (o.Size+cacheLine-1)/cacheLine, len(o.Members), len(o.Holes), bytes, bits, o.Padding)
	return err
}

// table prints rows in the order of their offsets.
type table struct {
	w    *tabwriter.Writer
	line int64 // cache line of the row before
}

// row prints a row, and before it that a cache line begins.
func (t *table) row(offset, size, ctype, name string, at int64) {
	if line := at / cacheLine; line > t.line {
		fmt.Fprintf(t.w, "%d\t\t---- cache line %d ----\t\n", line*cacheLine, line)
		t.line = line
	}
	fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\n", offset, size, ctype, name)
}

// body prints members with the holes between them, nested ones indented.
func (t *table) body(b *body, indent string) {
	holes := b.Holes
	for i := range b.Members {
		m := &b.Members[i]
		for len(holes) > 0 && holes[0].start() < m.start() {
			t.hole(holes[0], indent)
			holes = holes[1:]
		}
		name := m.Name
		if m.Bits != 0 {
			name += fmt.Sprintf(":%d", m.Bits)
		}
		t.row(offset(m.start(), m.Bits), fmt.Sprint(m.Size), indent+m.Type, name, m.Offset)
		t.body(&m.body, indent+"  ")
	}
	if b.Padding > 0 {
		t.row(fmt.Sprint(b.end), fmt.Sprint(b.Padding), indent+"(padding)", "", b.end)
	}
}

func (t *table) hole(h hole, indent string) {
	if h.Bits > 0 {
		t.row(offset(h.start(), h.Bits), "", indent+"(hole)", fmt.Sprintf(":%d", h.Bits), h.Offset)
		return
	}
	t.row(offset(h.start(), 0), fmt.Sprint(h.Size), indent+"(hole)", "", h.Offset)
}

// offset gives a place in bits as bytes, and as OFFSET:BIT where there are
// bits to be told.
func offset(start, bits int64) string {
	if bits != 0 || start%8 != 0 {
		return fmt.Sprintf("%d:%d", start/8, start%8)
	}
	return fmt.Sprint(start / 8)
}

func (h *hole) start() int64 { return 8*h.Offset + h.Bit }

func (m *member) start() int64 {
	if m.Bit != nil {
		return 8*m.Offset + *m.Bit
	}
	return 8 * m.Offset
}
