package websocket

// A client that asks for more than it reads is read from more slowly. Its next
// messages are held while the replies that it has not taken fill the queue, and go
// on when they have fallen below half of it. While they are held something waits to
// be written, so that each hold ends: by what the client takes, or by
// Timeouts.Write.

// hold reports whether the next message of the client must wait, because the
// control messages exceed the bounds times a factor. If so, a later step has goOn.
func (o *outbox) hold(times int) bool {
	if o.phase != open || o.asked.frames < times*o.bounds.frames && o.asked.bytes < times*o.bounds.bytes {
		return false
	}
	o.held = true
	return true
}

// release ends the hold if there is room again, or if the session ends.
func (o *outbox) release(do *effects) {
	if o.held && (o.phase != open || o.asked.low(o.bounds)) {
		o.held = false
		do.goOn = true
	}
}
