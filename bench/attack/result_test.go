//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Every bound that is exceeded is a miss, and a run in which nothing was measured
// does not pass.
func TestMisses(t *testing.T) {
	b := bounds{Memory: 100 << 20, P99: 50 * time.Millisecond, End: 10 * time.Second}
	good := result{honest: honest{sent: 10, got: 10, newcomers: 2, p99: 50 * time.Millisecond}, peak: 100 << 20, end: 10 * time.Second}
	if m := good.misses(b); len(m) != 0 {
		t.Fatalf("a run within the bounds misses %v", m)
	}
	for name, change := range map[string]func(*result){
		"honest push was sent": func(r *result) { r.sent, r.got = 0, 0 },
		"did not arrive":       func(r *result) { r.got = 9 },
		"lost their":           func(r *result) { r.reconnects = 1 },
		"p99":                  func(r *result) { r.p99++ },
		"new users":            func(r *result) { r.shutOut = 1 },
		"0 of 0 new users":     func(r *result) { r.newcomers = 0 },
		"resident":             func(r *result) { r.peak += 1 << 20 },
		"exit code -1":         func(r *result) { r.exit = -1 },
		"the end took":         func(r *result) { r.end++ },
		"accounted":            func(r *result) { r.account = "accounted for 3" },
	} {
		r := good
		change(&r)
		if m := r.misses(b); len(m) != 1 || !strings.Contains(m[0], name) {
			t.Errorf("%s: misses %q", name, m)
		}
	}
}

// The account of the program adds up, or the difference is named.
func TestAccount(t *testing.T) {
	for out, want := range map[string]string{
		`{"enqueued":10,"delivered":7,"queued":1,"discarded":{"ttl":2}}`: "",
		`{"enqueued":10,"delivered":7,"queued":1,"discarded":{}}`:        "10 enqueued, accounted for 8",
		``: "no summary: last",
	} {
		p := &process{}
		p.out = *bytes.NewBufferString(out)
		p.log = *bytes.NewBufferString("first\nlast\n")
		if got := p.account(); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
}
