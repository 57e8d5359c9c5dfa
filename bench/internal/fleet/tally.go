//go:build linux

package fleet

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Tally is what clients have received.
type Tally struct {
	Deliveries int64
	Missed     int64 // numbers that were skipped
	Repeated   int64 // numbers that came again, or late
	Strays     int64 // messages that were not the client's
	Ended      int64 // connections that the server ended
	Last       int64 // when the last delivery came, in Unix nanoseconds
	latency    *hdrhistogram.Histogram
}

// NewTally returns an empty one.
func NewTally() *Tally {
	// In microseconds, up to a minute, within one percent.
	return &Tally{latency: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 2)}
}

// Count notes the delivery of number seq of the topic of c, sent at ts and received now, in Unix
// nanoseconds.
func (t *Tally) Count(c *Client, ts, seq, now int64) { c.want = t.count(seq, c.want, ts, now) }

// Stray notes a message that a client should not have received.
func (t *Tally) Stray() { t.Strays++ }

// count returns the number that is due after seq, while want was.
func (t *Tally) count(seq, want, ts, now int64) int64 {
	t.Deliveries++
	t.Last = now
	// A clock that went backwards counts as no time, more than a minute as one.
	us := min(max((now-ts)/1000, 1), int64(time.Minute/time.Microsecond))
	_ = t.latency.RecordValue(us) // it is within the bounds
	switch {
	case seq < want:
		t.Repeated++
		return want
	case seq > want:
		t.Missed += seq - want
	}
	return seq + 1
}

func (t *Tally) add(other *Tally) {
	t.Deliveries += other.Deliveries
	t.Missed += other.Missed
	t.Repeated += other.Repeated
	t.Strays += other.Strays
	t.Ended += other.Ended
	t.Last = max(t.Last, other.Last)
	t.latency.Merge(other.latency)
}

// Check returns what is wrong if the clients expect this many deliveries together.
func (t *Tally) Check(expected int64) error {
	if t.Deliveries == expected && t.Missed == 0 && t.Repeated == 0 && t.Strays == 0 && t.Ended == 0 {
		return nil
	}
	return fmt.Errorf("%d deliveries of %d: %d skipped, %d repeated or out of order, %d of other topics, %d connections ended",
		t.Deliveries, expected, t.Missed, t.Repeated, t.Strays, t.Ended)
}

// Quantile returns a percentile of the latencies.
func (t *Tally) Quantile(percent float64) time.Duration {
	return time.Duration(t.latency.ValueAtQuantile(percent)) * time.Microsecond
}
