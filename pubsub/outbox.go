package pubsub

import (
	"context"
	"sync"
	"time"
)

// outbox holds the answers of this node to deliveries of others, until the hub's
// goroutine sends them: many to one node in one message. It never blocks the
// socket that reports, and is bounded: what does not fit is counted, and ends at
// its origin's deadline.
type outbox struct {
	wake chan struct{}

	mu      sync.Mutex
	running bool
	byNode  map[string][]answer
	n       int
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

func (o *outbox) take() map[string][]answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.byNode
	o.byNode, o.n = make(map[string][]answer, len(all)), 0
	return all
}

// setRunning starts taking answers, or drops those that wait and any further.
func (o *outbox) setRunning(running bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running = running
	clear(o.byNode)
	o.n = 0
}

// sendAnswers sends what the outbox gets until ctx is done. No node waits longer
// for the answers of this one than the timeout, so that neither does sending.
func (h *Hub) sendAnswers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.outbox.wake:
		}
		for node, list := range h.outbox.take() {
			for len(list) > 0 {
				n := min(len(list), maxAnswers)
				h.sendTo(ctx, node, list[:n])
				list = list[n:]
			}
		}
	}
}

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

// logLimit lets one line of its kind pass in a second.
type logLimit struct {
	mu      sync.Mutex
	last    time.Time
	leftOut int
}

// pass reports whether a line may be logged now, and how many were left out
// before it.
func (l *logLimit) pass(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() && now.Sub(l.last) < time.Second {
		l.leftOut++
		return 0, false
	}
	leftOut, l.last, l.leftOut = l.leftOut, now, 0
	return leftOut, true
}

// complain logs a warning, at most one of its kind in a second.
func (h *Hub) complain(limit *logLimit, message string, attrs ...any) {
	leftOut, ok := limit.pass(time.Now())
	if !ok {
		return
	}
	if leftOut > 0 {
		attrs = append(attrs, "left_out", leftOut)
	}
	h.log.Warn("pubsub: "+message, attrs...)
}
