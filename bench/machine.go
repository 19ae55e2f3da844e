//go:build linux && cgo

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/gosysv/shm/internal/cpeer"
	"golang.org/x/sys/unix"
)

// machine describes what the measurements were made on.
func machine() []string {
	lines := []string{
		fmt.Sprintf("%s, %d CPUs, %s of memory", cpuModel(), runtime.NumCPU(), memory()),
		kernel(),
		fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH),
		compiler(),
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fields := strings.Fields(string(load))
		lines = append(lines, "load average at the end: "+strings.Join(fields[:3], " "))
	}
	return lines
}

// cpuModel is the first model that /proc/cpuinfo names, and whether it is a
// virtual machine's.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	model := runtime.GOARCH
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
			break
		}
	}
	if strings.Contains(string(info), " hypervisor ") {
		model += " (in a virtual machine)"
	}
	return model
}

func memory() string {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return "unknown size"
	}
	return fmt.Sprintf("%.0f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30))
}

func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "Linux"
	}
	return "Linux " + unix.ByteSliceToString(name.Release[:])
}

// compiler is the first line of what the C compiler says of itself.
func compiler() string {
	cc, err := cpeer.CC()
	if err != nil {
		return err.Error()
	}
	out, err := exec.Command(cc[0], append(cc[1:], "--version")...).Output()
	if err != nil {
		return strings.Join(cc, " ")
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}
