package pubsubtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// Network is a cluster inside of a process. Its methods may be called from any
// goroutine, at any time.
type Network struct {
	// Delay, if set, returns how long a message takes. Messages from one node to
	// another keep their order. It is called for one message at a time.
	Delay func(from, to string) time.Duration
	// Drop, if set, reports whether a message is lost without anything noticing
	// it. It is called for one message at a time.
	Drop func(from, to string, m *pubsub.Message) bool
	// Uncounted makes Publish return -1, as a backplane does that does not know
	// its subscribers.
	Uncounted bool

	// mu guards what follows and what the nodes' remotes say it does. Delay and
	// Drop are called with it held, so they must not call the network.
	mu    sync.Mutex
	nodes map[string]*Remote
	// cut has the pairs {from, to} whose messages are lost.
	cut map[[2]string]bool
	// faults and the chance of each pair {from, to} under them.
	faults Faults
	chance map[[2]string]*rand.Rand
}

// NewNetwork makes a network without nodes. Its fields are set before the first
// message.
func NewNetwork() *Network {
	return &Network{nodes: make(map[string]*Remote), cut: make(map[[2]string]bool)}
}

// Remote makes the remote of a node. It panics if name is that of a node whose
// Run has not ended.
func (n *Network) Remote(name string) *Remote {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.nodes[name]; old != nil && old.in != nil {
		panic(fmt.Sprintf("pubsubtest: node %q is there already", name))
	}
	r := &Remote{net: n, name: name, wake: make(chan struct{}, 1), topics: make(map[string]bool), lastAt: make(map[string]time.Time)}
	n.nodes[name] = r
	return r
}

// Hub makes a hub on the network, and runs it until the end of the test or until
// stop is called. cfg.Remote is set by it.
func (n *Network) Hub(t testing.TB, name string, cfg pubsub.Config) (h *pubsub.Hub, stop func()) {
	t.Helper()
	cfg.Remote = n.Remote(name)
	h, err := pubsub.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h, Run(t, h.Run)
}

// Run calls run in a goroutine until the end of the test or until stop is called,
// which waits for it. An error of run fails the test. The context outlives that of
// t, which ends before t.Cleanup runs.
func Run(t testing.TB, run func(context.Context) error) (stop func()) {
	// Cleanup calls stop again if the test has: it may be called twice.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() {
		if err := run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = func() {
		cancel()
		group.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// Cut makes two nodes lose what they send to each other.
func (n *Network) Cut(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{a, b}], n.cut[[2]string{b, a}] = true, true
}

// CutOneWay makes a node lose what it sends to another one.
func (n *Network) CutOneWay(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = true
}

// Heal ends all cuts. Each node that has missed something is told so, as by a
// remote that has reconnected.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	for _, r := range n.nodes {
		if r.missed {
			r.missed = false
			r.pushLost()
		}
	}
}

// Freeze keeps a node from receiving anything until Thaw, as if its process stood
// still. Other nodes do not notice.
func (n *Network) Freeze(name string) { n.setFrozen(name, true) }

// Thaw ends Freeze. What was sent meanwhile arrives.
func (n *Network) Thaw(name string) { n.setFrozen(name, false) }

// setFrozen freezes or thaws a node; an unknown name is ignored.
func (n *Network) setFrozen(name string, frozen bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.nodes[name]; r != nil {
		r.frozen = frozen
		r.poke()
	}
}

// publish puts a message into the inbox of each node that it is for, and returns
// their number. A node counts although its message is cut or dropped: the sender
// cannot know.
func (n *Network) publish(from *Remote, to string, m *pubsub.Message) int {
	// The wire form, as a backplane carries it: receivers share nothing with the
	// sender.
	data := m.Append(nil)
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for name, r := range n.nodes {
		// A node that does not run is not there. A direct message needs no
		// interest.
		if r == from || r.in == nil || r.dead || r.cutOff || (to != "" && to != name) || (to == "" && !r.topics[m.Topic]) {
			continue
		}
		count++
		switch {
		case n.cut[[2]string{from.name, name}]:
			r.missed = true
		case n.Drop != nil && n.Drop(from.name, name, m):
		default:
			delay, lost := n.draw(from.name, name)
			at := time.Now().Add(delay)
			// Messages of one sender keep their order, whatever Delay says.
			if last := r.lastAt[from.name]; at.Before(last) {
				at = last
			}
			r.lastAt[from.name] = at
			if lost {
				r.push(parcel{lost: true, at: at})
				continue
			}
			r.push(parcel{data: slices.Clone(data), at: at})
		}
	}
	if n.Uncounted {
		return -1
	}
	return count
}
