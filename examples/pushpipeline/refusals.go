package main

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// refusals counts and logs what POST /push and the load generator are refused, by
// reason: a line a second for each. Any goroutine may use it.
type refusals struct {
	recorder metrics.Recorder
	log      *slog.Logger
	mu       sync.Mutex // guards reasons and what is in it
	reasons  map[string]*refusal
}

// refusal is what is known about one reason.
type refusal struct {
	counter metrics.Counter
	limit   logLimit
}

// newRefusals returns refusals of nothing yet.
func newRefusals(r metrics.Recorder, log *slog.Logger) *refusals {
	return &refusals{recorder: r, log: log, reasons: make(map[string]*refusal)}
}

// note counts n pushes, or a request of which it is not known how many it has.
func (r *refusals) note(reason string, n int) {
	// The lock is not held while the line is written: a slow log holds up one request.
	if unlogged, ok := r.count(reason, n); ok {
		r.log.Warn("pushes are refused", "reason", reason, "unlogged", unlogged)
	}
}

// count is note without the line. It reports whether one is due, and how many were left
// out before.
func (r *refusals) count(reason string, n int) (unlogged int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.reasons[reason]
	if one == nil {
		one = &refusal{counter: r.recorder.Counter("pipeline.refused", metrics.Tag{Key: "reason", Value: reason})}
		r.reasons[reason] = one
	}
	one.counter.Add(int64(n))
	return one.limit.allow(time.Now())
}

// refusalOf returns the reason for which a source has refused.
func refusalOf(err error) string {
	for reason, known := range map[string]error{
		"full": errFull, "key_full": errKeyFull, "share_full": errShareFull, "too_many": errNever, "not_running": errClosing, "away": errAway,
	} {
		if errors.Is(err, known) {
			return reason
		}
	}
	return "other"
}
