package presence

import (
	"maps"
	"math"
	"slices"
	"time"
)

// machine decides what a tracker believes about other nodes and what it sends to
// them. It is pure: no lock, no clock, no network and no goroutine. Each step
// takes the time and returns effects, which the tracker carries out. The tracker's
// mutex is held during each step, so steps must be quick.
type machine struct {
	cfg   Config // for the periods
	alone bool   // there are no other nodes: nothing is gathered for them
	// How large a part of a message is, and the messages in parts so far.
	partBytes int
	number    uint64
	self      *replica
	// others has a replica of each node heard of since PermDownPeriod, whatever
	// its phase.
	others map[string]*replica // by name

	// Changes of this node that it has not announced, in their order, and the
	// version before them. write empties them. Without other nodes they stay empty
	// and since follows the version.
	joins  []gossipEntry
	leaves []string
	since  uint64
	said   time.Time // when this node last sent something to all
	// Changes were dropped: a heartbeat has others ask for the state.
	skipped bool
}

// maxUnannounced bounds the changes that wait to be announced.
const maxUnannounced = 20_000

// effects are what follows from a step. The tracker carries out change and letters
// before it lets go of the mutex, so they are in the order of the steps; it logs
// notes afterwards.
type effects struct {
	change  change   // of what is visible
	letters []letter // to be sent
	notes   []note   // to be logged
	unknown bool     // the message means nothing to this release
}

// note is something that happened to another node, for the log.
type note struct {
	text, node string
}

// newMachine returns the machine of a node whose process is p.
func newMachine(cfg Config, node string, p process, alone bool) *machine {
	return &machine{cfg: cfg, alone: alone, partBytes: partBytes, self: newReplica(node, p), others: make(map[string]*replica)}
}

// begin is the step with which the tracker begins to take part: it asks all nodes
// for their state, and makes itself known.
func (m *machine) begin(now time.Time) effects {
	m.said = now
	return effects{letters: []letter{{"", gossipRequest}, {"", gossipHeartbeat}}}
}

// change is the step of a change that this node makes. It is visible here at once,
// and announced to others with the next tick. Leaves are applied before joins, so
// an update may replace an entry.
func (m *machine) change(c change) effects {
	for _, e := range c.leaves {
		delete(m.self.entries, e.ref)
	}
	for _, e := range c.joins {
		m.self.entries[e.ref] = e
	}
	m.self.version++
	if m.alone {
		m.since = m.self.version
		return effects{change: c}
	}
	for _, e := range c.joins {
		m.joins = append(m.joins, gossipEntry{Ref: e.ref, Topic: e.topic, Key: e.key, Meta: e.meta})
	}
	for _, e := range c.leaves {
		m.leaves = append(m.leaves, e.ref)
	}
	// Run does not run, or the network has not taken anything for long.
	if len(m.joins)+len(m.leaves) > maxUnannounced {
		m.joins, m.leaves, m.since, m.skipped = nil, nil, m.self.version, true
	}
	return effects{change: c}
}

// tick is the step that is due every BroadcastPeriod: it announces what has
// gathered, or that nothing has for HeartbeatPeriod, and finds silent nodes.
func (m *machine) tick(now time.Time) (eff effects) {
	switch {
	case m.since != m.self.version && !m.skipped:
		eff.letters = append(eff.letters, letter{"", gossipDelta})
		m.said = now
	case m.skipped || now.Sub(m.said) >= m.cfg.HeartbeatPeriod:
		eff.letters = append(eff.letters, letter{"", gossipHeartbeat})
		m.said, m.skipped = now, false
	}
	for _, name := range slices.Sorted(maps.Keys(m.others)) {
		r := m.others[name]
		// The time is that of this node's clock, so clocks of other nodes do not
		// matter.
		silent := now.Sub(r.heard)
		if r.phase == up && silent >= m.cfg.DownPeriod {
			r.phase, r.gathering = down, nil
			eff.change.leaves = append(eff.change.leaves, r.all()...)
			eff.notes = append(eff.notes, note{"is down", name})
		}
		// What is forgotten was down, or had left, long before: nothing changes.
		if silent >= m.cfg.PermDownPeriod {
			delete(m.others, name)
		}
	}
	return eff
}

