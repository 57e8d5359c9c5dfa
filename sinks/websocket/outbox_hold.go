package websocket

// A client that asks for more than it reads is read from more slowly. Its next
// messages are held while the replies that it has not taken fill the queue, and go
// on when they have fallen below half of it. While they are held something waits to
// be written, so that each hold ends: by what the client takes, or by
// Timeouts.Write.

// hold reports whether the next message of the client must wait, because the
// control messages exceed the bounds times a factor, or because there are any and
// all queues together are too long. If so, a later step has goOn.
func (o *outbox) hold(times int, pressed bool) bool {
	crowded := o.asked.frames >= times*o.bounds.frames || o.asked.bytes >= times*o.bounds.bytes
	pressed = pressed && o.asked.frames > 0
	if o.phase != open || !crowded && !pressed {
		return false
	}
	o.held, o.pressed = true, o.pressed || pressed
	return true
}

// release ends the hold if there is room again, or if the session ends.
func (o *outbox) release(do *effects) {
	if !o.held {
		return
	}
	if o.phase != open || o.asked.frames == 0 || !o.pressed && o.asked.low(o.bounds) {
		o.held, o.pressed = false, false
		do.goOn = true
	}
}
