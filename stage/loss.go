package stage

import (
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// warnEvery is how often a stage that goes on discarding says so in its log.
const warnEvery = time.Second

// Discard implements dispatcher.Out.
func (o *outlet[T]) Discard(event T, seq uint64, reason receipt.Reason) {
	o.lost[reason]++
	o.discards++
	o.ended(seq, 1, receipt.Discarded, reason)
	if o.discarded != nil {
		o.discarded(event, reason)
	}
}

// store buffers what nobody has asked for, within the buffer's policy. It
// answers whether the front of the buffer was discarded.
func (o *outlet[T]) store(events []T, first uint64) bool {
	kept := events
	if o.buf.keep == KeepFirst {
		room := max(0, o.buf.limit-o.buf.len())
		if room < len(events) {
			kept = events[:room]
		}
		o.discardRun(events[len(kept):], first+uint64(len(kept)))
		o.buf.push(kept, first)
		return false
	}
	if excess := len(events) - o.buf.limit; excess > 0 {
		// Not even all of the newcomers fit.
		o.discardFront(o.buf.len())
		o.discardRun(events[:excess], first)
		o.buf.push(events[excess:], first+uint64(excess))
		return true
	}
	excess := o.buf.len() - (o.buf.limit - len(events))
	o.discardFront(excess)
	o.buf.push(events, first)
	return excess > 0
}

func (o *outlet[T]) discardRun(events []T, first uint64) {
	for i, event := range events {
		o.Discard(event, first+uint64(i), receipt.BufferFull)
	}
	if len(events) == 0 {
		return
	}
	if now := time.Now(); now.Sub(o.warned) >= warnEvery {
		o.warned = now
		o.log.Warn("buffer full, events discarded", "stage", o.stage, "discarded", o.lost[receipt.BufferFull], "limit", o.buf.limit)
	}
}

func (o *outlet[T]) discardFront(n int) {
	for n > 0 {
		run, first := o.buf.front()
		k := min(n, len(run))
		o.discardRun(run[:k], first)
		o.buf.drop(k)
		n -= k
	}
}
