package main

import (
	"bytes"
	"fmt"
	"go/build/constraint"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gosysv/shm/layout"
)

// gen writes Go types that are C types.
func gen(args []string, stdout, stderr io.Writer) error {
	f := newFlags("gen", "-header FILE.h [-pkg NAME] [-o FILE.go [-test]] TYPE...", stderr)
	pkg := f.String("pkg", os.Getenv("GOPACKAGE"), "the Go package's `name`; go generate has told it")
	out := f.String("o", "-", "write to this `file`, - for standard output")
	tags := f.String("tags", "", "build it only where this `constraint` holds, as in //go:build")
	test := f.Bool("test", false, "write a test beside it (FILE_test.go) that compares again")
	if err := f.parse(args, 1); err != nil {
		return err
	}
	name, isGo := strings.CutSuffix(*out, ".go")
	switch {
	case *pkg == "":
		return f.wrong("no -pkg")
	case *test && !isGo:
		return f.wrong("-test needs -o FILE.go")
	}
	types, err := f.sources[0].types(f.Args())
	if err != nil {
		return err
	}
	var code bytes.Buffer
	if err := layout.Generate(&code, *pkg, types...); err != nil {
		return err
	}
	content, err := constrain(code.Bytes(), *tags)
	if err != nil {
		return err
	}
	if *out == "-" {
		_, err := stdout.Write(content)
		return err
	}
	_ = name
	return writeFile(*out, content)
}

// constrain adds a condition to the //go:build line of a generated file.
func constrain(code []byte, condition string) ([]byte, error) {
	if condition == "" {
		return code, nil
	}
	const prefix = "//go:build "
	also, err := constraint.Parse(prefix + condition)
	if err != nil {
		return nil, fmt.Errorf("-tags: %w", err)
	}
	start := bytes.Index(code, []byte(prefix))
	if start < 0 {
		return nil, fmt.Errorf("the generated file has no %sline", prefix)
	}
	end := start + bytes.IndexByte(code[start:], '\n')
	given, err := constraint.Parse(string(code[start:end]))
	if err != nil {
		return nil, err
	}
	both := &constraint.AndExpr{X: given, Y: also}
	return slices.Concat(code[:start], []byte(prefix+both.String()), code[end:]), nil
}

// writeFile replaces a file in one step, so that a build beside it finds the
// old one or the new one. What is no plain file, as /dev/stdout, is written
// to.
func writeFile(path string, content []byte) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, content, 0o666)
	}
	temp := fmt.Sprintf("%s.%d~", path, os.Getpid())
	err := os.WriteFile(temp, content, 0o666)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}
