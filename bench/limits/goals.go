package main

import "strings"

// goal is a figure of a benchmark and what it must reach.
type goal struct {
	work  string // as the table names it
	pkg   string
	bench string // the function, as -bench selects it
	row   string // what go test prints of it, without the number of processors
	unit  string
	least float64 // the figure must be at least this; 0 for no bound
	most  float64 // it must be at most this; 0 for no bound
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
)

// goals are in the order of the table.
var goals = []goal{
	{work: "W1 10/5", pkg: engine, bench: "BenchmarkW1", row: "BenchmarkW1/10/5", unit: "of-ref", least: 1},
	{work: "W1 100/50", pkg: engine, bench: "BenchmarkW1", row: "BenchmarkW1/100/50", unit: "of-ref", least: 1},
	{work: "W1 1000/500", pkg: engine, bench: "BenchmarkW1", row: "BenchmarkW1/1000/500", unit: "of-ref", least: 1},
	{work: "W2", pkg: engine, bench: "BenchmarkW2", row: "BenchmarkW2", unit: "of-ref", least: 0.9},
	{work: "W3", pkg: engine, bench: "BenchmarkW3", row: "BenchmarkW3", unit: "of-ref", least: 0.9},
	{work: "chain of 16", pkg: engine, bench: "BenchmarkChain", row: "BenchmarkChain/stages=16", unit: "of-ref", least: 0.9},
	{work: "chain of 64", pkg: engine, bench: "BenchmarkChain", row: "BenchmarkChain/stages=64", unit: "of-ref", least: 0.9},
	{work: "Partition into 1", pkg: engine, bench: "BenchmarkW3Growth", row: "BenchmarkW3Growth/partitions=1", unit: "events/s", least: 100e6},
	{work: "Partition into 1,024", pkg: engine, bench: "BenchmarkW3Growth", row: "BenchmarkW3Growth/partitions=1024", unit: "events/s", least: 40e6},
	{work: "W6", pkg: engine, bench: "BenchmarkW6", row: "BenchmarkW6/push/goroutines=1", unit: "events/s", least: 37e6},
	{work: "W6 at 50,000 a second, events later than 100 µs, of those of bare channels", pkg: engine, bench: "BenchmarkW6", row: "BenchmarkW6/latency/50000-per-s", unit: "late-of-channels", most: 1.2},
	{work: "W7, the light users' p99 beside their own work", pkg: engine, bench: "BenchmarkW7", row: "BenchmarkW7/fair", unit: "x-floor", most: 1.1},
	{work: "W8 10/5, 3,000 consumers", pkg: engine, bench: "BenchmarkW8", row: "BenchmarkW8/10/5/consumers=3000", unit: "events/s", least: 15e6},
	{work: "presence: 1,000 join one topic", pkg: channels, bench: "BenchmarkPresence", row: "BenchmarkPresence/at_once", unit: "frames", most: 15e3, once: true},
	{work: "presence: 1,000 join one topic", pkg: channels, bench: "BenchmarkPresence", row: "BenchmarkPresence/at_once", unit: "s", most: 0.4, once: true},
}

// choose returns the goals whose work contains the text.
func choose(text string) (chosen []goal) {
	for _, g := range goals {
		if strings.Contains(g.work, text) {
			chosen = append(chosen, g)
		}
	}
	return chosen
}
