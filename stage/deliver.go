package stage

// deliver passes a whole batch to a handler that asks for its events itself.
func (e *engine[In, Out]) deliver(s *Subscription[In], b *batch[In]) {
	position, at := s.received, 0
	s.received += uint64(b.size())
	for {
		if s.withdrawn.Load() != nil || b.pierced() {
			position += e.pass(s, b, at, position)
		}
		if at == len(b.events) {
			break
		}
		events := b.events[at:b.until()]
		if !e.deliverPart(s, events, position) {
			return
		}
		at += len(events)
		position += uint64(len(events))
	}
	e.giveBackBatch(s, b, 0)
}

// deliverPart passes events of a batch on that follow each other. It returns false if the
// rest is dropped.
func (e *engine[In, Out]) deliverPart(s *Subscription[In], events []In, first uint64) bool {
	e.running = "HandleDelivery"
	n := len(events)
	if s.deferred {
		s.open.Add(int64(n))
		e.in.handled += int64(n)
		if e.in.traces.of != nil {
			e.traceDelivery(s, events, first)
		}
		// The events were copied by the handler, if it keeps them.
		e.check(e.do.delivery(e.ctx, Delivery[In]{Subscription: s, Events: events, First: first}))
		// With about as many as such a handler asks for at once, more is likely to be on its
		// way, unless others work on them: a turn of theirs takes longer than to park.
		e.brisk = 2*n >= s.maxDemand-s.minDemand && s.open.Load() == 0
		return true
	}
	// With as many as a chunk of HandleEvents, more is likely to be on its way.
	e.brisk = n >= s.maxDemand-s.minDemand
	s.inHand = n // farewell names these if the handler fails
	err := e.transform(e.ctx, s, events, inputs[In]{position: first, n: n})
	if err != nil && err != ErrDone {
		e.check(err)
		return false
	}
	if poison.Load() {
		clear(events)
	}
	e.in.handled += int64(n)
	s.total += n
	s.inHand = 0
	if !s.wanted {
		s.handled += n // otherwise the receipts follow, also those of the inputs that are held
	}
	if err != nil {
		e.check(err)
		return false
	}
	e.out.serve()
	return true
}
