package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// besideBare measures a room and users flat out beside epoll loops that write frames made
// beforehand, with the same clients and by turns.
func besideBare(ctx context.Context, _ options, b *binaries) ([]row, error) {
	cmd := exec.CommandContext(ctx, "go", "run", "./sockets", "-peers", "bare,penstock", "-works", "room,users")
	cmd.Dir = "bench/peers" // a module of its own
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, b.progress
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s in %s: %w", strings.Join(cmd.Args, " "), cmd.Dir, err)
	}
	return bareRows(stdout.String())
}

// bareRows reads the tables of the comparison: one for each work, with a row for each server.
func bareRows(text string) (rows []row, err error) {
	tables := socketTables(text)
	for _, want := range []struct {
		table, work, column, unit string
		least, most               float64 // of the ratio to the bare loop; 0 for no goal
	}{
		{"room", "a room of 5,000 flat out; limit: a bare epoll loop", "M/s", "M deliveries/s", 0.95, 0},
		{"room", "the same", "server us", "µs of CPU each", 0, 1.5},
		{"users", "a push to each of 5,000 users, flat out; limit: a bare epoll loop", "M/s", "M deliveries/s", 0, 0},
		{"users", "the same", "server us", "µs of CPU each", 0, 0},
	} {
		ours, okOurs := tables[want.table]["penstock"][want.column]
		limit, okLimit := tables[want.table]["bare"][want.column]
		if !okOurs || !okLimit || limit <= 0 {
			return rows, fmt.Errorf("the comparison has no %s of %s", want.column, want.table)
		}
		ratio := ours / limit
		r := row{work: want.work, figure: want.unit, ours: number(ours), limit: number(limit), ratio: fmt.Sprintf("%.2f", ratio)}
		g := goal{least: want.least, most: want.most}
		if want.least > 0 || want.most > 0 {
			r.goal, r.verdict = g.want(), verdict(g.met(ratio))
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// socketTables reads tables that follow a line "WORK: ...": by work, server and column.
func socketTables(text string) map[string]map[string]map[string]float64 {
	tables := make(map[string]map[string]map[string]float64)
	work := ""
	var head []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if name, _, ok := strings.Cut(line, ":"); ok {
				work = name
			}
			head = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if head == nil {
			head = cells
			continue
		}
		figures := make(map[string]float64)
		for i, cell := range cells[1:] {
			if v, err := strconv.ParseFloat(cell, 64); err == nil && i+1 < len(head) {
				figures[head[i+1]] = v
			}
		}
		if len(figures) == 0 {
			continue
		}
		if tables[work] == nil {
			tables[work] = make(map[string]map[string]float64)
		}
		tables[work][cells[0]] = figures
	}
	return tables
}
