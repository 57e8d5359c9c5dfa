package prometheus

import (
	"encoding/hex"
	"sync/atomic"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/penstock-go/penstock/internal/series"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/trace"
)

// Counter returns the counter of that name and those tags.
func (r *Recorder) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return instrument(r, metrics.KindCounter, name, tags, func(f *family, labels client.Labels) *counter {
		c := client.NewCounter(client.CounterOpts{Name: f.name, Help: f.help, ConstLabels: labels})
		return &counter{member: member{owner: r, metric: c}, c: c}
	})
}

// Gauge returns the gauge of that name and those tags.
func (r *Recorder) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	return instrument(r, metrics.KindGauge, name, tags, func(f *family, labels client.Labels) *gauge {
		g := client.NewGauge(client.GaugeOpts{Name: f.name, Help: f.help, Unit: f.unit, ConstLabels: labels})
		return &gauge{member: member{owner: r, metric: g}, g: g}
	})
}

// Timer returns the timer of that name and those tags. It is a [metrics.TracedTimer].
func (r *Recorder) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	return instrument(r, metrics.KindTimer, name, tags, func(f *family, labels client.Labels) *timer {
		opts := client.HistogramOpts{Name: f.name, Help: f.help, Unit: f.unit, ConstLabels: labels, Buckets: r.buckets}
		if r.cfg.NativeHistograms {
			opts.NativeHistogramBucketFactor = 1.1
			opts.NativeHistogramMaxBucketNumber = 160
			opts.NativeHistogramMinResetDuration = time.Hour
		}
		h := client.NewHistogram(opts)
		return &timer{member: member{owner: r, metric: h}, h: h}
	})
}

// member is what all kinds of series have.
type member struct {
	series.Entry
	owner  *Recorder
	metric client.Metric
}

func (m *member) shown() client.Metric { return m.metric }

type counter struct {
	member
	c  client.Counter
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
	c.c.Add(float64(n))
}

type gauge struct {
	member
	g  client.Gauge
	to atomic.Pointer[gauge]
}

// Set replaces the value.
func (g *gauge) Set(v float64) {
	if !g.Live() {
		if g = series.Target(g, &g.to, &g.owner.refused); g == nil {
			return
		}
	}
	g.g.Set(v)
}

type timer struct {
	member
	h  client.Histogram
	to atomic.Pointer[timer]
}

// Observe adds one measurement.
func (t *timer) Observe(d time.Duration) {
	if t = t.live(); t != nil {
		t.h.Observe(max(d, 0).Seconds())
	}
}

// ObserveTraced adds one measurement, with the trace as its exemplar.
func (t *timer) ObserveTraced(d time.Duration, tc trace.Context) {
	t = t.live()
	if t == nil {
		return
	}
	v := max(d, 0).Seconds()
	if traced, ok := t.h.(client.ExemplarObserver); ok && tc.IsValid() {
		traced.ObserveWithExemplar(v, client.Labels{"trace_id": hex.EncodeToString(tc.TraceID[:]), "span_id": hex.EncodeToString(tc.SpanID[:])})
		return
	}
	t.h.Observe(v)
}

func (t *timer) live() *timer {
	if t.Live() {
		return t
	}
	return series.Target(t, &t.to, &t.owner.refused)
}
