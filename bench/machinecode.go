//go:build linux && cgo

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// codePair are two functions that are to be the same instructions.
type codePair struct{ what, segment, heap string }

var codePairs = []codePair{
	{"read", "readSegment", "readHeap"},
	{"write", "writeSegment", "writeHeap"},
	{"atomic add", "addSegment", "addHeap"},
}

// sameCode compares the machine code of the pairs in a build of this directory,
// which must be the present one, and returns that of the functions over
// segments. An error shows what differs.
func sameCode() (listing string, err error) {
	dir, err := os.MkdirTemp("", "shmbench")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "bench")
	// What "go run" and "go test" build has no symbols.
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	var b strings.Builder
	for _, pair := range codePairs {
		segment, err := disassemble(program, pair.segment)
		if err != nil {
			return "", err
		}
		heap, err := disassemble(program, pair.heap)
		if err != nil {
			return "", err
		}
		if !slices.Equal(segment, heap) {
			return "", fmt.Errorf("%s: the machine code differs:\n%s:\n%s\n%s:\n%s", pair.what,
				pair.segment, strings.Join(segment, "\n"), pair.heap, strings.Join(heap, "\n"))
		}
		fmt.Fprintf(&b, "%s and %s:\n    %s\n", pair.segment, pair.heap, strings.Join(segment, "\n    "))
	}
	return b.String(), nil
}

// An instruction as objdump prints it: file:line, address, code, mnemonic and
// operands.
var instruction = regexp.MustCompile(`^\s+\S+:\d+\s+0x([0-9a-f]+)\s+[0-9a-f]+\s+(\S.*?)\s*$`)

// disassemble returns the instructions of a function of package main. A jump
// is told by the number of the instruction that it leads to, and the function
// that is called for the record, which is all that may differ, is left out.
func disassemble(program, function string) ([]string, error) {
	out, err := exec.Command("go", "tool", "objdump", "-s", `^main\.`+function+`$`, program).Output()
	if err != nil {
		return nil, fmt.Errorf("go tool objdump: %w", err)
	}
	var code []string
	number := map[string]int{}
	for line := range strings.Lines(string(out)) {
		if m := instruction.FindStringSubmatch(line); m != nil {
			number["0x"+m[1]] = len(code)
			code = append(code, m[2])
		}
	}
	if len(code) == 0 {
		return nil, fmt.Errorf("go tool objdump shows no instructions of main.%s:\n%s", function, out)
	}
	for i, text := range code {
		text = strings.NewReplacer("main.recordInSegment(SB)", "RECORD", "main.recordOnHeap(SB)", "RECORD", "main."+function+"(SB)", "0").Replace(text)
		if op, target, ok := strings.Cut(text, " "); ok {
			if n, inside := number[target]; inside {
				text = fmt.Sprintf("%s %d", op, n)
			}
		}
		code[i] = text
	}
	return code, nil
}
