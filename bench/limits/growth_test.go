package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/bench/chart"
)

func TestGrowthOfRows(t *testing.T) {
	f := figures{
		{"BenchmarkG/parts=10", "ns"}: {30, 20, 10}, {"BenchmarkG/parts=2", "ns"}: {7}, {"BenchmarkG/parts=2", "s"}: {1}, {"BenchmarkGO/3", "ns"}: {1},
	}
	got, err := f.growth(curve{benchmark: "BenchmarkG", unit: "ns", by: 2})
	if want := []chart.Point{{X: 2, Y: 14}, {X: 10, Y: 40}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, c := range []curve{{benchmark: "BenchmarkG", unit: "KB"}, {benchmark: "BenchmarkH", unit: "ns"}} {
		if _, err := f.growth(c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

func TestGrowthIsPrintedAndDrawn(t *testing.T) {
	l := chart.Lines{Title: "It grows", X: "keys", Y: "ns", Series: []chart.Series{{Name: "ours", Points: []chart.Point{{X: 1000, Y: 80}, {X: 1e6, Y: 12_345}}}}}
	var out strings.Builder
	if err := growthTable(&out, l); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"It grows:", "| keys    | ns, ours |", "| 1000    | 80       |", "| 1000000 | 12.3 k   |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	dir := t.TempDir()
	if err := drawGrowth(dir, "keys", l); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "growth-keys.svg")); err != nil || !strings.Contains(string(text), "It grows") {
		t.Error(err, string(text))
	}
}

func TestReadRoom(t *testing.T) {
	got, err := readRoom("100 clients have joined in 20ms; resident for each: 12.5 KB, 7.1 KB when unused memory is given back\n" +
		"60000 deliveries in 30ms: 2000000/s, 180ns of the server's CPU each; made at 1/s; other processes had 0 % of the machine\n")
	if err != nil || got[perConnection] != 12.5 || got[perConnectionReleased] != 7.1 || got[perDelivery] != 0.18 {
		t.Error(got, err)
	}
	if _, err := readRoom("nothing"); err == nil {
		t.Error("no error")
	}
}
