//go:build linux

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every bound that is exceeded is a miss, and a run that tried nothing does not pass.
func TestMisses(t *testing.T) {
	b := bounds{Recovery: 5 * time.Second, Memory: 100 << 20, Twice: 10}
	for name, change := range map[string]func(*result){
		"":                      func(*result) {},
		"interrupted":           func(r *result) { r.Interrupted = true },
		"nothing was produced":  func(r *result) { r.Made = 0 },
		"no fault":              func(r *result) { r.Cycles, r.Twice = nil, 0 },
		"2 of 3 cycles":         func(r *result) { r.Planned = 3 },
		"1 of 100 records":      func(r *result) { r.Lost = 1 },
		"not taken 1":           func(r *result) { r.Refused = 1 },
		"out of order":          func(r *result) { r.Disorder = 1 },
		"wrong record":          func(r *result) { r.Wrong = 1 },
		"21 records came twice": func(r *result) { r.Twice++ },
		"cycle 2, stop n2":      func(r *result) { r.Cycles[1].Recovery = 5.1 },
		"away for 5.1 s":        func(r *result) { r.Away = 5.1 },
		"n1: 101 MiB":           func(r *result) { r.Ends[0].Peak = 101 << 20 },
		"by itself":             func(r *result) { r.Ends[0].Died = 1 },
		"exit code -1":          func(r *result) { r.Ends[0].Exit = -1 },
		"no summary":            func(r *result) { r.Ends[0].Problem = "no summary" },
		"discarded 3":           func(r *result) { r.Ends[0].Discards = 3 },
	} {
		r := result{
			tally: tally{Made: 100, Arrived: 100, Twice: 20, Stranded: 7}, Ends: []end{{Node: "n1", Peak: 100 << 20}},
			Cycles: []cycle{{Fault: faultKill, Node: "n1", Recovery: 5}, {Fault: faultStop, Node: "n2"}},
		}
		change(&r)
		switch m := r.misses(b); {
		case name == "" && len(m) != 0:
			t.Errorf("a run within the bounds misses %q", m)
		case name != "" && (len(m) != 1 || !strings.Contains(m[0], name)):
			t.Errorf("%s: misses %q", name, m)
		}
	}
}

// The table has a row for each fault that was made, with the mean and the most.
func TestRows(t *testing.T) {
	r := result{Cycles: []cycle{
		{Fault: faultStop, Recovery: 1, Bystanders: 3, Twice: 2}, {Fault: faultKill, Recovery: 7}, {Fault: faultStop, Recovery: 2, Bystanders: 1, Twice: 3},
	}}
	want := []byFault{{fault: faultKill, cycles: 1, recovery: 7, most: 7}, {fault: faultStop, cycles: 2, twice: 5, recovery: 1.5, most: 2, stand: 3}}
	if got := r.rows(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	var out bytes.Buffer
	if err := r.print(&out); err != nil || !strings.Contains(out.String(), "stop       2               1.5   2.0                 3.0      5") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// A plan has all faults in each round, is the same for the same seed, and another one
// for another.
func TestPlan(t *testing.T) {
	faults := faultsOf("nats")
	a := plan(23, faults, 3, 1)
	if len(a) != 23 || !slices.Equal(a, plan(23, faults, 3, 1)) || slices.Equal(a, plan(23, faults, 3, 2)) {
		t.Errorf("%v", a)
	}
	for round := range slices.Chunk(a[:20], 5) {
		for _, f := range faults {
			if !slices.ContainsFunc(round, func(s step) bool { return s.fault == f }) {
				t.Errorf("no %s in %v", f, round)
			}
		}
	}
	for _, s := range a {
		if s.node < 0 || s.node > 2 {
			t.Errorf("node %d", s.node)
		}
	}
}

// Restarts alone go round.
func TestPlanOfARollingRestart(t *testing.T) {
	for i, s := range plan(7, []fault{faultRestart}, 3, 5) {
		if s.node != i%3 {
			t.Errorf("step %d is at node %d", i, s.node)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for _, c := range []struct {
		text, backplane string
		want            []fault
	}{
		{"", "embedded", []fault{faultKill, faultRestart, faultStop}},
		{"", "redis", []fault{faultKill, faultRestart, faultStop, faultBackplane, faultCut}},
		{"cut,kill", "nats", []fault{faultCut, faultKill}},
		{"cut", "embedded", nil},
		{"kill,", "nats", nil},
	} {
		got, err := parseFaults(c.text, c.backplane)
		if !slices.Equal(got, c.want) || (err == nil) == (c.want == nil) {
			t.Errorf("%q with %s: %v, %v", c.text, c.backplane, got, err)
		}
	}
}
