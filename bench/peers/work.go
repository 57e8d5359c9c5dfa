package main

import (
	"fmt"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// work is what all contestants do.
type work struct {
	name, what string
	short      string // for a legend
	takers     int    // how many results there are
	everyone   bool   // each taker gets every event
}

// hops is how many stages there are in the middle of W2, each of which adds one.
const hops = 2

// parts is how many takers W3 splits to, copies to how many W5 copies.
const (
	parts  = 4
	copies = 8
)

// batch is the size of the slices where a contestant moves slices.
const batch = 500

var works = []work{
	{name: "W1", what: "a counter to one consumer", short: "one consumer", takers: 1},
	{name: "W2", what: "the same through two stages that add one", short: "two stages between", takers: 1},
	{name: "W3", what: "split by hash to 4 consumers", short: "split to 4", takers: parts},
	{name: "W5", what: "every event to each of 8 consumers, counted as deliveries", short: "copied to 8", takers: copies, everyone: true},
}

// partOf is W3's hash: Fibonacci hashing (Knuth, The Art of Computer
// Programming, vol. 3, section 6.4).
func partOf(v int) int { return int(uint64(v) * 0x9E3779B97F4A7C15 >> 62) }

// sum is what a taker has got.
type sum struct {
	count, total int
	_            [48]byte // no two in a cache line
}

func (s *sum) add(v int) {
	s.count++
	s.total += v
}

func (s *sum) addAll(events []int) {
	for _, v := range events {
		s.total += v
	}
	s.count += len(events)
}

// deliveries is how many events arrive when n are emitted.
func (w work) deliveries(n int) int {
	if w.everyone {
		return n * w.takers
	}
	return n
}

// check says what is wrong with sums after n events.
func (w work) check(n int, sums []sum) error {
	want := make([]sum, w.takers)
	switch {
	case w.name[0] == 'P':
		want = checkPipeline(w, n)
	case w.name == "W2":
		want[0] = sum{count: n, total: n*(n-1)/2 + hops*n}
	case w.name == "W3":
		for v := range n {
			want[partOf(v)].add(v)
		}
	default:
		for i := range want {
			want[i] = sum{count: n, total: n * (n - 1) / 2}
		}
	}
	if len(sums) != len(want) {
		return fmt.Errorf("%d results, want %d", len(sums), len(want))
	}
	for i := range want {
		if sums[i] != want[i] {
			return fmt.Errorf("taker %d got %d events with the sum %d instead of %d with %d", i, sums[i].count, sums[i].total, want[i].count, want[i].total)
		}
	}
	return nil
}

// runner moves n events, a multiple of 10,000, and returns how long that took,
// without the time for the setup, and what each consumer has received.
type runner func(n int) (time.Duration, []sum, error)

// contestant is a library or a way with channels.
type contestant struct {
	name    string
	module  string // its version is looked up in the build; empty for what is ours
	runs    map[string]runner
	cannot  map[string]string    // why not, for works that are not in runs
	cpu     func() time.Duration // processor time so far of the process that runs it; nil: this one
	kind    report.Kind          // required
	comment string
}
