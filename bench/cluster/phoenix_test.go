//go:build linux

package main

import (
	"testing"
	"time"
)

// A user is away from the first word of it until the join, and one who is still away counts.
func TestAbsences(t *testing.T) {
	a := absences{since: map[string]time.Time{}}
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	if a.joined("1", at(0)) || !a.lost("1", at(10)) || a.lost("1", at(11)) || !a.joined("1", at(13)) || a.count != 1 {
		t.Errorf("%+v", &a)
	}
	if got := a.most(at(20)); got != 3*time.Second {
		t.Errorf("most %v, want 3s", got)
	}
	a.lost("2", at(20))
	if got := a.most(at(25)); got != 5*time.Second {
		t.Errorf("with one who is away %v, want 5s", got)
	}
}

// Lines of the clients reach the ledger, and others are refused.
func TestHear(t *testing.T) {
	c := &crowd{ledger: newLedger(2), clients: make([]*client, 2), away: absences{since: map[string]time.Time{}}}
	c.ledger.make(1, 0)
	for _, line := range []string{"j 2", "p 2 2 1", "p 2 1 1", "l 2", "l 2"} {
		if err := c.hear(line); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if got := c.ledger.quick(); got.Arrived != 1 || got.Wrong != 1 || c.connected.Load() != 0 {
		t.Errorf("%+v, %d connected", got, c.connected.Load())
	}
	for _, line := range []string{"", "p 2 2", "p x x 1", "q 1"} {
		if c.hear(line) == nil {
			t.Errorf("%q was taken", line)
		}
	}
}
