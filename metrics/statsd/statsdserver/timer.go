package statsdserver

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// recentWindow is how far a timer's recent histogram looks back, in
	// recentParts parts that are dropped one after the other.
	recentWindow = 10 * time.Second
	recentParts  = 5
	partLength   = recentWindow / recentParts

	lowest  = 1                         // microseconds
	highest = int64(time.Hour / 1000)   // microseconds
	digits  = 2                         // significant
	perMs   = float64(time.Millisecond) // nanoseconds
)

// timer holds what one timer has observed: since the start, and in the recent
// window. The aggregate's mutex guards it.
type timer struct {
	life    *hdrhistogram.Histogram
	lifeMax time.Duration
	parts   [recentParts]part
	// carry is the part of a weight that is not a whole observation yet, so
	// that rates whose inverse is no integer add up.
	carry float64
}

// part is one stretch of the recent window, the turn-th since the start. Its place
// in parts is used again recentParts turns later.
type part struct {
	turn int64
	max  time.Duration
	hist *hdrhistogram.Histogram
}

// newTimer returns an empty timer. Parts get their histogram when they are first
// used.
func newTimer() *timer {
	return &timer{life: hdrhistogram.New(lowest, highest, digits)}
}

// add records milliseconds observed at now, counted since the aggregate's
// start.
func (t *timer) add(milliseconds, rate float64, now time.Duration) {
	d := time.Duration(min(max(milliseconds, 0)*perMs, float64(time.Hour)))
	t.carry += 1 / rate
	n := int64(math.Floor(t.carry + 1e-9))
	t.carry -= float64(n)
	us := min(max(d.Microseconds(), lowest), highest)
	_ = t.life.RecordValues(us, n) // in range by construction
	t.lifeMax = max(t.lifeMax, d)

	turn := int64(now / partLength)
	p := &t.parts[turn%recentParts]
	if p.hist == nil {
		p.hist = hdrhistogram.New(lowest, highest, digits)
		p.turn = turn
	} else if p.turn != turn {
		p.hist.Reset()
		p.turn, p.max = turn, 0
	}
	_ = p.hist.RecordValues(us, n)
	p.max = max(p.max, d)
}

// Summary describes a timer's observations. The quantiles are exact to one
// percent, Max is exact.
type Summary struct {
	Count              int64
	P50, P90, P99, Max time.Duration
	Mean               time.Duration
}

// summaries describes all observations and those of the recent window, whose parts
// begin up to recentWindow before now.
func (t *timer) summaries(now time.Duration) (life, recent Summary) {
	merged := hdrhistogram.New(lowest, highest, digits)
	turn := int64(now / partLength)
	var longest time.Duration
	for _, p := range t.parts {
		if p.hist != nil && turn-p.turn < recentParts {
			merged.Merge(p.hist)
			longest = max(longest, p.max)
		}
	}
	return summarise(t.life, t.lifeMax), summarise(merged, longest)
}

// summarise describes a histogram; longest is its exact maximum.
func summarise(h *hdrhistogram.Histogram, longest time.Duration) Summary {
	if h.TotalCount() == 0 {
		return Summary{}
	}
	at := func(percentile float64) time.Duration {
		// The histogram returns the upper end of a bucket.
		return min(time.Duration(h.ValueAtPercentile(percentile))*time.Microsecond, longest)
	}
	return Summary{
		Count: h.TotalCount(),
		P50:   at(50), P90: at(90), P99: at(99), Max: longest,
		Mean: time.Duration(h.Mean() * float64(time.Microsecond)),
	}
}
