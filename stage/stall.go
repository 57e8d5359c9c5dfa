package stage

import "github.com/penstock-go/penstock/dispatcher"

// A stage is stalled when events that its subscribers have asked for cannot come until
// they give receipts: the dispatcher has one event of a key in flight at a time, the
// source bounds what is unfinished, or the stage emits nothing more and what is in flight
// may come back. A consumer that gathers would wait for them in vain.
// Just before a stalled stage waits for mail it posts its gathering subscribers a
// message, after the events that they have been given. They flush; a producer-consumer
// passes the message on.

// StalledHandler is a producer, or producer-consumer, that may wait for receipts before it
// emits more.
type StalledHandler interface {
	// HandleStalled reports whether events that were asked for cannot be emitted
	// before earlier ones have their receipts. It is called when the stage has
	// nothing to do. Subscribers that gather events then pass them on at once.
	HandleStalled() bool
}

// relieve runs when the stage has nothing to do. It reports whether it has flushed the
// handler, so that there may be something to do.
//
// A message of a producer is acted on here, and not when it comes: events that came while
// the handler was busy are gathered first.
func (e *engine[In, Out]) relieve() bool {
	if e.pressed && e.in.queue.Len() == 0 {
		e.pressed = false
		if e.out != nil {
			e.out.pressing = true // the subscribers are next, when the stage is idle again
		}
		if e.gathering {
			e.flush()
			return true
		}
	}
	if e.out != nil && e.out.gatherers > 0 {
		e.press()
	}
	return false
}

// press posts the message to the subscribers that gather, if the stage is stalled. Events
// that waited for a stall to end have waited long enough: when the rest of them was given,
// the message is posted once more.
func (e *engine[In, Out]) press() {
	o := e.out
	stalled := e.stalled() || e.relays()
	if !stalled && !o.pressing {
		return
	}
	for _, s := range o.subs {
		// Once for what it has: nothing else can be gathered before it is given more.
		if s != nil && s.gathers && s.supply == supplyActive && s.pressed != s.given {
			s.pressed = s.given
			s.down.postStalled(s)
		}
	}
	o.pressing = stalled
}

// stalled reports whether subscribers get nothing more before they give receipts.
func (e *engine[In, Out]) stalled() bool {
	o := e.out
	if o.staller != nil && o.staller.Stalled() {
		return true
	}
	// With buffered or held events it is for the dispatcher to say.
	if o.held() > 0 {
		return false
	}
	if e.isDry() {
		// The end is not sent before the last receipt: until then an event may come back.
		return e.progress < closing && o.mayReturn()
	}
	return e.do.stalled != nil && (o.told > 0 || e.in != nil) && e.do.stalled()
}

// relays reports whether a producer waits for receipts of inputs that the stage still has.
// What is made of these may be emitted long after the message has come: it is buffered, or
// the inputs were held.
func (e *engine[In, Out]) relays() bool {
	if e.in == nil || e.in.stalled == 0 {
		return false
	}
	if e.do.busy != nil && e.busyNow() {
		return true // it may still emit, also for inputs that want no receipt
	}
	for _, s := range e.in.subs {
		// Inputs count only once the handler has had them.
		if s.stalled && s.inputs == 0 && e.in.queue.Len() == 0 {
			e.flows(s)
		}
	}
	return e.in.stalled > 0
}

// flows notes that the producer of s no longer waits for receipts.
func (e *engine[In, Out]) flows(s *Subscription[In]) {
	s.stalled = false
	e.in.stalled--
}

func (e *engine[In, Out]) postStalled(s *Subscription[In]) {
	e.box.Post(mail[In, Out]{kind: mailStalled, up: s})
}

// stallerOf returns a dispatcher as one that knows whether it waits for receipts, or nil.
func stallerOf(d any) dispatcher.Staller {
	s, _ := d.(dispatcher.Staller)
	return s
}
