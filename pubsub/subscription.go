package pubsub

// Subscription is one entry in a topic. A server has one or two for each of its clients: it is kept
// at 64 bytes.
type Subscription struct {
	shard *shard
	name  string // of the topic
	to    Subscriber

	// Guarded by shard.mu.
	crowd *crowd        // nil without another subscription of the topic
	index int           // place in crowd.subs, 0 without one, or one of the following
	next  *Subscription // in topics
}

// The index of a subscription that is not in its topic.
const (
	prepared = -1 // it has not begun
	ended    = -2 // it has been unsubscribed
)

// subscribe adds a subscription and calls the watches of the topic without the lock.
func (s *shard) subscribe(name string, to Subscriber) *Subscription {
	sub := s.prepare(name, to)
	sub.Begin()
	return sub
}

// prepare makes a subscription that has not begun.
func (s *shard) prepare(name string, to Subscriber) *Subscription {
	return &Subscription{shard: s, name: name, to: to, index: prepared}
}

// Begin begins a subscription of [Hub.Prepare]. It does nothing for one that has
// begun or ended. It does not block.
func (s *Subscription) Begin() {
	sh := s.shard
	sh.mu.Lock()
	if s.index != prepared {
		sh.mu.Unlock()
		return
	}
	sh.add(s)
	watches := sh.watches[s.name]
	sh.mu.Unlock()
	notify(watches)
}

// Topic returns the name of the topic, or "" once unsubscribed and before Begin.
func (s *Subscription) Topic() string {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if s.index < 0 {
		return ""
	}
	return s.name
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
	if s.index >= 0 {
		watches = sh.watches[s.name]
		sh.remove(s)
	}
	s.index = ended // Begin does nothing from now on
	sh.mu.Unlock()
	notify(watches)
}
