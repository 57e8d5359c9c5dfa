package stage

import "github.com/penstock-go/penstock/receipt"

// sharing remembers which events in flight were given to several subscriptions: their
// source gets one receipt, after the last of them, with the worst outcome. Nothing is
// remembered of an event that was given once. It belongs to the stage's goroutine.
//
// given, high and overlap are about the running Dispatch and empty between two.
type sharing struct {
	given   []span // by the running Dispatch
	high    int    // one past the last place that it has given
	overlap bool   // it may have given an event twice
	copies  []copies
	events  map[uint64]share // by sequence number
	missed  bool             // another copy of each event would have gone to a subscription that was lost
}

// span is a run of an offer's events that was given to one subscription.
type span struct {
	lo, hi  int
	tracked bool
}

// copies counts the subscriptions to which one event of an offer was given, and those of
// them that give receipts.
type copies struct{ all, tracked int32 }

// share is an event of which several subscriptions have a copy.
type share struct {
	left    int32 // receipts that are still to come
	outcome receipt.Outcome
	reason  receipt.Reason
}

// any reports whether an event with several copies is in flight.
func (s *sharing) any() bool { return len(s.events) > 0 }

// has reports whether the event has other copies.
func (s *sharing) has(seq uint64) bool {
	_, ok := s.events[seq]
	return ok
}

// give notes that the events lo to hi-1 of the offer were given to a subscription.
func (s *sharing) give(lo, hi int, tracked bool) {
	s.overlap = s.overlap || lo < s.high
	s.high = max(s.high, hi)
	if last := len(s.given) - 1; last >= 0 && s.given[last].hi == lo && s.given[last].tracked == tracked {
		s.given[last].hi = hi
		return
	}
	s.given = append(s.given, span{lo, hi, tracked})
}

// dispatched ends the account of a Dispatch of n events from sequence number
// first.
func (s *sharing) dispatched(first uint64, n int) {
	if s.overlap || s.missed {
		s.overlap = false
		s.note(first, n)
	}
	s.given, s.high = s.given[:0], 0
}

// note remembers the events of a Dispatch that have more than one copy. It runs only if
// the spans overlap, or if a copy is missing, and looks at each event.
func (s *sharing) note(first uint64, n int) {
	if cap(s.copies) < n {
		s.copies = make([]copies, n)
	}
	count := s.copies[:n]
	clear(count)
	for _, g := range s.given {
		for i := g.lo; i < g.hi; i++ {
			count[i].all++
			if g.tracked {
				count[i].tracked++
			}
		}
	}
	missing := share{}
	if s.missed {
		missing.outcome = receipt.Abandoned
	}
	for i, c := range count {
		// Copies to subscriptions that give no receipt count as finished at once.
		if (c.all > 1 || s.missed) && c.tracked > 0 {
			if s.events == nil {
				s.events = make(map[uint64]share)
			}
			missing.left = c.tracked
			s.events[first+uint64(i)] = missing
		}
	}
}

// finish takes one receipt. The last result reports whether it was the last one, and then
// the others are how the event ended.
func (s *sharing) finish(seq uint64, outcome receipt.Outcome, reason receipt.Reason) (receipt.Outcome, receipt.Reason, bool) {
	e, ok := s.events[seq]
	if !ok {
		return outcome, reason, true
	}
	if worse(outcome, reason, e.outcome, e.reason) {
		e.outcome, e.reason = outcome, reason
	}
	if e.left--; e.left > 0 {
		s.events[seq] = e
		return 0, "", false
	}
	delete(s.events, seq)
	return e.outcome, e.reason, true
}
