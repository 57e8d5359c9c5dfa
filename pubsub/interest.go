package pubsub

import (
	"container/list"
	"context"
	"maps"
	"sync"
	"time"
)

// interest follows which topics have a subscription on this node and brings an
// [InterestedRemote] up to date, one batch after another.
//
// Under the lock of a shard a topic only flips an entry here. A topic that came
// and went between two batches is not announced at all. The interest in a topic
// that keeps history lingers after its last subscription, so that a client that
// comes back finds what was broadcast meanwhile; when it ends the positions of
// that topic do not continue.
//
// Lock order: shard.mu → interest.mu, which is a leaf.
type interest struct {
	linger time.Duration
	keeps  func(topic string) bool
	wake   chan struct{}

	mu        sync.Mutex
	running   bool
	changed   map[string]bool     // wanted now, unlike the remote was told
	joining   map[string]*joining // wanted, but not yet in effect
	lingering map[string]*list.Element
	order     list.List // of *lingerer, the first ends first
}

// joining is a topic whose messages from other nodes do not arrive for certain.
type joining struct {
	settled chan struct{} // closed when they do; made by the first that waits
	missed  bool          // something went on without waiting
}

type lingerer struct {
	topic string
	until time.Time
}

func newInterest(linger time.Duration, keeps func(string) bool) *interest {
	return &interest{
		linger: linger, keeps: keeps, wake: make(chan struct{}, 1),
		changed: make(map[string]bool), joining: make(map[string]*joining), lingering: make(map[string]*list.Element),
	}
}

// flip notes that topic has its first subscription, or has lost its last one. The
// mutex of the topic's shard is held.
func (in *interest) flip(topic string, wanted bool) {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	told := !in.changed[topic] // the remote knows of the topic, unless a join waits
	switch {
	case wanted && in.lingering[topic] != nil:
		in.order.Remove(in.lingering[topic])
		delete(in.lingering, topic)
		return
	case wanted:
		in.joining[topic] = &joining{}
	case told && in.keeps(topic):
		in.lingering[topic] = in.order.PushBack(&lingerer{topic, time.Now().Add(in.linger)})
		if in.order.Len() == 1 {
			poke(in.wake)
		}
		return
	default:
		in.settle(topic)
	}
	in.toggle(topic, wanted)
}

// toggle notes a change; two in a row are none. The mutex is held.
func (in *interest) toggle(topic string, wanted bool) {
	poke(in.wake)
	if _, waits := in.changed[topic]; waits {
		delete(in.changed, topic)
		return
	}
	in.changed[topic] = wanted
}

// settle ends the joining of a topic and returns it. The mutex is held.
func (in *interest) settle(topic string) *joining {
	j := in.joining[topic]
	if j == nil {
		return nil
	}
	delete(in.joining, topic)
	if j.settled != nil {
		close(j.settled)
	}
	return j
}

// batch is what the remote is to be told next.
type batch struct {
	joins, leaves []string
	open          map[string]*joining // of all topics that are not in effect, earlier ones too
	next          time.Time           // when the next topic stops lingering; zero if none lingers
}

// take returns what has changed.
func (in *interest) take(now time.Time) batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	var b batch
	for e := in.order.Front(); e != nil; e = in.order.Front() {
		l := e.Value.(*lingerer)
		if l.until.After(now) {
			b.next = l.until
			break
		}
		in.order.Remove(e)
		delete(in.lingering, l.topic)
		in.settle(l.topic)
		in.toggle(l.topic, false)
	}
	for topic, wanted := range in.changed {
		if wanted {
			b.joins = append(b.joins, topic)
		} else {
			b.leaves = append(b.leaves, topic)
		}
	}
	clear(in.changed)
	b.open = maps.Clone(in.joining)
	return b
}

// inEffect notes that joins are in effect and returns the topics whose messages
// may have been missed by something that did not wait.
func (in *interest) inEffect(joins map[string]*joining) (missed []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for topic, j := range joins {
		if in.joining[topic] != j {
			continue // left meanwhile
		}
		in.settle(topic)
		if j.missed {
			missed = append(missed, topic)
		}
	}
	return missed
}

func (in *interest) setRunning(running bool) {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.running = running
	for _, j := range in.joining {
		if !running && j.settled != nil {
			close(j.settled)
			j.settled, j.missed = nil, true
		}
	}
}

// wait waits until topic is in effect, for d at the longest.
func (in *interest) wait(ctx context.Context, topic string, d time.Duration) {
	in.mu.Lock()
	j := in.joining[topic]
	if !in.running || j == nil {
		in.mu.Unlock()
		return
	}
	if j.settled == nil {
		j.settled = make(chan struct{})
	}
	settled := j.settled
	in.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-settled:
		return
	case <-ctx.Done():
	case <-timer.C:
	}
	in.mu.Lock()
	j.missed = true
	in.mu.Unlock()
}

// syncPause is how long the hub waits before it asks again whether its interest is
// in effect, after an error.
const syncPause = time.Second

// announce tells the remote of changes until ctx is done.
func (h *Hub) announce(ctx context.Context, remote InterestedRemote) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.interest.wake:
		case <-timer.C:
		}
		b := h.interest.take(time.Now())
		for _, topic := range b.joins {
			remote.Join(topic)
		}
		for _, topic := range b.leaves {
			remote.Leave(topic)
			if h.history != nil && h.history.Keeps(topic) {
				h.lost(topic)
			}
		}
		next := b.next
		if len(b.open) > 0 && !h.sync(ctx, remote, b.open) {
			if again := time.Now().Add(syncPause); next.IsZero() || again.Before(next) {
				next = again
			}
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// sync waits until the open joins are in effect.
func (h *Hub) sync(ctx context.Context, remote InterestedRemote, open map[string]*joining) bool {
	limit, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	if err := remote.Sync(limit); err != nil {
		if ctx.Err() == nil {
			h.complain(&h.logs.sync, "topics not joined on other nodes yet", "topics", len(open), "error", err)
		}
		return false
	}
	for _, topic := range h.interest.inEffect(open) {
		h.lost(topic)
	}
	return true
}

// Settle waits until what other nodes broadcast on topic from now on reaches this
// node. It is for something that has subscribed and then reads the history, and
// needs to know that nothing falls in between. It returns at once if there is no
// remote that asks for interest, if the topic has no subscription, or if [Hub.Run]
// does not run. It waits for Config.RemoteTimeout at the longest, and until ctx is
// done; if the topic is not in effect by then it counts as lost once it is: see
// [LossHandler].
func (h *Hub) Settle(ctx context.Context, topic string) {
	if h.interest != nil {
		h.interest.wait(ctx, topic, h.timeout)
	}
}
