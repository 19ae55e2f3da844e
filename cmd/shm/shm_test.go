//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm/internal/cpeer"
)

func TestMain(m *testing.M) {
	status := m.Run()
	cpeer.Remove()
	os.Exit(status)
}

// shapes.h has a bit of everything.
const shapes = "testdata/shapes.h"

// program compiles a C program that has variables of the types of shapes.h.
func program(t *testing.T, flags ...string) string {
	t.Helper()
	if _, err := os.ReadFile(shapes); err != nil { // for the test cache
		t.Fatal(err)
	}
	return cpeer.Build(t, "testdata/shapes.c", flags...)
}

// succeed runs the program, and returns what it prints.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(args, &stdout, &stderr); status != 0 || stderr.Len() > 0 {
		t.Fatalf("shm %q: status %d\n%s", args, status, &stderr)
	}
	return stdout.String()
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimLeft(want, "\n"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUsage: what is said of arguments that are wrong, and where.
func TestUsage(t *testing.T) {
	const header = "-header " + shapes + " "
	for _, c := range []struct {
		args   string
		status int
		stdout string
		stderr string
	}{
		{"", 2, "", `^usage: shm COMMAND`},
		{"help", 0, `^usage: shm COMMAND`, ""},
		{"-h", 0, `^usage: shm COMMAND`, ""},
		{"layuot", 2, "", `^shm: no command "layuot"\nusage: `},
		{"layout -h", 0, "", `^usage: shm layout .*(\n.*)*-elf program\n`},
		{"layout -x", 2, "", `^flag provided but not defined: -x\nusage: `},
		{"layout point", 2, "", `^shm layout: 0 of -elf and -header, want 1\nusage: `},
		{"layout -elf a -elf b point", 2, "", `^shm layout: 2 of -elf and -header, want 1\n`},
		{"check -elf a point", 2, "", `^shm check: 1 of -elf and -header, want 2\n`},
		{"layout " + header, 2, "", `^shm layout: no type\n`},
		{"layout -cflags -m32 " + header + "point_t", 2, "", `no -header before it\n`},
		{"layout -elf a -cflags -m32 point_t", 2, "", `no -header before it\n`},
		{"gen " + header + "point_t", 2, "", `^shm gen: no -pkg\n`},
		{"gen -pkg p -test " + header + "point_t", 2, "", `^shm gen: -test needs -o FILE.go\n`},
		{"gen -pkg p -test -o x.txt " + header + "point_t", 2, "", `^shm gen: -test needs -o FILE.go\n`},
		{"gen -pkg p -tags (linux " + header + "point_t", 1, "", `^shm gen: -tags: .*\n$`},

		{"layout -elf /nonexistent/program x", 1, "", `^shm layout: .*no such file`},
		{"layout -elf " + shapes + " x", 1, "", `^shm layout: testdata/shapes.h: .*magic`},
		{"layout -header /nonexistent.h x", 1, "", `^shm layout: (.*\n)*.*No such file|not found`},
		{"layout " + header + "-cflags -DBROKEN point_t", 1, "", `^shm layout: (.*\n)*.*BROKEN`},
		{"layout " + header + "pointt", 1, "", `^shm layout: .*no such type.*"point_t"`},
		{"gen -pkg p -o /nonexistent/x.go " + header + "point_t", 1, "", `^shm gen: .*no such file or directory\n$`},
		{"gen -pkg not-a-name " + header + "point_t", 1, "", `^shm gen: .*not-a-name`},
		{"gen -pkg p " + header + "int", 1, "", `^shm gen: .*int.*`},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Setenv("GOPACKAGE", "")
			var stdout, stderr bytes.Buffer
			if got := run(strings.Fields(c.args), &stdout, &stderr); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			for _, o := range []struct{ name, got, want string }{
				{"output", stdout.String(), c.stdout},
				{"error", stderr.String(), c.stderr},
			} {
				if o.want == "" && o.got != "" || !regexp.MustCompile(o.want).MatchString(o.got) {
					t.Errorf("standard %s:\n%s\nwant %q", o.name, o.got, c.stderr)
				}
			}
		})
	}
}

