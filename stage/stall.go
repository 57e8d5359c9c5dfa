package stage

import "github.com/penstock-go/penstock/dispatcher"

// A stage is stalled when events that its subscribers have asked for cannot come until
// they give receipts: the dispatcher has one event of a key in flight at a time, or the
// source bounds what is unfinished. A consumer that gathers would wait for them in vain.
// Just before a stalled stage waits for mail it posts its gathering subscribers a
// message, after the events that they have been given. They flush; a producer-consumer
// passes the message on.

// StalledHandler is a producer that may wait for receipts before it emits more.
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
	stalled := e.stalled()
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
	return e.do.stalled != nil && o.told > 0 && o.held() == 0 && !e.isDry() && e.do.stalled()
}

func (e *engine[In, Out]) postStalled(s *Subscription[In]) {
	e.box.Post(mail[In, Out]{kind: mailStalled, up: s})
}

// stallerOf returns a dispatcher as one that knows whether it waits for receipts, or nil.
func stallerOf(d any) dispatcher.Staller {
	s, _ := d.(dispatcher.Staller)
	return s
}
