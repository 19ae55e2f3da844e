//go:build linux && cgo

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	hugePage  = 2 << 20
	hugePages = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
)

// reserveHugePages sees to it that there are free huge pages for size bytes.
// It reserves some, until restore, if it may: that is a setting of the whole
// system. Where there are none, why says so.
func reserveHugePages(size int) (ok bool, why string, restore func() error) {
	nothing := func() error { return nil }
	need := size / hugePage
	free, err1 := readNumber(hugePages + "free_hugepages")
	total, err2 := readNumber(hugePages + "nr_hugepages")
	if err1 != nil || err2 != nil {
		return false, " Huge pages were not measured: this kernel has none of 2 MiB.", nothing
	}
	if free >= need {
		return true, "", nothing
	}
	if err := writeNumber(hugePages+"nr_hugepages", total+need-free); err != nil {
		return false, fmt.Sprintf(" Huge pages were not measured: %d are free, and more cannot be reserved (%v).", free, err), nothing
	}
	restore = func() error { return writeNumber(hugePages+"nr_hugepages", total) }
	if free, err := readNumber(hugePages + "free_hugepages"); err != nil || free < need {
		return false, fmt.Sprintf(" Huge pages were not measured: the kernel found %d of %d.", free, need), restore
	}
	return true, "", restore
}

func readNumber(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func writeNumber(path string, n int) error {
	return os.WriteFile(path, []byte(strconv.Itoa(n)), 0)
}
