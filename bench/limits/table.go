package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table. Empty cells are those that a figure does not have.
type row struct {
	work, figure string
	ours         string
	peer         string // what the best of others reaches, and its name
	ofPeer       string // the ratio of ours to that, of the run in which both were measured
	limit        string // what bare means reach in the same run
	ratio        string // of ours to the limit
	goal         string
	verdict      string // met or missed; empty if there is no goal
}

const (
	met    = "met"
	missed = "**missed**"
)

func verdict(ok bool) string {
	if ok {
		return met
	}
	return missed
}

// section is a part of the table.
type section struct {
	name  string
	about time.Duration
	asked bool // measured only if -section names it
	works []string
	rows  func(ctx context.Context, o options, b *binaries) ([]row, error)
}

// has reports whether one of the section's works contains a text.
func (s section) has(text string) bool {
	for _, work := range s.works {
		if strings.Contains(work, text) {
			return true
		}
	}
	return false
}

// sections are in the order of the table.
var sections = []section{
	{name: "engine", about: 2 * time.Minute, works: works(engine), rows: goRows(engine)},
	{name: "presence", about: 15 * time.Second, works: works(channels), rows: goRows(channels)},
	{name: "pushes", about: 2 * time.Minute, works: works(pushes), rows: goRows(pushes)},
	{name: "sockets", about: 2 * time.Minute, rows: command{args: []string{"go", "run", "./bench/channelserver/load", "-suite"}}.rows},
	{name: "bare", about: 2 * time.Minute, works: socketNames(), rows: besideBare},
	{name: "peers", about: 3 * time.Minute, works: contestNames(), rows: besidePeers},
}

// table prints Markdown.
func table(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprint(w, "| work\t| figure\t| ours\t| best peer\t| ours/peer\t| limit\t| ours/limit\t| goal\t|\t|\n|-\t|-\t|-\t|-\t|-\t|-\t|-\t|-\t|-\t|\n")
	goals, misses := 0, 0
	for _, r := range rows {
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n", r.work, r.figure, r.ours, r.peer, r.ofPeer, r.limit, r.ratio, r.goal, r.verdict)
		if r.verdict != "" {
			goals++
		}
		if r.verdict == missed {
			misses++
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d of %d goals missed.\n", misses, goals)
	return err
}

// number is a figure with three digits that count.
func number(v float64) string {
	switch {
	case v >= 999.5e6:
		return fmt.Sprintf("%.0f M", v/1e6)
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3g k", v/1e3)
	case v >= 999.5:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
