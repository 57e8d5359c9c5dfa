package stage

import "github.com/penstock-go/penstock/receipt"

// Discard implements dispatcher.Out. The stage itself discards with it as well, from the
// buffer and from the emitter. The callback comes last, when the event is accounted for:
// it may panic.
func (o *outlet[T]) Discard(event T, seq uint64, reason receipt.Reason) {
	o.lost[reason]++
	o.discards++
	o.losses.fresh = true
	if m := &o.emission.marks; m.active && seq-o.offer.First < uint64(len(o.offer.Events)) {
		// Of the running offer; a held event that is discarded belongs to an earlier one.
		m.lost = append(m.lost, int32(seq-o.offer.First))
	}
	if o.awaiting {
		o.leaves(seq)
	}
	delete(o.again, seq)
	if len(o.traces.waits) > 0 {
		o.traces.end(o.stage, seq, receipt.Discarded, reason)
	}
	o.ended(seq, 1, receipt.Discarded, reason)
	o.reportDiscard(event, reason)
}

// store buffers emitted events without demand, within the buffer's policy. It reports
// whether the front of the buffer was discarded. emission.accounted advances with each
// event that has its place, since Discarded may panic in between.
func (o *outlet[T]) store(events []T, first uint64) bool {
	em := &o.emission
	if o.buf.keep == KeepFirst {
		// The first events fit; the later ones are discarded.
		n := min(len(events), max(0, o.buf.limit-o.buf.len()))
		o.buf.push(events[:n], first)
		em.accounted += n
		o.discardEmitted(events[n:], first+uint64(n))
		return false
	}
	// Of more new events than fit, the first ones are discarded as well.
	// excess is more than 0 only if the emission alone is larger than the buffer.
	excess := max(0, len(events)-o.buf.limit)
	front := min(o.buf.len(), max(0, o.buf.len()-(o.buf.limit-len(events))))
	o.discardFront(front)
	o.discardEmitted(events[:excess], first)
	o.buf.push(events[excess:], first+uint64(excess))
	em.accounted += len(events) - excess
	return front+excess > 0
}

// discardEmitted discards emitted events, the first that are not accounted for.
func (o *outlet[T]) discardEmitted(events []T, first uint64) {
	for i, event := range events {
		o.emission.accounted++
		o.Discard(event, first+uint64(i), receipt.BufferFull)
	}
}

// discardFront discards the first n events of the buffer.
func (o *outlet[T]) discardFront(n int) {
	for range n {
		o.discardNext(receipt.BufferFull)
	}
}
