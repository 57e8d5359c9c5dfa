package presence

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// replica is what is known of one node.
type replica struct {
	name        string
	incarnation int64 // of the process: a later one is greater
	version     uint64
	entries     map[string]*entry // by ref
	up          bool
	heard       time.Time
	asked       time.Time // for its state
}

// gossip is a message between trackers.
type gossip struct {
	From        string        `json:"from"`
	Incarnation int64         `json:"inc"`
	Version     uint64        `json:"v"`
	Since       uint64        `json:"since,omitempty"` // a delta's first version
	Joins       []gossipEntry `json:"joins,omitempty"`
	Leaves      []string      `json:"leaves,omitempty"`
}

type gossipEntry struct {
	Ref   string          `json:"ref"`
	Topic string          `json:"topic"`
	Key   string          `json:"key"`
	Meta  json.RawMessage `json:"meta"`
}

// The events between trackers.
const (
	gossipHeartbeat = "heartbeat" // this is my version
	gossipDelta     = "delta"     // from Since to Version
	gossipState     = "state"     // all I have
	gossipRequest   = "request"   // send me your state
	gossipBye       = "bye"       // I shall not come back
)

func (t *Tracker) channel() string { return "phx_presence:" + t.config.Name }

// Run takes part in the exchange with other nodes until ctx is done, says
// goodbye then and answers nil. Without other nodes it only waits. It is to be
// called once.
func (t *Tracker) Run(ctx context.Context) error {
	if t.config.Hub.Node() == pubsub.LocalNode {
		<-ctx.Done()
		return nil
	}
	sub, err := t.config.Hub.Subscribe(t.channel(), pubsub.SubscriberFunc(t.receive))
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	tick := time.NewTicker(t.config.BroadcastPeriod)
	defer tick.Stop()
	t.send(ctx, "", gossipRequest, gossip{})
	t.send(ctx, "", gossipHeartbeat, t.hello())
	said := time.Now()
	for {
		select {
		case <-ctx.Done():
			// The context of the sending must not be the one that is done.
			t.send(context.WithoutCancel(ctx), "", gossipBye, t.hello())
			return nil
		case now := <-tick.C:
			g, delta := t.delta()
			switch {
			case delta:
				t.send(ctx, "", gossipDelta, g)
				said = now
			case now.Sub(said) >= t.config.HeartbeatPeriod:
				t.send(ctx, "", gossipHeartbeat, g)
				said = now
			}
			t.watch(now)
		}
	}
}

func (t *Tracker) hello() gossip {
	t.mu.Lock()
	defer t.mu.Unlock()
	return gossip{Version: t.self.version}
}

// delta answers what has changed since the last one.
func (t *Tracker) delta() (gossip, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := gossip{Version: t.self.version, Since: t.since, Joins: t.pending, Leaves: t.gone}
	changed := t.since != t.self.version
	t.pending, t.gone, t.since = nil, nil, t.self.version
	return g, changed
}

