// Package metricstest records measurements in memory, so that a test can look
// at what a part of the program reported.
//
// Names and tags are kept as they were given; the order of tags does not
// matter. Every observation of a timer is kept, so a recorder is for tests
// only. All methods may be used from any goroutine.
package metricstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// Recorder is a [metrics.Recorder] that keeps everything. The zero value is
// ready for use.
type Recorder struct {
	// mu guards what follows. The maps are by key and are made with their first
	// entry, so a gauge that was never set is told apart from one that is 0.
	mu       sync.Mutex
	counters map[string]int64
	gauges   map[string]float64
	timers   map[string][]time.Duration
	changed  chan struct{} // closed at the next change; nil without a waiting goroutine
}

// New returns an empty recorder.
func New() *Recorder { return &Recorder{} }

// instrument is a counter, gauge or timer: its kind is the method that is called.
type instrument struct {
	r   *Recorder
	key string
}

// Counter returns the counter of that name and those tags.
func (r *Recorder) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return instrument{r, key(name, tags)}
}

// Gauge returns the gauge of that name and those tags.
func (r *Recorder) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	return instrument{r, key(name, tags)}
}

// Timer returns the timer of that name and those tags.
func (r *Recorder) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	return instrument{r, key(name, tags)}
}

// Add panics for a negative n, which the interface forbids.
func (i instrument) Add(n int64) {
	if n < 0 {
		panic(fmt.Sprintf("metricstest: counter %s was given %d", i.key, n))
	}
	i.r.change(func() { set(&i.r.counters, i.key, i.r.counters[i.key]+n) })
}

// Set replaces the value.
func (i instrument) Set(v float64) {
	i.r.change(func() { set(&i.r.gauges, i.key, v) })
}

// Observe keeps d, or zero if it is negative.
func (i instrument) Observe(d time.Duration) {
	i.r.change(func() { set(&i.r.timers, i.key, append(i.r.timers[i.key], max(d, 0))) })
}

// set sets an entry of a map that may be nil. The mutex is held.
func set[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = make(map[string]V)
	}
	(*m)[key] = v
}

// change runs f with the mutex held and wakes all goroutines in Wait.
func (r *Recorder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Count returns the counter of that name and exactly those tags, 0 if nothing
// was added to it.
func (r *Recorder) Count(name string, tags ...metrics.Tag) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counters[key(name, tags)]
}

// Total returns the sum of the counters of that name over all tags.
func (r *Recorder) Total(name string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sum int64
	for k, n := range r.counters {
		// A name with the separator in it cannot be told from one with tags; the
		// library has none.
		if base, _, _ := strings.Cut(k, "|"); base == name {
			sum += n
		}
	}
	return sum
}

// Value returns the gauge of that name and exactly those tags; ok is false if
// it was never set.
func (r *Recorder) Value(name string, tags ...metrics.Tag) (v float64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok = r.gauges[key(name, tags)]
	return v, ok
}

// Durations returns a copy of what the timer of that name and exactly those
// tags observed, oldest first.
func (r *Recorder) Durations(name string, tags ...metrics.Tag) []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.timers[key(name, tags)])
}

// Wait waits until condition holds, which it asks now and after each change,
// and returns the context's error if that ends first. The condition may use
// the recorder's other methods.
func (r *Recorder) Wait(ctx context.Context, condition func() bool) error {
	for {
		r.mu.Lock()
		// The channel exists before the condition is asked: a change in between
		// closes it.
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// String lists all series, one a line, for a failing test's message.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r.counters)) {
		fmt.Fprintf(&b, "counter %s = %d\n", k, r.counters[k])
	}
	for _, k := range slices.Sorted(maps.Keys(r.gauges)) {
		fmt.Fprintf(&b, "gauge %s = %v\n", k, r.gauges[k])
	}
	for _, k := range slices.Sorted(maps.Keys(r.timers)) {
		fmt.Fprintf(&b, "timer %s = %v\n", k, r.timers[k])
	}
	return b.String()
}

// key names a series: the name and its tags in a fixed order. Total relies on the
// separator that follows the name.
func key(name string, tags []metrics.Tag) string {
	parts := make([]string, len(tags))
	for i, t := range tags {
		parts[i] = "|" + t.Key + ":" + t.Value
	}
	slices.Sort(parts)
	return name + strings.Join(parts, "")
}
