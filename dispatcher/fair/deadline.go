package fair

import (
	"math"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/gcra"
	"github.com/penstock-go/penstock/receipt"
)

// deadline is the time at which an event that is taken now expires, 0 for never.
func (f *Dispatcher[T, K]) deadline(event T) int64 {
	ttl := f.cfg.TTL
	if f.cfg.TTLOf != nil {
		ttl = f.cfg.TTLOf(event)
	}
	switch at := f.now + int64(ttl); {
	case ttl == 0:
		return 0
	case ttl < 0:
		return -1 // before the clock began; the exact time might be 0
	case at < f.now:
		return math.MaxInt64 // the sum has wrapped
	default:
		return at
	}
}

// expire discards the expired events at the head of a ready key, which does not
// use up the key's share, and reports whether there were any.
func (f *Dispatcher[T, K]) expire(i uint32, s *slot, out dispatcher.Out[T]) (any bool) {
	for s.count > 0 {
		// Only the head is looked at. With TTLOf a later event may expire earlier:
		// it waits for its turn.
		if !f.expired(s.head) {
			break
		}
		last := s.count == 1
		f.dropHead(i, s, receipt.Expired, out)
		any = true
		if last {
			break // the slot may belong to another key now
		}
	}
	return any
}

// expired reports whether the time of an event is over.
func (f *Dispatcher[T, K]) expired(n uint32) bool {
	at := f.extras.at(n).deadline
	return at != 0 && at <= f.now
}

// allowedAt returns the time at which the rate limit of a key releases its first
// event: when what the event takes is in the bucket. The queue must not be empty.
// A rate of 0 or less is no limit.
func (f *Dispatcher[T, K]) allowedAt(s *slot) int64 {
	rate := f.rate(f.items.at(s.head).event)
	if rate.PerSecond <= 0 {
		return math.MinInt64
	}
	return f.timesOf(s).rate.Ready(gcra.Cost(max(rate.Burst, 1)-1, rate.PerSecond))
}

// maxLateness bounds the lateness that a key with a rate limit makes up for, in
// nanoseconds. The wheel's tick and a busy machine release an event somewhat after
// its time; if each started the next interval anew, a rate of 10,000 a second with
// a burst of 1 would reach three quarters of it.
const maxLateness = int64(10 * time.Millisecond)

// charge counts an event that is handed out against the rate limit of its key. For
// a key that has waited for its limit and not run dry since, the interval begins
// when the event was due, not when it was handed out.
func (f *Dispatcher[T, K]) charge(s *slot, event T) {
	if rate := f.rate(event); rate.PerSecond > 0 {
		begin := f.now
		if s.flags&flagPaced != 0 {
			begin -= maxLateness
		}
		f.timesOf(s).rate.Take(begin, gcra.Cost(1, rate.PerSecond))
	}
}
