package websocket

import (
	"context"
	"slices"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// Report is the end of a delivery.
type Report = pubsub.Report

// Why no client has a delivery, as Report.Err holds it: [pubsub.ErrFull] is
// another such reason, which [ErrQueueFull] wraps.
var (
	// ErrNoSubscriber: no client has joined the topic.
	ErrNoSubscriber = pubsub.ErrNoSubscriber
	// ErrGone: the connections that had the event queued closed before it was
	// written.
	ErrGone = pubsub.ErrGone
)

// Deliver sends an event to all clients that have joined topic, as Broadcast
// does, and reports what became of it. done is called exactly once: when the
// first client's frame was written, or when no frame will be. So a client that
// does not read delays only its own copy. A frame is written when the operating
// system has taken its bytes: the client has not necessarily read them.
//
// The frame is encoded once and shared. Handlers do not intercept deliveries,
// and the topic's Overflow policy does not apply: a connection whose queue is
// full refuses the delivery, stays open, and the report is [pubsub.ErrFull] if no
// other connection has it written. It can be delivered again when there is room
// or a new client, which PubSub().Watch reports. Conflation does apply: a frame
// that a newer event with the same key replaces is reported as
// pubsub.ErrSuperseded.
//
// On a topic whose channels resume, a delivery is numbered and kept as a
// broadcast is, provided that the topic has a subscription. A connection whose
// queue is full has taken it then: it counts as written when it has been written
// from the history. If Report.Kept is set, a client that resumes finds the event
// in the history, and delivering it again would repeat it.
//
// With a hub of several nodes the clients of all nodes get the event, and the first
// of them ends the delivery. The report is [pubsub.ErrNoAnswer] if it is not known
// whether a client of another node has it.
//
// done runs as the hook of [Channel.PushWritten] does and must be as cheap; the
// report of another node comes in the goroutine in which the hub receives. If
// Deliver returns an error, no client was sent the event and done is never
// called.
func (e *Endpoint) Deliver(ctx context.Context, topic, event string, payload any, done func(Report)) error {
	return e.hub.Deliver(ctx, topic, event, payload, done)
}

// DeliverAll delivers several events of one name on one topic, in order, as calls of Deliver
// one after another do, but to the clients that have joined at one moment, and so that no
// client gets a later one that might not get an earlier one first. With a hub of several
// nodes, and on a topic whose channels resume, the error is [pubsub.ErrApart]. See
// [pubsub.Hub.DeliverAll].
func (e *Endpoint) DeliverAll(topic, event string, list []pubsub.Delivery) error {
	return e.hub.DeliverAll(topic, event, list)
}

// hook is told once what became of an item.
type hook interface {
	Report(at time.Time, err error)
}

// hookFunc is a function as a hook.
type hookFunc func(at time.Time, err error)

// Report implements hook.
func (f hookFunc) Report(at time.Time, err error) { f(at, err) }

// missError is why a frame is not written. It wraps the reason that the sender
// of a delivery is told.
type missError struct {
	text   string
	reason error
}

// Error implements error.
func (e *missError) Error() string { return e.text }

// Unwrap returns the reason, so that errors.Is finds it.
func (e *missError) Unwrap() error { return e.reason }

// deliver queues a delivery for this client and reports to its tally. The caller
// holds no lock.
func (ch *Channel) deliver(m *pubsub.Message, t *pubsub.Tally) bool {
	ch.sess.endpoint().expectDeliveries()
	it, err := ch.broadcast(m)
	switch {
	case err == ErrNoBinary:
		t.Refuse(pubsub.ErrUnfit)
		return false
	case err != nil:
		m.Fail(err)
		return false
	}
	if tracer := ch.sess.endpoint().cfg.Tracer; tracer != nil && m.Traced() {
		it = traceWrite(it, m, ch.sess.endpoint().hub.Node(), tracer)
	}
	t.Take() // first: the frame can be written before offer returns
	if err = ch.offer(it); err == ErrNoBinary {
		err = pubsub.ErrUnfit
	}
	if err != nil {
		t.Refuse(err)
		if it.written != nil {
			it.written.Report(time.Time{}, err)
		}
	}
	return err == nil
}

// expectDeliveries has connections report when they have room again.
func (e *Endpoint) expectDeliveries() {
	// A load first, since a store at each delivery would make the processors compete.
	if !e.delivers.Load() {
		e.delivers.Store(true)
	}
}

// flushEarly queues the broadcasts that came during the join. The mutex is held.
func (ch *Channel) flushEarly() {
	e := ch.sess.endpoint()
	// Deliveries may have been refused for want of room during the join.
	refused := len(ch.rare.early) >= ch.sess.mount.cfg.Queue.Events
	for _, early := range ch.rare.early {
		if err := ch.sess.enqueue(early); err != nil && early.written != nil {
			e.spawn(func() { e.tell(early, time.Time{}, err) }) // not under the mutex
		}
	}
	ch.rare.early = nil
	if refused {
		e.spawn(func() { e.hub.HasRoom(ch.topic) })
	}
}

// owed is a delivery that a resumable channel has taken and whose record it has
// not queued yet.
type owed struct {
	offset uint64
	tally  *pubsub.Tally
}

// owe takes a delivery, unless the channel ends or its client begins after it.
// The channel's mutex is held.
func (at *place) owe(ch *Channel, r *pubsub.Record, t *pubsub.Tally) bool {
	ch.sess.endpoint().expectDeliveries()
	if ch.closed() || r.Offset <= at.last {
		t.Refuse(ErrGone)
		return false
	}
	t.Take()
	at.owed = append(at.owed, owed{r.Offset, t})
	return true
}

// debt returns the hook of the record at an offset, or nil.
func (at *place) debt(offset uint64) hook {
	for i := range at.owed {
		if at.owed[i].offset == offset {
			return at.owed[i].tally
		}
	}
	return nil
}

// paid notes that the record at an offset was queued.
func (at *place) paid(offset uint64) {
	at.owed = slices.DeleteFunc(at.owed, func(o owed) bool { return o.offset == offset })
}

// disown reports the deliveries that the channel has taken and will never queue.
// The mutex is held; after it the channel takes no delivery any more, since
// it has a reason to end.
func (ch *Channel) disown() {
	if ch.rare == nil {
		return
	}
	var hooks []hook
	ch.rare.early = slices.DeleteFunc(ch.rare.early, func(it *item) bool {
		if it.written != nil {
			hooks = append(hooks, it.written)
		}
		return it.written != nil
	})
	if at := ch.rare.place; at != nil {
		for _, o := range at.owed {
			hooks = append(hooks, o.tally)
		}
		at.owed = nil
	}
	ch.sess.endpoint().giveUpHooks(hooks)
}

// giveUpHooks reports that the frames of hooks will never be written. It may be
// called with a mutex held.
func (e *Endpoint) giveUpHooks(hooks []hook) {
	if len(hooks) == 0 {
		return
	}
	items := make([]*item, len(hooks))
	for i, h := range hooks {
		items[i] = &item{written: h}
	}
	e.spawn(func() { e.tellAll(items, time.Time{}, ErrClosed, func() {}) })
}

// begin notes where the client begins. Deliveries up to there do not reach it.
// The channel's mutex is held.
func (at *place) begin(ch *Channel, p pubsub.Position) {
	at.epoch, at.last = p.Epoch, p.Offset
	var hooks []hook
	at.owed = slices.DeleteFunc(at.owed, func(o owed) bool {
		if o.offset <= at.last {
			hooks = append(hooks, o.tally)
		}
		return o.offset <= at.last
	})
	ch.sess.endpoint().giveUpHooks(hooks)
}
