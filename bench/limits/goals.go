package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// goal is a figure of a Go benchmark and what it must reach.
type goal struct {
	work  string // as the table names it
	pkg   string
	row   string // what go test prints of it, without the number of processors
	unit  string // of the figure that is judged
	over  string // the figure is divided by that of this row; empty: it is not
	ours  string // a unit of the same row, of what is measured, if the figure is a ratio to a limit
	least float64
	most  float64 // exactly one of the two bounds is above 0
	once  bool    // the benchmark runs a fixed work
}

// met reports whether a figure reaches the goal.
func (g goal) met(v float64) bool {
	return (g.least == 0 || v >= g.least) && (g.most == 0 || v <= g.most)
}

// want is the goal as the table shows it.
func (g goal) want() string {
	if g.least > 0 {
		return "≥ " + number(g.least)
	}
	return "≤ " + number(g.most)
}

const (
	engine   = "./bench"
	channels = "./bench/channelserver"
	pushes   = "./examples/pushpipeline"
)

// ofRef is a goal for a share of the reference.
func ofRef(work, row string, least float64) goal {
	return goal{work: work, pkg: engine, row: row, unit: ofReference, ours: "events/s", least: least}
}

// rate is a goal for events a second.
func rate(work, row string, least float64) goal {
	return goal{work: work, pkg: engine, row: row, unit: "events/s", least: least}
}

// goals are in the order of the table.
var goals = []goal{
	ofRef("W1 counter → consumer, demand 10/5", "BenchmarkW1/10/5", 1),
	ofRef("W1, 100/50", "BenchmarkW1/100/50", 1),
	ofRef("W1, 1000/500", "BenchmarkW1/1000/500", 1),
	ofRef("W1b, a struct with a 48-byte string, 10/5", "BenchmarkW1b/10/5", 0.8),
	ofRef("W1b, 100/50", "BenchmarkW1b/100/50", 0.8),
	ofRef("W1b, 1000/500", "BenchmarkW1b/1000/500", 0.8),
	ofRef("W2, two producer-consumers between, 1000/500", "BenchmarkW2", 0.9),
	ofRef("W2 with receipts; limit: W2", "BenchmarkW2Receipts", 0.7),
	ofRef("W3, `Partition` into 4 by hash", "BenchmarkW3", 0.9),
	ofRef("W3, hashed in batches", "BenchmarkW3Batch", 0.9),
	ofRef("W4, a worker per event, 100 at once; limit: a fixed pool", "BenchmarkW4/100", 1),
	ofRef("W4, 1,000 at once", "BenchmarkW4/1000", 1),
	ofRef("W5, `Broadcast` to 8", "BenchmarkW5", 1),
	ofRef("chain of 16", "BenchmarkChain/stages=16", 0.9),
	ofRef("chain of 64", "BenchmarkChain/stages=64", 0.9),
	rate("`Partition` into 1", "BenchmarkW3Growth/partitions=1", 100e6),
	rate("`Partition` into 1,024", "BenchmarkW3Growth/partitions=1024", 40e6),
	rate("W6, pushes from outside, one goroutine", "BenchmarkW6/push/goroutines=1", 37e6),
	rate("W6, eight goroutines", "BenchmarkW6/push/goroutines=8", 15e6),
	{work: "W6 at 50,000 a second, later than 100 µs; limit: bare channels", pkg: engine, row: "BenchmarkW6/latency/50000-per-s", unit: "late-of-channels", ours: "late-%", most: 1.2},
	{work: "W7, light users' p99 in a flood; limit: their work alone", pkg: engine, row: "BenchmarkW7/fair", unit: "x-floor", ours: "light-p99-ms", most: 1.1},
	rate("W8, 3,000 consumers, 10/5", "BenchmarkW8/10/5/consumers=3000", 15e6),
	{work: "W8, an ask with 3,000 consumers; limit: with 3", pkg: engine, row: "BenchmarkW8/10/5/consumers=3000", unit: "ns/ask", over: "BenchmarkW8/10/5/consumers=3", most: 1.4},
	{work: "1,000 join one topic of presences", pkg: channels, row: "BenchmarkPresence/at_once", unit: "frames", most: 15e3, once: true},
	{work: "1,000 join one topic of presences", pkg: channels, row: "BenchmarkPresence/at_once", unit: "s", most: 0.4, once: true},
	push("push pipeline, p99 ≤ 50 ms, memory, 200 clients", "memory/clients=200", "pushes/s", 140e3, 0),
	push("push pipeline, memory, 5,000 clients", "memory/clients=5000", "pushes/s", 110e3, 0),
	push("push pipeline, memory, 200 clients", "memory/clients=200", "us/push", 0, 9),
	push("push pipeline, memory, 200 clients", "memory/clients=200", "allocs/push", 0, 6),
	push("push pipeline, embedded Kafka, 200 clients", "kafka/clients=200", "pushes/s", 90e3, 0),
	push("push pipeline, embedded Kafka, 5,000 clients", "kafka/clients=5000", "pushes/s", 70e3, 0),
}

