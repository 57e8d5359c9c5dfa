package websocket

import (
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// receiver is a channel as a subscriber of its topic.
type receiver Channel

// Deliver takes a broadcast on the topic. It reports whether the client, or the
// handler that intercepts it, will get it.
func (r *receiver) Deliver(m *pubsub.Message) bool {
	ch := (*Channel)(r)
	// A broadcast that the history does not keep goes on like any other.
	if ch.route.cfg.Resume {
		if record, kept := m.Record(); kept {
			return ch.follow(m, &record)
		}
	}
	if t := m.Tally(); t != nil {
		return ch.deliver(m, t)
	}
	for _, event := range ch.route.cfg.Intercept {
		if event == m.Event {
			return ch.posted(mail{kind: mailOut, event: m.Event, payload: m.Payload})
		}
	}
	it, err := ch.broadcast(m)
	encoded := err == nil
	if encoded {
		var span *tracedBroadcast
		if e := ch.sess.endpoint(); e.cfg.Tracer != nil && m.TraceContext().IsSampled() {
			it, span = traceBroadcast(it, m, e)
		}
		if err = ch.offer(it); err != nil && span != nil {
			span.Report(time.Time{}, err)
		}
	}
	switch {
	case err == ErrNoBinary: // which is about this client only
		ch.noBinary()
	case err != nil && (!encoded || isTooLarge(err)):
		m.Fail(err)
	}
	return err == nil
}

// noBinary counts and logs a binary broadcast that the client cannot receive.
func (ch *Channel) noBinary() {
	e := ch.sess.endpoint()
	e.discarded[discardedNoBinary].Add(1)
	e.log.Warn("binary broadcast for a client without them", "socket", ch.sess.mount.kind.name, "channel", ch.route.pattern)
}

// broadcast returns the item of m for this client: the one that the receivers
// share, or one of its own if it has a key, or another policy than the shared one.
func (ch *Channel) broadcast(m *pubsub.Message) (*item, error) {
	policy := ch.route.cfg.Overflow
	if m.Tally() != nil {
		policy = retried // it is refused without room, whatever happens to broadcasts
	}
	it, err := broadcastItem(m, ch.sess.format, policy)
	if err != nil || (ch.route.cfg.Conflate == nil && it.policy == policy) {
		return it, err
	}
	// The bytes are shared all the same.
	own := &item{wire: it.wire, written: it.written}
	ch.class(own, m.Event, m.Payload)
	own.policy = policy
	return own, nil
}

// offer queues a broadcast, or keeps it until the join is over. The caller holds
// no lock.
func (ch *Channel) offer(it *item) error {
	wake, err := ch.offerLocked(it)
	if wake {
		ch.sess.tr.wake(true)
	}
	return err
}

// offerLocked is offer without the wake, which needs the lock to be released.
func (ch *Channel) offerLocked(it *item) (wake bool, err error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.closed():
		return false, ErrNotJoined // it ends: the hooks of what was early were called
	case ch.state == joining:
		early := &ch.more().early
		// The same bound as the queue has: a slow join must not hold more.
		if len(*early) >= ch.sess.mount.cfg.Queue.Events {
			if it.policy != retried { // the hook of a delivery reports it
				ch.sess.endpoint().discarded[discardedQueueFull].Add(1)
			}
			return false, ErrQueueFull
		}
		*early = append(*early, it)
		return false, nil
	// With Channel.mu held, so that no broadcast comes after the phx_close.
	case ch.state == joined:
		return ch.sess.put(it)
	}
	return false, ErrNotJoined
}
