package pubsub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MemberRemote is a [Remote] that does not know how many nodes it hands a message to,
// but which nodes there are. A hub asks these what became of a delivery that one of them
// has answered negatively, or that none has answered for 250 ms: so it ends with the
// last of their answers and not at its deadline. Messages that such a remote takes one
// after another reach another node in that order, also those on different topics.
type MemberRemote interface {
	Remote
	// Members returns the names of the other nodes. It returns at once.
	Members() []string
}

// askAfter is how long a delivery is without an answer before the other nodes are
// asked: longer than a socket usually takes, since the question costs two messages for
// each node. A subscription that ends just when a delivery comes leaves it unanswered.
const askAfter = 250 * time.Millisecond

// silent returns deliveries about which the other nodes are to be asked since they were
// silent for askAfter, and when to look again; zero if there is none.
func (p *pendings) silent(now time.Time) (ids []uint64, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.young != nil {
		e := p.young
		if at := e.until.Add(askAfter - p.timeout); at.After(now) {
			return ids, at
		}
		p.young = e.next
		switch {
		case e.nodes != unknown || e.asked != nil:
		case e.sent:
			ids = append(ids, e.id)
		default:
			e.overdue = true
		}
	}
	return ids, time.Time{}
}

// ask notes that these nodes are asked about deliveries, and returns those that still
// wait. One ends with the negative answer of the last of them.
func (p *pendings) ask(ids []uint64, nodes []string) (open []uint64) {
	var over []*pending
	p.mu.Lock()
	for _, id := range ids {
		e := p.byID[id]
		if e == nil || e.nodes != unknown || e.asked != nil {
			continue
		}
		if e.asked = nodes; p.answeredByAll(e) {
			p.remove(e)
			over = append(over, e)
			continue
		}
		open = append(open, id)
	}
	p.mu.Unlock()
	for _, e := range over {
		e.tally.Report(time.Time{}, ErrNoSubscriber)
	}
	return open
}

// answeredByAll reports whether all nodes that were asked have answered negatively. The
// mutex is held.
func (p *pendings) answeredByAll(e *pending) bool {
	if e.nodes != unknown {
		return len(e.negative) >= e.nodes
	}
	if len(e.asked) == 0 || len(e.negative) < len(e.asked) {
		return false
	}
	return !slices.ContainsFunc(e.asked, func(node string) bool { return !slices.Contains(e.negative, node) })
}

// question has the other nodes asked about deliveries.
func (h *Hub) question(ids ...uint64) {
	if h.members != nil && len(ids) > 0 {
		h.outbox.ask(ids)
	}
}

// sendQuestions asks all other nodes. A node that cannot be asked does not answer.
func (h *Hub) sendQuestions(ctx context.Context, ids []uint64) {
	nodes := h.members.Members()
	if len(nodes) == 0 {
		return
	}
	open := h.pending.ask(ids, nodes)
	h.counters.asked.Add(int64(len(open)))
	for len(open) > 0 {
		n := min(len(open), maxAnswers)
		for _, node := range nodes {
			limit, cancel := context.WithTimeout(ctx, h.timeout)
			m := &Message{more: &more{wire: wire{kind: kindQuestion, origin: h.node, ids: open[:n]}}}
			if _, err := h.remote.Publish(limit, node, m); err != nil {
				h.complain(&h.logs.answers, "nodes not asked about deliveries", "node", node, "error", err)
			}
			cancel()
		}
		open = open[n:]
	}
}

// arrivals are the deliveries of other nodes that subscribers here have taken and not
// reported. The mutex is a leaf.
type arrivals struct {
	mu     sync.Mutex
	byNode map[string]map[uint64]struct{} // by origin
	// Deliveries about which this node has asked their origin, and their order: they may
	// still come.
	late   map[again]struct{}
	order  []lateAt
	topics map[fromTopic][]uint64 // those of late, in the order in which they came first
}

