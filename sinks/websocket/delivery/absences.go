package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// absences are the topics without a client whose grace is over, as all consumers of a hub know
// them. The events of one topic may reach the consumers in turn: without this each of them
// would wait for a grace of its own, one after the other. The methods may be called from any
// goroutine, and do nothing for nil.
type absences struct {
	epoch time.Time // the zero of the clock of all these consumers

	mu     sync.Mutex
	topics map[string]absence
	some   atomic.Bool // topics has any
	users  int         // consumers; guarded by hubs.mu
}

// absence is a topic whose events are discarded.
type absence struct {
	since time.Duration // of the last event, on the clock of the consumers
	grace time.Duration // for how long a client was waited for
}

// hubs has the absences of hubs with consumers that run.
var hubs struct {
	mu sync.Mutex
	of map[*pubsub.Hub]*absences
}

// absencesOf returns those of a hub, for one more consumer, which calls leave at its end.
func absencesOf(hub *pubsub.Hub) *absences {
	hubs.mu.Lock()
	defer hubs.mu.Unlock()
	a := hubs.of[hub]
	if a == nil {
		a = &absences{epoch: time.Now(), topics: make(map[string]absence)}
		if hubs.of == nil {
			hubs.of = make(map[*pubsub.Hub]*absences)
		}
		hubs.of[hub] = a
	}
	a.users++
	return a
}

// leave forgets the absences of a hub after its last consumer.
func (a *absences) leave(hub *pubsub.Hub) {
	hubs.mu.Lock()
	defer hubs.mu.Unlock()
	if a.users--; a.users == 0 {
		delete(hubs.of, hub)
	}
}

// note remembers that an event of the topic was discarded now, after a grace.
func (a *absences) note(topic string, now, grace time.Duration) {
	if a == nil {
		return
	}
	a.mu.Lock()
	// The clocks of two consumers that call this at the same time are read before.
	if old := a.topics[topic]; old.since <= now {
		a.topics[topic] = absence{now, grace}
		a.some.Store(true)
	}
	a.mu.Unlock()
}

// over reports whether no client has come to the topic in a grace of this length, and
// an event was discarded for it within the last one.
func (a *absences) over(topic string, now, grace time.Duration) bool {
	if a == nil || !a.some.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.topics[topic]
	return ok && known.grace >= grace && now < known.since+grace
}

// forget notes that a client has come, or that nothing is known any more. It takes no lock while
// no topic is without a client.
func (a *absences) forget(topic string) {
	if a == nil || !a.some.Load() {
		return
	}
	a.mu.Lock()
	a.delete(topic)
	a.mu.Unlock()
}

// expire forgets the topic unless another consumer has discarded an event later.
func (a *absences) expire(topic string, since time.Duration) {
	if a == nil {
		return
	}
	a.mu.Lock()
	if a.topics[topic].since <= since {
		a.delete(topic)
	}
	a.mu.Unlock()
}

// delete takes a topic out. The mutex is held.
func (a *absences) delete(topic string) {
	delete(a.topics, topic)
	a.some.Store(len(a.topics) > 0)
}
