package pubsub

import (
	"container/list"
	"slices"
	"time"
)

// Watch reports changes of a topic that can make a delivery possible which was not
// before. Make one with [Hub.Watch].
type Watch struct {
	shard   *shard
	topic   string
	changed func() // guarded by shard.mu; nil once stopped

	polls *polls // nil without other nodes
	level int    // index of the pause; these three are guarded by polls.mu
	due   time.Time
	place *list.Element
}

// Watch has changed called after each of these events: topic gets a subscription,
// topic loses one, a subscriber of topic has room again. A watch costs nothing
// until then: no goroutine and no timer. On a node of several changed is also
// called after 250 ms and then after ever longer pauses up to 4 s while [Hub.Run]
// runs, since what happens on other nodes is not reported.
//
// changed runs in the goroutine that caused the event, which may hold locks of
// the subscriber. It must not block and must not call the hub: it notes the
// event and leaves the work to another goroutine.
func (h *Hub) Watch(topic string, changed func()) *Watch {
	s := h.shard(topic)
	w := &Watch{shard: s, topic: topic, changed: changed}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.remote != nil {
		w.polls = &h.polls
		w.polls.add(w, time.Now())
	}
	if s.watches == nil {
		s.watches = make(map[string][]*Watch)
	}
	s.watches[topic] = append(s.watches[topic], w)
	return w
}

// Stop ends the watch. It is idempotent. A call of changed that is under way may
// still finish.
func (w *Watch) Stop() {
	w.shard.mu.Lock()
	defer w.shard.mu.Unlock()
	if w.changed == nil {
		return
	}
	w.changed = nil
	if w.polls != nil {
		w.polls.remove(w)
	}
	list := w.shard.watches[w.topic]
	i := slices.Index(list, w)
	// notify walks the list without the lock: the list is replaced, not changed.
	if list = slices.Concat(list[:i], list[i+1:]); len(list) == 0 {
		delete(w.shard.watches, w.topic)
	} else {
		w.shard.watches[w.topic] = list
	}
}

// HasRoom calls the watches of topic. A subscriber calls it when it has room
// again after it refused a delivery with ErrFull.
func (h *Hub) HasRoom(topic string) {
	s := h.shard(topic)
	s.mu.Lock()
	watches := s.watches[topic]
	s.mu.Unlock()
	notify(watches)
}

// Watches is the number of watches of all topics on this node.
func (h *Hub) Watches() int {
	n := 0
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		for _, list := range s.watches {
			n += len(list)
		}
		s.mu.Unlock()
	}
	return n
}

// notify calls watches. No lock of a shard is held.
func notify(watches []*Watch) {
	for _, w := range watches {
		w.shard.mu.Lock()
		changed := w.changed
		w.shard.mu.Unlock()
		if changed != nil {
			changed()
		}
	}
}