// push is a goal for the push pipeline at the highest rate that its clients get in time.
func push(work, row, unit string, least, most float64) goal {
	return goal{work: work, pkg: pushes, row: "BenchmarkPushLimits/" + row, unit: unit, least: least, most: most, once: true}
}

// works are the names of a package's goals.
func works(pkg string) (names []string) {
	for _, g := range goals {
		if g.pkg == pkg {
			names = append(names, g.work)
		}
	}
	return names
}

// goRows measures the goals of one package.
func goRows(pkg string) func(context.Context, options, *binaries) ([]row, error) {
	return func(ctx context.Context, o options, b *binaries) (rows []row, err error) {
		done := make(map[string]figures)
		runs := o.count
		if pkg == pushes {
			runs = (runs + 2) / 3 // each is a search, which repeats what fails
		}
		measured := func(g goal, name string) (figures, error) {
			f, ok := done[name]
			if ok {
				return f, nil
			}
			fmt.Fprintf(b.progress, "measuring %s, %d times\n", strings.TrimPrefix(name, "Benchmark"), runs)
			what := bench{pkg: pkg, row: name, time: o.length.String(), count: runs}
			if g.once {
				what.time = "1x"
			}
			f, err := b.run(ctx, what)
			if err == nil {
				done[name] = f
			}
			return f, err
		}
		one := func(g goal) (r row, err error) {
			f, err := measured(g, g.row)
			if err != nil {
				return r, err
			}
			var over figures
			if g.over != "" {
				if over, err = measured(g, g.over); err != nil {
					return r, err
				}
			}
			return g.result(f, over, runs)
		}
		var failures []error
		for _, g := range goals {
			if g.pkg != pkg || !strings.Contains(g.work, o.only) {
				continue
			}
			r, err := one(g)
			if ctx.Err() != nil {
				return rows, ctx.Err()
			}
			if err != nil {
				failures = append(failures, err)
				reason, _, _ := strings.Cut(err.Error(), "\n")
				r = row{work: g.work, figure: "not measured: " + reason}
			}
			rows = append(rows, r)
		}
		return rows, errors.Join(failures...)
	}
}

// result is the row of the table for what was measured of the goal and of the row under it,
// each in so many runs.
func (g goal) result(f, over figures, runs int) (row, error) {
	v, err := f.whole(g.row, g.unit, runs)
	if err != nil {
		return row{}, err
	}
	r := row{work: g.work, figure: g.unit, ours: number(v), goal: g.want()}
	switch {
	case g.over != "":
		limit, err := over.whole(g.over, g.unit, runs)
		if err != nil {
			return row{}, err
		}
		if limit == 0 {
			return row{}, fmt.Errorf("%s printed 0 %s", g.over, g.unit)
		}
		v /= limit
		r.limit, r.ratio = number(limit), fmt.Sprintf("%.2f", v)
	case g.ours != "":
		ours, err := f.whole(g.row, g.ours, runs)
		if err != nil {
			return row{}, err
		}
		r.figure, r.ours, r.ratio = g.ours, number(ours), fmt.Sprintf("%.2f", v)
		if v > 0 {
			r.limit = number(ours / v)
		}
	}
	r.verdict = verdict(g.met(v))
	return r, nil
}
