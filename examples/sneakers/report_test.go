package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestVerdict: a load whose shop has not kept its promises fails, and with it the program.
func TestVerdict(t *testing.T) {
	good := result{Nodes: 1, Stocked: 10, Sold: 8, Bought: 8, Left: 2}
	for says, change := range map[string]func(r *result){
		"":                          func(*result) {},
		"never in stock":            func(r *result) { r.Oversold = 1 },
		"does not add up":           func(r *result) { r.Left = 1 },
		"2 pages missed":            func(r *result) { r.Missed = 2 },
		"the database has sold 8":   func(r *result) { r.Bought = 7 },
		"does not add up: 10 pairs": func(r *result) { r.Sold, r.Bought = 9, 9 },
	} {
		r := good
		change(&r)
		if err := r.verdict(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
	// With several nodes a shopper whose node died does not know what it has bought.
	several := good
	several.Nodes, several.Bought = 3, 7
	if err := several.verdict(); err != nil {
		t.Error(err)
	}
}

// TestReportHasItsFields: the names by which scripts read the result.
func TestReportHasItsFields(t *testing.T) {
	text, err := json.Marshal(result{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shoppers", "sold", "refused", "oversold", "out_p99_ms", "missed", "errors"} {
		if !strings.Contains(string(text), `"`+name+`":`) {
			t.Errorf("%s is not in %s", name, text)
		}
	}
}

// TestWhatAPageMissed: a size that sold out while the page was open and that it does not
// show, unless that was just before the end.
func TestWhatAPageMissed(t *testing.T) {
	at := func(seconds float64) time.Time { return time.UnixMilli(int64(1e12 + 1000*seconds)) }
	c := newClient(nil, []string{"http://x"}, 0)
	truth := map[int64]time.Time{1: at(10), 2: at(20), 3: at(29.5), 4: at(1)}
	if delays, missed := c.delays(truth, at(30)); len(delays) != 0 || missed != 0 {
		t.Error("a page that was never open:", delays, missed)
	}
	c.since = at(5)
	c.outAt[1] = at(10.25)
	if delays, missed := c.delays(truth, at(30)); len(delays) != 1 || delays[0] != 250*time.Millisecond || missed != 1 {
		t.Error(delays, missed)
	}
}
