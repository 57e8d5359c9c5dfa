package pubsub

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A node that stood still, or was cut off with its connection open, receives deliveries
// that their origin has given up: it has sent them again, here or elsewhere, and newer
// ones after them. So a node offers no delivery that seems old. It asks the origin,
// which sends the delivery once more, marked as certain, if it still waits for answers. The
// node does not offer that one either if a newer one of its topic has come meanwhile.
// The age is an estimate: if it is wrong that costs a round trip.

// errLate is the answer that asks the origin.
var errLate = errors.New("pubsub: delivery seems late")

// ages estimates how long messages of other nodes were on their way, by the clocks of
// both: the least difference there was is taken for no time at all. The mutex is a leaf.
type ages struct {
	mu     sync.Mutex
	offset map[string]time.Duration // by origin: the clock here less the clock there
}

// maxAges bounds the origins that are known. Beyond it all are learned anew.
const maxAges = 1024

// of returns the estimate for a message. It follows a clock that was set: certain says
// that the message was sent just now.
func (a *ages) of(origin string, sent, now time.Time, certain bool) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	took := now.Sub(sent)
	least, known := a.offset[origin]
	if !known || certain || took < least {
		if a.offset == nil || len(a.offset) >= maxAges {
			a.offset = make(map[string]time.Duration)
		}
		a.offset[origin] = took
		return 0
	}
	return took - least
}

// late reports whether a delivery is to be asked about: it is older than half of the
// time that its origin waits for answers. One that a history keeps is not, since there
// a message must not be missing: clients know by its number what they have.
func (h *Hub) late(topic string, w *wire, now time.Time) bool {
	return w.sent != 0 && !h.keeps(topic) && h.ages.of(w.origin, time.UnixMilli(w.sent), now, w.certain) > h.timeout/2
}

// again is a delivery that another node asks about.
type again struct {
	node string
	id   uint64
}

// sendAgain sends deliveries that still wait to the nodes that have asked, in order.
func (h *Hub) sendAgain(ctx context.Context, list []again) {
	for _, a := range list {
		r := h.pending.waiting(a.id)
		if r == nil {
			continue
		}
		more := r.more
		more.wire.sent, more.wire.certain = time.Now().UnixMilli(), true
		m := &Message{Topic: r.Topic, Event: r.Event, Payload: r.Payload, more: &more}
		limit, cancel := context.WithTimeout(ctx, h.timeout)
		if _, err := h.remote.Publish(limit, a.node, m); err != nil {
			h.complain(&h.logs.publish, "not sent to other nodes", "to", a.node, "error", err)
		}
		cancel()
	}
}

// waiting returns a delivery that waits for answers and is the newest of its topic, or
// nil: an older one would come after it.
func (p *pendings) waiting(id uint64) *remoteDelivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.byID[id]; e != nil && !e.passed {
		return e.of
	}
	return nil
}
