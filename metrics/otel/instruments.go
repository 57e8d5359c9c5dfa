package otel

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/penstock-go/penstock/internal/series"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/trace"
)

// Counter returns the counter of that name and those tags.
func (r *Recorder) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return instrument(r, metrics.KindCounter, name, tags, func(a about) *counter { return &counter{member: member{about: a}} })
}

// Gauge returns the gauge of that name and those tags. It is observed once it was set.
func (r *Recorder) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	return instrument(r, metrics.KindGauge, name, tags, func(a about) *gauge { return &gauge{member: member{about: a}} })
}

// Timer returns the timer of that name and those tags. It is a [metrics.TracedTimer].
func (r *Recorder) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	return instrument(r, metrics.KindTimer, name, tags, func(a about) *timer {
		return &timer{member: member{about: a}, record: []metric.RecordOption{a.with}}
	})
}

// member is what all kinds of series have.
type member struct {
	series.Entry
	about
}

// about is the part of it that stays the same.
type about struct {
	owner *Recorder
	of    *family // nil if it was refused
	with  metric.MeasurementOption
}

func (a *about) family() *family { return a.of }

// counter is the sum since the start, which the collection takes.
type counter struct {
	member
	n  atomic.Int64
	to atomic.Pointer[counter]
}

// Add adds n. A negative n is refused and counted.
func (c *counter) Add(n int64) {
	if n < 0 {
		c.owner.refused.Add(1)
		return
	}
	if !c.Live() {
		if c = series.Target(c, &c.to, &c.owner.refused); c == nil {
			return
		}
	}
	c.n.Add(n)
}

func (c *counter) observe(o metric.Int64Observer) { o.Observe(c.n.Load(), c.with) }

// gauge is the latest value, as the bits of a float64.
type gauge struct {
	member
	bits atomic.Uint64
	set  atomic.Bool
	to   atomic.Pointer[gauge]
}

// Set replaces the value.
func (g *gauge) Set(v float64) {
	if !g.Live() {
		if g = series.Target(g, &g.to, &g.owner.refused); g == nil {
			return
		}
	}
	g.bits.Store(math.Float64bits(v))
	if !g.set.Load() {
		g.set.Store(true)
	}
}

func (g *gauge) observe(o metric.Float64Observer) {
	if g.set.Load() {
		o.Observe(math.Float64frombits(g.bits.Load()), g.with)
	}
}

// timer passes each measurement to the SDK.
type timer struct {
	member
	record []metric.RecordOption
	to     atomic.Pointer[timer]
}

// Observe adds one measurement.
func (t *timer) Observe(d time.Duration) { t.observeIn(context.Background(), d) }

// ObserveTraced adds one measurement in the context of the trace, which the SDK may keep as
// an exemplar.
func (t *timer) ObserveTraced(d time.Duration, tc trace.Context) {
	t.observeIn(oteltrace.ContextWithRemoteSpanContext(context.Background(), oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
		TraceID: tc.TraceID, SpanID: tc.SpanID, TraceFlags: oteltrace.TraceFlags(tc.Flags), Remote: true,
	})), d)
}

func (t *timer) observeIn(ctx context.Context, d time.Duration) {
	if !t.Live() {
		if t = series.Target(t, &t.to, &t.owner.refused); t == nil {
			return
		}
	}
	t.of.histogram.Record(ctx, max(d, 0).Seconds(), t.record...)
}
