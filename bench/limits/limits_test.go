package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Rows of go test: with and without the number of processors, several runs, several figures.
func TestParse(t *testing.T) {
	f, err := parse(`goos: linux
BenchmarkW1/10/5-2         	 1000	  50.0 ns/op	  20 events/s	 0.9 of-ref
BenchmarkW1/10/5-2         	 1000	  51.0 ns/op	  10 events/s	 1.1 of-ref
BenchmarkW1/10/5-2         	 1000	  52.0 ns/op	  30 events/s	 1.3 of-ref
BenchmarkChain/stages=64   	    1	1.5e+06 events/s
PASS
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		row, unit string
		v         float64
		n         int
	}{
		{"BenchmarkW1/10/5", "of-ref", 1.1, 3},
		{"BenchmarkW1/10/5", "events/s", 20, 3},
		{"BenchmarkChain/stages=64", "events/s", 1.5e6, 1},
		{"BenchmarkChain/stages=64", "of-ref", 0, 0},
	} {
		if v, n := f.median(c.row, c.unit); v != c.v || n != c.n {
			t.Errorf("%s of %s is %v of %d, want %v of %d", c.unit, c.row, v, n, c.v, c.n)
		}
	}
	if _, err := parse("BenchmarkW1-2 10 many ns/op\n"); err == nil {
		t.Error("a row without a figure is not refused")
	}
}

// A goal for a share, one for a figure, one beside another row: what the table says of each.
func TestResults(t *testing.T) {
	f := figures{
		{"W1", "events/s"}: {20e6}, {"W1", "of-ref"}: {0.8},
		{"W8/3000", "ns/ask"}: {300}, {"W8/3", "ns/ask"}: {200},
		{"join", "s"}: {0.41},
	}
	for _, c := range []struct {
		goal goal
		want row
	}{
		{goal{row: "W1", unit: "of-ref", ours: "events/s", least: 0.9}, row{figure: "events/s", ours: "20 M", limit: "25 M", ratio: "0.80", goal: "≥ 0.9", verdict: missed}},
		{goal{row: "W1", unit: "events/s", least: 15e6}, row{figure: "events/s", ours: "20 M", goal: "≥ 15 M", verdict: met}},
		{goal{row: "W8/3000", unit: "ns/ask", over: "W8/3", most: 1.5}, row{figure: "ns/ask", ours: "300", limit: "200", ratio: "1.50", goal: "≤ 1.5", verdict: met}},
		{goal{row: "join", unit: "s", most: 0.4}, row{figure: "s", ours: "0.41", goal: "≤ 0.4", verdict: missed}},
	} {
		if got, err := c.goal.result(f, f, 1); err != nil || got != c.want {
			t.Errorf("%+v: %+v, %v, want %+v", c.goal, got, err, c.want)
		}
	}
	if _, err := (goal{row: "W1", unit: "s"}).result(f, nil, 1); err == nil {
		t.Error("a figure that was not printed is not missed")
	}
	if _, err := (goal{row: "W1", unit: "of-ref"}).result(f, nil, 3); err == nil {
		t.Error("figures of two runs of three are not missed")
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	rows := []row{{work: "a", ours: "1", verdict: met}, {work: "b", ours: "2", verdict: missed}, {work: "c", ours: "3"}}
	if err := table(&out, rows); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "1 of 2 goals missed.\n") {
		t.Error(out.String())
	}
	// What it prints can be read again.
	if got := tableRows(out.String()); len(got) != 3 || got[0] != rows[0] || got[1] != rows[1] || got[2] != rows[2] {
		t.Errorf("%+v of\n%s", got, out.String())
	}
}

// Tables of other commands, with their columns, and others that have nothing to do with it.
func TestTableRows(t *testing.T) {
	got := tableRows(`2026-11-28; 2 processors.

| what | target | measured | |
|---|---|---|---|
| idle | <= 6 KB | 2.8 KB | met |
| room | >= 2 M/s | 1.9 M/s | **missed** |

| users | colour |
|---|---|
| 3 | red |
`)
	want := []row{
		{work: "idle", goal: "<= 6 KB", ours: "2.8 KB", verdict: met},
		{work: "room", goal: ">= 2 M/s", ours: "1.9 M/s", verdict: missed},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v", got)
	}
}

func TestRefusedFlags(t *testing.T) {
	for _, args := range []string{
		"-count 0", "-time 1ms", "-only nothing", "W1", "-section garden", "-renew", "-slowed", "-svg .",
		"-guard -only nothing", "-guard -renew -only W1", "-growth -section garden", "-write x -only W1",
		"-guard -peers x", "-growth -peers x", "-section engine -peers x", "-peers main.go",
	} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil {
			t.Errorf("%s is not refused", args)
		}
	}
}

// Whatever the order in which parts are named, others come last, so that they find their rows.
func TestSectionsInOrder(t *testing.T) {
	chosen, err := chooseSections(sections, "peers,bare,engine")
	if err != nil || len(chosen) != 3 || chosen[0].name != "engine" || chosen[2].name != "peers" {
		t.Error(chosen, err)
	}
}

// What was interrupted does not take the place of what a page has.
func TestNoPageOfHalfAMeasurement(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	const page = "<!-- limits -->\n<!-- end of limits -->\n<!-- growth -->\nold\n<!-- end of growth -->\n"
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, args := range [][]string{{"-write", file}, {"-growth", "-write", file}} {
		if err := run(ctx, args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != page {
			t.Errorf("%v: %q, %v", args, got, err)
		}
	}
}

// Each goal has one bound, and a limit only in one way.
func TestGoals(t *testing.T) {
	for _, g := range goals {
		if (g.least > 0) == (g.most > 0) || g.work == "" || !strings.HasPrefix(g.row, "Benchmark") || g.over != "" && g.ours != "" {
			t.Errorf("%+v", g)
		}
	}
	if got := exactly("BenchmarkW1/10/5"); got != "^BenchmarkW1$/^10$/^5$" {
		t.Error(got)
	}
}
