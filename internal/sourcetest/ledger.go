package sourcetest

import (
	"os"
	"sync"
)

// Ledger knows which events were handled, how often, and in which order. Its zero value is
// ready; any goroutine may use it.
type Ledger struct {
	mu       sync.Mutex
	times    map[Event]int
	next     map[string]int // by key, the number that is due
	total    int
	disorder int
}

// Handle notes an event.
func (l *Ledger) Handle(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times == nil {
		l.times, l.next = make(map[Event]int), make(map[string]int)
	}
	l.total++
	l.times[e]++
	if l.times[e] == 1 {
		if e.Seq != l.next[e.Key] {
			l.disorder++
		}
		l.next[e.Key] = max(l.next[e.Key], e.Seq+1)
	}
}

// Len returns how often events were handled, Distinct how many, and Disorder how many for the
// first time out of the order of their key.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Distinct returns how many events were handled.
func (l *Ledger) Distinct() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.times)
}

// Disorder returns how many were handled for the first time out of the order of their key.
func (l *Ledger) Disorder() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.disorder
}

// Check returns how many of the events were not handled, and how often one was handled again.
func (l *Ledger) Check(all []Event) (lost, twice int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range all {
		if l.times[e] == 0 {
			lost++
		}
		twice += max(0, l.times[e]-1)
	}
	return lost, twice
}

// long reports whether cases take their whole length.
func long() bool { return os.Getenv("PENSTOCK_LONG") != "" }
