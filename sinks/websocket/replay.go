package websocket

import (
	"errors"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// place is where the client of a resumable channel is in the history of its
// topic. Guarded by Channel.mu.
//
// The client gets the records in their order, without a gap. A broadcast that
// is next goes to it directly; for any other one it is a sign that the history
// has gone on, and the missing records are fetched there: because two
// broadcasts overtook each other, or because the outbound queue was full.
type place struct {
	epoch   string
	last    uint64 // offset of the last record that was queued or passed over
	known   uint64 // there are records up to this offset
	pulling bool   // somebody fetches from the history
	look    bool   // whoever fetches must look at least once more
	stalled bool   // the outbound queue is full: its draining goes on
	untold  bool   // records were passed over, and the client does not know
	owed    []owed // deliveries that were taken and are not queued yet
	heard   string // epoch of the last broadcast during the join
	lost    bool   // the history does not continue in this epoch
}

// follow receives a broadcast that is kept.
func (ch *Channel) follow(m *pubsub.Message, r *pubsub.Record) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	at := ch.rare.place
	t := m.Tally()
	switch {
	case ch.state != joining && ch.state != joined:
		return false
	case !at.continues(m):
		if t != nil {
			t.Refuse(ErrGone)
		}
		ch.giveUp()
		return false
	case t != nil && !at.owe(ch, r, t):
		return false
	}
	at.known = max(at.known, r.Offset)
	switch {
	case at.lost || ch.state == joining || at.pulling || at.stalled:
		// It will be fetched.
	case r.Offset == at.last+1:
		e := encodingsOf(m)
		if e.numbered.Data == nil {
			e.numbered = numberedPayload(r)
		}
		return ch.queueRecord(r, e.numbered)
	default:
		ch.pull()
	}
	return true
}

// continues reports whether a broadcast is of the epoch in which the client is,
// or will be once it has joined.
func (at *place) continues(m *pubsub.Message) bool {
	now, _ := m.Position()
	if at.epoch == "" {
		at.lost = at.lost || (at.heard != "" && at.heard != now.Epoch)
		at.heard = now.Epoch
		return true
	}
	return at.epoch == now.Epoch
}

var _ pubsub.LossHandler = (*receiver)(nil)

// HandleLoss closes the connection: its client may have missed messages of
// another node.
func (r *receiver) HandleLoss(string) {
	ch := (*Channel)(r)
	if !ch.route.cfg.Resume {
		return
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state == joining || ch.state == joined {
		ch.giveUp()
	}
}

// giveUp closes the connection of a client that cannot follow the history any
// more, once it has joined: it joins again and is told. The mutex is held.
func (ch *Channel) giveUp() {
	at := ch.rare.place
	first := !at.lost
	at.lost = true
	if first && ch.state == joined {
		ch.sess.endpoint().spawn(func() { ch.sess.close(tryAgainLater, ErrHistory, false) })
	}
}

// queueRecord queues the record that is next, or notes that there is no room.
// It answers false if the client will never get it. The mutex is held.
//
// The frame carries the join ref, and so cannot be shared: what is on its way
// when a client leaves and joins again on one connection must not be taken for
// what the new join gets.
func (ch *Channel) queueRecord(r *pubsub.Record, p codec.Payload) bool {
	at := ch.rare.place
	if !ch.queueWaiting(r.Event, p, at.debt(r.Offset)) {
		return at.stalled
	}
	at.paid(r.Offset)
	at.last, at.untold = r.Offset, false
	return true
}

// queueWaiting queues a frame, or notes that there is no room. The mutex is held.
func (ch *Channel) queueWaiting(event string, p codec.Payload, written hook) bool {
	w, err := messageWire(ch.sess.version, ch.joinRef, "", ch.topic, event, p)
	if err == nil {
		err = ch.sess.enqueue(&item{wire: w, policy: retried, written: written})
	}
	ch.rare.place.stalled = errors.Is(err, ErrQueueFull)
	return err == nil
}

// replay queues records as far as there is room. It answers false if the
// connection ends. The mutex is held.
func (ch *Channel) replay(records []pubsub.Record) bool {
	at := ch.rare.place
	for i := range records {
		r := &records[i]
		at.known = max(at.known, r.Offset)
		switch {
		case r.Offset != at.last+1 || at.stalled:
		case r.From(ch.sub):
			at.last, at.untold = r.Offset, true
		case !ch.queueRecord(r, numberedPayload(r)):
			return false
		}
	}
	if at.untold && !at.stalled {
		at.untold = !ch.queueWaiting(fieldOffset, codec.Payload{Data: withField(payloadEmpty.Data, fieldOffset, decimal(at.last))}, nil)
		return !at.untold || at.stalled
	}
	return true
}

// pull sees to it that somebody fetches what the client has not got. The mutex
// is held.
func (ch *Channel) pull() {
	if at := ch.rare.place; at.behind() && !at.pulling {
		at.pulling = true
		ch.sess.endpoint().spawn(ch.fetch)
	}
}

func (at *place) behind() bool { return (at.last < at.known || at.look || at.untold) && !at.stalled }

// fetch replays from the history until the client has got all there is, or its
// queue is full; when the connection ends it leaves pulling set, so that nobody
// begins again. There is one for a channel at a time. If the history does not
// reach back far enough the connection is closed: the client joins again and is
// told.
func (ch *Channel) fetch() {
	for {
		ch.mu.Lock()
		at := ch.rare.place
		if ch.state != joined || !at.behind() {
			at.pulling = false
			ch.mu.Unlock()
			return
		}
		at.look = false
		from := pubsub.Position{Epoch: at.epoch, Offset: at.last}
		ch.mu.Unlock()
		records, _, err := ch.sess.endpoint().hub.History().Since((*channelContext)(ch), ch.topic, from)
		if err != nil {
			reason := ErrQueueFull
			if errors.Is(err, pubsub.ErrEpoch) {
				reason = ErrHistory
			}
			ch.sess.close(tryAgainLater, reason, false)
			return
		}
		ch.mu.Lock()
		goesOn := ch.replay(records)
		ch.mu.Unlock()
		if !goesOn {
			return
		}
	}
}

// passOver tells the client of its channel's own broadcast to the others, which
// it does not get, that its position is behind that.
func (ch *Channel) passOver() {
	ch.mu.Lock()
	if ch.state != joined {
		ch.mu.Unlock()
		return
	}
	at := ch.rare.place
	at.look = true
	mine := at.behind() && !at.pulling
	at.pulling = at.pulling || mine
	ch.mu.Unlock()
	if mine {
		ch.fetch()
	}
}

// catchUp goes on with the channels that waited for room in the queue, and
// reports the room to those that had a delivery refused.
func (s *session) catchUp() {
	s.mu.Lock()
	channels := append([]*Channel(nil), s.channels...)
	s.mu.Unlock()
	for _, ch := range channels {
		if s.endpoint().delivers.Load() {
			s.endpoint().hub.HasRoom(ch.topic)
		}
		if !ch.route.cfg.Resume {
			continue
		}
		ch.mu.Lock()
		if ch.state == joined {
			ch.rare.place.stalled = false
			ch.pull()
		}
		ch.mu.Unlock()
	}
}
