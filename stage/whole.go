package stage

// serveWhole is serve for the usual case of stages in a row: all that was emitted goes to one
// subscription, nothing was buffered before it, and only its receipts have to be noted.
// The account is the same as that of serveEmission and dispatch. It returns false, and has
// changed nothing, if it is not that case.
func (o *outlet[T]) serveWhole() bool {
	if o.shared.missed || o.paused || o.traces.of != nil || len(o.touched) > 0 || o.buf.len() > 0 || o.emit.told() || o.fault != nil {
		return false
	}
	n := o.emit.Len()
	slot := o.demand.GiveWhole(n)
	if slot < 0 {
		return false
	}
	s := o.recipient(slot, n)
	if s == nil {
		return true // another stage uses the dispatcher too, for which this one ends
	}
	if s.tracked {
		s.flights.push(o.nextSeq, 0, n, o.emit.buf)
	}
	o.changed = false
	o.nextSeq += uint64(n)
	o.emitted += int64(n)
	o.delivered += int64(n)
	o.told = max(0, o.told-n)
	o.emit.passed += uint64(n)
	// The subscriber gets the slice that the handler filled, and the slice of an emptied
	// batch is filled next.
	b := s.emptied()
	b.events, o.emit.buf = o.emit.buf, b.events[:0]
	b.dirty, o.emit.dirty = o.emit.dirty, b.dirty
	o.size(1, int64(n), int64(n))
	o.send(s, b)
	return true
}