// need64Bit skips the test where types have other sizes.
func need64Bit(t *testing.T) {
	t.Helper()
	if strconv.IntSize != 64 {
		t.Skip("its numbers are those of 64-bit ports")
	}
}

func TestLayout(t *testing.T) {
	need64Bit(t)
	const want = `
struct shapes, 128 bytes:
offset  size  type                    member
0       1     char                    c
1       7     (hole)
8       8     double                  d
16:0    1     unsigned int            a:3
16:3    2     unsigned int            b:9
17:4          (hole)                  :4
18      1     uint8_t                 u
19      1     (hole)
20      24    point_t[2]              p
20      2       coordinate_t          x
22      2       coordinate_t          y
24      1       char                  tag
25      3       (hole)
28      4       int                   z
44      8     union {…}
44      4       int                   i
44      8       struct {…}            s
44      1         char                lo
45      3         (hole)
48      4         int                 hi
52      4     (hole)
56      8     struct shapes *         next
64            ---- cache line 1 ----
64      33    char[33]                name
97:0    1     unsigned int            flag:1
97:1          (hole)                  :7
98      6     (hole)
104     8     volatile int64_t        count
112     4     float                   ratio
116     12    (padding)
size 128, cache lines 2, members 12, holes 6 (18 bytes, 11 bits), padding 12

point_t, 12 bytes:
offset  size  type          member
0       2     coordinate_t  x
2       2     coordinate_t  y
4       1     char          tag
5       3     (hole)
8       4     int           z
size 12, cache lines 1, members 4, holes 1 (3 bytes, 0 bits), padding 0
`
	same(t, succeed(t, "layout", "-elf", program(t), "struct shapes", "point_t"), want)
	same(t, succeed(t, "layout", "-header", shapes, "struct shapes", "point_t"), want)
}

func TestLayoutJSON(t *testing.T) {
	same(t, succeed(t, "layout", "-json", "-header", shapes, "union either", "coordinate_t"), `
[
	{
		"name": "union either",
		"kind": "union",
		"size": 8,
		"members": [
			{
				"offset": 0,
				"size": 1,
				"type": "_Bool",
				"name": "on",
				"kind": "bool"
			},
			{
				"offset": 0,
				"size": 8,
				"type": "struct {…}",
				"kind": "struct",
				"members": [
					{
						"offset": 0,
						"bit": 0,
						"size": 1,
						"bits": 3,
						"type": "unsigned int",
						"name": "low",
						"kind": "uint"
					},
					{
						"offset": 4,
						"size": 1,
						"type": "char",
						"name": "c",
						"kind": "char"
					}
				],
				"holes": [
					{
						"offset": 0,
						"bit": 3,
						"bits": 5
					},
					{
						"offset": 1,
						"size": 3
					}
				],
				"padding": 3
			}
		]
	},
	{
		"name": "coordinate_t",
		"kind": "int",
		"size": 2
	}
]
`)
}

// TestPahole: pahole, which reads the same data, sees members, holes and
// padding at the same places.
func TestPahole(t *testing.T) {
	pahole, err := exec.LookPath("pahole")
	if err != nil {
		t.Skip("needs pahole, from dwarves: ", err)
	}
	elf := program(t)
	for _, name := range []string{"shapes", "bits", "big"} {
		out, err := exec.Command(pahole, "-C", name, elf).Output()
		if err != nil {
			t.Fatal(err)
		}
		var outlines []outline
		if err := json.Unmarshal([]byte(succeed(t, "layout", "-json", "-elf", elf, "struct "+name)), &outlines); err != nil {
			t.Fatal(err)
		}
		o := outlines[0]
		if diff := cmp.Diff(readPahole(t, string(out)), flatten(&o)); diff != "" {
			t.Errorf("struct %s (-pahole +shm):\n%s\npahole says:\n%s", name, diff, out)
		}
	}
}

