package layout

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAuthority reads every struct and union of the system's headers, and
// holds against it what pahole reads of the same object files, what the
// compiler says of the sizes, and the Go types that Generate makes of them, as
// the Go compiler lays them out. With LAYOUT_AUTHORITY=1 these are all headers
// of the kernel and of the C library, otherwise a few.
func TestAuthority(t *testing.T) {
	needPort(t)
	tool(t, "pahole")
	tool(t, "gcc")
	sources, least := []string{include(someHeaders)}, 0
	if os.Getenv("LAYOUT_AUTHORITY") != "" {
		sources, least = allHeaders(t), 3000
	}
	a := &authority{dir: t.TempDir(), seen: map[string][]*Type{}}
	for i, source := range sources {
		a.read(t, i, source)
	}
	refused := a.generate(t)
	t.Logf("%d structs and unions, and %d in them without a name, with %d members in all: compared with pahole",
		a.named, a.unnamed, a.members)
	t.Logf("Go types of %d: compared with C; of %d: refused", a.named-len(refused), len(refused))
	for _, why := range refused {
		t.Log(why)
	}
	if a.named < least || len(refused)*100 > a.named {
		t.Errorf("%d types, of which %d are refused", a.named, len(refused))
	}
}

// authority gathers what was read.
type authority struct {
	dir    string
	seen   map[string][]*Type // all types of a name: headers differ
	images []*image

	named, unnamed, members int
}

// image is an object file, with the names of the types that are new in it.
type image struct {
	object string
	types  []*Type
}

