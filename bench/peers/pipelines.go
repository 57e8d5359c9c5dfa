package main

import (
	"errors"
	"sync/atomic"
)

// pipelineWorks are what pipelines with their policies do, beside moving events.
var pipelineWorks = []work{
	{name: "P1", what: "a counter to a step that adds one, repeats one event of 1,000 once, and puts one of 10,000 aside after three attempts",
		short: "retries and dead letters", takers: 2},
	{name: "P2", what: "a step that adds one, no faster than 10,000 events a second: the rate itself", short: "10,000 a second", takers: 1},
	{name: "P3", what: "the same at 100,000 a second", short: "100,000 a second", takers: 1},
}

// pipelineContestants are in the order of the table; the first one is the reference.
func pipelineContestants() []contestant {
	return []contestant{penstockPipeline, watermillRouter, goStreamsByHand}
}

// The rates of P2 and P3, in events a second.
const (
	slowRate = 10_000
	fastRate = 100_000
)

// attempts is how often P1 tries an event.
const attempts = 3

var (
	errOnce   = errors.New("fails once")
	errAlways = errors.New("fails always")
)

// poisonous reports whether P1 can never handle v.
func poisonous(v int) bool { return v%10_000 == 9_999 }

// task is the function of P1 for n events: it fails as described and counts its attempts.
func task(n int) func(v int) (int, error) {
	failed := make([]atomic.Bool, n/1000+1) // by thousands
	return func(v int) (int, error) {
		switch {
		case poisonous(v):
			return 0, errAlways
		case v%1000 == 500 && !failed[v/1000].Swap(true):
			return 0, errOnce
		}
		return v + 1, nil
	}
}

// checkPipeline returns what P1, P2 and P3 must come to.
func checkPipeline(w work, n int) []sum {
	want := make([]sum, w.takers)
	for v := range n {
		if w.takers > 1 && poisonous(v) {
			want[1].add(v)
		} else {
			want[0].add(v + 1)
		}
	}
	return want
}
