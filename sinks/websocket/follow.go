package websocket

import (
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// follow takes a broadcast that the history keeps. It reports whether the client
// will get it.
func (ch *Channel) follow(m *pubsub.Message, r *pubsub.Record) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state >= ending || ch.closed() && m.Tally() == nil || !ch.expects(m, r) {
		return false
	}
	at := ch.rare.place
	at.known = max(at.known, r.Offset)
	switch {
	case at.lost || ch.state == joining || at.pulling || at.stalled:
		// It will be fetched.
	// The usual case: the client has everything before it, so no history is read.
	case r.Offset == at.last+1:
		// The number is the same for all receivers, and is added once.
		e := encodingsOf(m)
		if e.numbered == nil {
			e.numbered = numberedPayload(r).Data
		}
		return ch.queueRecord(r, codec.Payload{Data: e.numbered})
	// There is a gap before it, which the history fills.
	default:
		ch.pull()
	}
	return true
}

// expects reports whether a broadcast continues what the client has. If it is a
// delivery the channel owes it from then on. The mutex is held.
func (ch *Channel) expects(m *pubsub.Message, r *pubsub.Record) bool {
	at, t := ch.rare.place, m.Tally()
	if at.continues(m) {
		return t == nil || at.owe(ch, r, t)
	}
	if t != nil {
		t.Refuse(ErrGone)
	}
	ch.giveUp()
	return false
}

var _ pubsub.LossHandler = (*receiver)(nil)

// HandleLoss looks at the history for what the client may have missed of another node.
// A history that nodes share has it. One of this node alone has begun anew: the
// connection is closed then, as by any gap.
func (r *receiver) HandleLoss(string) {
	ch := (*Channel)(r)
	if !ch.route.cfg.Resume {
		return
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state == joining || ch.state == joined {
		ch.rare.place.look = true
	}
	// While joining, beginToFollow does that.
	if ch.state == joined {
		ch.pull()
	}
}

// giveUp closes the connection of a client that cannot follow the history any
// more, once it has joined: it joins again and is told. The mutex is held.
func (ch *Channel) giveUp() {
	at := ch.rare.place
	first := !at.lost
	at.lost = true
	// In a goroutine of its own, since close takes Channel.mu. While joining,
	// beginToFollow closes the connection.
	if first && ch.state == joined {
		ch.sess.endpoint().spawn(func() { ch.sess.close(tryAgainLater, ErrHistory, false) })
	}
}
