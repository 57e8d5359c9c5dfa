//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// heading is where and of what the tables were made.
func heading(machine report.Machine, o options) string {
	return fmt.Sprintf("%s.\n%d clients on the same machine, medians of %d.\n\n", machine, o.conns, o.rounds)
}

// inWords is a line of progress.
func inWords(w work, figures []float64) string {
	var parts []string
	for i, f := range figures {
		parts = append(parts, fmt.Sprintf("%s %s", short(f), w.columns[i]))
	}
	return strings.Join(parts, ", ")
}

// short is a figure with three digits.
func short(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	case f >= 1:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}

// printTable prints a work's results as Markdown, with the ratio of one column to that of
// the first peer that has figures.
func printTable(out io.Writer, w work, among []peer, results []result) {
	fmt.Fprintf(out, "%s: %s.\n\n", w.name, w.what)
	tw := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	head, line := "| ", "|-"
	for _, c := range w.columns {
		head += "\t| " + c
		line += "\t|-"
	}
	fmt.Fprintf(tw, "%s\t| %s, ratio\t|\n%s\t|-\t|\n", head, w.columns[w.ratio], line)
	reference := 0.0
	for i, p := range among {
		row := "| " + p.name
		if results[i].err != nil {
			fmt.Fprintf(tw, "%s\t| failed: %s\t|\n", row, strings.ReplaceAll(results[i].err.Error(), "\n", "; "))
			continue
		}
		figures := medians(results[i].runs)
		if w.void(figures) {
			row += " (void)"
		}
		for _, f := range figures {
			row += "\t| " + short(f)
		}
		if reference == 0 {
			reference = figures[w.ratio]
		}
		ratio := "—"
		if reference > 0 {
			ratio = short(figures[w.ratio] / reference)
		}
		fmt.Fprintf(tw, "%s\t| %s\t|\n", row, ratio)
	}
	_ = tw.Flush() // out is standard output or a buffer
	fmt.Fprintln(out)
}

// printPeers says what each row is.
func printPeers(out io.Writer, among []peer) {
	for _, p := range among {
		name := p.name
		if v := p.version(); v != "" {
			name += " " + v
		}
		fmt.Fprint(out, report.Item(name+": "+p.what+"."))
	}
}
