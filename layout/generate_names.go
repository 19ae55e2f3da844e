package layout

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// names gives out each name once: the names of a package, or the fields and
// methods of a type.
type names struct {
	wanted map[string]bool
	taken  map[string]bool
	last   map[string]int // number of a name that was wanted more than once
}

// want says that a name will be asked for, so that none is made up that is
// the same.
func (n *names) want(name string) {
	if n.wanted == nil {
		n.wanted, n.taken, n.last = map[string]bool{}, map[string]bool{}, map[string]int{}
	}
	n.wanted[name] = true
}

// take gives out a name or, if it is taken, the name with a number.
func (n *names) take(name string) string {
	n.want(name)
	if !n.taken[name] {
		n.taken[name] = true
		return name
	}
	between := ""
	if unicode.IsDigit(rune(name[len(name)-1])) {
		between = "_"
	}
	number := max(n.last[name], 1)
	for {
		number++
		if other := fmt.Sprintf("%s%s%d", name, between, number); !n.wanted[other] && !n.taken[other] {
			n.last[name] = number
			n.taken[other] = true
			return other
		}
	}
}

// goName is a C name as an exported Go name.
func goName(c string) string {
	var b strings.Builder
	last, split := 'x', true
	for _, r := range c {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			split = true
			continue
		}
		if split && unicode.IsDigit(r) && unicode.IsDigit(last) {
			b.WriteByte('_') // v1_2 is not v12
		}
		if split {
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
		last, split = r, false
	}
	if first, _ := utf8.DecodeRuneInString(b.String()); !unicode.IsUpper(first) {
		return "X" + b.String()
	}
	return b.String()
}

// constantName is the Go name of a value of an enum.
func constantName(c string) string {
	if first, _ := utf8.DecodeRuneInString(c); unicode.IsUpper(first) && !strings.ContainsFunc(c, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return c
	}
	return goName(c)
}

// untagged is a type's name without its keyword.
func untagged(name string) string {
	for _, keyword := range []string{"struct ", "union ", "enum "} {
		if rest, ok := strings.CutPrefix(name, keyword); ok {
			return rest
		}
	}
	return name
}

// standardMethods are names of methods for which go vet wants a signature.
var standardMethods = []string{
	"Format", "GobDecode", "GobEncode", "MarshalJSON", "MarshalXML", "ReadByte", "ReadFrom", "ReadRune", "Scan", "Seek",
	"UnmarshalJSON", "UnmarshalXML", "UnreadByte", "UnreadRune", "WriteByte", "WriteTo",
}

// declaration writes a member as C does.
func declaration(f *Field) string {
	decl, name := f.Decl, f.Name
	if decl == "" {
		decl = f.Type.String()
	}
	if i := strings.IndexByte(decl, '['); i > 0 && strings.HasSuffix(decl, "]") {
		name += decl[i:]
		decl = decl[:i]
	}
	if f.BitSize != 0 {
		name += fmt.Sprintf(":%d", f.BitSize)
	}
	if !strings.HasSuffix(decl, "*") && name != "" {
		decl += " "
	}
	return clean(decl + name)
}

// isAtomic tells whether a member was declared _Atomic, or by one of the
// names that <stdatomic.h> has for such types.
func isAtomic(f *Field) bool {
	decl := f.Decl
	for _, qualifier := range []string{"const ", "volatile ", "const "} {
		decl = strings.TrimPrefix(decl, qualifier)
	}
	if base(f.Type).Kind == Pointer {
		return false // it may be what the pointer leads to
	}
	if strings.HasPrefix(decl, "_Atomic ") {
		return true
	}
	decl, _, _ = strings.Cut(decl, "[")
	name, ok := strings.CutPrefix(decl, "atomic_")
	return ok && strings.Contains(stdatomic, " "+name+" ")
}

const stdatomic = " bool char schar uchar short ushort int uint long ulong llong ullong char16_t char32_t wchar_t" +
	" int_least8_t uint_least8_t int_least16_t uint_least16_t int_least32_t uint_least32_t int_least64_t uint_least64_t" +
	" int_fast8_t uint_fast8_t int_fast16_t uint_fast16_t int_fast32_t uint_fast32_t int_fast64_t uint_fast64_t" +
	" intptr_t uintptr_t size_t ptrdiff_t intmax_t uintmax_t "