// lateAt is such a delivery and how long it may still come.
type lateAt struct {
	again
	topic string
	until time.Time
}

// fromTopic is a topic as another node sends on it.
type fromTopic struct{ origin, topic string }

// ask notes a delivery about which the origin is asked.
func (a *arrivals) ask(origin, topic string, id uint64, now, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.late == nil {
		a.late, a.topics = make(map[again]struct{}), make(map[fromTopic][]uint64)
	}
	a.forget(now)
	a.late[again{origin, id}] = struct{}{}
	a.order = append(a.order, lateAt{again{origin, id}, topic, until})
	of := fromTopic{origin, topic}
	a.topics[of] = append(a.topics[of], id)
}

// forget drops what will not come any more: the origin has given it up. The mutex is held.
func (a *arrivals) forget(now time.Time) {
	for len(a.order) > 0 && a.order[0].until.Before(now) {
		l := a.order[0]
		a.order = a.order[1:]
		if _, ok := a.late[l.again]; ok {
			delete(a.late, l.again)
			a.leave(fromTopic{l.node, l.topic}, l.id)
		}
	}
}

// leave takes a delivery out of topics. The mutex is held.
func (a *arrivals) leave(of fromTopic, id uint64) {
	if left := slices.DeleteFunc(a.topics[of], func(other uint64) bool { return other == id }); len(left) > 0 {
		a.topics[of] = left
	} else {
		delete(a.topics, of)
	}
}

// came notes that the origin has sent a delivery again. It reports false for one that must
// not be offered: a newer one of its topic has come meanwhile, which the origin has sent
// between its look at the older one and the sending of it, or its time is over.
func (a *arrivals) came(origin, topic string, id uint64, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(now)
	if _, ok := a.late[again{origin, id}]; !ok {
		return false
	}
	delete(a.late, again{origin, id})
	a.leave(fromTopic{origin, topic}, id)
	return true
}

// newer notes that a delivery is offered that the origin has sent for the first time: the
// earlier ones of its topic must not be offered after it.
func (a *arrivals) newer(origin, topic string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.late) == 0 {
		return
	}
	of := fromTopic{origin, topic}
	for _, id := range a.topics[of] {
		delete(a.late, again{origin, id})
	}
	delete(a.topics, of)
}

// hold notes a delivery, unless it was reported already.
func (a *arrivals) hold(origin string, id uint64, t *Tally) {
	if t.told.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.told.Load() { // before drop
		return
	}
	if a.byNode == nil {
		a.byNode = make(map[string]map[uint64]struct{})
	}
	if a.byNode[origin] == nil {
		a.byNode[origin] = make(map[uint64]struct{})
	}
	a.byNode[origin][id] = struct{}{}
}

// drop notes that a delivery was reported.
func (a *arrivals) drop(origin string, id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if all := a.byNode[origin]; all != nil {
		if delete(all, id); len(all) == 0 && len(a.byNode) > maxOrigins {
			delete(a.byNode, origin)
		}
	}
}

// maxOrigins is how many origins keep an empty map for a next delivery.
const maxOrigins = 64

// holds reports whether a delivery is still to be reported.
func (a *arrivals) holds(origin string, id uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, taken := a.byNode[origin][id]
	_, late := a.late[again{origin, id}]
	return taken || late
}

// errAbsent is the answer to a question about a delivery that the node does not have now:
// it did not come, or its answer was lost.
var errAbsent = fmt.Errorf("%w: it is not here now", ErrNoAnswer)

// receiveQuestion sends answers about deliveries that this node does not have. Of others the
// answer is still to come.
func (h *Hub) receiveQuestion(origin string, ids []uint64) {
	for _, id := range ids {
		if !h.arrivals.holds(origin, id) && !h.outbox.add(origin, answer{id: id, err: errAbsent}) {
			h.counters.answersDropped.Add(1)
		}
	}
}