// step is the step of a message that node from has sent. The message is valid and
// not from this node.
func (m *machine) step(now time.Time, from, event string, g *gossip) (eff effects) {
	// These two say nothing about their sender but its name, so that a node that has
	// just begun can ask before anything else.
	switch event {
	case gossipRequest:
		return effects{letters: []letter{{from, gossipState}}}
	case gossipOutdated:
		return m.outdated(g)
	}
	r := m.sender(&eff, now, from, g)
	if r == nil {
		return eff
	}
	r.heard = now
	var c change
	waits := false // for further parts
	switch event {
	case gossipBye:
		if r.phase == up {
			eff.change.leaves = append(eff.change.leaves, r.all()...)
		}
		r.phase, r.entries, r.gathering = left, nil, nil
		eff.notes = append(eff.notes, note{"has left", from})
		return eff
	case gossipState, gossipDelta:
		whole := r.gather(event, g)
		switch {
		case whole == nil:
			waits = true
		case event == gossipState:
			c = r.replace(whole)
		case r.applies(whole):
			c = r.apply(whole)
		}
	case gossipHeartbeat:
	default:
		eff.unknown = true
		return eff
	}
	if r.phase == down {
		// What changed while it was down was not visible: all of it joins now.
		r.phase = up
		c = change{joins: r.all()}
		eff.notes = append(eff.notes, note{"is up again", from})
	}
	// sender may have let the entries of an earlier process leave: those come first.
	eff.change.joins = append(eff.change.joins, c.joins...)
	eff.change.leaves = append(eff.change.leaves, c.leaves...)
	// Something was missed. A node is asked once a period, since its answer may be
	// large and may be on its way already.
	if !waits && r.version < g.Version && now.Sub(r.asked) >= m.cfg.BroadcastPeriod {
		r.asked = now
		eff.letters = append(eff.letters, letter{from, gossipRequest})
	}
	return eff
}

// outdated is the step of a message by which another node says that it knows a later
// process of this node. The process there is over, or another one runs under this
// node's name: this one takes the next generation, and says so.
func (m *machine) outdated(g *gossip) (eff effects) {
	self := &m.self.process
	// A later one than a generation that this process has left behind, or this one.
	if g.Known == nil || g.Known.compare(*self) <= 0 || g.Known.Generation == math.MaxInt64 {
		return eff
	}
	self.Generation = g.Known.Generation + 1
	return effects{
		letters: []letter{{"", gossipHeartbeat}},
		notes:   []note{{"is another process now: an earlier one had a later clock, or two have this name", m.self.name}},
	}
}

// sender returns the replica of the process that sent g, or nil if that process is
// known to be over. A later process of a node replaces the earlier one, whose
// entries leave. An earlier one is refused, and told: it may be the one that runs.
func (m *machine) sender(eff *effects, now time.Time, from string, g *gossip) *replica {
	r := m.others[from]
	order := 1
	if r != nil {
		order = g.Process.compare(r.process)
	}
	switch {
	case order == 0 && r.phase == left:
		return nil
	case order == 0:
		return r
	case order < 0:
		// Once a period, since messages of a process that is over may still come.
		if now.Sub(r.refused) >= m.cfg.BroadcastPeriod {
			r.refused = now
			eff.letters = append(eff.letters, letter{from, gossipOutdated})
		}
		return nil
	case r != nil && r.phase == up:
		eff.change.leaves = append(eff.change.leaves, r.all()...)
	}
	r = newReplica(from, g.Process)
	m.others[from] = r
	eff.notes = append(eff.notes, note{"is up", from})
	return r
}
