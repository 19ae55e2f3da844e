package main

import (
	"bytes"
	"fmt"
	"go/build/constraint"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosysv/shm/layout"
)

// gen writes Go types that are C types.
func gen(args []string, stdout, stderr io.Writer) error {
	f := newFlags("gen", "-header FILE.h [-pkg NAME] [-o FILE.go [-test]] TYPE...", stderr)
	pkg := f.String("pkg", os.Getenv("GOPACKAGE"), "the Go package's `name`; go generate tells it")
	out := f.String("o", "-", "write to this `file`, - for standard output")
	tags := f.String("tags", "", "build it only where this `constraint` holds, as in //go:build")
	test := f.Bool("test", false, "write a test beside it, FILE_test.go, that compares the types again")
	if err := f.parse(args, 1); err != nil {
		return err
	}
	base, isGo := strings.CutSuffix(*out, ".go")
	switch {
	case *pkg == "":
		return f.wrong("no -pkg")
	case *test && !isGo:
		return f.wrong("-test needs -o FILE.go")
	}
	types, err := read(f.sources[0], f.Args())
	if err != nil {
		return err
	}
	code, err := generate(*tags, func(w io.Writer) error { return layout.Generate(w, *pkg, types...) })
	if err != nil {
		return err
	}
	if *out == "-" {
		_, err := stdout.Write(code)
		return err
	}
	if !*test {
		return writeFile(*out, code)
	}
	from, err := seenFrom(filepath.Dir(*out), f.sources[0])
	if err != nil {
		return err
	}
	testCode, err := generate(*tags, func(w io.Writer) error { return layout.GenerateTest(w, *pkg, from, types...) })
	if err != nil {
		return err
	}
	if err := writeFile(*out, code); err != nil {
		return err
	}
	return writeFile(base+"_test.go", testCode)
}

// generate returns what is written to a Go file, with the tags added.
func generate(tags string, write func(io.Writer) error) ([]byte, error) {
	var code bytes.Buffer
	if err := write(&code); err != nil {
		return nil, err
	}
	return constrain(code.Bytes(), tags)
}

// seenFrom makes relative names relative to a directory: tests run in theirs.
func seenFrom(dir string, from layout.Source) (layout.Source, error) {
	for _, path := range []*string{&from.Program, &from.Header} {
		if *path == "" || filepath.IsAbs(*path) || strings.HasPrefix(*path, "<") {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return from, err
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return from, err
		}
		if *path, err = filepath.Rel(dir, absolute); err != nil {
			return from, err
		}
	}
	return from, nil
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
