package main

import (
	"io"
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

func TestTableSaysWhatIsMissed(t *testing.T) {
	var out strings.Builder
	err := table(t.Context(), &out, []result{
		{goal{work: "fast", unit: "of-ref", least: 1}, 1.04},
		{goal{work: "slow", unit: "of-ref", least: 1}, 0.91},
		{goal{work: "late", unit: "s", most: 0.4}, 0.41},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"fast  of-ref  1.04     ≥ 1    met\n",
		"slow  of-ref  0.91     ≥ 1    missed\n",
		"late  s       0.41     ≤ 0.4  missed\n",
		"2 of 3 goals missed\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}

func TestRefusedFlags(t *testing.T) {
	for _, args := range []string{"-count 0", "-time 1ms", "-only nothing", "W1"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil {
			t.Errorf("%s is not refused", args)
		}
	}
}

// Each goal has one bound.
func TestGoals(t *testing.T) {
	for _, g := range goals {
		if (g.least > 0) == (g.most > 0) || g.work == "" || !strings.HasPrefix(g.row, g.bench) {
			t.Errorf("%+v", g)
		}
	}
}
