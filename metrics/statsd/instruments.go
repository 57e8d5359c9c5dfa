package statsd

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// gaugeRefresh is the period in which an unchanged gauge is sent again: agents
// forget a gauge that they have not received for one of their own intervals,
// commonly ten seconds.
const gaugeRefresh = 5 * time.Second

// gaugeEnd is the time after which a gauge that was set to 0, and not again, is no longer
// sent: its owner has ended. A series of an owner that lives is at most missing while it
// is 0.
const gaugeEnd = time.Minute

// Counter returns the counter of that name and those tags.
func (s *Recorder) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return instrument(s, 'c', name, tags, func() *counter { return new(counter) })
}

// Gauge returns the gauge of that name and those tags.
func (s *Recorder) Gauge(name string, tags ...metrics.Tag) metrics.Gauge {
	return instrument(s, 'g', name, tags, func() *gauge { return new(gauge) })
}

// Timer returns the timer of that name and those tags.
func (s *Recorder) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	return instrument(s, 't', name, tags, func() *timer {
		t := new(timer)
		t.windows.init(s.cfg.TimerSamples)
		return t
	})
}

// target returns the attached series for a use of one that is not, or nil if there is no
// room, which counts as a dropped line. to is the one of the last time, so that only the
// first use after a removal takes the lock.
func target[S any, P interface {
	*S
	series
}](one P, to *atomic.Pointer[S]) P {
	if last := P(to.Load()); last != nil && last.base().attached.Load() {
		return last
	}
	m := one.base()
	live, ok := m.owner.live(one).(P)
	if !ok {
		m.owner.dropped.Add(1)
		return nil
	}
	if live != one {
		to.Store((*S)(live))
	}
	return live
}

// counter adds up what comes between two flushes, without a lock.
type counter struct {
	member
	n  atomic.Int64
	to atomic.Pointer[counter]
}

// Add adds n. A negative n is refused and counted as dropped.
func (c *counter) Add(n int64) {
	if n <= 0 {
		if n < 0 {
			c.owner.dropped.Add(1)
		}
		return
	}
	c.n.Add(n)
	if !c.attached.Load() {
		c.move()
	}
}

// move takes the sum of a counter that is not attached to where it is sent from.
func (c *counter) move() {
	for at := c; !at.attached.Load(); {
		to := target(at, &at.to)
		switch to {
		case nil:
			at.n.Store(0)
			return
		case at:
			return
		}
		to.n.Add(at.n.Swap(0))
		at = to
	}
}

func (c *counter) empty() bool  { return c.n.Load() == 0 }
func (c *counter) stands() bool { return false }

// flush sends the sum since the last flush; 0 is not sent.
func (c *counter) flush(s *Recorder, now time.Time) {
	n := c.n.Swap(0)
	c.saw(n != 0, now)
	if n != 0 {
		_ = s.client.Inc(c.name, n, 1, c.tags...) // the sender counts what fails
	}
}

// gauge holds the latest value, as the bits of a float64, without a lock.
type gauge struct {
	member
	bits atomic.Uint64
	to   atomic.Pointer[gauge]
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
	for at := g; ; {
		at.bits.Store(math.Float64bits(v))
		if !at.fresh.Load() {
			at.fresh.Store(true)
		}
		if at.attached.Load() {
			return
		}
		to := target(at, &at.to)
		if to == nil || to == at {
			return
		}
		at = to
	}
}

func (g *gauge) empty() bool  { return !g.fresh.Load() }
func (g *gauge) stands() bool { return g.bits.Load() != 0 }

// flush sends a value that is new, or was last sent gaugeRefresh ago. A value of 0 is sent
// again for gaugeEnd only.
func (g *gauge) flush(s *Recorder, now time.Time) {
	stale := !g.sent.IsZero() && now.Sub(g.sent) >= gaugeRefresh
	fresh := g.fresh.Swap(false)
	g.saw(fresh, now)
	if fresh {
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
	member
	windows windows
	to      atomic.Pointer[timer]
}

// Observe adds one measurement.
func (t *timer) Observe(d time.Duration) {
	for at := t; at != nil && !at.windows.observe(max(int64(d), 0), &at.attached); {
		at = target(at, &at.to)
	}
}

func (t *timer) empty() bool  { return t.windows.empty() }
func (t *timer) stands() bool { return false }

// flush sends the largest observation of the interval and a sample of the others.
// Both buffers are the sender's and are used by one timer after the other.
func (t *timer) flush(s *Recorder, now time.Time) {
	iv := t.windows.turn(s.out.samples)
	t.saw(iv.count != 0, now)
	if iv.sample != nil {
		s.out.samples = iv.sample // keeps what the buffer has grown to
	}
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
