package pubsub

import "sync"

// ReachRemote is a [Remote] that knows whether the other nodes can be asked. A hub
// assumes it of other remotes as long as [Hub.Run] runs.
type ReachRemote interface {
	Remote
	// Reach reports whether a message that is published now can reach each of the
	// other nodes that wants it. It is false without a connection, and after one was
	// made until all nodes that were known are heard of again or given up: until then
	// that no node wants a topic means nothing. Of a node that falls silent it is
	// false until that is given up. It returns at once.
	Reach() bool
}

// ReachReceiver is a [Receiver] that a [ReachRemote] notifies. The receiver of a
// [Hub] is one.
type ReachReceiver interface {
	Receiver
	// ReachChanged is called after a change of Reach. It does not block.
	ReachChanged()
}

// reaching is what a hub knows of its reach. The mutex is a leaf.
type reaching struct {
	remote ReachRemote // nil if there is none

	mu      sync.Mutex
	watches map[int]func()
	last    int
}

// Reach reports whether the other nodes can be asked: a delivery for which
// [ErrNoAnswer] or [ErrNoSubscriber] is reported may find a subscriber once it is
// true again. It is false while a hub with a remote does not run, and without a
// remote it is true.
func (h *Hub) Reach() bool {
	switch {
	case h.remote == nil:
		return true
	case !h.running.Load():
		return false
	}
	return h.reach.remote == nil || h.reach.remote.Reach()
}

// WatchReach has changed called after changes of [Hub.Reach] until stop is called; a
// call that is under way may still finish. changed runs in any goroutine and must not
// block or call the hub.
func (h *Hub) WatchReach(changed func()) (stop func()) {
	r := &h.reach
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watches == nil {
		r.watches = make(map[int]func())
	}
	r.last++
	number := r.last
	r.watches[number] = changed
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watches, number)
	}
}

// changed calls the watches.
func (r *reaching) changed() {
	r.mu.Lock()
	all := make([]func(), 0, len(r.watches))
	for _, f := range r.watches {
		all = append(all, f)
	}
	r.mu.Unlock()
	for _, f := range all {
		f()
	}
}

// ReachChanged implements ReachReceiver.
func (r receiver) ReachChanged() { r.hub.reach.changed() }
