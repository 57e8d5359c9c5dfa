package pubsub

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
)

// receiver is the hub as its remote sees it.
type receiver struct{ hub *Hub }

// Receive takes a message of another node, in the goroutine of the remote.
func (r receiver) Receive(data []byte) {
	h := r.hub
	if h.closed.Load() {
		return
	}
	defer h.survive()
	// The counters of what is dropped are the only trace of it: a sender is never
	// sent a reply, since its name may be false.
	m, err := Decode(data)
	var malformed *MalformedError
	switch {
	case errors.As(err, &malformed) && malformed.Version != 0 && malformed.Version != wireVersion:
		h.counters.versions.Add(1)
		h.complain(&h.logs.versions, "message of another node dropped: this node does not know its version", "version", malformed.Version)
		return
	case err != nil:
		h.counters.malformed.Add(1)
		h.complain(&h.logs.malformed, "message of another node dropped", "error", err)
		return
	case m.Origin() == h.node:
		h.counters.own.Add(1)
		h.complain(&h.logs.own, "message of this node's own name dropped: names of nodes must be unique", "node", h.node)
		return
	}
	// The message is genuine as far as can be told. Receive blocks the remote, so
	// all that follows is quick unless a history waits.
	h.counters.received.Add(1)
	switch m.more.wire.kind {
	case kindAnswers:
		now := time.Now()
		for _, a := range m.more.wire.answers {
			taken, doubt := h.pending.answered(m.Origin(), a, now)
			if !taken {
				h.counters.answersLate.Add(1)
			}
			switch {
			case doubt:
				h.question(a.id)
			case taken && a.err == errLate:
				h.outbox.again(again{m.Origin(), a.id})
			}
		}
	case kindDelivery:
		h.receiveDelivery(m)
	case kindQuestion:
		h.receiveQuestion(m.Origin(), m.more.wire.ids)
	default:
		if err := h.keep(context.Background(), m, nil); err != nil {
			h.refused(m, err)
			h.gap(m.Topic, err)
			return
		}
		h.dispatch(m, nil)
	}
}

// receiveDelivery offers a delivery of another node to the subscribers here and
// replies to it once.
func (h *Hub) receiveDelivery(m *Message) {
	id, origin := m.more.wire.id, m.more.wire.origin
	now := time.Now()
	switch again := m.more.wire.certain; {
	case again && !h.arrivals.came(origin, m.Topic, id, now):
		if !h.outbox.add(origin, answer{id: id, err: errAbsent}) {
			h.counters.answersDropped.Add(1)
		}
		return
	case id != 0 && h.late(m.Topic, &m.more.wire, now):
		h.counters.late.Add(1)
		h.arrivals.ask(origin, m.Topic, id, now, now.Add(h.timeout))
		if !h.outbox.add(origin, answer{id: id, err: errLate}) {
			h.counters.answersDropped.Add(1)
		}
		return
	case !again:
		h.arrivals.newer(origin, m.Topic)
	}
	d := newDelivery(&delivery{}, m.Topic, m.Event, m.Payload, func(r Report) {
		if id == 0 {
			return
		}
		// In this order, so that a question finds the delivery or its answer.
		if !h.outbox.add(origin, answer{id: id, err: r.Err, kept: r.Kept}) {
			h.counters.answersDropped.Add(1)
		}
		h.arrivals.drop(origin, id)
	})
	d.Message.more = m.more
	passedOver, err := h.offer(context.Background(), d)
	if passedOver {
		// Another node may have it: a client that was on this one missed it.
		h.history.Lost(m.Topic)
	}
	if err != nil {
		h.refused(m, err)
		if d.failure() == nil {
			h.gap(m.Topic, err)
		}
		if errors.Is(err, ErrNotObject) {
			err = ErrUnfit
		}
		d.tally.note(err)
	}
	d.tally.Report(time.Time{}, ErrNoSubscriber)
	if id != 0 {
		h.arrivals.hold(origin, id, &d.tally)
	}
}

// survive recovers from a subscriber that panics over a message of another node: the
// goroutine is the remote's, and no caller of the program could do so. A panic in a
// broadcast of this node reaches its caller.
func (h *Hub) survive() {
	if v := recover(); v != nil {
		h.counters.crashed.Add(1)
		h.complain(&h.logs.crashed, "subscriber panicked over a message of another node", "error", crash.Of(v))
	}
}

// refused counts a message that the history, or a subscriber for all of them,
// has refused.
func (h *Hub) refused(m *Message, err error) {
	h.counters.refused.Add(1)
	h.complain(&h.logs.refused, "message of another node refused", "node", m.Origin(), "error", err)
}

// gap notes that the history could not keep a message of another node, which no
// subscriber here gets. A binary message is none: no history keeps it, so no client
// waits for it.
func (h *Hub) gap(topic string, err error) {
	if !errors.Is(err, ErrNotObject) {
		h.lost(topic)
	}
}

// Counted implements CountReceiver.
func (r receiver) Counted(delivery uint64, nodes int) { r.hub.pending.counted(delivery, nodes) }

// Left implements LeaveReceiver.
func (r receiver) Left(node string) { r.hub.pending.left(node, time.Now()) }

// Lost reports that messages of other nodes may be missing.
func (r receiver) Lost(topic string) { r.hub.lost(topic) }

// LossHandler is a [Subscriber] that is told when messages of its topic may not
// have reached this node, whether or not the topic keeps history. If it does,
// HandleLoss is called after [History.Lost]: what the history has now says whether
// something is missing.
type LossHandler interface {
	// HandleLoss is called in any goroutine and must not block.
	HandleLoss(topic string)
}

// lost makes the history of a topic begin anew and tells its subscribers, of all
// topics if topic is empty.
func (h *Hub) lost(topic string) {
	h.counters.lost.Add(1)
	if h.history != nil {
		h.history.Lost(topic)
	}
	if topic != "" {
		h.shard(topic).tellLoss(topic)
		return
	}
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		names := s.topics.names()
		s.mu.Unlock()
		for _, name := range names {
			s.tellLoss(name)
		}
	}
}

// tellLoss calls the subscribers of a topic that handle losses, without the lock.
func (s *shard) tellLoss(name string) {
	s.mu.Lock()
	var list []LossHandler
	for _, sub := range s.all(name) {
		if l, ok := sub.to.(LossHandler); ok {
			list = append(list, l)
		}
	}
	s.mu.Unlock()
	for _, l := range list {
		l.HandleLoss(name)
	}
}
