package pubsub

import "sync"

// shard is one part of the topics under one lock.
//
// A dispatch walks the subscriptions of a topic without the lock, so that a
// subscriber may subscribe, unsubscribe and broadcast. Adding does not disturb it:
// it appends after the end that the dispatch knows. Removing moves the last entry
// into the gap, which a dispatch could notice, so it is done in a copy while a
// dispatch walks the current array.
type shard struct {
	mu      sync.Mutex
	topics  map[string]*topic
	watches map[string][]*Watch // a list is replaced when one stops, never changed

	interest *interest         // nil without a remote that asks for it
	history  SubscribedHistory // nil unless the history asks for it
}

// flip notes that a topic has its first subscription, or has lost its last one.
// The mutex is held.
func (s *shard) flip(name string, subscribed bool) {
	s.interest.flip(name, subscribed)
	if s.history != nil && s.history.Keeps(name) {
		s.history.Subscribed(name, subscribed)
	}
}

// topic is a topic with at least one subscription. Its shard's mutex guards it.
type topic struct {
	name    string
	subs    []*Subscription
	first   [1]*Subscription // the array of subs at first: most topics belong to one user
	walkers int32            // dispatches that walk the current array of subs
	gen     uint32           // number of the current array
}

// Subscription is one entry in a topic.
type Subscription struct {
	shard *shard
	topic *topic // nil once unsubscribed; guarded by shard.mu
	index int    // place in topic.subs, or prepared; guarded by shard.mu
	to    Subscriber
}

// subscribe adds a subscription and calls the watches of the topic without the lock.
func (s *shard) subscribe(name string, to Subscriber) *Subscription {
	sub := &Subscription{shard: s, to: to}
	s.mu.Lock()
	s.add(name, sub)
	watches := s.watches[name]
	s.mu.Unlock()
	notify(watches)
	return sub
}

// prepared is the index of a subscription that has not begun. Its topic is one of
// its own that only holds the name.
const prepared = -1

// prepare makes a subscription that has not begun.
func (s *shard) prepare(name string, to Subscriber) *Subscription {
	return &Subscription{shard: s, topic: &topic{name: name}, index: prepared, to: to}
}

// Begin begins a subscription of [Hub.Prepare]. It does nothing for one that has
// begun or ended. It does not block.
func (s *Subscription) Begin() {
	sh := s.shard
	sh.mu.Lock()
	if s.topic == nil || s.index != prepared {
		sh.mu.Unlock()
		return
	}
	name := s.topic.name
	sh.add(name, s)
	watches := sh.watches[name]
	sh.mu.Unlock()
	notify(watches)
}

// add appends a subscription. The mutex is held.
func (s *shard) add(name string, sub *Subscription) {
	t := s.topics[name]
	if t == nil {
		if s.topics == nil {
			s.topics = make(map[string]*topic)
		}
		t = &topic{name: name}
		t.subs = t.first[:0]
		s.topics[name] = t
		s.flip(name, true)
	}
	sub.topic, sub.index = t, len(t.subs)
	if len(t.subs) == cap(t.subs) {
		// append moves to a new array; walkers stay with the old one.
		t.walkers, t.gen = 0, t.gen+1
	}
	t.subs = append(t.subs, sub)
	if len(t.subs) == len(t.first)+1 {
		// The array is another one now. No dispatch walks one of a single entry.
		t.first[0] = nil
	}
}

// Topic returns the name of the topic, or "" once unsubscribed and before Begin.
func (s *Subscription) Topic() string {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if s.topic == nil || s.index == prepared {
		return ""
	}
	return s.topic.name
}

// Unsubscribe ends the subscription. It is idempotent and does not block. A
// broadcast that was under way may still finish one call of Deliver.
func (s *Subscription) Unsubscribe() {
	if s == nil {
		return
	}
	sh := s.shard
	sh.mu.Lock()
	var watches []*Watch
	switch {
	case s.topic == nil:
	case s.index == prepared:
		s.topic = nil // Begin does nothing from now on
	default:
		watches = sh.watches[s.topic.name]
		sh.remove(s)
	}
	sh.mu.Unlock()
	notify(watches)
}

// remove takes a subscription out of its topic. The mutex is held.
func (sh *shard) remove(s *Subscription) {
	t := s.topic
	s.topic = nil
	if t.walkers > 0 {
		t.subs = append(make([]*Subscription, 0, len(t.subs)), t.subs...)
		t.walkers, t.gen = 0, t.gen+1
	}
	// The last entry takes the place of the removed one.
	last := len(t.subs) - 1
	t.subs[s.index] = t.subs[last]
	t.subs[s.index].index = s.index
	t.subs[last] = nil
	t.subs = t.subs[:last]
	switch {
	case last == 0:
		delete(sh.topics, t.name)
		sh.flip(t.name, false)
	case cap(t.subs) >= 64 && last <= cap(t.subs)/4:
		t.subs = append(make([]*Subscription, 0, last*2), t.subs...)
		t.gen++
	}
}

// count returns the number of subscriptions of a topic, 0 for an unknown one.
func (s *shard) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[name]; t != nil {
		return len(t.subs)
	}
	return 0
}

// dispatch offers m to the subscriptions of its topic but from, and returns how
// many took it. Deliver runs on the goroutine of the caller, without the lock.
func (h *Hub) dispatch(m *Message, from *Subscription) int {
	if m.more != nil && m.more.wire.trace.IsSampled() {
		defer m.dispatched()
	}
	s := h.shard(m.Topic)
	s.mu.Lock()
	t := s.topics[m.Topic]
	if t == nil {
		s.mu.Unlock()
		return 0
	}
	// No walker is counted here: the entry is read before the lock is free.
	if len(t.subs) == 1 {
		// One subscriber, the common case of a topic per user: nothing to walk.
		sub := t.subs[0]
		s.mu.Unlock()
		if sub == from || !sub.to.Deliver(m) {
			return 0
		}
		return 1
	}
	// If the array is replaced meanwhile, the walkers of the old one no longer
	// count: the new one has another generation.
	subs, gen := t.subs, t.gen
	t.walkers++
	s.mu.Unlock()
	defer s.leave(t, gen)
	return m.offerTo(subs, from)
}

// leave notes that a dispatch does not walk the array any more that it found.
func (s *shard) leave(t *topic, gen uint32) {
	s.mu.Lock()
	if t.gen == gen {
		t.walkers--
	}
	s.mu.Unlock()
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
