package pipeline

import (
	"math"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/internal/option"
)

// Rate is a limit on events a second. The zero value is no limit.
type Rate = fair.Rate

const (
	// maxRate bounds Rate.PerSecond, and maxBurst bounds Rate.Burst.
	maxRate  = 1e9
	maxBurst = math.MaxInt32
	// maxLateness bounds the lateness that a limiter makes up for while events wait
	// for it, and for as long after that, in nanoseconds. A timer comes a little late,
	// on a busy machine tens of milliseconds, and a source such as a database takes its
	// time; without this each delay would be lost for good, and a burst of 1 would keep a
	// rate far below what was asked for.
	maxLateness = int64(100 * time.Millisecond)
	// abandoned is how long, in nanoseconds, nothing is asked about events that wait
	// before their bucket may be forgotten.
	abandoned = int64(10 * time.Second)
	// whole forgives the rounding errors of tokens. What is forgiven is owed: it is no
	// gain in the long run.
	whole = 1e-6
)

// checkRate returns an *OptionError for a rate that cannot be used, or nil.
func checkRate(owner option.Owner, name string, rate Rate) error {
	return option.First(
		option.Within(owner, name+".PerSecond", rate.PerSecond, 0, maxRate),
		option.Within(owner, name+".Burst", rate.Burst, 0, maxBurst),
		owner.Check(rate.PerSecond > 0 || rate.Burst == 0, name+".Burst", rate.Burst, "0 unless PerSecond is set"),
	)
}

// limiter is a token bucket whose rate can be changed. It has no clock: times are
// nanoseconds on one monotonic clock of the caller's. It belongs to one goroutine.
// The zero value has no limit.
//
// In any time t it allows at most Burst and what its rate brings in t and maxLateness.
// After a pause of more than maxLateness in which nothing has waited it allows Burst
// at once.
type limiter struct {
	rate  Rate
	state bucket
}

// newLimiter returns a limiter with a full burst.
func newLimiter(rate Rate) limiter { return limiter{rate: rate, state: full(rate)} }

// take returns how many of n events may pass now, from 0 to n, and counts them. If it
// is fewer than n, the others wait: the caller asks again at next.
func (l *limiter) take(now int64, n int) (allowed int) { return l.state.take(l.rate, now, n) }

// next returns the time from which the next event may pass: now or later.
func (l *limiter) next(now int64) (at int64) { return l.state.next(l.rate, now) }

// nextOf returns the time from which n events may pass at once: now or later, and
// math.MaxInt64 if never as many.
func (l *limiter) nextOf(now int64, n int) (at int64) { return l.state.nextOf(l.rate, now, n) }

// free returns how many events may pass now. It is below 0 if more have passed.
func (l *limiter) free(now int64) int {
	if l.rate.PerSecond <= 0 {
		return math.MaxInt64 / 4
	}
	return l.state.free(l.rate, now)
}

// spend counts n events that have passed, whether or not they were allowed.
func (l *limiter) spend(now int64, n int) {
	if l.rate.PerSecond > 0 {
		l.state.fill(l.rate, now)
		l.state.tokens -= float64(n)
	}
}

// set changes the rate. What was saved up stays, within the new burst; a limiter that
// had no limit begins with a full burst.
func (l *limiter) set(rate Rate, now int64) {
	l.state.reset(l.rate, rate, now)
	l.rate = rate
}

// bucket is the state of a limiter without its rate.
type bucket struct {
	// tokens is the number of events that may pass, at the time at. It is a fraction
	// and may be below 0 by whole.
	tokens float64
	at     int64
	// waiting: the last take allowed fewer events than there were. served is the time
	// of the last take that left nothing waiting after one that did, or until which events
	// have come that were held back before.
	waiting bool
	since   int64 // from when on
	served  int64
}

// never is the time of what has not been.
const never = math.MinInt64 / 2

// full returns a bucket with a full burst.
func full(rate Rate) bucket {
	return bucket{tokens: burst(rate), at: never, served: never}
}

func burst(rate Rate) float64 { return float64(max(rate.Burst, 1)) }

// hold returns how many tokens the bucket may hold at the time now.
func (b *bucket) hold(rate Rate, now int64) float64 {
	if b.waiting || now-b.served <= maxLateness {
		return burst(rate) + perNano(rate)*float64(maxLateness)
	}
	return burst(rate)
}

func perNano(rate Rate) float64 { return rate.PerSecond / float64(time.Second) }

// fill adds what the rate has brought until now. A clock that goes back brings
// nothing.
func (b *bucket) fill(rate Rate, now int64) {
	b.tokens += perNano(rate) * float64(max(now-b.at, 0))
	b.tokens = min(b.tokens, b.hold(rate, now))
	b.at = max(b.at, now)
}

// free returns how many events may pass now. It is below 0 if more have passed.
func (b *bucket) free(rate Rate, now int64) int {
	b.fill(rate, now)
	return int(math.Floor(b.tokens + whole)) // at most 1e9 * 10 ms and a burst
}

// wait notes at the time now whether there are events that wait for the bucket.
func (b *bucket) wait(waiting bool, now int64) {
	switch {
	case waiting && !b.waiting:
		b.since = now
	case !waiting && b.waiting && now > b.since:
		b.served = now
	}
	b.waiting = waiting
}

func (b *bucket) take(rate Rate, now int64, n int) (allowed int) {
	if rate.PerSecond <= 0 {
		return n
	}
	allowed = min(max(b.free(rate, now), 0), n)
	b.tokens -= float64(allowed)
	b.wait(allowed < n, now)
	return allowed
}

func (b *bucket) next(rate Rate, now int64) (at int64) { return b.nextOf(rate, now, 1) }

// nextOf returns the time from which n events may pass at once. It is as long as anything
// can be if the bucket never holds as many.
func (b *bucket) nextOf(rate Rate, now int64, n int) (at int64) {
	if rate.PerSecond <= 0 || b.free(rate, now) >= n {
		return now
	}
	if float64(n) > b.hold(rate, now) {
		return math.MaxInt64
	}
	// At most some 73 years, so that the sum does not wrap.
	return now + int64(min(math.Ceil((float64(n)-b.tokens)/perNano(rate)), math.MaxInt64/4))
}

// reset makes the bucket one of another rate.
func (b *bucket) reset(before, after Rate, now int64) {
	if before.PerSecond <= 0 {
		*b = full(after)
		return
	}
	b.fill(before, now)
	b.tokens = min(b.tokens, b.hold(after, now))
}

// isFull reports whether the bucket is as a new one: forgetting it changes nothing. So
// is one whose events have waited, and were not asked about for long after they could
// pass: their owner has dropped them.
func (b bucket) isFull(rate Rate, now int64) bool {
	if b.waiting && now-b.at < abandoned {
		return false
	}
	b.fill(rate, now)
	return b.tokens >= b.hold(rate, now)
}
