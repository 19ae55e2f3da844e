//go:build linux && cgo

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosysv/shm/internal/ipcns"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		sample []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{2, 1}, spread{1.25, 1.5, 1.75}},
		{[]float64{5, 1, 4, 2, 3}, spread{2, 3, 4}},
		{[]float64{1, 1, 1, 100}, spread{1, 1, 25.75}},
	} {
		if got := spreadOf(c.sample); got != c.want {
			t.Errorf("spreadOf(%v) = %v, want %v", c.sample, got, c.want)
		}
	}
	sample := []float64{3, 1, 2}
	spreadOf(sample)
	if !slices.Equal(sample, []float64{3, 1, 2}) {
		t.Error("the rounds are in another order now")
	}
}

// A ratio is that of values of the same round: what slows a whole round down
// is not in it.
func TestRatio(t *testing.T) {
	a := series{ns: []float64{10, 100, 1000}}
	b := series{ns: []float64{5, 50, 500}}
	if got := ratio(a, b); got != (spread{2, 2, 2}) {
		t.Errorf("%v", got)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{spread{low: 1.004, median: 1.016, high: 1.1}.asRatio(), "1.02 (1.00–1.10)"},
		{spread{low: 19, median: 25.4, high: 30}.asRatio(), "25 (19–30)"},
		{spread{low: 900, median: 1500, high: 12345}.asTime(), "1.50 µs (0.90–12.3)"},
		{spread{median: 2.5e9}.short(), "2.50 s"},
		{asSize(8), "8 B"},
		{asSize(4096), "4 KiB"},
		{asSize(1<<20 - 64), "1048512 B"},
		{asSize(64 << 30), "64 GiB"},
		{asSpeed(4096, 1000), "4.10 GB/s"},
		{asSpeed(64, 1000), "64.0 MB/s"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestBars(t *testing.T) {
	for _, c := range []struct {
		bar  bar
		want string
	}{
		{bar{limit: 1.1, got: spread{1, 1.05, 1.08}}, "holds"},
		{bar{limit: 1.1, got: spread{1, 1.05, 1.2}}, "holds, within the spread"},
		{bar{limit: 1.1, got: spread{1, 1.15, 1.2}}, "**does not hold**, within the spread"},
		{bar{limit: 1.1, got: spread{1.12, 1.15, 1.2}}, "**does not hold**"},
		{bar{limit: 5, least: true, got: spread{6, 7, 8}}, "holds"},
		{bar{limit: 5, least: true, got: spread{3, 4, 4.5}}, "**does not hold**"},
		{bar{limit: 1, same: true, got: spread{0.98, 0.99, 1.01}}, "holds"},
		{bar{limit: 1, same: true, got: spread{1.005, 1.006, 1.007}}, "holds"},
		{bar{limit: 1, same: true, got: spread{1.02, 1.03, 1.04}}, "**does not hold**"},
		{bar{limit: 1, same: true, got: spread{0.9, 0.95, 0.96}}, "**does not hold**"},
	} {
		if got := c.bar.verdict(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.bar, got, c.want)
		}
	}
}

// Every contender has a sample in every round, in an order that changes, and
// all of them are kept.
func TestMeasure(t *testing.T) {
	var order []string
	contenderOf := func(name string, d time.Duration) contender {
		return contender{name: name, sample: func(n int) (time.Duration, error) {
			order = append(order, name)
			return time.Duration(n) * d, nil
		}}
	}
	e := effort{rounds: 4, sample: time.Millisecond}
	all, err := e.measure(t.Context(), contenderOf("a", 10), contenderOf("b", 1000), contenderOf("c", 10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{10, 1000, 10e6} {
		if got := all[i].ns; !slices.Equal(got, []float64{want, want, want, want}) {
			t.Errorf("%s: %v ns", all[i].name, got)
		}
	}
	order = order[len(order)-12:]
	orders := map[string]bool{}
	for round := range slices.Chunk(order, 3) {
		orders[strings.Join(round, "")] = true
		if sorted := strings.Join(slices.Sorted(slices.Values(round)), ""); sorted != "abc" {
			t.Errorf("a round of %v", round)
		}
	}
	if len(orders) == 1 {
		t.Errorf("always in the order %v", order)
	}
}

func TestMeasureFails(t *testing.T) {
	failed := errors.New("failed")
	for _, c := range []contender{
		timed("work", func(int) error { return failed }),
		{name: "verify", sample: func(int) (time.Duration, error) { return time.Second, nil }, verify: func() error { return failed }},
	} {
		if _, err := brief.measure(t.Context(), c); !errors.Is(err, failed) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A first sample that is slow does not make the others short.
func TestCalibrate(t *testing.T) {
	calls := 0
	c := contender{name: "cold", sample: func(n int) (time.Duration, error) {
		if calls++; calls == 1 {
			return time.Second, nil
		}
		return time.Duration(n) * time.Microsecond, nil
	}}
	n, err := effort{sample: time.Millisecond}.calibrate(t.Context(), c)
	if err != nil || n < 900 || n > 1100 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestLevel(t *testing.T) {
	counts := []int{3, 5, 7, 2}
	level([]contender{{group: "a"}, {group: "a"}, {}, {}}, counts)
	if want := []int{5, 5, 7, 2}; !slices.Equal(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
}

func TestTable(t *testing.T) {
	table := newTable("a", "b")
	table.row("1", "2")
	if got, want := table.String(), "| a | b |\n| --- | ---: |\n| 1 | 2 |\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A report that cannot be written leaves the one before.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "RESULTS.md")
	if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := report{plots: []picture{{file: "plot.svg", lines: []line{{name: "no points"}}}}}
	if err := r.save(dir); err == nil {
		t.Error("a plot of nothing was drawn")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "before" {
		t.Errorf("%q, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// buildSelf builds this directory's program.
func buildSelf(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// ipcnsCommand is a command that stays in this test's namespace.
func ipcnsCommand(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	if !ipcns.Private() {
		t.Skip("needs a private IPC namespace")
	}
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// waitFor reads until a line has the text, and goes on reading aside.
func waitFor(t *testing.T, r io.Reader, text string) {
	t.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			go func() {
				for lines.Scan() {
				}
			}()
			return
		}
	}
	t.Fatalf("no line has %q", text)
}

// sysvObjects returns the kernel's tables of System V objects.
func sysvObjects(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, kind := range []string{"shm", "sem", "msg"} {
		table, err := os.ReadFile("/proc/sysvipc/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(table)
	}
	return all.String()
}
