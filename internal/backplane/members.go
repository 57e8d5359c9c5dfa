package backplane

import (
	"maps"
	"slices"
	"time"
)

// Members are the other nodes of a cluster as one of them sees them, by the beats that
// they send. It finds losses that no connection reports: a beat that is missing, or
// the word of a member that its own messages were lost. It is a state machine without a
// lock or a clock.
type Members struct {
	self   Frame // this node: Node, Instance, Started
	down   time.Duration
	joined time.Time // when this node did
	byName map[string]*member
}

// member is another node.
type member struct {
	Frame           // of its last beat
	seen  time.Time // when anything was heard of it
	// again: this node was cut off, so that beats before the next one say nothing.
	again bool
	quiet bool // it did not reply to a sync in time
}

// NewMembers makes the members of a cluster of which only self is known. One of which
// nothing is heard for down is no member any more.
func NewMembers(self Frame, down time.Duration) *Members {
	return &Members{self: self, down: down, byName: make(map[string]*member)}
}

// Verdict is what follows from a frame.
type Verdict struct {
	// New: the sender was not known, and does not know this node perhaps.
	New bool
	// Lost: messages of the sender may not have arrived before this frame.
	Lost bool
	// Joining: the sender was there before this node joined, which misses nothing that
	// it was to have. The loss is one of this node's beginning.
	Joining bool
	// Rival: the sender has the name of this node. Fenced: this node is to end.
	Rival, Fenced bool
}

// Join notes that this node has joined the cluster: the members reply soon.
func (m *Members) Join(now time.Time) { m.joined = now }

// Beat takes a KindBeat. Of two nodes of one name that have both joined, the one that
// joined last stays: the other one did not reply to its claim.
func (m *Members) Beat(f Frame, now time.Time) Verdict {
	if f.Node == m.self.Node {
		if f.Instance == m.self.Instance {
			return Verdict{}
		}
		return Verdict{Rival: true, Fenced: m.yields(f)}
	}
	old := m.byName[f.Node]
	if old == nil || old.Instance != f.Instance {
		if old != nil && f.Started.Before(old.Started) {
			return Verdict{} // a late word of one that the known one has fenced
		}
		m.byName[f.Node] = &member{Frame: f, seen: now}
		// One that has sent before may have sent to this node in vain.
		return Verdict{New: true, Lost: f.Beat > 1, Joining: f.Beat > 1 && now.Sub(m.joined) < m.down}
	}
	v := Verdict{Lost: old.quiet || !old.again && (f.Beat > old.Beat+1 || f.Link != old.Link)}
	f.Beat = max(f.Beat, old.Beat)
	*old = member{Frame: f, seen: now}
	return v
}

// yields reports whether this node gives way to another one of its name.
func (m *Members) yields(f Frame) bool {
	if f.Started.Equal(m.self.Started) {
		return f.Instance > m.self.Instance
	}
	return f.Started.After(m.self.Started)
}

// Taken reports whether a KindTaken fences this node, which has joined already.
func (m *Members) Taken(f Frame) bool {
	return f.Node == m.self.Node && f.Instance != m.self.Instance && m.yields(f)
}

// Bye takes a KindBye. It reports whether the sender was a member.
func (m *Members) Bye(f Frame) bool {
	old := m.byName[f.Node]
	if old == nil || old.Instance != f.Instance {
		return false
	}
	delete(m.byName, f.Node)
	return true
}

// CutOff notes that this node was cut off, which it has reported as a loss: what
// beats were missed meanwhile says nothing more, nor does silence before now.
func (m *Members) CutOff(now time.Time) {
	for _, p := range m.byName {
		p.again, p.quiet, p.seen = true, false, now
	}
}

// Tick removes members of which nothing was heard for long, and returns their names.
func (m *Members) Tick(now time.Time) (down []string) {
	for name, p := range m.byName {
		if now.Sub(p.seen) >= m.down {
			delete(m.byName, name)
			down = append(down, name)
		}
	}
	slices.Sort(down)
	return down
}

// Elsewhere returns the instances of the members that are connected to another server
// than this one and reply to a sync.
func (m *Members) Elsewhere(server string) (instances []string) {
	for _, p := range m.byName {
		if p.Server != server && !p.quiet {
			instances = append(instances, p.Instance)
		}
	}
	return instances
}

// Quiet notes that a member did not reply to a sync: none waits for it until
// something is heard of it again, which then is a loss.
func (m *Members) Quiet(instance string) {
	for _, p := range m.byName {
		if p.Instance == instance {
			p.quiet = true
		}
	}
}

// Missing reports whether a member cannot be reached perhaps: nothing was heard of it
// for silence, or since this node was cut off. What it wants may be unknown then.
func (m *Members) Missing(now time.Time, silence time.Duration) bool {
	for _, p := range m.byName {
		if p.again || now.Sub(p.seen) > silence {
			return true
		}
	}
	return false
}

// Silence returns after how long without a word a member counts as missing, of those
// that send a beat each beat and are down after down: long before that, and not for
// one late beat.
func Silence(beat, down time.Duration) time.Duration { return max(2*beat, down*3/10) }

// Names returns the names of the other nodes.
func (m *Members) Names() []string { return slices.Sorted(maps.Keys(m.byName)) }
