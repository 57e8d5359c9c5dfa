package pubsubtest

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// Remote is the [pubsub.Remote] of a node of a [Network]. It has interest: a node
// gets only messages to it and to topics that it has joined. Make one with
// [Network.Remote].
type Remote struct {
	net  *Network
	name string
	wake chan struct{}

	// Guarded by Network.mu.
	in     pubsub.Receiver // nil unless Run runs
	topics map[string]bool
	inbox  []parcel // in the order of at, for equal times of arrival
	// lastAt has, by sender, when the last of its messages arrives. missed is set
	// while a cut has lost a message and Heal has not told.
	lastAt map[string]time.Time
	frozen bool
	missed bool
	dead   bool // by Kill
	cutOff bool // by Disconnect
}

var (
	_ pubsub.InterestedRemote = (*Remote)(nil)
	_ pubsub.ReachRemote      = (*Remote)(nil)
	_ pubsub.MemberRemote     = (*Remote)(nil)
)

// parcel is a message on its way, or the news that some were lost. at is when it
// arrives.
type parcel struct {
	data []byte
	lost bool
	at   time.Time
}

// errNotRunning refuses to publish for a node whose Run has not begun or has
// ended.
var errNotRunning = errors.New("pubsubtest: node does not run")

// errNotConnected refuses to publish between Disconnect and Reconnect.
var errNotConnected = errors.New("pubsubtest: node is disconnected")

// Node implements pubsub.Remote.
func (r *Remote) Node() string { return r.name }

// Publish implements pubsub.Remote.
func (r *Remote) Publish(ctx context.Context, to string, m *pubsub.Message) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r.net.mu.Lock()
	running, cutOff := r.in != nil && !r.dead, r.cutOff
	r.net.mu.Unlock()
	switch {
	case !running:
		return 0, errNotRunning
	case cutOff:
		return 0, errNotConnected
	}
	return r.net.publish(r, to, m), nil
}

// Join implements pubsub.InterestedRemote.
func (r *Remote) Join(topic string) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	r.topics[topic] = true
}

// Leave implements pubsub.InterestedRemote.
func (r *Remote) Leave(topic string) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	delete(r.topics, topic)
}

// Sync implements pubsub.InterestedRemote: Join and Leave are in effect at once.
func (r *Remote) Sync(ctx context.Context) error { return ctx.Err() }

// Reach implements pubsub.ReachRemote. It is false while this node or another one is
// disconnected.
func (r *Remote) Reach() bool {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	for _, other := range r.net.nodes {
		if other.cutOff {
			return false
		}
	}
	return true
}

// Members implements pubsub.MemberRemote. It returns none if the network counts the
// nodes that it hands a message to.
func (r *Remote) Members() (names []string) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	for name, other := range r.net.nodes {
		if r.net.Uncounted && other != r && other.in != nil && !other.dead {
			names = append(names, name)
		}
	}
	return names
}

// Topics returns the number of topics that the node wants.
func (r *Remote) Topics() int {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	return len(r.topics)
}

// Run implements pubsub.Remote. What was sent before it began is gone. in is
// called on this goroutine, without the network's mutex.
func (r *Remote) Run(ctx context.Context, in pubsub.Receiver) error {
	r.net.mu.Lock()
	// From here on the node is part of the network.
	r.in, r.inbox = in, nil
	r.net.mu.Unlock()
	defer func() {
		r.net.mu.Lock()
		r.in = nil
		r.net.mu.Unlock()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-timer.C:
		}
		// All that has arrived, until the inbox is empty or its first parcel is
		// still on the way.
		for ctx.Err() == nil {
			p, wait, ok := r.next()
			if !ok {
				if wait > 0 {
					timer.Reset(wait)
				}
				break
			}
			if p.lost {
				in.Lost("")
			} else {
				in.Receive(p.data)
			}
		}
	}
}

// next takes the first parcel if it has arrived. Otherwise wait is how long that
// takes, 0 if there is none or the node is frozen: then push or Thaw wakes Run.
func (r *Remote) next() (p parcel, wait time.Duration, ok bool) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	if len(r.inbox) == 0 || r.frozen {
		return parcel{}, 0, false
	}
	p = r.inbox[0]
	if wait = time.Until(p.at); wait > 0 {
		return parcel{}, wait, false
	}
	r.inbox = r.inbox[1:]
	return p, 0, true
}

// push puts a parcel in the place of its time, after others of the same time, and
// wakes Run. The network's mutex is held.
func (r *Remote) push(p parcel) {
	i := len(r.inbox)
	// From the end: most parcels belong there.
	for i > 0 && r.inbox[i-1].at.After(p.at) {
		i--
	}
	r.inbox = append(r.inbox, parcel{})
	copy(r.inbox[i+1:], r.inbox[i:])
	r.inbox[i] = p
	r.poke()
}

// pushLost puts the news of a loss after what is on its way, and before what is
// sent from now on. The network's mutex is held.
func (r *Remote) pushLost() {
	at := time.Now()
	for _, last := range r.lastAt {
		if last.After(at) {
			at = last
		}
	}
	for name := range r.net.nodes {
		r.lastAt[name] = at
	}
	r.push(parcel{lost: true, at: at})
}

// poke wakes Run. It never blocks.
func (r *Remote) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
