// The checker reads what nasty.c prints, and has the generated types agree:
// they read C's values from C's bytes, and their fields and methods, given C's
// values, make C's bytes, leaving all others alone. Its types are in types.go,
// which the test writes.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	"github.com/gosysv/shm/layout"
)

// sample is a type's memory, and its members' values, as C has them.
type sample struct {
	name   string
	size   int
	fill   byte
	values []value
}

// value is of the member at a path: "a.b[2].c".
type value struct{ kind, path, want string }

var failed bool

func fail(format string, args ...any) {
	failed = true
	fmt.Printf(format+"\n", args...)
}

func main() {
	im, err := layout.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	var s sample
	count := 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "type":
			words := strings.Split(rest, " ")
			n := len(words)
			size, _ := strconv.Atoi(words[n-2])
			fill, _ := strconv.Atoi(words[n-1])
			s = sample{name: strings.Join(words[:n-2], " "), size: size, fill: byte(fill)}
		case "const":
		case "bytes":
			count++
			c, err := hex.DecodeString(strings.TrimSpace(rest))
			if err != nil {
				panic(err)
			}
			s.check(im, c)
		default:
			path, want, _ := strings.Cut(rest, " ")
			s.values = append(s.values, value{kind, path, want})
		}
	}
	if failed {
		os.Exit(1)
	}
	fmt.Println(count)
}

// check compares C's bytes and values with Go's.
func (s *sample) check(im *layout.Image, c []byte) {
	t := types[s.name]
	if t == nil {
		fail("%s: there is no such type", s.name)
		return
	}
	ctype, err := im.Type(s.name)
	if err != nil {
		fail("%v", err)
		return
	}
	gtype, err := layout.OfType(t)
	if err == nil {
		err = layout.Compare(ctype, gtype)
	}
	if err != nil {
		fail("%v", err)
	}
	if int(t.Size()) != s.size || len(c) != s.size {
		fail("%s: C has %d bytes, Go %d", s.name, s.size, t.Size())
		return
	}
	read, written := reflect.New(t), reflect.New(t)
	copy(memory(read.Elem()), c)
	for i := range s.size {
		memory(written.Elem())[i] = s.fill
	}
	for _, v := range s.values {
		var got string
		visit(read, v.path, func(m reflect.Value) { got = get(v.kind, m) })
		if got != v.want {
			fail("%s, %s: C %s %s, Go %s", s.name, v.path, v.kind, v.want, got)
		}
		visit(written, v.path, func(m reflect.Value) { set(v.kind, m, v.want) })
	}
	if got := memory(written.Elem()); string(got) != string(c) {
		fail("%s, filled with %#02x, with C's values\nin C  %x\nin Go %x", s.name, s.fill, c, got)
	}
	if got := memory(read.Elem()); string(got) != string(c) {
		fail("%s was changed by reading\nfrom %x\nto   %x", s.name, c, got)
	}
}

// memory is the memory of a value.
func memory(v reflect.Value) []byte {
	return unsafe.Slice((*byte)(v.Addr().UnsafePointer()), v.Type().Size())
}

// visit calls f with the member at a path, which it may read and set: a field,
// what a method returns the address of, or what a method returns a copy of,
// which is then set by another method.
func visit(at reflect.Value, path string, f func(m reflect.Value)) {
	if path == "" {
		f(at.Elem())
		return
	}
	path = strings.TrimPrefix(path, ".")
	if path[0] == '[' {
		index, rest, _ := strings.Cut(path[1:], "]")
		i, _ := strconv.Atoi(index)
		visit(at.Elem().Index(i).Addr(), rest, f)
		return
	}
	name, rest := path, ""
	if i := strings.IndexAny(path, ".["); i >= 0 {
		name, rest = path[:i], path[i:]
	}
	name = goName(name)
	if field := at.Elem().FieldByName(name); field.IsValid() {
		visit(field.Addr(), rest, f)
		return
	}
	method := at.MethodByName(name)
	if !method.IsValid() {
		fail("%v has neither a field nor a method %s", at.Type(), name)
		return
	}
	got := method.Call(nil)[0]
	if got.Kind() == reflect.Pointer {
		if align := got.Type().Elem().Align(); at.Type().Elem().Align()%align != 0 || (got.Pointer()-at.Pointer())%uintptr(align) != 0 {
			fail("%v.%s may return an address that is not aligned", at.Type(), name)
		}
		visit(got, rest, f)
		return
	}
	copied := reflect.New(got.Type())
	copied.Elem().Set(got)
	visit(copied, rest, f)
	setter := at.MethodByName("Set" + name)
	if !setter.IsValid() { // a member has that name
		setter = at.MethodByName("Set" + name + "2")
	}
	if setter.Type().In(0).Kind() != reflect.Pointer {
		copied = copied.Elem()
	}
	setter.Call([]reflect.Value{copied})
}

// goName is what a member should be called. A name that begins with = is that
// already.
func goName(c string) string {
	if name, ok := strings.CutPrefix(c, "="); ok {
		return name
	}
	name := ""
	for part := range strings.SplitSeq(c, "_") {
		if part != "" {
			name += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return name
}

// get prints a member as C does.
func get(kind string, m reflect.Value) string {
	switch {
	case kind == "hex":
		return hex.EncodeToString(memory(m))
	case kind == "text" && m.Kind() == reflect.Array:
		text, _, _ := strings.Cut(string(memory(m)), "\x00")
		return text
	case kind == "float" && m.CanFloat():
		return strconv.FormatFloat(m.Float(), 'g', 17, m.Type().Bits())
	case kind == "complex" && m.CanComplex():
		return fmt.Sprintf("%.17g", m.Complex())
	case kind != "int":
	case m.CanInt():
		return strconv.FormatInt(m.Int(), 10)
	case m.CanUint():
		return strconv.FormatUint(m.Uint(), 10)
	case m.Kind() == reflect.Bool:
		return map[bool]string{false: "0", true: "1"}[m.Bool()]
	case m.Kind() == reflect.Struct: // of sync/atomic
		return fmt.Sprint(m.Addr().MethodByName("Load").Call(nil)[0])
	}
	return "no " + kind + " but a " + m.Type().String()
}

// set sets a member to what C has printed.
func set(kind string, m reflect.Value, want string) {
	switch {
	case kind == "hex":
		b, _ := hex.DecodeString(want)
		copy(memory(m), b)
	case kind == "text" && m.Kind() == reflect.Array:
		clear(memory(m)[copy(memory(m), want):])
	case kind == "float":
		v, _ := strconv.ParseFloat(want, 64)
		m.SetFloat(v)
	case kind == "complex":
		v, _ := strconv.ParseComplex(want, 128)
		m.SetComplex(v)
	case m.CanInt():
		v, _ := strconv.ParseInt(want, 10, 64)
		m.SetInt(v)
	case m.CanUint():
		v, _ := strconv.ParseUint(want, 10, 64)
		m.SetUint(v)
	case m.Kind() == reflect.Bool:
		m.SetBool(want == "1")
	case m.Kind() == reflect.Struct:
		store := m.Addr().MethodByName("Store")
		v := reflect.New(store.Type().In(0))
		set(kind, v.Elem(), want)
		store.Call([]reflect.Value{v.Elem()})
	}
}
