package pubsub

import (
	"context"
	"errors"
	"time"
)

// ErrApart is returned by [Hub.DeliverAll] where messages cannot be delivered together.
var ErrApart = errors.New("pubsub: a node of several, or a topic with history, has messages one by one")

// Delivery is one of the messages of [Hub.DeliverAll].
type Delivery struct {
	// Payload and Done are those of [Hub.Deliver].
	Payload any
	Done    func(Report)
	// Context may name the span of a sampled trace. Nothing else of it is used. Default: none.
	Context context.Context
	// Err is set by DeliverAll if no subscription was offered the message: Done is never
	// called then.
	Err error
}

// DeliverAll offers several messages to the subscriptions of topic, as calls of
// [Hub.Deliver] one after another do, but to those that the topic has at one moment. A
// subscriber that refuses one of them, because it has no room or has ended, is not
// offered the later ones, which are refused for the same reason. So where one of them is
// reported as missed, no subscriber has a later one that did not have a chance to get it:
// a caller that delivers again what was missed, in order, keeps the order. Reports of
// different messages may come in any order.
//
// The messages share one array: one that a slow client keeps holds the payloads of all of
// them in memory.
//
// On a node of several, and on a topic that keeps history, the error is [ErrApart], and
// nothing was done.
func (h *Hub) DeliverAll(topic, event string, list []Delivery) error {
	if h.remote != nil || h.keeps(topic) {
		return ErrApart
	}
	all := make([]delivery, len(list))
	for i := range list {
		list[i].Err = h.prepareDelivery(&all[i], topic, event, &list[i])
	}
	h.dispatchAll(topic, all)
	for i := range all {
		d := &all[i]
		if d.tally.done == nil {
			continue
		}
		if err := d.failure(); err != nil && d.tally.taken == 0 {
			list[i].Err = err
			continue
		}
		d.tally.Report(time.Time{}, ErrNoSubscriber)
	}
	return nil
}

// prepareDelivery makes the delivery of one message. Its tally has no function after an
// error.
func (h *Hub) prepareDelivery(d *delivery, topic, event string, of *Delivery) error {
	switch {
	case of.Done == nil:
		return hubOwner.Refuse("Done", nil, "a function")
	case h.closed.Load():
		return ErrClosed
	}
	p, err := encodeOwned(of.Payload)
	if err != nil {
		return err
	}
	newDelivery(d, topic, event, p, of.Done)
	if of.Context != nil {
		d.carry(of.Context)
	}
	return nil
}

// dispatchAll offers deliveries to the subscriptions of their topic.
func (h *Hub) dispatchAll(topic string, all []delivery) {
	defer func() {
		for i := range all {
			if m := &all[i].Message; m.more != nil && m.more.wire.trace.IsSampled() {
				m.dispatched()
			}
		}
	}()
	s := h.shard(topic)
	w := s.enter(topic)
	switch {
	case w.crowd != nil:
		defer s.leave(w)
		offerAll(w.subs, all)
	case w.only != nil:
		w.only.offerInOrder(all)
	}
}

// offerAll offers deliveries to subscriptions. If one panics, the others get theirs before
// that goes on.
func offerAll(subs []*Subscription, all []delivery) {
	i := 0
	defer func() {
		if i < len(subs) {
			offerAll(subs[i+1:], all)
		}
	}()
	for ; i < len(subs); i++ {
		subs[i].offerInOrder(all)
	}
}

// offerInOrder offers deliveries to one subscription, up to one that it refuses and might
// take later. One that it can never take does not hold up the others.
func (s *Subscription) offerInOrder(all []delivery) {
	for i := range all {
		d := &all[i]
		d.tally.refused = 0 // by an earlier subscriber
		if d.tally.done == nil || s.to.Deliver(&d.Message) {
			continue
		}
		if why := d.tally.refused; why >= rankGone {
			for ; i+1 < len(all); i++ {
				all[i+1].tally.note(ranks[why])
			}
			return
		}
	}
}
