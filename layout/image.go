package layout

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Errors of this package, to be compared with [errors.Is].
var (
	// ErrNoDWARF: the file has no debugging information, and no separate
	// file with it was found. Compile with -g, or install the debug package.
	ErrNoDWARF = errors.New("layout: no DWARF debugging information")
	// ErrUnsupported: the types are there, in a form that is not read.
	ErrUnsupported = errors.New("layout: not supported")
	// ErrNoType: no type of that name.
	ErrNoType = errors.New("layout: no such type")
	// ErrDeclared: the type is declared, but its members are nowhere.
	ErrDeclared = errors.New("layout: type is only declared")
	// ErrAmbiguous: different types have that name.
	ErrAmbiguous = errors.New("layout: ambiguous name")
	// ErrCorrupt: the debugging information contradicts itself.
	ErrCorrupt = errors.New("layout: corrupt debugging information")
)

// Image has the types of a compiled program. It may be used by many
// goroutines at once.
type Image struct {
	path      string     // of the file that the types were read from
	mu        sync.Mutex // of the dwarf.Data, which does not say that goroutines may share it
	dwarf     *dwarf.Data
	byteOrder binary.ByteOrder
	ptrSize   int
	units     []*unit                 // by their offsets
	index     map[string][]definition // by the name as C writes it: "struct x", "x_t"
	typeUnits bool                    // there are types that are not in the index
}

// definition is a place where a name is defined, or only declared.
type definition struct {
	offset   dwarf.Offset
	unit     *unit
	declared bool
}

func (d definition) complete() bool { return !d.declared }

// unit is a compilation unit.
type unit struct {
	offset      dwarf.Offset // of its first entry
	name        string       // of its source file
	addressSize int64
}

// Open reads the types of an ELF file: a program, a shared library or an
// object file of any architecture, with DWARF 2 to 5. Where the file has none
// it looks for a separate debug file as distributions ship them, by the build
// ID and by .gnu_debuglink. Nothing is kept open.
//
// Errors: those of the file; [ErrNoDWARF]; [ErrUnsupported] for split DWARF
// (-gsplit-dwarf), a dwz file with a supplementary file, LLVM bitcode, an LTO
// object and a few others that are not linked; [ErrCorrupt]. Type units
// (-fdebug-types-section) are not read either: it is [Image.Type] that says
// so, of a type it does not find elsewhere.
func Open(path string) (*Image, error) {
	im, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return im, nil
}

