package main

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
)

// ledger counts how pushes end: what the source has taken in must come out as
// delivered, discarded or still queued. Any goroutine may use it. All counts are
// pushes.
type ledger struct {
	heavy string // the user whose latency is shown apart

	accepted  atomic.Int64 // confirmed to those that pushed here
	delivered atomic.Int64 // written to a socket
	refused   atomic.Int64 // never taken in
	left      atomic.Int64 // taken in, not delivered by a pipeline that was stopped, and safe in Kafka

	// From enqueue to the write, for each of the two classes.
	light, heavyTimer metrics.Timer
	recorder          metrics.Recorder

	mu        sync.Mutex       // guards discarded
	discarded map[string]int64 // by reason
}

// pushDelivered is the time from enqueue until the push was written to a
// socket. The tag class is heavy for the heavy user and light for the others.
const pushDelivered = "pipeline.push_delivered"

// newLedger returns an empty ledger. heavy is "" if no user is shown apart.
func newLedger(r metrics.Recorder, heavy string) *ledger {
	return &ledger{
		heavy:      heavy,
		light:      r.Timer(pushDelivered, metrics.Tag{Key: "class", Value: "light"}),
		heavyTimer: r.Timer(pushDelivered, metrics.Tag{Key: "class", Value: "heavy"}),
		recorder:   r,
		discarded:  make(map[string]int64),
	}
}

// deliver books a push that was written to its user's socket at the given time.
func (l *ledger) deliver(p push, at time.Time) {
	l.delivered.Add(1)
	timer := l.light
	// No user has the id "", so that without a heavy one all are light.
	if p.User == l.heavy {
		timer = l.heavyTimer
	}
	metrics.ObserveTraced(timer, at.Sub(p.At), p.trace)
}

// discard books a push that is dropped. The stage, the delivery and the Kafka source
// record it themselves.
func (l *ledger) discard(reason receipt.Reason) {
	l.mu.Lock()
	l.discarded[string(reason)]++
	l.mu.Unlock()
}

// discards returns the number of discarded pushes for each reason.
func (l *ledger) discards() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A copy, which the caller may read without the lock.
	return maps.Clone(l.discarded)
}

// sum adds up the counts of all reasons.
func sum(counts map[string]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}
