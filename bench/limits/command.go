package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// command is a program whose Markdown table has a part of the rows. The names of its columns
// say which cells they fill.
type command struct {
	args []string
	dir  string
}

func (c command) rows(ctx context.Context, _ options, b *binaries) ([]row, error) {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir = c.dir
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, b.progress
	err := cmd.Run()
	rows := tableRows(stdout.String())
	switch {
	case err != nil:
		return rows, fmt.Errorf("%s: %w", strings.Join(c.args, " "), err)
	case len(rows) == 0:
		return nil, fmt.Errorf("%s printed no table", strings.Join(c.args, " "))
	}
	return rows, nil
}

// columns are the names that cells have in tables of others, each with its place in ours.
var columns = map[string]func(*row) *string{
	"work": func(r *row) *string { return &r.work }, "what": func(r *row) *string { return &r.work },
	"figure": func(r *row) *string { return &r.figure }, "unit": func(r *row) *string { return &r.figure },
	"ours": func(r *row) *string { return &r.ours }, "measured": func(r *row) *string { return &r.ours }, "reached": func(r *row) *string { return &r.ours },
	"best peer": func(r *row) *string { return &r.peer }, "ours/peer": func(r *row) *string { return &r.ofPeer },
	"limit": func(r *row) *string { return &r.limit },
	"ratio": func(r *row) *string { return &r.ratio }, "ours/limit": func(r *row) *string { return &r.ratio },
	"goal": func(r *row) *string { return &r.goal }, "target": func(r *row) *string { return &r.goal },
	"": func(r *row) *string { return &r.verdict }, "verdict": func(r *row) *string { return &r.verdict },
}

// tableRows reads the tables in a text. Tables with other columns are not read.
func tableRows(text string) (rows []row) {
	var places []func(*row) *string // of the table that is being read
	head := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			head = true
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if head {
			head, places = false, nil
			for _, cell := range cells {
				place, ok := columns[strings.ToLower(strings.TrimSpace(cell))]
				if !ok {
					places = nil
					break
				}
				places = append(places, place)
			}
			continue
		}
		if len(cells) != len(places) || strings.Trim(line, "|-: ") == "" {
			continue
		}
		var r row
		for i, cell := range cells {
			*places[i](&r) = strings.TrimSpace(cell)
		}
		if r.verdict == "missed" {
			r.verdict = missed
		}
		rows = append(rows, r)
	}
	return rows
}
