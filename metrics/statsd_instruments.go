package metrics

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cactus/go-statsd-client/v5/statsd"
)

// gaugeRefresh is the period in which an unchanged gauge is sent again: agents
// forget a gauge that they have not received for one of their own intervals,
// commonly ten seconds.
const gaugeRefresh = 5 * time.Second

// line is the part of a series that stays the same.
type line struct {
	name string
	tags []statsd.Tag
}

// Counter returns the counter of that name and those tags.
func (s *StatsD) Counter(name string, tags ...Tag) Counter {
	return instrument(s, 'c', name, tags, func(l line) *statsdCounter { return &statsdCounter{line: l, owner: s} },
		func() Counter { return refused{s} })
}

// Gauge returns the gauge of that name and those tags.
func (s *StatsD) Gauge(name string, tags ...Tag) Gauge {
	return instrument(s, 'g', name, tags, func(l line) *statsdGauge { return &statsdGauge{line: l, owner: s} },
		func() Gauge { return refused{s} })
}

// Timer returns the timer of that name and those tags.
func (s *StatsD) Timer(name string, tags ...Tag) Timer {
	return instrument(s, 't', name, tags, func(l line) *statsdTimer {
		t := &statsdTimer{line: l}
		t.windows.init(s.cfg.TimerSamples)
		return t
	}, func() Timer { return refused{s} })
}

// instrument returns the series of that kind, name and tags, made by create if
// there is none yet, or the result of refuse if there are too many.
func instrument[I any, S series](s *StatsD, kind byte, name string, tags []Tag, create func(line) S, refuse func() I) I {
	name = cleanPart(name, "unnamed")
	tags = cleanTags(tags)
	key := seriesKey(kind, name, tags)
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.byKey[key]; ok {
		return have.(I)
	}
	if len(s.series) >= s.cfg.MaxSeries {
		return refuse()
	}
	l := line{name: name, tags: make([]statsd.Tag, len(tags))}
	for i, t := range tags {
		l.tags[i] = statsd.Tag{t.Key, t.Value}
	}
	made := create(l)
	s.byKey[key] = made
	s.series = append(s.series, made)
	return any(made).(I)
}

// refused is every instrument of a recorder that has too many series already.
type refused struct{ owner *StatsD }

func (r refused) Add(int64)             { r.owner.dropped.Add(1) }
func (r refused) Set(float64)           { r.owner.dropped.Add(1) }
func (r refused) Observe(time.Duration) { r.owner.dropped.Add(1) }

type statsdCounter struct {
	line
	owner *StatsD
	n     atomic.Int64
}

// Add adds n. A negative n is refused and counted as dropped.
func (c *statsdCounter) Add(n int64) {
	if n < 0 {
		c.owner.dropped.Add(1)
		return
	}
	c.n.Add(n)
}

func (c *statsdCounter) flush(s *StatsD, _ time.Time) {
	if n := c.n.Swap(0); n != 0 {
		_ = s.client.Inc(c.name, n, 1, c.tags...) // the sender counts what fails
	}
}

type statsdGauge struct {
	line
	owner *StatsD
	bits  atomic.Uint64
	fresh atomic.Bool
	// sent is the time of the last send; only the flush uses it.
	sent time.Time
}

// Set replaces the value. A value that is not a finite number is refused and
// counted as dropped.
func (g *statsdGauge) Set(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		g.owner.dropped.Add(1)
		return
	}
	g.bits.Store(math.Float64bits(v))
	if !g.fresh.Load() {
		g.fresh.Store(true)
	}
}

func (g *statsdGauge) flush(s *StatsD, now time.Time) {
	stale := !g.sent.IsZero() && now.Sub(g.sent) >= gaugeRefresh
	if !g.fresh.Swap(false) && !stale {
		return
	}
	g.sent = now
	v := math.Float64frombits(g.bits.Load())
	if v < 0 {
		// A sign means a difference in the original protocol.
		_ = s.client.Gauge(g.name, 0, 1, g.tags...)
	}
	_ = s.client.GaugeFloat(g.name, v, 1, g.tags...)
}

type statsdTimer struct {
	line
	windows windows
}

// Observe adds one measurement.
func (t *statsdTimer) Observe(d time.Duration) { t.windows.observe(max(int64(d), 0)) }

func (t *statsdTimer) flush(s *StatsD, _ time.Time) {
	iv := t.windows.turn(s.out.samples)
	s.out.samples = iv.sample // keeps what the buffer has grown to
	if iv.count == 0 {
		return
	}
	t.send(s, iv.max, 1)
	// The largest is sent on its own, so the rate is that of the rest and the
	// count that a server computes is exact.
	rate := float32(1)
	if rest := iv.count - 1; rest > int64(len(iv.sample)) {
		rate = max(float32(float64(len(iv.sample))/float64(rest)), 1e-6) // the client writes six digits
	}
	for _, v := range iv.sample {
		t.send(s, v, rate)
	}
}

func (t *statsdTimer) send(s *StatsD, nanoseconds int64, rate float32) {
	if s.cfg.Timers == TimerMilliseconds {
		_ = s.client.TimingDuration(t.name, time.Duration(nanoseconds), rate, t.tags...)
		return
	}
	value := strconv.AppendFloat(s.out.value[:0], float64(nanoseconds)/1e6, 'f', -1, 64)
	if s.cfg.Timers == TimerDistribution {
		value = append(value, "|d"...)
	} else {
		value = append(value, "|h"...)
	}
	s.out.value = value
	_ = s.client.Raw(t.name, string(value), rate, t.tags...)
}
