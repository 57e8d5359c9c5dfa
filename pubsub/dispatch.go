package pubsub

// walk is what a dispatch offers a message to: the only subscription of a topic, or those of a
// list, as they were when it began. Neither is set for an unknown topic.
type walk struct {
	only  *Subscription
	crowd *crowd
	subs  []*Subscription
	gen   uint32 // of subs
}

// enter begins a dispatch. With a crowd the caller must call leave.
func (s *shard) enter(name string) walk {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.topics.of(name)
	if first == nil || first.crowd == nil {
		return walk{only: first}
	}
	c := first.crowd
	c.walkers++
	return walk{crowd: c, subs: c.subs, gen: c.gen}
}

// leave notes that a dispatch does not walk the array any more that it found. If the array was
// replaced meanwhile, the walkers of the old one do not count any more: the new one has another
// generation.
func (s *shard) leave(w walk) {
	s.mu.Lock()
	if w.crowd.gen == w.gen {
		w.crowd.walkers--
	}
	s.mu.Unlock()
}

// dispatch offers m to the subscriptions of its topic but from, and returns how
// many took it. Deliver runs on the goroutine of the caller, without the lock.
func (h *Hub) dispatch(m *Message, from *Subscription) int {
	if m.more != nil && m.more.wire.trace.IsSampled() {
		defer m.dispatched()
	}
	s := h.shard(m.Topic)
	w := s.enter(m.Topic)
	if w.crowd == nil {
		if w.only == nil || w.only == from || !w.only.to.Deliver(m) {
			return 0
		}
		return 1
	}
	defer s.leave(w)
	return m.offerTo(w.subs, from)
}

// offerTo offers m to subscriptions but from, and returns how many took it. If one
// panics, or ends the goroutine, the others get m before that goes on.
func (m *Message) offerTo(subs []*Subscription, from *Subscription) (n int) {
	i := 0
	defer func() {
		if i < len(subs) {
			m.offerTo(subs[i+1:], from)
		}
	}()
	for ; i < len(subs); i++ {
		if sub := subs[i]; sub != from && sub.to.Deliver(m) {
			n++
		}
	}
	return n
}
