package delivery

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
)

// discards counts, records and logs discarded events by reason. Only the stage's
// goroutine writes; any goroutine may copy the counts.
type discards struct {
	metrics  metrics.Recorder
	log      *slog.Logger
	counters map[receipt.Reason]metrics.Counter // made when a reason first occurs
	lines    map[receipt.Reason]*pace.Limiter

	mu     sync.Mutex // guards counts
	counts map[receipt.Reason]int64
}

func newDiscards(r metrics.Recorder, log *slog.Logger) discards {
	return discards{
		metrics: r, log: log, counts: make(map[receipt.Reason]int64),
		counters: make(map[receipt.Reason]metrics.Counter), lines: make(map[receipt.Reason]*pace.Limiter),
	}
}

// add takes an event that is discarded at now.
func (d *discards) add(reason receipt.Reason, now time.Duration) {
	d.mu.Lock()
	d.counts[reason]++
	d.mu.Unlock()
	if d.counters[reason] == nil {
		d.counters[reason] = d.metrics.Counter("delivery.discarded", metrics.Tag{Key: "reason", Value: string(reason)})
		d.lines[reason] = new(pace.Limiter)
	}
	d.counters[reason].Add(1)
	d.line(reason, d.lines[reason].Line(now, 1))
}

// end logs what has had no line of its own.
func (d *discards) end() {
	for reason, l := range d.lines {
		d.line(reason, l.Rest())
	}
}

// line logs n events. Conflated ones are not lost: a newer event has taken the place.
func (d *discards) line(reason receipt.Reason, n int) {
	if n == 0 {
		return
	}
	level := slog.LevelWarn
	if reason == receipt.Conflated {
		level = slog.LevelDebug
	}
	d.log.Log(context.Background(), level, "events discarded", "reason", string(reason), "events", n)
}

// byReason returns a copy of the counts, nil if there are none.
func (d *discards) byReason() map[receipt.Reason]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.counts) == 0 {
		return nil
	}
	return maps.Clone(d.counts)
}
