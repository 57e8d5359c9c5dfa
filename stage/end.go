package stage

// drain begins the orderly end. members are the stages that drain together, nil if that is
// not known: a subscription to a producer outside of them is cancelled, since nothing else
// would end it. A second drain may know the members where the first did not, and so
// cancels even then.
//
// A source without HandleDrain is dry at once. With it, the source itself decides when, by
// returning ErrDone from any handler.
func (e *engine[In, Out]) drain(members map[*node]bool) {
	if e.in != nil && members != nil {
		for _, s := range e.in.subs {
			if !members[s.up.vertex()] {
				s.Cancel(ErrDone)
			}
		}
	}
	if e.draining {
		return
	}
	e.draining = true
	if e.in != nil {
		for _, s := range e.in.subs {
			s.resumeForGood()
		}
	}
	if e.out != nil {
		// What was accumulated is delivered.
		e.out.paused, e.out.changed = false, true
	}
	if e.isDry() {
		return
	}
	if e.do.drain == nil {
		if e.do.demand != nil {
			e.reach(dry)
		}
		return
	}
	e.running = "HandleDrain"
	e.check(e.do.drain(e.ctx))
}

// complete ends a stage that has nothing left to do. It runs at the end of each round and
// only looks at the state: what is not yet true is seen again after the next mail.
func (e *engine[In, Out]) complete() {
	if e.isOver() {
		return
	}
	if e.in != nil {
		e.completeIntake()
	}
	if e.out != nil && !e.isOver() {
		e.completeOutput()
	}
}

// completeIntake ends a consumer to which nothing more can come: it drains, or a permanent
// subscription has ended in good order, and no subscription is open. Subscriptions that
// wait for the receipts of their inputs do not count as open, since a producer-consumer
// can give these only when it may emit its last events. It is dry then, and waits for the
// end of what it has emitted.
func (e *engine[In, Out]) completeIntake() {
	mayEnd := e.draining || e.in.done
	open := e.in.live - e.in.waiting
	switch {
	case !mayEnd || open > 0 || e.in.queue.Len() > 0:
	case e.out == nil:
		e.stop(nil)
	case !e.isDry() && !e.works():
		e.releaseHeld()
		e.reach(dry)
	}
}

// completeOutput ends the subscriptions to a stage that emits nothing more, once nothing
// is held or can come back and no message waits for events, and then the stage, when the
// last subscriber has left.
func (e *engine[In, Out]) completeOutput() {
	o := e.out
	if (e.draining || e.progress >= closing) && o.live == 0 {
		e.stop(nil) // no subscriber is left, and none is accepted any more
		return
	}
	if e.draining {
		e.abandonUndeliverable()
	}
	if !e.isDry() || o.held() > 0 || o.mayReturn() || o.pins.Len() > 0 {
		return
	}
	if e.progress < closing {
		e.reach(closing)
		e.sendEnd()
	}
	if o.live == 0 {
		e.stop(nil)
	}
}

// abandonUndeliverable discards, in a drain, the events that no subscriber will take:
// those of subscribers that are gone, and those of parked keys when all else was served.
func (e *engine[In, Out]) abandonUndeliverable() {
	o := e.out
	if o.held() == 0 {
		return
	}
	o.abandonOrphans()
	if o.changed && o.buf.len() > 0 {
		e.again = true // events after them can be served
	}
	if (e.isDry() || o.disp.Demand() == 0) && o.abandonParked() {
		o.changed, e.again = true, true // events that had no room after them have room now
	}
}

// sendEnd sends every subscriber the end of the stream. They leave when they have handled
// what was delivered, and left is called for each.
func (e *engine[In, Out]) sendEnd() {
	for _, s := range e.out.subs {
		if s != nil && s.supply == supplyActive {
			s.supply = supplyLeaving
			e.out.disp.Cancel(s.slot)
			s.down.postEnded(s, ErrDone)
		}
	}
}

// endAll ends every subscription for reason, and discards the events that the stage
// still has.
func (e *engine[In, Out]) endAll(reason error) {
	o := e.out
	// What a Dispatch that panicked has given is delivered, since it counts as such.
	o.copyWhole()
	o.flush()
	for _, s := range o.subs {
		if s == nil {
			continue
		}
		o.abandonedNow(s.refused) // the consumer's farewell does not arrive any more
		s.refused = 0
		if s.supply == supplyActive {
			s.down.postEnded(s, reason)
		}
		s.supply = supplyGone
	}
	o.close()
}
