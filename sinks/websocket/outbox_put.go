package websocket

// put queues an item, or applies its policy if it finds no room. An item with the
// key of one that waits takes that one's place in the line.
func (o *outbox) put(it *item, do *effects) {
	if o.phase != open {
		do.err = ErrClosed
		return
	}
	// The item whose place this one takes; nil if none with the key waits.
	var old *item
	if it.key != "" {
		old = o.line.find(it.key)
	}
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
		o.bytes += len(it.wire) - len(old.wire)
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
// is not nil. A replacement that is not longer always fits. Control messages
// may use twice the room. An item that is sent again when it is refused may be
// longer than the whole queue if nothing else is queued.
func (o *outbox) fits(it, old *item) bool {
	frames, bytes := o.bounds.frames, o.bounds.bytes
	switch {
	case old != nil:
		return len(it.wire) <= len(old.wire) || o.bytes+len(it.wire)-len(old.wire) <= bytes
	case it.policy == retried && o.frames == 0:
		return true
	// Replies and closes of channels need room when broadcasts have filled the queue.
	case it.control:
		frames, bytes = 2*frames, 2*bytes
	}
	return o.frames < frames && o.bytes+len(it.wire) <= bytes
}

// giveWay removes the oldest item that may be discarded for it, or returns nil.
// For an item that is longer than the whole queue nothing gives way.
func (o *outbox) giveWay(it *item) *item {
	if it.policy != DropOldest || it.control || len(it.wire) > o.bounds.bytes {
		return nil
	}
	// nil if only control messages and retried items wait.
	gone := o.line.removeOldest()
	if gone != nil {
		o.frames--
		o.bytes -= len(gone.wire)
	}
	return gone
}

// refuse applies the policy of an item for which there is no room.
func (o *outbox) refuse(it *item, do *effects) {
	do.err = ErrQueueFull
	switch {
	case it.policy == retried:
		o.setFull(true, do) // its sender waits for the queue to drain
	case it.control || it.policy == CloseSlow:
		// The close frame itself is pushed whatever the room, by close.
		do.lost = !it.control
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
	o.line.push(it)
	o.frames++
	o.bytes += len(it.wire)
	do.bytes += len(it.wire)
	if o.writer == writerIdle {
		o.writer = writerBusy
		do.wake = true
	}
}