// read compiles a source file, reads its types and compares them with
// pahole's.
func (a *authority) read(t *testing.T, n int, source string) {
	t.Helper()
	object := filepath.Join(a.dir, fmt.Sprintf("%d.o", n))
	if out, err := gcc(source, "-g", "-fno-eliminate-unused-debug-types", "-c", "-o", object); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	im, err := Open(object)
	if err != nil {
		t.Fatal(err)
	}
	theirs := pahole(t, object)
	fresh := &image{object: object}
	asserts := source
	for name := range im.Types() {
		typ, err := im.Type(name)
		if _, ok := theirs[name]; err != nil {
			if ok || strings.Contains(name, " ") { // and no typedef of a function or of void
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if typ.Kind != Struct && typ.Kind != Union || typ.Name != name {
			continue
		}
		want, ok := theirs[name]
		delete(theirs, name)
		if slices.ContainsFunc(a.seen[name], func(o *Type) bool { return equal(o, typ) }) {
			continue
		}
		a.seen[name] = append(a.seen[name], typ)
		fresh.types = append(fresh.types, typ)
		if name != "struct __va_list_tag" { // the compiler's, without a name in C
			asserts += fmt.Sprintf("_Static_assert(sizeof(%s) == %d, \"\");\n", name, typ.Size)
		}
		got := a.describe(typ)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: (-pahole +layout)\n%s", name, diff)
		}
	}
	for name := range theirs {
		t.Errorf("%s: pahole has it, layout has not", name)
	}
	if out, err := gcc(asserts, "-fsyntax-only"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if len(fresh.types) > 0 {
		a.images = append(a.images, fresh)
		t.Logf("%3d: %4d types", n, len(fresh.types))
	}
}

// describe writes a type as pahole has its members: those of a struct without
// a name before the member that is of it.
func (a *authority) describe(typ *Type) []string {
	a.named++
	list := a.describeMembers(typ, 0, nil)
	if typ.Kind == Struct {
		list = append(list, fmt.Sprintf("size %d", typ.Size))
	}
	return list
}

func (a *authority) describeMembers(typ *Type, offset int64, list []string) []string {
	for _, f := range typ.Fields {
		a.members++
		at := offset + f.Offset
		if inner := base(f.Type); inner.Name == "" && (inner.Kind == Struct || inner.Kind == Union) {
			a.unnamed++
			list = a.describeMembers(inner, at, list)
		}
		if f.BitSize != 0 {
			list = append(list, fmt.Sprintf("%s: %d bits at bit %d", f.Name, f.BitSize, 8*at+f.BitOffset))
		} else {
			list = append(list, fmt.Sprintf("%s: %d bytes at %d", f.Name, f.Size, at))
		}
	}
	return list
}

var (
	memberLine = regexp.MustCompile(`^(.*);\s*/\*\s*(\d+)(?::\s*(\d+))?\s+(\d+) \*/$`)
	attribute  = regexp.MustCompile(`\s*__attribute__\(\((?:[^()]|\([^()]*\))*\)\)`)
	function   = regexp.MustCompile(`\(\*+\s*(?:const )?(\w*)(?:\[\d*\])*\)\(`)
	lastName   = regexp.MustCompile(`(\w+)(?:\[\d*\])*(?::(\d+))?$`)
	sizeLine   = regexp.MustCompile(`^/\* size: (\d+),`)
)

// pahole returns the members of all structs and unions of a file, by name, as
// pahole prints them.
func pahole(t *testing.T, object string) map[string][]string {
	t.Helper()
	out, err := exec.Command("pahole", "--anon_include", "--suppress_force_paddings", object).Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	name := ""
	var list []string
	var open []int // for each open brace, the length of list then
	for line := range strings.Lines(string(out)) {
		line = attribute.ReplaceAllString(strings.TrimSpace(line), "")
		switch {
		case strings.HasSuffix(line, "{"):
			if len(open) == 0 {
				name, list = strings.TrimSpace(strings.TrimSuffix(line, "{")), nil
			}
			open = append(open, len(list))
			continue
		case strings.HasPrefix(line, "}") && len(open) == 1:
			if words := strings.Fields(strings.Trim(line, "}; ")); len(words) > 0 && strings.HasPrefix(name, "typedef ") {
				name = words[len(words)-1]
			}
			all[name], open = list, nil
			continue
		}
		if m := sizeLine.FindStringSubmatch(line); m != nil {
			list = append(list, "size "+m[1])
		}
		m := memberLine.FindStringSubmatch(line)
		if strings.HasPrefix(line, "}") {
			start := open[len(open)-1]
			open = open[:len(open)-1]
			if m != nil && strings.Contains(m[1], "*") { // what a pointer leads to
				list = list[:start]
			}
		}
		if m != nil {
			list = append(list, describeLine(m))
		}
	}
	return all
}

func describeLine(m []string) string {
	decl := strings.TrimPrefix(m[1], "}")
	name, bits := "", ""
	if f := function.FindStringSubmatch(decl); f != nil {
		name = f[1]
	} else if n := lastName.FindStringSubmatch(strings.TrimSpace(decl)); n != nil {
		name, bits = n[1], n[2]
	}
	if bits == "" {
		return fmt.Sprintf("%s: %s bytes at %s", name, m[4], m[2])
	}
	at, _ := strconv.Atoi(m[2])
	bit, _ := strconv.Atoi(m[3])
	return fmt.Sprintf("%s: %s bits at bit %d", name, bits, 8*at+bit)
}

// gcc compiles a source text.
func gcc(source string, args ...string) ([]byte, error) {
	cmd := exec.Command("gcc", append(args, "-w", "-D_GNU_SOURCE", "-x", "c", "-")...)
	cmd.Stdin = strings.NewReader(source)
	return cmd.CombinedOutput()
}

// include is a source text that includes the headers that there are.
func include(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		fmt.Fprintf(&b, "#if __has_include(<%s>)\n#include <%s>\n#endif\n", h, h)
	}
	return b.String()
}

// someHeaders compile together, everywhere.
var someHeaders = []string{
	"stdio.h", "stdlib.h", "signal.h", "time.h", "pthread.h", "semaphore.h", "mqueue.h", "aio.h", "poll.h", "dirent.h",
	"fcntl.h", "glob.h", "grp.h", "pwd.h", "ifaddrs.h", "netdb.h", "termios.h", "utmpx.h", "elf.h", "link.h", "fts.h",
	"ucontext.h", "locale.h", "mntent.h", "obstack.h", "regex.h", "search.h", "spawn.h", "sys/shm.h", "sys/sem.h",
	"sys/msg.h", "sys/stat.h", "sys/statvfs.h", "sys/resource.h", "sys/socket.h", "sys/un.h", "sys/uio.h", "sys/epoll.h",
	"sys/timex.h", "sys/sysinfo.h", "sys/times.h", "sys/utsname.h", "sys/user.h", "sys/ptrace.h", "netinet/in.h",
	"netinet/ip.h", "netinet/tcp.h", "netinet/udp.h", "netinet/ip_icmp.h", "netinet/icmp6.h", "net/if.h", "net/route.h",
	"linux/input.h", "linux/videodev2.h", "linux/can.h", "linux/perf_event.h", "linux/io_uring.h", "linux/bpf.h",
	"linux/fuse.h", "linux/netlink.h", "linux/rtnetlink.h", "linux/ethtool.h", "linux/kvm.h", "linux/cdrom.h",
	"linux/nl80211.h", "linux/btrfs.h", "linux/loop.h", "linux/i2c.h", "linux/serial.h", "linux/uinput.h",
}

// allHeaders finds all headers of the system. It returns a source text with
// as many as compile together, and one for each that compiles alone.
func allHeaders(t *testing.T) []string {
	var names []string
	for _, dir := range includeDirs(t) {
		for _, pattern := range []string{
			"*.h", "linux/*.h", "linux/*/*.h", "asm-generic/*.h", "asm/*.h", "sys/*.h", "net*/*.h", "arpa/*.h",
			"rpc/*.h", "protocols/*.h", "scsi/*.h", "scsi/*/*.h", "mtd/*.h", "rdma/*.h", "sound/*.h", "misc/*.h", "misc/*/*.h",
			"video/*.h", "xen/*.h", "drm/*.h",
		} {
			found, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, path := range found {
				if name, err := filepath.Rel(dir, path); err == nil && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	var together, rest []string
	var add func(headers []string)
	add = func(headers []string) {
		_, err := gcc(include(append(together, headers...)), "-fsyntax-only")
		switch {
		case err == nil:
			together = append(together, headers...)
			t.Logf("%d of %d headers compile together", len(together), len(names))
		case len(headers) == 1:
			rest = append(rest, headers[0])
		default:
			add(headers[:len(headers)/2])
			add(headers[len(headers)/2:])
		}
	}
	for chunk := range slices.Chunk(names, 32) {
		add(chunk)
	}
	sources := []string{include(together)}
	for _, h := range rest {
		if source := include([]string{h}); compiles(source) {
			sources = append(sources, source)
		} else if source = include([]string{"stddef.h", "stdint.h", "stdio.h", "sys/types.h", "sys/socket.h", "netinet/in.h", h}); compiles(source) {
			sources = append(sources, source)
		}
	}
	t.Logf("%d compile together, %d alone, %d not at all", len(together), len(sources)-1, len(rest)-len(sources)+1)
	return sources
}

func compiles(source string) bool {
	_, err := gcc(source, "-fsyntax-only")
	return err == nil
}

// includeDirs are where gcc looks for system headers.
func includeDirs(t *testing.T) (dirs []string) {
	t.Helper()
	out, err := gcc("", "-E", "-v")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(out), "<...> search starts here:\n")
	list, _, _ = strings.Cut(list, "End of search list")
	for line := range strings.Lines(list) {
		if dir := strings.TrimSpace(line); strings.HasPrefix(dir, "/usr/include") {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// generate makes Go packages of the types that were read, and has a Go program
// compare them. It returns why types were refused.
func (a *authority) generate(t *testing.T) (refused []string) {
	t.Helper()
	m := newGenerated(t)
	var imports, checks bytes.Buffer
	total := 0
	for i, im := range a.images {
		var types []*Type
		for _, typ := range im.types {
			if err := Generate(io.Discard, "gen", typ); err != nil {
				refused = append(refused, fmt.Sprintf("%v: %v", typ, err))
			} else {
				types = append(types, typ)
			}
		}
		if len(types) == 0 {
			continue
		}
		total += len(types)
		var code bytes.Buffer
		if err := Generate(&code, fmt.Sprintf("gen%d", i), types...); err != nil {
			t.Fatal(err)
		}
		pkg := fmt.Sprintf("gen%d", i)
		if err := os.Mkdir(filepath.Join(m.dir, pkg), 0o700); err != nil {
			t.Fatal(err)
		}
		m.write(t, pkg+"/gen.go", code.String())
		fmt.Fprintf(&imports, "\"generated/%s\"\n", pkg)
		fmt.Fprintf(&checks, "check(%q, map[string]reflect.Type{\n", im.object)
		names := goNames(code.String())
		for _, typ := range types {
			fmt.Fprintf(&checks, "%q: reflect.TypeFor[%s.%s](),\n", typ.Name, pkg, names[typ.Name])
		}
		fmt.Fprintf(&checks, "})\n")
	}
	m.write(t, "main.go", fmt.Sprintf(checkProgram, &imports, &checks))
	if out, err := m.try("run", "."); err != nil || out != fmt.Sprintf("%d types\n", total) {
		t.Errorf("of %d types: %v\n%s", total, err, out)
	}
	if out, err := m.try("vet", "./..."); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
	return refused
}

var declared = regexp.MustCompile(`(?m)^// (\w+) is (\S+|struct \S+|union \S+), of `)

// goNames finds the Go names of C types in generated code, by their comments.
func goNames(code string) map[string]string {
	names := map[string]string{}
	for _, m := range declared.FindAllStringSubmatch(code, -1) {
		names[m[2]] = m[1]
	}
	return names
}

// checkProgram compares Go types with C types, by what the compilers have made
// of them.
const checkProgram = `package main

import (
	"fmt"
	"os"
	"reflect"

	"github.com/gosysv/shm/layout"
	%s)

var count, bad int

func check(object string, types map[string]reflect.Type) {
	im, err := layout.Open(object)
	if err != nil {
		panic(err)
	}
	for name, t := range types {
		count++
		c, err := im.Type(name)
		if err != nil {
			panic(err)
		}
		g, err := layout.OfType(t)
		if err == nil {
			err = layout.Compare(c, g)
		}
		if err != nil {
			bad++
			fmt.Println(err)
		}
	}
}

func main() {
	%s
	fmt.Println(count, "types")
	if bad > 0 {
		os.Exit(1)
	}
}
`