func open(path string) (*Image, error) {
	file, err := openELF(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if debugSection(file) == nil {
		separate, separatePath, err := separateDebug(file, path)
		if err != nil {
			return nil, err
		}
		defer separate.Close()
		file, path = separate, separatePath
	}
	if s := file.Section(".gnu_debugaltlink"); s != nil {
		return nil, fmt.Errorf("%w: types are in the supplementary file of dwz: %s", ErrUnsupported, sectionString(s))
	}
	if forgetsRelocation && file.Type == elf.ET_REL && file.Section(stringOffsets) != nil {
		return nil, fmt.Errorf("%w: an object file with %s, in a program of %s: link it", ErrUnsupported, stringOffsets, runtime.Version())
	}
	data, err := file.DWARF()
	if err != nil {
		return nil, unreadable(file, err)
	}
	mendStrings(data, file)
	im := &Image{path: path, dwarf: data, byteOrder: binary.LittleEndian, ptrSize: 8}
	im.typeUnits = typeSections(file)
	if file.Data == elf.ELFDATA2MSB {
		im.byteOrder = binary.BigEndian
	}
	if file.Class == elf.ELFCLASS32 {
		im.ptrSize = 4
	}
	if err := im.buildIndex(); err != nil {
		return nil, unreadable(file, err)
	}
	return im, nil
}

var errTypeUnits = fmt.Errorf("%w: types in type units: compile without -fdebug-types-section", ErrUnsupported)

// typeSections tells whether a file has sections of type units: those of DWARF
// 4, or in an object file those of DWARF 5, of which package dwarf reads one.
func typeSections(file *elf.File) bool {
	infos := 0
	for _, s := range file.Sections {
		switch s.Name {
		case ".debug_types", ".zdebug_types":
			return true
		case ".debug_info", ".zdebug_info":
			infos++
		}
	}
	return infos > 1
}

// unreadable tells what package dwarf cannot read from what is wrong.
func unreadable(file *elf.File, err error) error {
	switch {
	case errors.Is(err, ErrUnsupported):
		return err
	case file.Type == elf.ET_REL && (strings.HasPrefix(err.Error(), "applyRelocations") || file.Section(stringOffsets) != nil):
		return fmt.Errorf("%w: object files like this one: link it: %w", ErrUnsupported, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

const stringOffsets = ".debug_str_offsets"

// forgetsRelocation tells whether package elf leaves out the relocation of the
// last bytes of a section, as it did up to Go 1.25. Of the string offsets that
// is a name: it would be another.
var forgetsRelocation = strings.HasPrefix(runtime.Version(), "go1.24") || strings.HasPrefix(runtime.Version(), "go1.25")

// mendStrings helps where package dwarf takes the header of the section of
// string offsets for offsets, once, before it knows where a unit's begin: that
// only goes well if they are small (seen in Go 1.26 with
// the big-endian and the 64-bit DWARF 5 of clang). Nothing else reads it.
func mendStrings(data *dwarf.Data, file *elf.File) {
	s := file.Section(stringOffsets)
	if s == nil || file.Type == elf.ET_REL { // relocations would be lost
		return
	}
	b, err := s.Data()
	if err != nil || len(b) < 16 {
		return
	}
	header := b[:8]
	if binary.BigEndian.Uint32(b) == 0xffffffff {
		header = b[:16]
	}
	clear(header)
	_ = data.AddSection(stringOffsets, b) // knows the name
}

// openELF opens an ELF file, and tells from others what they are.
func openELF(path string) (*elf.File, error) {
	file, err := elf.Open(path)
	if err == nil {
		return file, nil
	}
	if f, openErr := os.Open(path); openErr == nil {
		defer f.Close()
		var magic [4]byte
		if _, readErr := io.ReadFull(f, magic[:]); readErr == nil && string(magic[:]) == "BC\xc0\xde" {
			return nil, fmt.Errorf("%w: LLVM bitcode: link it, or compile without -flto", ErrUnsupported)
		}
	}
	return nil, err
}

func debugSection(file *elf.File) *elf.Section {
	for _, name := range []string{".debug_info", ".zdebug_info"} {
		if s := file.Section(name); s != nil && s.Type != elf.SHT_NOBITS && s.FileSize > 0 {
			return s
		}
	}
	return nil
}

// sectionString is the string that a section begins with.
func sectionString(s *elf.Section) string {
	b, err := s.Data()
	if err != nil {
		return ""
	}
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// debugDir is where distributions put debug files.
var debugDir = "/usr/lib/debug"

// separateDebug finds the debug file of a stripped one, in the places where
// gdb looks for it.
func separateDebug(file *elf.File, path string) (*elf.File, string, error) {
	for _, s := range file.Sections {
		if strings.HasPrefix(s.Name, ".gnu.debuglto_.debug_info") {
			return nil, "", fmt.Errorf("%w: an LTO object: link it, or compile with -ffat-lto-objects", ErrUnsupported)
		}
	}
	if id := buildID(file); len(id) > 1 {
		candidate := filepath.Join(debugDir, ".build-id", fmt.Sprintf("%x", id[:1]), fmt.Sprintf("%x.debug", id[1:]))
		if debug, err := elf.Open(candidate); err == nil {
			if debugSection(debug) != nil && bytes.Equal(buildID(debug), id) {
				return debug, candidate, nil
			}
			_ = debug.Close()
		}
	}
	if s := file.Section(".gnu_debuglink"); s != nil {
		if debug, candidate := byDebugLink(file, s, path); debug != nil {
			return debug, candidate, nil
		}
	}
	return nil, "", ErrNoDWARF
}

// buildID returns the build ID, from its note.
func buildID(file *elf.File) []byte {
	s := file.Section(".note.gnu.build-id")
	if s == nil {
		return nil
	}
	note, err := s.Data()
	const header = 4 + 4 + 4 + len("GNU\x00")
	if err != nil || len(note) < header || string(note[12:header]) != "GNU\x00" {
		return nil
	}
	if n := file.ByteOrder.Uint32(note[4:]); uint64(n) <= uint64(len(note)-header) {
		return note[header : header+int(n)]
	}
	return nil
}

// byDebugLink finds the debug file that .gnu_debuglink names, which must have
// the checksum that stands there.
func byDebugLink(file *elf.File, s *elf.Section, path string) (*elf.File, string) {
	link, err := s.Data()
	name := sectionString(s)
	if at := (len(name) + 1 + 3) &^ 3; err != nil || name == "" || len(link) < at+4 {
		return nil, ""
	}
	sum := file.ByteOrder.Uint32(link[len(link)-4:])
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, ""
	}
	name = filepath.Base(name) // it names a file, not a path
	for _, candidate := range []string{
		filepath.Join(dir, name), filepath.Join(dir, ".debug", name), filepath.Join(debugDir, dir, name),
	} {
		content, err := os.ReadFile(candidate)
		if err != nil || crc32.ChecksumIEEE(content) != sum {
			continue
		}
		if debug, err := elf.NewFile(bytes.NewReader(content)); err == nil && debugSection(debug) != nil {
			return debug, candidate
		}
	}
	return nil, ""
}

const attrGNUDwoName dwarf.Attr = 0x2130 // DW_AT_GNU_dwo_name, before DWARF 5

// maxEnds bounds how many lists of entries end in one place. Package dwarf finds
// ends for ever where the last entry is cut short.
const maxEnds = 1 << 16

// buildIndex lists the types that have a name: those at the top level of the
// compilation units. Types inside of functions are left out.
func (im *Image) buildIndex() error {
	im.index = map[string][]definition{}
	r := im.dwarf.Reader()
	u := &unit{} // of entries that are in none
	im.units = []*unit{u}
	for ends := 0; ; {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e == nil {
			return nil
		}
		if e.Tag != 0 {
			ends = 0
		} else if ends++; ends > maxEnds {
			return errors.New("entries without end")
		}
		switch e.Tag {
		case dwarf.TagCompileUnit, dwarf.TagPartialUnit, dwarf.TagSkeletonUnit:
			if e.Val(dwarf.AttrDwoName) != nil || e.Val(attrGNUDwoName) != nil {
				return fmt.Errorf("%w: split DWARF: types are in a .dwo file: compile without -gsplit-dwarf", ErrUnsupported)
			}
			name, _ := e.Val(dwarf.AttrName).(string)
			u = &unit{offset: e.Offset, name: name, addressSize: int64(r.AddressSize())}
			im.units = append(im.units, u)
			if r.AddressSize() > 0 {
				im.ptrSize = r.AddressSize()
			}
			continue // with its children
		case dwarf.TagTypeUnit:
			im.typeUnits = true
			r.SkipChildren()
			continue
		case dwarf.TagNamespace:
			continue
		}
		if prefix, ok := typeTags[e.Tag]; ok {
			if name, _ := e.Val(dwarf.AttrName).(string); name != "" {
				declared, _ := e.Val(dwarf.AttrDeclaration).(bool)
				im.index[prefix+name] = append(im.index[prefix+name], definition{e.Offset, u, declared})
			}
		}
		r.SkipChildren()
	}
}

// typeTags are the entries that give a type a name, with what C writes before
// the name.
var typeTags = map[dwarf.Tag]string{
	dwarf.TagStructType:      "struct ",
	dwarf.TagClassType:       "struct ",
	dwarf.TagUnionType:       "union ",
	dwarf.TagEnumerationType: "enum ",
	dwarf.TagTypedef:         "",
	dwarf.TagBaseType:        "",
}

// ByteOrder returns the program's byte order.
func (im *Image) ByteOrder() binary.ByteOrder { return im.byteOrder }

// PtrSize returns the size of a pointer in the program, in bytes.
func (im *Image) PtrSize() int { return im.ptrSize }

// Types returns the names of all types that are defined, sorted: "struct
// shmTime", "union u", "enum e", "point_t". Of some of them [Image.Type] has no
// layout: a typedef of a function, of void, of a type that is only declared.
func (im *Image) Types() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range slices.Sorted(maps.Keys(im.index)) {
			if slices.ContainsFunc(im.index[name], definition.complete) && !yield(name) {
				return
			}
		}
	}
}

// Type returns the layout of a type by the name that C gives it: "struct
// shmTime", "union u", "enum e", or a typedef: "point_t".
//
// Errors: [ErrNoType], with the nearest names; [ErrDeclared]; [ErrAmbiguous]
// when compilation units have different types of that name;
// [ErrUnsupported] and [ErrCorrupt], with the member that cannot be told.
func (im *Image) Type(name string) (*Type, error) {
	name = strings.Join(strings.Fields(name), " ")
	im.mu.Lock()
	defer im.mu.Unlock()
	t, err := im.lookUp(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %q: %w", im.path, name, err)
	}
	return t, nil
}

func (im *Image) lookUp(name string) (*Type, error) {
	definitions := im.index[name]
	if im.typeUnits && !slices.ContainsFunc(definitions, definition.complete) {
		return nil, errTypeUnits
	}
	if len(definitions) == 0 {
		if near := im.nearest(name); len(near) > 0 {
			return nil, fmt.Errorf("%w; there is %s", ErrNoType, strings.Join(near, ", "))
		}
		return nil, ErrNoType
	}
	var found *Type
	var foundIn *unit
	r := im.reader()
	for _, d := range definitions {
		if d.declared {
			continue
		}
		t, err := r.typeAt(d.offset)
		if err != nil {
			return nil, err
		}
		if found != nil && !equal(found, t) {
			return nil, fmt.Errorf("%w: %s has one, %s another", ErrAmbiguous, foundIn.name, d.unit.name)
		}
		if found == nil {
			found, foundIn = t, d.unit
		}
	}
	if found == nil {
		return nil, ErrDeclared
	}
	return found, nil
}

// equal tells whether two C types are the same in all there is to them.
func equal(a, b *Type) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	return a.Name == b.Name && a.Kind == b.Kind && a.Size == b.Size && a.Align == b.Align && a.Count == b.Count &&
		slices.Equal(a.Values, b.Values) && equal(a.Elem, b.Elem) &&
		slices.EqualFunc(a.Fields, b.Fields, func(f, g Field) bool {
			return f.Name == g.Name && f.Offset == g.Offset && f.Size == g.Size &&
				f.BitOffset == g.BitOffset && f.BitSize == g.BitSize && equal(f.Type, g.Type)
		})
}

// nearest returns a few names that are like the name: the same word under
// another keyword, then those that take the fewest changes.
func (im *Image) nearest(name string) []string {
	type candidate struct {
		name  string
		steps int
	}
	word := name[strings.LastIndexByte(name, ' ')+1:]
	var list []candidate
	for other := range im.Types() {
		otherWord := other[strings.LastIndexByte(other, ' ')+1:]
		if d := len(otherWord) - len(word); d > 3 || d < -3 {
			continue
		}
		if steps := distance(strings.ToLower(word), strings.ToLower(otherWord)); steps <= 1+len(word)/4 {
			list = append(list, candidate{other, steps})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return a.steps - b.steps })
	names := []string{}
	for _, c := range list[:min(len(list), 3)] {
		names = append(names, fmt.Sprintf("%q", c.name))
	}
	return names
}

// distance is the number of letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// Check compares the Go type T with a C type of an ELF file: [Open],
// [Image.Type], [Of] and [Compare]. It is meant for a test, or for the start
// of a program that attaches what another has made.
func Check[T any](elf, ctype string) error {
	im, err := Open(elf)
	if err != nil {
		return err
	}
	c, err := im.Type(ctype)
	if err != nil {
		return err
	}
	g, err := Of[T]()
	if err != nil {
		return err
	}
	return Compare(c, g)
}