// send sends to one node, or to all if to is empty. What is lost is found
// missing by the version of a later message.
func (t *Tracker) send(ctx context.Context, to, event string, g gossip) {
	g.From, g.Incarnation = t.self.name, t.self.incarnation
	data, err := json.Marshal(g)
	if err == nil {
		if to == "" {
			_, err = t.config.Hub.Broadcast(ctx, t.channel(), event, json.RawMessage(data))
		} else {
			_, err = t.config.Hub.DirectBroadcast(ctx, to, t.channel(), event, json.RawMessage(data))
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.config.Logger.Warn("presence not sent", "tracker", t.config.Name, "event", event, "error", err)
	}
}

// receive handles a message of another node. It runs in the goroutine that the
// remote delivers in.
func (t *Tracker) receive(m *pubsub.Message) bool {
	var g gossip
	if err := m.Payload.Decode(&g); err != nil || g.From == "" {
		return false
	}
	if g.From == t.self.name {
		return false
	}
	if m.Event == gossipRequest {
		t.send(context.Background(), g.From, gossipState, t.all())
		return true
	}
	ask := false
	t.mu.Lock()
	if r := t.known(&g); r != nil {
		r.heard = time.Now()
		var c change
		switch m.Event {
		case gossipBye:
			delete(t.replicas, r.name)
			if r.up {
				c.leaves = r.all()
			}
		case gossipState:
			c = r.replace(&g)
		case gossipDelta:
			if r.version == g.Since {
				c = r.apply(&g)
			}
		}
		if !r.up && m.Event != gossipBye {
			r.up = true
			c = change{joins: r.all()}
			t.config.Logger.Info("presence node is up again", "node", r.name)
		}
		t.show(c)
		if m.Event != gossipBye && r.version < g.Version && time.Since(r.asked) >= t.config.BroadcastPeriod {
			r.asked = time.Now()
			ask = true
		}
	}
	t.mu.Unlock()
	if ask {
		t.send(context.Background(), g.From, gossipRequest, gossip{})
	}
	t.tell()
	return true
}

// known answers the replica that g is about; nil if g is of a process that is
// gone. A new process under a known name replaces the old one. The mutex is
// held.
func (t *Tracker) known(g *gossip) *replica {
	r := t.replicas[g.From]
	switch {
	case r != nil && g.Incarnation < r.incarnation:
		return nil
	case r != nil && g.Incarnation > r.incarnation:
		if r.up {
			t.show(change{leaves: r.all()})
		}
		r = nil
	}
	if r == nil {
		r = &replica{name: g.From, incarnation: g.Incarnation, entries: make(map[string]*entry), up: true}
		t.replicas[g.From] = r
		t.config.Logger.Info("presence node is up", "node", r.name)
	}
	return r
}

// all is this node's state.
func (t *Tracker) all() gossip {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := gossip{Version: t.self.version}
	for _, e := range t.self.entries {
		g.Joins = append(g.Joins, gossipEntry{Ref: e.ref, Topic: e.topic, Key: e.key, Meta: e.meta})
	}
	return g
}

func (r *replica) all() []*entry {
	list := make([]*entry, 0, len(r.entries))
	for _, e := range r.entries {
		list = append(list, e)
	}
	return list
}

func (r *replica) add(g gossipEntry) *entry {
	e := &entry{ref: g.Ref, topic: g.Topic, key: g.Key, meta: g.Meta, node: r}
	r.entries[g.Ref] = e
	return e
}

// apply makes the step of a delta. An entry that came and went between two
// deltas is in neither list of the change.
func (r *replica) apply(g *gossip) (c change) {
	for _, j := range g.Joins {
		if r.entries[j.Ref] == nil {
			c.joins = append(c.joins, r.add(j))
		}
	}
	for _, ref := range g.Leaves {
		e := r.entries[ref]
		if e == nil {
			continue
		}
		delete(r.entries, ref)
		if at := indexOf(c.joins, e); at >= 0 {
			c.joins = append(c.joins[:at], c.joins[at+1:]...)
		} else {
			c.leaves = append(c.leaves, e)
		}
	}
	r.version = g.Version
	return r.visible(c)
}

// replace makes the replica what a state says.
func (r *replica) replace(g *gossip) (c change) {
	if g.Version < r.version {
		return change{} // overtaken by a delta
	}
	there := make(map[string]bool, len(g.Joins))
	for _, j := range g.Joins {
		there[j.Ref] = true
		if r.entries[j.Ref] == nil {
			c.joins = append(c.joins, r.add(j))
		}
	}
	for ref, e := range r.entries {
		if !there[ref] {
			delete(r.entries, ref)
			c.leaves = append(c.leaves, e)
		}
	}
	r.version = g.Version
	return r.visible(c)
}

// visible is the change that can be seen: none of a node that is down.
func (r *replica) visible(c change) change {
	if !r.up {
		return change{}
	}
	return c
}

func indexOf(list []*entry, e *entry) int {
	for i := range list {
		if list[i] == e {
			return i
		}
	}
	return -1
}

// watch finds the nodes that have been silent for too long.
func (t *Tracker) watch(now time.Time) {
	t.mu.Lock()
	for name, r := range t.replicas {
		silent := now.Sub(r.heard)
		if r.up && silent >= t.config.DownPeriod {
			r.up = false
			t.show(change{leaves: r.all()})
			t.config.Logger.Warn("presence node is down", "node", name, "silent", silent)
		}
		if silent >= t.config.PermDownPeriod {
			delete(t.replicas, name)
		}
	}
	t.mu.Unlock()
	t.tell()
}
