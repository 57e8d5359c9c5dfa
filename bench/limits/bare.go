package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// socketRow is a figure of a server with 5,000 clients, which bench/peers/sockets measures.
type socketRow struct {
	in, unit     string // the work and the column there
	work, figure string // as the table names them
	lowest       bool   // less is better
	least, most  float64
}

// socketRows are in the order of the table. The bounds are those of the ratio to the bare loop,
// 0 for no goal.
var socketRows = []socketRow{
	{"room", "M/s", "a room of 5,000 flat out; limit: a bare epoll loop", "M deliveries/s", false, 0.95, 0},
	{"room", "server us", "a room of 5,000 flat out", "µs of CPU each", true, 0, 1.5},
	{"users", "M/s", "a push to each of 5,000 users, flat out; limit: a bare epoll loop", "M deliveries/s", false, 0, 0},
	{"users", "server us", "a push to each of 5,000 users, flat out", "µs of CPU each", true, 0, 0},
	{"paced", "p99 ms", "pushes to 5,000 users in turn, 20,000 a second; limit: a bare epoll loop", "p99 ms", true, 0, 0},
	{"paced", "server us", "pushes to 5,000 users in turn, 20,000 a second", "µs of CPU each", true, 0, 0},
	{"echo", "p99 ms", "echoes of 5,000 users in turn, 10,000 a second; limit: a bare epoll loop", "p99 ms", true, 0, 0},
	{"echo", "server us", "echoes of 5,000 users in turn, 10,000 a second", "µs of CPU each", true, 0, 0},
	{"idle", "KB given back", "an idle connection of 5,000; limit: a bare epoll loop", "KB", true, 0, 0},
}

// socketNames are the works of socketRows.
func socketNames() (names []string) {
	for _, s := range socketRows {
		names = append(names, s.work)
	}
	return names
}

// besideBare measures servers beside epoll loops that write frames made beforehand, with the
// same clients and by turns.
func besideBare(ctx context.Context, o options, b *binaries) ([]row, error) {
	var chosen []socketRow
	var works []string
	for _, s := range socketRows {
		if strings.Contains(s.work, o.only) {
			chosen, works = append(chosen, s), append(works, s.in)
		}
	}
	bare := comparison{name: "bare", args: []string{"run", "./sockets", "-peers", "bare,penstock", "-rounds", fmt.Sprint(o.count)}, works: "-works"}
	results, err := bare.results(ctx, b, b.dir, report.ThisMachine(ctx), works)
	if err != nil && len(results.Results) == 0 {
		return nil, err
	}
	rows, missing := bareRows(chosen, results)
	return rows, errors.Join(err, missing)
}

// bareRows returns the rows for what was measured.
func bareRows(chosen []socketRow, results report.Results) (rows []row, err error) {
	for _, s := range chosen {
		ours, found := results.Best(report.Ours, s.in, s.unit, s.lowest)
		limit, bare := results.Best(report.Limit, s.in, s.unit, s.lowest)
		if !found || !bare {
			err = errors.Join(err, fmt.Errorf("the comparison has no %s of %s", s.unit, s.in))
			rows = append(rows, row{work: s.work, figure: "not measured: " + s.unit})
			continue
		}
		ratio := ours.Value / limit.Value
		r := row{work: s.work, figure: s.figure, ours: number(ours.Value), limit: number(limit.Value), ratio: fmt.Sprintf("%.2f", ratio)}
		if g := (goal{least: s.least, most: s.most}); s.least > 0 || s.most > 0 {
			r.goal, r.verdict = g.want(), verdict(g.met(ratio))
		}
		rows = append(rows, r)
	}
	return rows, err
}
