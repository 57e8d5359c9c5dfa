package stage

// deliver passes a whole batch to a handler that asks for its events itself.
func (e *engine[In, Out]) deliver(s *Subscription[In], b *batch[In]) {
	e.running = "HandleDelivery"
	n := len(b.events)
	first := s.received
	s.received += uint64(n)
	if s.deferred {
		s.open.Add(int64(n))
		e.in.handled += int64(n)
		e.check(e.do.delivery(e.ctx, Delivery[In]{Subscription: s, Events: b.events, First: first}))
		// The events were copied by the handler, if it keeps them.
		e.giveBackBatch(s, b, 0)
		return
	}
	// With as many as a chunk of HandleEvents, more is likely to be on its way.
	e.brisk = n >= s.info.MaxDemand-s.info.MinDemand
	s.inHand = n // farewell names these if the handler fails
	err := e.transform(s, b.events, inputs[In]{position: first, n: n})
	if err != nil && err != ErrDone {
		e.check(err)
		return
	}
	if poison.Load() {
		clear(b.events)
	}
	e.in.handled += int64(n)
	s.total += n
	s.inHand = 0
	if !s.wanted {
		s.handled += n // otherwise the receipts follow, also those of the inputs that are held
	}
	if err != nil {
		e.check(err)
		return
	}
	e.out.serve()
	e.giveBackBatch(s, b, 0)
}
