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
	mu sync.Mutex
	// By one subscription of each: the only one, or one of its list. Most topics belong to
	// one user and have no list.
	topics  topics
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

// crowd is the list of a topic with two or more subscriptions. Its shard's mutex guards it. It is
// dropped, unchanged, when one subscription is left.
type crowd struct {
	subs    []*Subscription
	walkers int32  // dispatches that walk the current array of subs
	gen     uint32 // number of the current array
}

// add adds a subscription to its topic. The mutex is held.
func (s *shard) add(sub *Subscription) {
	sub.index = 0
	first := s.topics.of(sub.name)
	if first == nil {
		s.topics.add(sub)
		s.flip(sub.name, true)
		return
	}
	c := first.crowd
	if c == nil {
		c = &crowd{subs: append(make([]*Subscription, 0, 2), first)}
		first.crowd = c
	}
	if len(c.subs) == cap(c.subs) {
		// append moves to a new array; walkers stay with the old one.
		c.walkers, c.gen = 0, c.gen+1
	}
	sub.crowd, sub.index = c, len(c.subs)
	c.subs = append(c.subs, sub)
}

// remove takes a subscription out of its topic. The mutex is held.
func (sh *shard) remove(s *Subscription) {
	c := s.crowd
	s.crowd = nil
	switch {
	case c == nil:
		sh.topics.remove(s)
		sh.flip(s.name, false)
		return
	case len(c.subs) == 2:
		left := c.subs[1-s.index]
		left.crowd, left.index = nil, 0
		if sh.topics.of(s.name) == s {
			sh.topics.replace(s, left)
		}
		return
	case c.walkers > 0:
		c.subs = append(make([]*Subscription, 0, len(c.subs)), c.subs...)
		c.walkers, c.gen = 0, c.gen+1
	}
	// The last entry takes the place of the removed one.
	last := len(c.subs) - 1
	c.subs[s.index] = c.subs[last]
	c.subs[s.index].index = s.index
	c.subs[last] = nil
	c.subs = c.subs[:last]
	if cap(c.subs) >= 64 && last <= cap(c.subs)/4 {
		c.subs = append(make([]*Subscription, 0, last*2), c.subs...)
		c.gen++
	}
	if sh.topics.of(s.name) == s {
		sh.topics.replace(s, c.subs[0])
	}
}

// count returns the number of subscriptions of a topic, 0 for an unknown one.
func (s *shard) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all(name))
}

// all returns the subscriptions of a topic, as they are while the mutex is held.
func (s *shard) all(name string) []*Subscription {
	first := s.topics.of(name)
	switch {
	case first == nil:
		return nil
	case first.crowd == nil:
		return []*Subscription{first}
	}
	return first.crowd.subs
}
