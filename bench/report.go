//go:build linux && cgo

package main

import (
	"fmt"
	"io"
	"strings"
)

// report is what is written to RESULTS.md.
type report struct {
	machine  []string
	bars     []bar
	sections []*section
	plots    []picture
}

// section is a group of measurements: text and tables, in order.
type section struct {
	title string
	parts []string
}

func (r *report) section(title string) *section {
	s := &section{title: title}
	r.sections = append(r.sections, s)
	return s
}

// text adds a paragraph.
func (s *section) text(format string, args ...any) {
	s.parts = append(s.parts, fmt.Sprintf(format, args...)+"\n")
}

// block adds lines as they are.
func (s *section) block(lines string) {
	s.parts = append(s.parts, "```\n"+strings.TrimRight(lines, "\n")+"\n```\n")
}

// table adds a table. All columns but the first are aligned to the right.
func (s *section) table(t *table) { s.parts = append(s.parts, t.String()) }

type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---:"
	}
	rule[0] = "---"
	line(rule)
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

// bar is what a ratio must reach, and what it did.
type bar struct {
	what  string
	limit float64
	least bool // the ratio must be at least limit, not at most
	same  bool // it must be limit: the quartiles must have it between them, or differ by a hundredth
	got   spread
	note  string
}

// holds tells whether the median reaches the bar.
func (b bar) holds() bool {
	if b.same {
		const hundredth = 0.01 // to which ratios are printed
		return b.got.low-hundredth <= b.limit && b.limit <= b.got.high+hundredth
	}
	if b.least {
		return b.got.median >= b.limit
	}
	return b.got.median <= b.limit
}

// clear tells whether the quartiles are on the same side of the bar.
func (b bar) clear() bool {
	return (b.got.low <= b.limit) == (b.got.high <= b.limit)
}

func (b bar) verdict() string {
	verdict := "holds"
	if !b.holds() {
		verdict = "**does not hold**"
	}
	if !b.clear() && !b.same {
		verdict += ", within the spread"
	}
	return verdict
}

func (b bar) wanted() string {
	if b.same {
		return fmt.Sprintf("= %.2f", b.limit)
	}
	if b.least {
		return fmt.Sprintf("≥ %.2f", b.limit)
	}
	return fmt.Sprintf("≤ %.2f", b.limit)
}

func (r *report) bar(b bar) { r.bars = append(r.bars, b) }

// write writes the report as Markdown.
func (r *report) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Results\n\n")
	b.WriteString("Written by `make bench`; run it for those of your machine. ")
	b.WriteString("A time is the median of all rounds, with the quartiles in parentheses. ")
	b.WriteString("A ratio is that of two times of the same round, of which the median and the quartiles are given: ")
	b.WriteString("in every round each of those compared is measured once, in an order drawn anew, so that what disturbs one disturbs the other. ")
	b.WriteString("No round is left out.\n\n")
	for _, line := range r.machine {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString("\n## Bars\n\nA bar holds if the median of the ratios reaches it; \"within the spread\" says that the quartiles lie on both sides of it. [docs/speed.md](../docs/speed.md) has what was found where one does not, and what was tried.\n\n")
	t := newTable("ratio", "bar", "measured", "", "")
	for _, bar := range r.bars {
		t.row(bar.what, bar.wanted(), bar.got.asRatio(), bar.verdict(), bar.note)
	}
	b.WriteString(t.String())
	for _, s := range r.sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s", s.title, strings.Join(s.parts, "\n"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
