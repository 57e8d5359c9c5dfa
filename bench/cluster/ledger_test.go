//go:build linux

package main

import (
	"slices"
	"testing"
	"time"
)

// All that can become of a record is counted once.
func TestLedger(t *testing.T) {
	const user, other = 1, 0
	for name, c := range map[string]struct {
		do   func(l *ledger)
		want tally
	}{
		"nothing arrives":   {func(*ledger) {}, tally{Made: 4, Lost: 4}},
		"one is refused":    {func(l *ledger) { l.refuse(user, 2) }, tally{Made: 4, Refused: 1, Lost: 3}},
		"one comes":         {func(l *ledger) { l.deliver(user, 1, 5, true) }, tally{Made: 4, Arrived: 1, Lost: 3}},
		"one comes twice":   {func(l *ledger) { l.deliver(user, 1, 5, true); l.deliver(user, 1, 6, true) }, tally{Made: 4, Arrived: 1, Twice: 1, Lost: 3}},
		"not in order":      {func(l *ledger) { l.deliver(user, 3, 5, true); l.deliver(user, 2, 6, true) }, tally{Made: 4, Arrived: 2, Disorder: 1, Lost: 2}},
		"again, in between": {func(l *ledger) { l.deliver(user, 2, 5, true); l.deliver(user, 1, 6, true); l.deliver(user, 2, 7, true) }, tally{Made: 4, Arrived: 2, Disorder: 1, Twice: 1, Lost: 2}},
		"given up":          {func(l *ledger) { l.deliver(user, 1, 5, false) }, tally{Made: 4, Arrived: 1, Stranded: 1, Lost: 3}},
		"given up, again":   {func(l *ledger) { l.deliver(user, 1, 5, false); l.deliver(user, 1, 6, true) }, tally{Made: 4, Arrived: 1, Twice: 1, Lost: 3}},
		"never produced":    {func(l *ledger) { l.deliver(user, 4, 5, true); l.deliver(other, 2, 5, true) }, tally{Made: 4, Wrong: 2, Lost: 4}},
		"another user's":    {func(l *ledger) { l.stray() }, tally{Made: 4, Wrong: 1, Lost: 4}},
		"all": {func(l *ledger) {
			l.deliver(other, 1, 5, true)
			for n := range 3 {
				l.deliver(user, n+1, 5, true)
			}
		}, tally{Made: 4, Arrived: 4}},
	} {
		l := newLedger(2)
		l.make(other, 1)
		for n := range 3 {
			if got := l.make(user, time.Duration(n)); got != n+1 {
				t.Fatalf("%s: number %d, want %d", name, got, n+1)
			}
		}
		c.do(l)
		if got := l.counts(); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// The age is that of the record that waits longest, whoever has it, and a gap counts.
func TestLedgerKnowsTheOldest(t *testing.T) {
	l := newLedger(2)
	if got := l.oldest(100); got != 0 {
		t.Errorf("without records %d", got)
	}
	l.make(0, 10)
	l.make(0, 20)
	l.make(1, 15)
	l.deliver(0, 2, 30, true)
	if got := l.oldest(100); got != 90 {
		t.Errorf("with a gap %d, want 90", got)
	}
	l.deliver(0, 1, 40, true)
	if got := l.oldest(100); got != 85 {
		t.Errorf("of the other user %d, want 85", got)
	}
	if got := l.worstOf([]int{0}, 100); got != 30 {
		t.Errorf("the longest way %d, want 30", got)
	}
	if got := l.worstOf([]int{0, 1}, 100); got != 85 {
		t.Errorf("one that is not over %d, want 85", got)
	}
	if got := l.gaps(); !slices.Equal(got, []gap{{user: 1, first: 1, missing: 1}}) {
		t.Errorf("gaps %v", got)
	}
	l.refuse(1, 1)
	if got := l.oldest(100); got != 0 {
		t.Errorf("with all of them %d", got)
	}
}
