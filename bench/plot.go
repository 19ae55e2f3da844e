//go:build linux && cgo

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// picture is a plot to be written beside the report.
type picture struct {
	file, title, unit string
	lines             []line
	below             bool // the legend goes below the lines, not above
}

type line struct {
	name   string
	points plotter.XYs
}

// plotOf makes a picture of the medians of Go–C by size, a line a mode.
func plotOf(file, title, unit string, modes []mode, sizes []int, got talks, value func(size int, ns float64) float64) picture {
	p := picture{file: file, title: title, unit: unit, below: unit == "MB/s"}
	for _, m := range modes {
		l := line{name: m.name}
		for _, size := range sizes {
			if s, ok := got[talk{m, "Go–C", size}]; ok {
				l.points = append(l.points, plotter.XY{X: float64(size), Y: value(size, s.time().median)})
			}
		}
		p.lines = append(p.lines, l)
	}
	return p
}

// save writes the picture, both axes logarithmic.
func (p picture) save(dir string) error {
	drawn := plot.New()
	drawn.Title.Text = p.title
	drawn.X.Label.Text, drawn.Y.Label.Text = "message", p.unit
	drawn.X.Scale, drawn.Y.Scale = plot.LogScale{}, plot.LogScale{}
	drawn.X.Tick.Marker, drawn.Y.Tick.Marker = plot.TickerFunc(sizeTicks), plot.LogTicks{Prec: -1}
	// Both rise to the right: there is room where the lines are not.
	drawn.Legend.Top, drawn.Legend.Left = !p.below, !p.below
	drawn.Add(plotter.NewGrid())
	for i, l := range p.lines {
		if len(l.points) == 0 {
			return fmt.Errorf("%s: %s has no points", p.file, l.name)
		}
		curve, dots, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", p.file, l.name, err)
		}
		curve.Color, dots.Color = plotutil.Color(i), plotutil.Color(i)
		curve.Width, dots.Shape = vg.Points(1.5), plotutil.Shape(i)
		drawn.Add(curve, dots)
		drawn.Legend.Add(l.name, curve, dots)
	}
	if err := drawn.Save(20*vg.Centimeter, 13*vg.Centimeter, filepath.Join(dir, p.file)); err != nil {
		return fmt.Errorf("%s: %w", p.file, err)
	}
	return os.Chmod(filepath.Join(dir, p.file), 0o644)
}

// sizeTicks marks the powers of two, and names every third.
func sizeTicks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Ceil(math.Log2(low)); e <= math.Log2(high)+1e-9; e++ {
		tick := plot.Tick{Value: math.Exp2(e)}
		if int(e)%2 == 0 {
			tick.Label = asSize(1 << int(e))
		}
		ticks = append(ticks, tick)
	}
	return ticks
}
