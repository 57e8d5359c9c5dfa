package main

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// Each contest belongs to a row of the table.
func TestContestsHaveRows(t *testing.T) {
	for _, c := range contests() {
		ofGoal := slices.ContainsFunc(goals, func(g goal) bool {
			figure := g.unit
			if g.ours != "" {
				figure = g.ours
			}
			return g.work == c.work && figure == c.figure
		})
		ofSockets := slices.ContainsFunc(socketRows, func(s socketRow) bool { return s.work == c.work && s.figure == c.figure })
		if !ofGoal && !ofSockets {
			t.Errorf("%q, %s has no row", c.work, c.figure)
		}
		if !slices.ContainsFunc(comparisons, func(x comparison) bool { return x.name == c.comparison }) {
			t.Errorf("there is no comparison %q", c.comparison)
		}
	}
}

// Of several works of one row the one counts in which others are best beside ours.
func TestPeerRows(t *testing.T) {
	result := func(work, name string, kind report.Kind, unit string, v float64) report.Result {
		return report.Result{Work: work, Name: name, Kind: kind, Unit: unit, Value: v}
	}
	done := map[string]report.Results{
		"works":    {Results: []report.Result{result("W1", "us", report.Ours, "M/s", 100), result("W1", "a", report.Peer, "M/s", 50), result("W1", "b", report.Peer, "M/s", 80), result("W1", "bare", report.Limit, "M/s", 200)}},
		"handover": {Results: []report.Result{result("W1-1000", "us", report.Ours, "M/s", 120), result("W1-1000", "c", report.Peer, "M/s", 60)}},
		"sockets":  {Results: []report.Result{result("paced", "us", report.Ours, "p99 ms", 2), result("paced", "d", report.Peer, "p99 ms", 1), result("paced", "e", report.Peer, "p99 ms", 4)}},
	}
	chosen := []contest{
		{"W1", "events/s", "handover", "W1-1000", "M/s", 1e6, false},
		{"W1", "events/s", "works", "W1", "M/s", 1e6, false},
		{"paced", "p99 ms", "sockets", "paced", "p99 ms", 1, true},
		{"W2", "events/s", "works", "W2", "M/s", 1e6, false},
	}
	want := []row{
		{work: "W1", figure: "events/s", ours: "100 M", peer: "80 M, b", ofPeer: "1.25"},
		{work: "paced", figure: "p99 ms", ours: "2", peer: "1, d", ofPeer: "2.00"},
	}
	for range 2 {
		if got := peerRows(chosen, done); !slices.Equal(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		chosen[0], chosen[1] = chosen[1], chosen[0]
	}
	rows := append([]row{{work: "W1", figure: "ns"}, {work: "W1", figure: "events/s", ours: "99 M", verdict: met}}, want...)
	merged := []row{{work: "W1", figure: "ns"}, {work: "W1", figure: "events/s", ours: "99 M", peer: "80 M, b", ofPeer: "1.25", verdict: met}, want[1]}
	if got := mergePeers(rows); !slices.Equal(got, merged) {
		t.Errorf("%+v, want %+v", got, merged)
	}
}

// What another commit has reached is not handed out as today's when a command fails, and is kept.
func TestNoResultsOfAnotherCommit(t *testing.T) {
	t.Chdir("../..")
	folder, here := t.TempDir(), report.ThisMachine(t.Context())
	old := report.Results{Machine: here, Results: []report.Result{{Work: "W1", Name: "y", Kind: report.Peer, Unit: "M/s", Value: 2}}}
	old.Machine.Commit, old.Machine.Date = "0000000", "2001-01-01"
	file := filepath.Join(folder, "works.json")
	if err := old.Write(file); err != nil {
		t.Fatal(err)
	}
	c := comparison{"works", []string{"run", "./no-such-package"}, "-work"}
	b := &binaries{dir: t.TempDir(), progress: io.Discard}
	if r, err := c.results(t.Context(), b, folder, here, []string{"W1"}); err == nil || len(r.Results) > 0 {
		t.Errorf("results of %s, %s are handed out: %+v, %v", r.Machine.Commit, r.Machine.Date, r.Results, err)
	}
	if r, found, err := report.ReadResults(file); !found || !slices.Equal(r.Results, old.Results) || err != nil {
		t.Errorf("the file has %+v, %v", r, err)
	}
}

// Results are used again if they are of the same machine, commit and day, and not if files differ
// from the commit.
func TestResultsAreUsedAgain(t *testing.T) {
	folder, here := t.TempDir(), report.ThisMachine(t.Context())
	b := &binaries{dir: t.TempDir(), progress: io.Discard}
	c := comparison{"works", []string{"no-such-command"}, "-work"}
	for commit, again := range map[string]bool{"abcdef0": true, "abcdef0+": false, "unknown": false} {
		here.Commit = commit
		kept := report.Results{Machine: here, Results: []report.Result{{Work: "W1", Name: "y", Kind: report.Peer, Unit: "M/s", Value: 2}}}
		if err := kept.Write(filepath.Join(folder, "works.json")); err != nil {
			t.Fatal(err)
		}
		r, err := c.results(t.Context(), b, folder, here, []string{"W1"})
		if again != (err == nil) || again != (len(r.Results) == 1) {
			t.Errorf("commit %q: %+v, %v", commit, r, err)
		}
		if err != nil && !strings.Contains(err.Error(), "no-such-command") {
			t.Error(err)
		}
	}
}
