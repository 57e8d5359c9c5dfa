package pubsub

import (
	"context"
	"runtime"
	"sync"
)

// outbox holds the answers of this node to deliveries of others, until the hub's
// goroutine sends them: many to one node in one message. It never blocks the
// socket that reports, and is bounded: what does not fit is counted, and ends at
// its origin's deadline.
type outbox struct {
	// wake has capacity 1 and is filled by the first answer of an empty outbox.
	wake chan struct{}

	// The mutex is a leaf.
	mu      sync.Mutex
	running bool                // otherwise nothing would send
	byNode  map[string][]answer // by origin of the delivery
	n       int                 // answers in byNode
	asks    []uint64            // deliveries of this node about which the others are asked
	agains  []again             // deliveries of this node about which others have asked
}

const (
	maxOutbox  = 1 << 16 // answers that wait, of 40 bytes each
	maxAnswers = 512     // in one message
)

// add queues an answer. It reports false if that is dropped.
func (o *outbox) add(node string, a answer) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.running || o.n >= maxOutbox {
		return false
	}
	if o.n == 0 {
		poke(o.wake)
	}
	o.n++
	o.byNode[node] = append(o.byNode[node], a)
	return true
}

// ask queues questions. What does not fit is dropped: the deliveries end at their
// deadline.
func (o *outbox) ask(ids []uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running && len(o.asks)+len(ids) <= maxOutbox {
		o.asks = append(o.asks, ids...)
		poke(o.wake)
	}
}

// again queues a delivery that another node asks about. What does not fit is dropped:
// the deliveries end at their deadline.
func (o *outbox) again(a again) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running && len(o.agains) < maxOutbox {
		o.agains = append(o.agains, a)
		poke(o.wake)
	}
}

// take returns all that is to be sent and empties the outbox.
func (o *outbox) take() (answers map[string][]answer, asks []uint64, agains []again) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.byNode
	asks, o.asks = o.asks, nil
	agains, o.agains = o.agains, nil
	o.byNode, o.n = make(map[string][]answer, len(all)), 0
	return all, asks, agains
}

// setRunning starts taking answers, or drops those that wait and any further. It
// returns how many waited.
func (o *outbox) setRunning(running bool) (dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running = running
	clear(o.byNode)
	o.asks, o.agains = nil, nil
	dropped, o.n = o.n, 0
	return dropped
}

// sendAnswers sends what the outbox gets, answers and questions, until ctx is done. No node waits longer
// for the answers of this one than the timeout, so that neither does sending.
func (h *Hub) sendAnswers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.outbox.wake:
		}
		// More answers are likely to be on their way: those of deliveries that came
		// together. They travel in one message.
		runtime.Gosched()
		all, asks, agains := h.outbox.take()
		h.sendAgain(ctx, agains)
		if len(asks) > 0 {
			h.sendQuestions(ctx, asks)
		}
		for node, list := range all {
			for len(list) > 0 {
				n := min(len(list), maxAnswers)
				h.sendTo(ctx, node, list[:n])
				list = list[n:]
			}
		}
	}
}

// sendTo sends one message with answers. They are not sent again after an error:
// their deliveries end at the origin's deadline.
func (h *Hub) sendTo(ctx context.Context, node string, list []answer) {
	limit, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	m := &Message{more: &more{wire: wire{kind: kindAnswers, origin: h.node, answers: list}}}
	if _, err := h.remote.Publish(limit, node, m); err != nil {
		h.counters.answersDropped.Add(int64(len(list)))
		h.complain(&h.logs.answers, "answers to deliveries not sent", "node", node, "answers", len(list), "error", err)
		return
	}
	h.counters.answersSent.Add(int64(len(list)))
}
