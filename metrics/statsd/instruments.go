package statsd

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/metrics"

	cactus "github.com/cactus/go-statsd-client/v5/statsd"
)

// gaugeRefresh is the period in which an unchanged gauge is sent again: agents
// forget a gauge that they have not received for one of their own intervals,
// commonly ten seconds.
const gaugeRefresh = 5 * time.Second

// gaugeEnd is the time after which a gauge that was set to 0, and not again, is no longer
// sent: its owner has ended. A series of an owner that lives is at most missing while it
// is 0.
const gaugeEnd = time.Minute

// line is the part of a series that stays the same. Both are cleaned, so nothing
// in them can end a line of the protocol.
type line struct {
	name string
	tags []cactus.Tag
}

// Counter returns the counter of that name and those tags.
func (s *Recorder) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return instrument(s, 'c', name, tags, func(l line) *counter { return &counter{line: l, owner: s} },
		func() metrics.Counter { return refused{s} })
}

// Gauge returns the gauge of that name and those tags.
func (s *Recorder) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	return instrument(s, 'g', name, tags, func(l line) *gauge { return &gauge{line: l, owner: s} },
		func() metrics.Gauge { return refused{s} })
}

// Timer returns the timer of that name and those tags.
func (s *Recorder) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	return instrument(s, 't', name, tags, func(l line) *timer {
		t := &timer{line: l}
		t.windows.init(s.cfg.TimerSamples)
		return t
	}, func() metrics.Timer { return refused{s} })
}

// instrument returns the series of that kind, name and tags, made by create if
// there is none yet, or the result of refuse if there are too many. refuse is a
// function, since I cannot be named as an interface that refused implements.
func instrument[I any, S series](s *Recorder, kind byte, name string, tags []metrics.Tag, create func(line) S, refuse func() I) I {
	name = cleanPart(name, "unnamed")
	tags = cleanTags(tags)
	key := seriesKey(kind, name, tags)
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.byKey[key]; ok {
		return have.(I)
	}
	if len(s.series) >= s.cfg.MaxSeries {
		s.tooMany(name)
		return refuse()
	}
	l := line{name: name, tags: make([]cactus.Tag, len(tags))}
	for i, t := range tags {
		l.tags[i] = cactus.Tag{t.Key, t.Value}
	}
	made := create(l)
	s.byKey[key] = made
	s.series = append(s.series, made)
	return any(made).(I)
}

// maxRefusedNames bounds the names that are remembered, and logged, once refused.
const maxRefusedNames = 100

// tooMany counts a series that was refused, and logs its name the first time. The caller
// holds the lock.
func (s *Recorder) tooMany(name string) {
	s.refusedSeries++
	if _, known := s.refusedNames[name]; known || len(s.refusedNames) >= maxRefusedNames {
		return
	}
	s.refusedNames[name] = struct{}{}
	s.cfg.Logger.Warn("series refused, its values are dropped", "name", name, "MaxSeries", s.cfg.MaxSeries)
}

// Series returns the number of series that the recorder keeps, and how often one was
// refused because of [Config.MaxSeries].
func (s *Recorder) Series() (kept int, refused int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.series), s.refusedSeries
}

// refused is every instrument beyond MaxSeries: each use counts as a dropped line.
type refused struct{ owner *Recorder }

func (r refused) Add(int64)             { r.owner.dropped.Add(1) }
func (r refused) Set(float64)           { r.owner.dropped.Add(1) }
func (r refused) Observe(time.Duration) { r.owner.dropped.Add(1) }

// counter adds up what comes between two flushes, without a lock.
type counter struct {
	line
	owner *Recorder
	n     atomic.Int64
}

// Add adds n. A negative n is refused and counted as dropped.
func (c *counter) Add(n int64) {
	if n < 0 {
		c.owner.dropped.Add(1)
		return
	}
	c.n.Add(n)
}

// flush sends the sum since the last flush; 0 is not sent.
func (c *counter) flush(s *Recorder, _ time.Time) {
	if n := c.n.Swap(0); n != 0 {
		_ = s.client.Inc(c.name, n, 1, c.tags...) // the sender counts what fails
	}
}

// gauge holds the latest value, as the bits of a float64, without a lock.
type gauge struct {
	line
	owner *Recorder
	bits  atomic.Uint64
	// fresh is set after bits: a flush that sees it sends that value or a later
	// one. Set writes it only if it is not set, so that writers on many cores do
	// not share a dirty cache line.
	fresh atomic.Bool
	// sent is the time of the last send, and set that of the flush that saw the last
	// Set; only the flush uses them.
	sent, set time.Time
}

// Set replaces the value. A value that is not a finite number is refused and
// counted as dropped.
func (g *gauge) Set(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		g.owner.dropped.Add(1)
		return
	}
	g.bits.Store(math.Float64bits(v))
	if !g.fresh.Load() {
		g.fresh.Store(true)
	}
}

// flush sends a value that is new, or was last sent gaugeRefresh ago. A value of 0 is sent
// again for gaugeEnd only.
func (g *gauge) flush(s *Recorder, now time.Time) {
	stale := !g.sent.IsZero() && now.Sub(g.sent) >= gaugeRefresh
	if g.fresh.Swap(false) {
		g.set = now
	} else if !stale {
		return
	}
	v := math.Float64frombits(g.bits.Load())
	if v == 0 && now.Sub(g.set) >= gaugeEnd {
		return
	}
	g.sent = now
	if v < 0 && s.cfg.Tags != TagsOctothorpe {
		// A sign means a difference in the original protocol, but not to DogStatsD.
		_ = s.client.Gauge(g.name, 0, 1, g.tags...)
	}
	_ = s.client.GaugeFloat(g.name, v, 1, g.tags...)
}

// timer collects durations in nanoseconds; windows has no lock either.
type timer struct {
	line
	windows windows
}

// Observe adds one measurement.
func (t *timer) Observe(d time.Duration) { t.windows.observe(max(int64(d), 0)) }

// flush sends the largest observation of the interval and a sample of the others.
// Both buffers are the sender's and are used by one timer after the other.
func (t *timer) flush(s *Recorder, _ time.Time) {
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

// send sends one observation, in milliseconds as the protocol has it; rate is 1 or
// the share of observations that it stands for.
func (t *timer) send(s *Recorder, nanoseconds int64, rate float32) {
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
