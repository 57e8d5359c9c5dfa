package stage

import (
	"fmt"
	"time"
)

// pin is a message that waits until what was buffered before it has left. With a
// dispatcher that holds no events the order of the buffer is that of delivery, and
// counting what leaves it is enough (at). Otherwise each older event is looked for when it
// leaves (seq, waits).
type pin struct {
	at    int64  // how many events must have left the buffer
	seq   uint64 // of the first event that was emitted after the message
	waits int    // events before seq that are buffered, with a dispatcher that holds events
	msg   any
}

// inform calls HandleInfo. A handler without it ignores the message, which the stage logs
// with the total, at most once a second.
func (e *engine[In, Out]) inform(msg any) {
	if f := e.do.Info; f != nil {
		e.running = "HandleInfo"
		e.check(f(e.ctx, msg))
		e.stirred()
		return
	}
	e.ignored++
	if now := time.Now(); now.Sub(e.ignoredAt) >= warnEvery {
		e.ignoredAt = now
		e.log.Warn("message ignored: the handler has no HandleInfo", "stage", e.name,
			"message", fmt.Sprintf("%T", msg), "ignored", e.ignored)
	}
}

// informBehind passes msg to the handler after the events that are there: at a
// producer-consumer after those that it has not handled and then, as at a
// producer, after those that it has emitted.
func (e *engine[In, Out]) informBehind(msg any) {
	switch {
	// A consumer has handled all that arrived before the message.
	case e.out == nil:
		e.inform(msg)
	case e.in != nil && e.in.queue.Len() > 0:
		e.in.queue.Push(arrival[In]{other: msg})
	default:
		e.pin(msg)
	}
}

// pin makes msg wait for the events that are there. They are served first, so that those
// with demand do not count.
func (e *engine[In, Out]) pin(msg any) {
	o := e.out
	o.serve()
	o.pins.Push(pin{at: o.buf.left + int64(o.buf.len()), seq: o.nextSeq, waits: o.held(), msg: msg})
	o.awaiting = o.holder != nil
	e.unpin()
}

// unpin passes on the messages whose turn has come, in the order in which they were sent.
func (e *engine[In, Out]) unpin() {
	o := e.out
	for o.pins.Len() > 0 && !e.isOver() {
		head := o.pins.At(0)
		if o.awaiting && head.waits > 0 || !o.awaiting && o.buf.left < head.at {
			return
		}
		e.inform(o.pins.Pop().msg)
	}
	if o.pins.Len() == 0 {
		o.awaiting = false
		clear(o.gone)
	}
}

// leaves takes note of an event that is delivered or discarded while a message
// waits for the events of a dispatcher that holds them in an order of its own. An
// event that several subscribers get leaves once.
func (o *outlet[T]) leaves(seq uint64) {
	if _, gone := o.gone[seq]; gone {
		return
	}
	if o.gone == nil {
		o.gone = make(map[uint64]struct{})
	}
	older := false
	for i := range o.pins.Len() {
		if p := o.pins.At(i); seq < p.seq {
			p.waits--
			older = true
		}
	}
	if older {
		o.gone[seq] = struct{}{}
	}
}

// comesBack takes note of an event that is to be delivered again.
func (o *outlet[T]) comesBack(seq uint64) {
	if !o.awaiting {
		return
	}
	// It leaves once more, when it is delivered again.
	delete(o.gone, seq)
	for i := range o.pins.Len() {
		if p := o.pins.At(i); seq < p.seq {
			p.waits++
		}
	}
}