// readPahole reads the numbers that pahole prints: of each member where it
// begins, in bits, and of the struct the totals.
func readPahole(t *testing.T, out string) map[string]int {
	t.Helper()
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil && s != "" {
			t.Fatal(err)
		}
		return n
	}
	numbers := map[string]int{}
	members := regexp.MustCompile(`(?m)(\w+)(?:\[\d+\])*(?::\d+)?(?: __attribute__.*)?; +/\* +(\d+)(?:: *(\d+))? +\d+ \*/$`)
	for _, m := range members.FindAllStringSubmatch(out, -1) {
		// What clang has compiled it shows once more, from offset 0 on.
		if _, again := numbers["."+m[1]]; !again {
			numbers["."+m[1]] = 8*number(m[2]) + number(m[3])
		}
	}
	totals := map[string]int{}
	for _, m := range regexp.MustCompile(`(?:/\*|,) (\w[\w ]*): (\d+)`).FindAllStringSubmatch(out, -1) {
		totals[m[1]] = number(m[2])
	}
	numbers["size"], numbers["cache lines"], numbers["members"] = totals["size"], totals["cachelines"], totals["members"]
	// Behind a bit-field it counts the bits to the end of the unsigned int
	// apart from the bytes.
	numbers["holes"] = 8*totals["sum holes"] + totals["sum bit holes"]
	numbers["padding"] = totals["padding"] + totals["bit_padding"]/8
	return numbers
}

// flatten makes of an outline what readPahole makes of pahole's. Where a
// member has a type with a name, pahole does not show what is in that.
func flatten(o *outline) map[string]int {
	numbers := map[string]int{
		"size": int(o.Size), "cache lines": int(o.Size+cacheLine-1) / cacheLine,
		"members": len(o.Members), "padding": int(o.Padding), "holes": 0,
	}
	for _, h := range o.Holes {
		numbers["holes"] += int(8*h.Size + h.Bits)
	}
	var add func(b *body)
	add = func(b *body) {
		for i := range b.Members {
			m := &b.Members[i]
			if m.Name != "" {
				numbers["."+m.Name] = int(m.start())
			}
			if strings.Contains(m.Type, "{…}") {
				add(&m.body)
			}
		}
	}
	add(&o.body)
	return numbers
}

func TestCheck(t *testing.T) {
	need64Bit(t)
	elf, other := program(t), program(t, "-DOTHER")
	same(t, succeed(t, "check", "-elf", elf, "-header", shapes, "struct shapes", "point_t"), `
struct shapes: the same 128 bytes
point_t: the same 12 bytes
`)
	for _, c := range []struct{ sources, one, other string }{
		{"-elf " + elf + " -elf " + other, elf, other},
		{"-header " + shapes + " -header " + shapes + " -cflags -O2 -cflags -DOTHER", shapes, shapes + " -O2 -DOTHER"},
	} {
		var stdout, stderr bytes.Buffer
		args := strings.Fields("check " + c.sources + " point_t")
		if status := run(append(args, "struct bits"), &stdout, &stderr); status != 1 || stderr.Len() > 0 {
			t.Errorf("status %d, want 1, standard error: %s", status, &stderr)
		}
		same(t, stdout.String(), fmt.Sprintf(`
point_t: %s, the one, and %s, the other, differ:
	size: one 12, the other 16
	x: one has 2 bytes, the other 4
	y: one at 2, the other at 4
	tag: one at 4, the other at 8
	z: one at 8, the other at 12
struct bits: the same 16 bytes
`, c.one, c.other))
	}
}

