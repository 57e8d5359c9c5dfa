package stage

// pin is a message that waits until what was buffered before it has left.
type pin struct {
	at  int64 // how many events must have left the buffer
	msg any
}

func (e *engine[In, Out]) inform(msg any) {
	if h, ok := e.handler.(InfoHandler); ok {
		e.running = "HandleInfo"
		e.check(h.HandleInfo(e.ctx, msg))
	}
}

// informBehind passes msg to the handler behind the events that are there: at a
// producer-consumer behind those that it has not handled and then, as at a
// producer, behind those that it has emitted.
func (e *engine[In, Out]) informBehind(msg any) {
	switch {
	case e.out == nil:
		e.inform(msg)
	case e.in != nil && e.in.queue.Len() > 0:
		e.in.queue.Push(arrival[In]{info: msg})
	default:
		e.pin(msg)
	}
}

func (e *engine[In, Out]) pin(msg any) {
	e.out.serve()
	e.out.pins.Push(pin{at: e.out.buf.left + int64(e.out.buf.len()), msg: msg})
	e.unpin()
}

// unpin passes on the messages whose turn has come. With a dispatcher that holds
// events itself, in an order of its own, that is when it holds none.
func (e *engine[In, Out]) unpin() {
	o := e.out
	for o.pins.Len() > 0 && !e.end {
		if o.buf.left < o.pins.At(0).at || o.holder != nil && o.holder.Held() > 0 {
			return
		}
		e.inform(o.pins.Pop().msg)
	}
}
