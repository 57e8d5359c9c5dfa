//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tally is what clients have received.
type tally struct {
	deliveries int64
	missed     int64 // numbers that were skipped
	repeated   int64 // numbers that came again, or late
	strays     int64 // messages that were not the client's
	last       int64 // when the last delivery came, in Unix nanoseconds
	latency    *hdrhistogram.Histogram
}

func newTally() *tally {
	// In microseconds, up to a minute, within one percent.
	return &tally{latency: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 2)}
}

// count notes the delivery of number seq, while want was due, and returns the number
// that is due next.
func (t *tally) count(seq, want, ts, now int64) int64 {
	t.deliveries++
	t.last = now
	// A clock that went backwards counts as no time, more than a minute as one.
	us := min(max((now-ts)/1000, 1), int64(time.Minute/time.Microsecond))
	_ = t.latency.RecordValue(us) // it is within the bounds
	switch {
	case seq < want:
		t.repeated++
		return want
	case seq > want:
		t.missed += seq - want
	}
	return seq + 1
}

func (t *tally) add(other *tally) {
	t.deliveries += other.deliveries
	t.missed += other.missed
	t.repeated += other.repeated
	t.strays += other.strays
	t.last = max(t.last, other.last)
	t.latency.Merge(other.latency)
}

// check returns what is wrong if the clients expect this many deliveries together.
func (t *tally) check(expected int64) error {
	if t.deliveries == expected && t.missed == 0 && t.repeated == 0 && t.strays == 0 {
		return nil
	}
	return fmt.Errorf("%d deliveries of %d: %d skipped, %d repeated or out of order, %d that were not the client's",
		t.deliveries, expected, t.missed, t.repeated, t.strays)
}

// quantile returns a percentile of the latencies.
func (t *tally) quantile(percent float64) time.Duration {
	return time.Duration(t.latency.ValueAtQuantile(percent)) * time.Microsecond
}
