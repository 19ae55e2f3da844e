//go:build linux && cgo

package main

import (
	"fmt"
	"slices"
)

// spread is the middle of a sample and how far it is spread: its quartiles.
type spread struct{ low, median, high float64 }

// spreadOf returns the quartiles of a sample, interpolated linearly between
// its values; of an empty one, zeros.
func spreadOf(sample []float64) spread {
	if len(sample) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(sample))
	return spread{quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)}
}

func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// ratios divides two samples round by round. Both values of a round were taken
// within milliseconds: what else the machine did then is in both.
func ratios(a, b []float64) []float64 {
	rs := make([]float64, min(len(a), len(b)))
	for i := range rs {
		rs[i] = a[i] / b[i]
	}
	return rs
}

// times multiplies a sample.
func times(factor float64, sample []float64) []float64 {
	product := make([]float64, len(sample))
	for i := range product {
		product[i] = factor * sample[i]
	}
	return product
}

// ratio is the spread of a's values to b's, round by round.
func ratio(a, b series) spread { return spreadOf(ratios(a.ns, b.ns)) }

// asRatio writes a spread of ratios: "1.03 (1.02–1.05)".
func (s spread) asRatio() string {
	digits := 2
	if s.median >= 20 {
		digits = 0
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.median, digits, s.low, digits, s.high)
}

// asTime writes a spread of nanoseconds, in a unit that suits the median.
func (s spread) asTime() string {
	unit, name := timeUnit(s.median)
	return fmt.Sprintf("%s %s (%s–%s)", digits(s.median/unit), name, digits(s.low/unit), digits(s.high/unit))
}

// short is asTime without the quartiles.
func (s spread) short() string {
	unit, name := timeUnit(s.median)
	return digits(s.median/unit) + " " + name
}

func timeUnit(ns float64) (unit float64, name string) {
	switch {
	case ns < 1e3:
		return 1, "ns"
	case ns < 1e6:
		return 1e3, "µs"
	case ns < 1e9:
		return 1e6, "ms"
	}
	return 1e9, "s"
}

// digits writes a number with three significant digits, or its whole part.
func digits(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// asSize writes a number of bytes as a power of two: "4 KiB".
func asSize(n int) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n >= 1<<unit.shift && n%(1<<unit.shift) == 0 {
			return fmt.Sprintf("%d %s", n>>unit.shift, unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// asSpeed writes the bytes per second that size bytes in ns nanoseconds are.
func asSpeed(size int, ns float64) string {
	perSecond := float64(size) / ns * 1e9
	if perSecond >= 1e9 {
		return digits(perSecond/1e9) + " GB/s"
	}
	return digits(perSecond/1e6) + " MB/s"
}
