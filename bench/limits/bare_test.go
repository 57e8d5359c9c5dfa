package main

import (
	"testing"

	"github.com/penstock-go/penstock/bench/internal/report"
)

func TestBareRows(t *testing.T) {
	results := report.Results{Results: []report.Result{
		{Work: "room", Name: "bare", Kind: report.Limit, Unit: "M/s", Value: 4}, {Work: "room", Name: "penstock", Kind: report.Ours, Unit: "M/s", Value: 3.9},
		{Work: "room", Name: "bare", Kind: report.Limit, Unit: "server us", Value: 0.1}, {Work: "room", Name: "penstock", Kind: report.Ours, Unit: "server us", Value: 0.16},
		{Work: "users", Name: "bare", Kind: report.Limit, Unit: "M/s", Value: 1}, {Work: "users", Name: "penstock", Kind: report.Ours, Unit: "M/s", Value: 0.5},
	}}
	rows, err := bareRows(socketRows[:3], results)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%+v, %v", rows, err)
	}
	want := row{work: socketRows[0].work, figure: "M deliveries/s", ours: "3.9", limit: "4", ratio: "0.97", goal: "≥ 0.95", verdict: met}
	if rows[0] != want {
		t.Errorf("%+v, want %+v", rows[0], want)
	}
	if rows[1].ratio != "1.60" || rows[1].verdict != missed {
		t.Errorf("%+v", rows[1])
	}
	if rows[2].verdict != "" || rows[2].ratio != "0.50" {
		t.Errorf("%+v", rows[2])
	}
	if rows, err := bareRows(socketRows[:4], results); err == nil || len(rows) != 4 || rows[3].ours != "" {
		t.Errorf("%+v, %v", rows, err)
	}
}