func TestGen(t *testing.T) {
	t.Setenv("GOPACKAGE", "shapes")
	code := succeed(t, "gen", "-header", shapes, "struct shapes")
	if fromELF := succeed(t, "gen", "-elf", program(t), "-o", "-", "struct shapes"); fromELF != code {
		t.Errorf("of the header and of the program (-header +program):\n%s", cmp.Diff(code, fromELF))
	}
	if !strings.Contains(code, "\npackage shapes\n") || !strings.Contains(code, "\ntype Shapes struct {\n") {
		t.Errorf("it writes:\n%s", code)
	}
	if code := succeed(t, "gen", "-header", shapes, "-pkg", "other", "point_t"); !strings.Contains(code, "\npackage other\n") {
		t.Errorf("it writes:\n%s", code)
	}
	code = succeed(t, "gen", "-header", shapes, "-tags", "linux && !race || purego", "point_t")
	if !regexp.MustCompile(`(?m)^//go:build \(.*amd64.*\) && \(\(linux && !race\) \|\| purego\)$`).MatchString(code) {
		t.Errorf("it writes:\n%s", code)
	}
}

// TestGenTest: the test beside a file finds the header from where it is. That
// such tests pass and fail as they should, layout's own tests show.
func TestGenTest(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Mkdir("p", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ header, want string }{
		{shapes, `layout.Compile("../testdata/shapes.h", "-DX", "-DY")`},
		{filepath.Join(dir, shapes), `layout.Compile("` + filepath.Join(dir, shapes) + `", "-DX", "-DY")`},
		{"<shapes.h>", `layout.Compile("<shapes.h>", "-DX", "-DY", "-I`},
	} {
		args := []string{"gen", "-header", c.header, "-cflags", "-DX -DY"}
		if c.header[0] == '<' {
			args = append(args, "-cflags", "-I"+filepath.Join(dir, "testdata"))
		}
		succeed(t, append(args, "-pkg", "p", "-tags", "linux", "-o", "p/shapes.go", "-test", "struct shapes", "point_t")...)
		code, test := content(t, "p/shapes.go"), content(t, "p/shapes_test.go")
		constraint := regexp.MustCompile(`(?m)^//go:build .* && linux$`)
		if !constraint.MatchString(code) || !constraint.MatchString(test) {
			t.Errorf("not both have the constraint:\n%s\n%s", code, test)
		}
		if !strings.Contains(test, "\npackage p\n") || !strings.Contains(test, c.want) {
			t.Errorf("the test has no %s:\n%s", c.want, test)
		}
	}
}

// TestGenFile: a file is replaced as a whole or not at all.
func TestGenFile(t *testing.T) {
	t.Setenv("GOPACKAGE", "shapes")
	dir := t.TempDir()
	path := filepath.Join(dir, "shapes.go")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	if status := run([]string{"gen", "-header", shapes, "-o", path, "struct shapes", "struct none"}, &stderr, &stderr); status != 1 {
		t.Errorf("status %d, %s", status, &stderr)
	}
	same(t, content(t, path), "old")
	if out := succeed(t, "gen", "-header", shapes, "-o", path, "struct shapes"); out != "" {
		t.Errorf("standard output %q", out)
	}
	same(t, content(t, path), succeed(t, "gen", "-header", shapes, "struct shapes"))

	link := filepath.Join(dir, "link.go")
	if err := os.Symlink("shapes.go", link); err != nil {
		t.Fatal(err)
	}
	succeed(t, "gen", "-header", shapes, "-o", link, "point_t")
	same(t, content(t, path), succeed(t, "gen", "-header", shapes, "point_t"))

	directory := filepath.Join(dir, "directory")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	if status := run([]string{"gen", "-header", shapes, "-o", directory, "point_t"}, &stderr, &stderr); status != 1 {
		t.Errorf("status %d, %s", status, &stderr)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{directory, link, path}; !cmp.Equal(names, want) {
		t.Errorf("there are %q, want %q", names, want)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
