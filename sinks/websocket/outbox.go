package websocket

import "github.com/gobwas/ws"

// phase is how far a session has come to its end.
type phase uint8

const (
	open    phase = iota
	closing       // the close frame is queued or written; nothing else is queued
	closed        // nothing is written any more
)

// writer is the state of the goroutine that writes to the client.
type writer uint8

const (
	writerIdle writer = iota // nothing waits; the transport must be woken for the next item
	writerBusy               // the transport takes items, or has been woken to do so
	writerHeld               // the connection is not ready to write: the transport is not woken
)

// bounds limits the outbound queue of each connection of a mount.
type bounds struct {
	frames, bytes int  // of events; control messages have as much again
	budget        int  // of all connections together, which bounds a single frame too
	notify        bool // the application has a QueueFull or QueueDrained
}

// largest returns the size of the largest frame that is ever queued of the kind of
// an item. A record of the history may exceed the queue, and goes out alone then.
func (b *bounds) largest(control bool, policy Overflow) int {
	switch {
	case control:
		return min(2*b.bytes, b.budget)
	case policy == retried:
		return b.budget
	}
	return min(b.bytes, b.budget)
}

// outbox decides what happens to the frames for one client: which are queued,
// which give way, when the writer is woken, when the client is too slow and
// when the queue counts as full. It is a state machine without a lock, a clock
// or a goroutine. Its session steps it under a mutex and then acts on the
// effects.
type outbox struct {
	bounds  *bounds
	line    *line // the items that wait; nil while none does
	events  load  // waiting or being written
	asked   load  // the same of control messages, most of which the client has asked for
	ended   error // why, once the phase is not open; nil before
	broken  bool  // it has ended without a close
	phase   phase
	writer  writer
	full    bool // since the high mark was passed, until the queue falls below the low one
	held    bool // messages of the client wait until asked is low
	pressed bool // they wait until asked is zero
	apart   bool // the queue waits for its client, and not for the endpoint's writers
	own     bool // it always does: the transport has a writer of its own
	notice  notice
}

// total returns what waits or is being written.
func (o *outbox) total() load {
	return load{o.events.frames + o.asked.frames, o.events.bytes + o.asked.bytes}
}

// of returns the load that an item is part of.
func (o *outbox) of(it *item) *load {
	if it.control {
		return &o.asked
	}
	return &o.events
}

// effects is what a session must do after a step of its outbox. The step fills
// it in, so that the caller's copy stays on its stack.
type effects struct {
	err       error   // put: the item was not queued; its hook is for the caller
	conflated *item   // gave way to the item that was put
	dropped   []*item // will never be written
	reason    error   // why they were dropped
	bytes     int     // change of the queued bytes
	apart     bool    // they are of a queue that waits for its client
	moved     int     // queued bytes that have become such

	lost    bool // put: the policy discards the item
	unfit   bool // put: the item is larger than the queue can ever take
	wake    bool // the transport must take items
	closing bool // the session has begun to close
	closed  bool // the session has ended
	filled  bool // the queue has become full
	drained bool // the queue has become empty enough, and the session is open
	notify  bool // a notifier must start
	more    bool // next: the writer must take again
	goOn    bool // messages of the client that were held go on
}

// start ends the hold on the writer of a connection that is ready.
func (o *outbox) start(do *effects) {
	o.writer = writerIdle
	if o.line.len() > 0 {
		o.writer = writerBusy
		do.wake = true
	}
}

// take moves the next items into b, within most. It returns false if there are none: the
// writer is idle then.
func (o *outbox) take(b *batch, most load) bool {
	if !o.toWrite() {
		o.idle()
		return false
	}
	o.line.take(b, most)
	return true
}

// giveBack puts the items of b from the i-th on into the queue again, since the client does
// not take them now: the policies may discard them then. Those of a session that ends stay
// in b.
func (o *outbox) giveBack(b *batch, i int) {
	if o.phase != open || i >= b.n {
		return
	}
	if o.line == nil {
		o.line = lines.Get().(*line)
	}
	o.line.giveBack(b, i)
}

// wrote is account and then next.
func (o *outbox) wrote(b *batch, do *effects) {
	o.account(b, do)
	o.next(do)
}

// account accounts for a batch that was written, or that could not be. Until then its
// frames count as queued, so that a socket that blocks counts as full. The writer is
// busy until next.
func (o *outbox) account(b *batch, do *effects) {
	o.events.add(b.events, -1)
	o.asked.add(b.asked, -1)
	do.bytes, do.apart = -b.events.bytes-b.asked.bytes, o.apart
	if o.full && o.low() {
		o.setFull(false, do)
	}
	o.release(do)
}

// next decides whether the writer takes again.
func (o *outbox) next(do *effects) {
	if do.more = o.toWrite(); !do.more {
		o.idle()
	}
}

// toWrite reports whether there is something to write.
func (o *outbox) toWrite() bool { return o.phase != closed && o.line.len() > 0 }

// idle notes that the writer has nothing to write.
func (o *outbox) idle() {
	o.freeLine()
	o.writer = writerIdle
	o.apart = o.own // nothing is queued that would have to be moved
}

// setApart notes that the client does not take what is written, so that the queue waits for
// it until it is empty.
func (o *outbox) setApart(do *effects) {
	if !o.apart {
		o.apart = true
		do.moved = o.total().bytes
	}
}

// close begins the end: the close frame goes out after what waits, or in its
// place if flush is false. It does nothing if the end has begun.
func (o *outbox) close(code ws.StatusCode, reason error, flush bool, do *effects) {
	if o.phase != open {
		return
	}
	o.phase, o.ended = closing, reason
	do.closing, do.reason = true, reason
	// Before the close frame is pushed, which must not be dropped.
	if !flush {
		o.drop(do)
	}
	o.release(do)
	o.push(&item{wire: closeWire(code, closeText(code, reason)), control: true, last: true}, do)
}

// leave begins the end because the client has sent a close frame: it takes no
// events any more, and only replies to what it sent before go out first.
func (o *outbox) leave(code ws.StatusCode, do *effects) {
	if o.phase == open {
		do.dropped = append(do.dropped, o.line.removeEvents()...)
		for _, it := range do.dropped {
			o.events.add(it.load(), -1)
			do.bytes -= len(it.wire)
		}
		do.apart = o.apart
		o.close(code, ErrClosed, true, do)
	}
}

// finish ends everything at once. It does nothing the second time.
func (o *outbox) finish(reason error, do *effects) {
	if o.phase == closed {
		return
	}
	// A close that has begun keeps its reason.
	if o.phase == open {
		o.ended, o.broken = reason, true
	}
	o.phase = closed
	do.closed, do.reason = true, ErrClosed
	o.drop(do)
	o.freeLine()
	o.setFull(false, do)
	o.release(do)
}

// drop removes everything that waits.
func (o *outbox) drop(do *effects) {
	// What the writer has taken is not in the line: wrote accounts for it.
	gone := o.line.removeAll()
	do.apart = o.apart
	for _, it := range gone {
		o.of(it).add(it.load(), -1)
		do.bytes -= len(it.wire)
	}
	do.dropped = append(do.dropped, gone...)
}

// freeLine returns the line, which is empty or of no more use, to the pool.
func (o *outbox) freeLine() {
	if o.line != nil {
		o.line.free()
		o.line = nil
	}
}
