package websocket

import (
	"errors"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// queueRecord queues the record that is next, or notes that there is no room.
// It returns false if the client will never get it. In place of a record that is
// larger than all queues together the client gets the event resume_skipped. The
// mutex is held.
//
// The frame carries the join ref, and so cannot be shared: a client that leaves
// and joins again on one connection must not take a frame for the old join for
// one of the new join.
func (ch *Channel) queueRecord(r *pubsub.Record, p codec.Payload) bool {
	at := ch.rare.place
	err := ch.queueWaiting(r.Event, p, at.debt(r.Offset))
	if isTooLarge(err) {
		if ch.queueWaiting(eventSkipped, offsetPayload(r.Offset), nil) != nil {
			return at.stalled
		}
		if owed := at.debt(r.Offset); owed != nil {
			// Not under the mutex.
			ch.sess.endpoint().spawn(func() { ch.sess.endpoint().tell(&item{written: owed}, time.Time{}, err) })
		}
	} else if err != nil {
		if !at.stalled && !errors.Is(err, ErrClosed) {
			ch.giveUp() // no client can get it, and later ones must not hide that
		}
		return at.stalled
	}
	// The hook is that of the queued item now.
	at.paid(r.Offset)
	at.last, at.untold = r.Offset, false
	return true
}

// queueWaiting queues a frame, or notes that there is no room. The mutex is held.
func (ch *Channel) queueWaiting(event string, p codec.Payload, written hook) error {
	w, err := ch.sess.format.message(ch.joinRef, "", ch.topic, event, p)
	if err == nil {
		err = ch.sess.enqueue(&item{wire: w, policy: retried, written: written})
	}
	// Only this error is temporary.
	ch.rare.place.stalled = errors.Is(err, ErrQueueFull)
	return err
}

// replay queues records as far as there is room. It returns false if the
// connection ends. The mutex is held.
func (ch *Channel) replay(records []pubsub.Record) bool {
	at := ch.rare.place
	for i := range records {
		r := &records[i]
		at.known = max(at.known, r.Offset)
		switch {
		// Queued already, or to be fetched when there is room.
		case r.Offset != at.last+1 || at.stalled:
		// The channel's own broadcast to the others: its client gets only the position.
		case r.From(ch.sub):
			at.last, at.untold = r.Offset, true
		case !ch.queueRecord(r, numberedPayload(r)):
			return false
		}
	}
	if at.untold && !at.stalled {
		at.untold = ch.queueWaiting(fieldOffset, offsetPayload(at.last), nil) != nil
		return !at.untold || at.stalled
	}
	return true
}

// pull ensures that a goroutine fetches what the client has not got. The mutex is
// held.
func (ch *Channel) pull() {
	if at := ch.rare.place; at.behind() && !at.pulling {
		at.pulling = true
		ch.sess.endpoint().spawn(ch.fetch)
	}
}

// fetch replays from the history until the client has got all there is, or its
// queue is full. When the connection ends it leaves pulling set, so that no other
// goroutine begins. At most one runs for a channel at a time. If the history does
// not reach back far enough, or fails, the connection is closed: the client joins
// again and is told.
func (ch *Channel) fetch() {
	for {
		ch.mu.Lock()
		at := ch.rare.place
		if ch.state != joined || ch.closed() || !at.behind() {
			at.pulling = false
			ch.mu.Unlock()
			return
		}
		// Before the history is read: what is noted from now on is looked at again.
		at.look = false
		from, known := pubsub.Position{Epoch: at.epoch, Offset: at.last}, at.known
		ch.mu.Unlock()
		// Without the mutex: a history may be in a database.
		records, _, err := ch.since(from)
		goesOn := false
		ch.mu.Lock()
		switch {
		// The end of the channel has ended the context: that is no gap.
		case ch.closed():
			at.pulling = false
		case err == nil:
			goesOn = ch.replay(records)
			// The history must have what was broadcast: asking again would not end.
			if goesOn && !at.stalled && at.last < known {
				err = ErrHistory
			}
		}
		ended := ch.closed()
		ch.mu.Unlock()
		if err != nil && !ended {
			reason := gapReason(err)
			if reason == ErrQueueFull {
				ch.sess.slow(slowHistory)
			}
			ch.sess.close(tryAgainLater, reason, false)
			return
		}
		if !goesOn {
			return
		}
	}
}

// since reads the history of the topic after a position. A panic of the history is
// an error, and so is a record to which no offset can be added.
func (ch *Channel) since(from pubsub.Position) (records []pubsub.Record, now pubsub.Position, err error) {
	defer crash.Catch(&err)
	records, now, err = ch.sess.endpoint().hub.History().Since((*channelContext)(ch), ch.topic, from)
	for i := range records {
		if !(pubsub.Payload{Data: records[i].Data}).IsObject() {
			return nil, now, pubsub.ErrNotObject
		}
	}
	return records, now, err
}

// gapReason returns why a connection is closed whose client cannot get what it has
// missed.
func gapReason(err error) error {
	// The queue was full for longer than the history reaches back.
	if errors.Is(err, pubsub.ErrTrimmed) {
		return ErrQueueFull
	}
	return ErrHistory
}

// passOver moves the position past the channel's own broadcast to the others,
// which its client does not get, and tells the client its position.
func (ch *Channel) passOver() {
	ch.mu.Lock()
	if ch.state != joined {
		ch.mu.Unlock()
		return
	}
	at := ch.rare.place
	at.look = true
	// A fetch that runs sees look and goes on by itself.
	mine := at.behind() && !at.pulling
	at.pulling = at.pulling || mine
	ch.mu.Unlock()
	if mine {
		ch.fetch()
	}
}

// catchUp goes on with the channels that waited for room in the queue, and reports
// the room to senders whose deliveries were refused.
func (s *session) catchUp() {
	s.mu.Lock()
	channels := s.channels.copied()
	s.mu.Unlock()
	for _, ch := range channels {
		// Before the first delivery no sender waits for room.
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
