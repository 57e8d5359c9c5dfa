package pubsub

import (
	"context"
	"time"
)

// remoteDelivery is a delivery with what it needs to be sent to other nodes, in
// one allocation.
type remoteDelivery struct {
	delivery
	more    more
	pending pending
}

// deliverEverywhere is Deliver on a node of several. The other nodes are one more
// party that reports to the tally. This node is the party whose report is the last
// line: it comes last, so the tally cannot end before the others are counted.
func (h *Hub) deliverEverywhere(ctx context.Context, m *Message, done func(Report)) error {
	r := &remoteDelivery{}
	d := newDelivery(&r.delivery, m.Topic, m.Event, m.Payload, done)
	d.Message.more = &r.more
	r.more.wire.origin = h.node
	d.carry(ctx)
	passedOver, err := h.offer(ctx, d)
	if err != nil {
		return err
	}
	if d.failure() == nil && h.publishDelivery(ctx, r) != 0 && passedOver {
		// Another node may have it: a client that was on this one missed it.
		h.history.Lost(m.Topic)
	}
	d.tally.Report(time.Time{}, ErrNoSubscriber)
	return nil
}

// publishDelivery sends a delivery to the other nodes. It asks for no answer if a
// subscriber here has the message already, which no answer could change. It
// returns the number of nodes, as Publish does.
func (h *Hub) publishDelivery(ctx context.Context, r *remoteDelivery) (nodes int) {
	r.more.wire.kind = kindDelivery
	if !r.tally.told.Load() {
		r.tally.open.Add(1) // before an answer can come
		now := time.Now()
		r.pending.of, r.more.wire.sent = r, now.UnixMilli()
		if !h.pending.open(&r.pending, &r.tally, now) {
			// Without Run no answer can arrive.
			r.tally.Report(time.Time{}, ErrNoAnswer)
		} else {
			r.more.wire.id = r.pending.id
		}
	} else {
		h.pending.newer(r.Topic)
	}
	nodes, err := h.publish(ctx, "", &r.Message)
	switch {
	case r.more.wire.id == 0:
	case err != nil:
		h.pending.abandon(&r.pending)
	case h.pending.published(&r.pending, nodes):
		h.question(r.pending.id)
	}
	return nodes
}

// publish hands a message to the remote and counts how that ends.
func (h *Hub) publish(ctx context.Context, to string, m *Message) (nodes int, err error) {
	h.expectRun()
	nodes, err = h.remote.Publish(ctx, to, m)
	if err != nil {
		h.counters.notPublished.Add(1)
		h.complain(&h.logs.publish, "not sent to other nodes", "to", to, "error", err)
		return nodes, &RemoteError{To: to, Err: err}
	}
	h.counters.published.Add(1)
	if to != "" && nodes == 0 {
		h.counters.noNode.Add(1)
		h.complain(&h.logs.noNode, "message for a node that is not there", "to", to, "topic", m.Topic)
	}
	return nodes, nil
}
