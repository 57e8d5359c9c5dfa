package main

import (
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	var list []time.Duration
	for n := range 100 {
		list = append(list, time.Duration(n+1))
	}
	for percent, want := range map[float64]time.Duration{0: 1, 1: 1, 50: 50, 99: 99, 99.5: 100, 100: 100} {
		if got := quantile(list, percent); got != want {
			t.Errorf("%v percent of 1..100: %d, want %d", percent, got, want)
		}
	}
	if got := quantile(nil, 50); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestMedianLeavesTheListAlone(t *testing.T) {
	list := []int{3, 1, 2}
	if got := median(list, func(n int) int { return n }); got != 2 {
		t.Errorf("median of 3 1 2: %d", got)
	}
	if list[0] != 3 {
		t.Errorf("sorted in place: %v", list)
	}
}

func TestEachIsDueOnce(t *testing.T) {
	for _, rate := range []int{1, 7, 5000, 1_000_000} {
		for n := range 1000 {
			at := dueAt(rate, n)
			if got := due(rate, at); got > n {
				t.Fatalf("%d/s: the one of %d is counted before %v", rate, n, at)
			}
			if got := due(rate, at+1); got < n {
				t.Fatalf("%d/s: only %d are due after %v, want %d", rate, got, at+1, n)
			}
		}
	}
}

func TestSharesAddUp(t *testing.T) {
	for n := range 50 {
		sum := 0
		for k := range 3 {
			sum += share(n, k, 3)
		}
		if sum != n {
			t.Errorf("%d in three parts: %d", n, sum)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		row  row
		want string
	}{
		{row{Ours: 5}, ""},
		{row{Ours: 5, Goal: least(5)}, "met"},
		{row{Ours: 4.9, Goal: least(5)}, "MISSED"},
		{row{Ours: 5, Goal: most(5)}, "met"},
		{row{Ours: 5.1, Goal: most(5)}, "MISSED"},
		{row{Ours: 7, Reference: 10, Goal: leastRatio(0.7)}, "met"},
		{row{Ours: 6, Reference: 10, Goal: leastRatio(0.7)}, "MISSED"},
		{row{Ours: 100, Goal: least(5), Void: "3 pushes lost"}, "MISSED: 3 pushes lost"},
	} {
		if got := c.row.verdict(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.row, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := table(&b, []row{
		{Backplane: "nats", Work: "pushes", Ours: 51234.4, Unit: "/s", Goal: least(50000)},
		{Backplane: "redis", Work: "broadcasts", Ours: 400, Unit: "/s", Reference: 1000, Goal: leastRatio(0.7)},
	}); err != nil {
		t.Fatal(err)
	}
	want := `| backplane | work | ours | reference | ratio | goal |  |
|---|---|---|---|---|---|---|
| nats | pushes | 51,234 /s |  |  | >= 50,000 /s | met |
| redis | broadcasts | 400 /s | 1,000 /s | 0.40 | >= 0.70 | MISSED |
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
