package pubsubtest

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// Faults are what goes wrong by chance. The zero value is a network without faults.
type Faults struct {
	// Seed is the beginning of all chance. Each ordered pair of nodes has a sequence
	// of its own, so that the same messages meet the same faults.
	Seed uint64
	// MaxDelay bounds how long a message takes; Network.Delay is not called then.
	// Messages of different senders overtake each other. Default: no delay.
	MaxDelay time.Duration
	// Lost is the share of messages that are lost and known to be: the receiver is
	// told in the place of the message, as the contract of a remote demands.
	Lost float64
}

// Disturb sets the faults of all messages that are sent from now on.
func (n *Network) Disturb(f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults, n.chance = f, make(map[[2]string]*rand.Rand)
}

// Kill makes a node disappear as if its process had died: it sends and receives
// nothing more. What it has sent is still on its way. Its Run is ended by the
// caller, and a new remote can take its name afterwards.
func (n *Network) Kill(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.nodes[name]; r != nil {
		r.dead, r.inbox = true, nil
	}
}

// Disconnect makes nodes lose their connection, all nodes if none is named, as when the
// backplane is away: what they publish is refused, what was on its way to them is lost,
// and all nodes know it.
func (n *Network) Disconnect(names ...string) { n.setCutOff(true, names) }

// Reconnect ends Disconnect. Each node is told that it has missed messages.
func (n *Network) Reconnect(names ...string) { n.setCutOff(false, names) }

func (n *Network) setCutOff(cutOff bool, names []string) {
	n.mu.Lock()
	var tell []pubsub.ReachReceiver
	for name, r := range n.nodes {
		if r.cutOff != cutOff && (len(names) == 0 || slices.Contains(names, name)) {
			r.cutOff = cutOff
			if cutOff {
				r.inbox = nil
			} else {
				r.pushLost()
			}
		}
		if in, ok := r.in.(pubsub.ReachReceiver); ok {
			tell = append(tell, in)
		}
	}
	n.mu.Unlock()
	for _, in := range tell {
		in.ReachChanged()
	}
}

// draw decides about one message: how long it takes, and whether it is lost. The
// mutex is held.
func (n *Network) draw(from, to string) (delay time.Duration, lost bool) {
	if n.faults == (Faults{}) {
		if n.Delay != nil {
			delay = n.Delay(from, to)
		}
		return delay, false
	}
	pair := [2]string{from, to}
	chance := n.chance[pair]
	if chance == nil {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(from + "\x00" + to)) // never fails
		chance = rand.New(rand.NewPCG(n.faults.Seed, hash.Sum64()))
		n.chance[pair] = chance
	}
	// Both are drawn for each message, so that a change of one share leaves the
	// sequence as it is.
	share, part := chance.Float64(), chance.Float64()
	return time.Duration(part * float64(n.faults.MaxDelay)), share < n.faults.Lost
}
