package websocket

// put queues an item, or applies its policy if it finds no room. An item with the
// key of one that waits takes that one's place in the line.
func (o *outbox) put(it *item, do *effects) {
	if o.phase != open {
		do.err = ErrClosed
		return
	}
	// No policy applies: the client is not slow, and would not get it later either.
	if len(it.wire) > o.bounds.largest(it.control, it.policy) && !it.control {
		do.err = &TooLargeError{Bytes: len(it.wire), Limit: o.bounds.largest(false, it.policy)}
		do.unfit = true
		return
	}
	// The item whose place this one takes; nil if none with the key waits.
	var old *item
	if it.key != "" {
		old = o.line.find(it.key)
	}
	do.apart = o.apart
	// Each turn removes one item, so that this ends.
	for !o.fits(it, old) {
		gone := o.giveWay(it)
		if gone == nil {
			o.refuse(it, do)
			return
		}
		// Its place is gone: the new item goes to the end of the line.
		if gone == old {
			old = nil
		}
		do.dropped, do.reason = append(do.dropped, gone), ErrQueueFull
		do.bytes -= len(gone.wire)
	}
	if old != nil {
		// The number of frames stays as it is.
		o.line.replace(old, it)
		o.events.bytes += len(it.wire) - len(old.wire)
		do.bytes += len(it.wire) - len(old.wire)
		do.conflated = old
	} else {
		o.push(it, do)
	}
	if !o.full && o.high() {
		o.setFull(true, do)
	}
}

// fits reports whether there is room for an item, in the place of old if that
// is not nil. A replacement that is not longer always fits, and so does a control
// message: too many of them hold up the client's own messages instead. An item that
// is sent again when it is refused may be longer than the whole queue if no other
// event is queued.
func (o *outbox) fits(it, old *item) bool {
	switch {
	case it.control, it.policy == retried && o.events.frames == 0:
		return true
	case old != nil:
		return len(it.wire) <= len(old.wire) || o.events.bytes+len(it.wire)-len(old.wire) <= o.bounds.bytes
	}
	return o.events.frames < o.bounds.frames && o.events.bytes+len(it.wire) <= o.bounds.bytes
}

// giveWay removes the oldest item that may be discarded for an event, or returns
// nil.
func (o *outbox) giveWay(it *item) *item {
	if it.policy != DropOldest {
		return nil
	}
	// nil if only control messages and retried items wait.
	gone := o.line.removeOldest()
	if gone != nil {
		o.events.add(gone.load(), -1)
	}
	return gone
}

// refuse applies the policy of an event for which there is no room.
func (o *outbox) refuse(it *item, do *effects) {
	do.err = ErrQueueFull
	switch {
	case it.policy == retried:
		o.setFull(true, do) // its sender waits for the queue to drain
	case it.policy == CloseSlow:
		do.lost = true
		// The close frame itself is pushed whatever the room.
		o.close(tryAgainLater, ErrQueueFull, false, do)
	default:
		do.lost = true
	}
}

// push appends an item, and wakes the writer if it is idle.
func (o *outbox) push(it *item, do *effects) {
	if o.line == nil {
		o.line = lines.Get().(*line)
	}
	if it.urgent {
		o.line.pushUrgent(it)
	} else {
		o.line.push(it)
	}
	o.of(it).add(it.load(), 1)
	do.bytes += len(it.wire)
	do.apart = o.apart
	if o.writer == writerIdle {
		o.writer = writerBusy
		do.wake = true
	}
}
