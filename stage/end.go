package stage

// drain begins the orderly end. members are the stages that drain together, nil
// if that is not known: a subscription to a producer outside of them is cancelled,
// since nothing else would end it.
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
	if e.out != nil {
		e.out.paused, e.out.changed = false, true
	}
	if e.dry {
		return
	}
	if e.do.drain == nil {
		e.dry = e.do.demand != nil
		return
	}
	e.running = "HandleDrain"
	e.check(e.do.drain(e.ctx))
}

// complete ends a stage that has nothing left to do.
func (e *engine[In, Out]) complete() {
	if e.end {
		return
	}
	if e.in != nil && (e.draining || e.in.done) && e.in.live == e.in.waiting && e.in.queue.Len() == 0 {
		if e.out == nil {
			e.stop(nil)
			return
		}
		if !e.dry {
			e.releaseHeld()
			e.dry = true
		}
	}
	if e.out == nil {
		return
	}
	if (e.draining || e.ending) && e.out.live == 0 {
		e.stop(nil) // no subscriber is left, and none is accepted any more
		return
	}
	if e.draining && e.out.held() > 0 {
		e.out.abandonOrphans()
		if e.out.changed && e.out.buf.len() > 0 {
			e.again = true // events after them can be served
		}
		if (e.dry || e.out.disp.Demand() == 0) && e.out.abandonParked() {
			e.out.changed, e.again = true, true // events that had no room after them have room now
		}
	}
	if !e.dry || e.out.held() > 0 || e.out.mayReturn() || e.out.pins.Len() > 0 {
		return
	}
	if !e.ending {
		e.ending = true
		for _, s := range e.out.subs {
			if s != nil && s.active {
				s.active = false
				e.out.disp.Cancel(s.slot)
				s.down.postEnded(s, ErrDone)
			}
		}
	}
	if e.out.live == 0 {
		e.stop(nil)
	}
}

// endAll ends every subscription for reason, and discards the events that the stage
// still has.
func (e *engine[In, Out]) endAll(reason error) {
	o := e.out
	o.copyWhole()
	o.flush()
	for _, s := range o.subs {
		if s == nil {
			continue
		}
		if s.active {
			s.down.postEnded(s, reason)
		}
		s.slot, s.gone, s.active = -1, true, false
	}
	o.close()
}
