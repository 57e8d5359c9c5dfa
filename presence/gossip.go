package presence

import "encoding/json"

// gossip is the payload of a message between trackers. Its sender is the origin of
// the message. It is JSON, so a node of a later release may add fields.
type gossip struct {
	// Process is the sender's.
	Process process `json:"process"`
	// Version is the number of changes that the sender has made and announced.
	Version uint64 `json:"v"`
	// Since is the version to which a delta applies.
	Since  uint64        `json:"since,omitempty"`
	Joins  []gossipEntry `json:"joins,omitempty"`
	Leaves []string      `json:"leaves,omitempty"` // refs
	// Part and Parts number the parts of a state or a delta that is too large for
	// one message, from 0; Parts is 0 for one that is whole. Number is the same in
	// all parts, and in no other message of the process: two states of one version
	// need not be divided alike.
	Part   int    `json:"part,omitempty"`
	Parts  int    `json:"parts,omitempty"`
	Number uint64 `json:"number,omitempty"`
	// Known is the receiver's process as the sender knows it, in gossipOutdated.
	Known *process `json:"known,omitempty"`
}

// gossipEntry is one presence on the wire: entry with names for JSON.
type gossipEntry struct {
	Ref   string          `json:"ref"`
	Topic string          `json:"topic"`
	Key   string          `json:"key"`
	Meta  json.RawMessage `json:"meta"`
}

// The events between trackers. Those that are not listed are ignored: a later
// release may send them.
const (
	gossipHeartbeat = "heartbeat" // this is my version
	gossipDelta     = "delta"     // from Since to Version
	gossipState     = "state"     // all presences of mine
	gossipRequest   = "request"   // send me your state
	gossipBye       = "bye"       // this process sends nothing more
	gossipOutdated  = "outdated"  // I know a later process of your node
)

// letter is a message to be sent, without its content. The content is made when
// the letter is sent, so a letter can wait without going stale, and a second one
// like it adds nothing. It is comparable: post keeps a set of them.
type letter struct {
	to    string // a node; empty for all
	event string
}

// write makes the content of a letter, in parts if it is large, and of a delta
// also takes what has gathered: it must be sent, or announced as missed by a
// heartbeat. The tracker's mutex is held.
func (m *machine) write(l letter) []gossip {
	// Other than a state or a delta, a message carries the version that was
	// announced last. Heartbeats with a version that no delta has brought yet
	// would make every node ask for a state.
	g := gossip{Process: m.self.process, Version: m.since}
	switch l.event {
	case gossipState:
		g.Version = m.self.version
		for _, e := range m.self.entries {
			g.Joins = append(g.Joins, gossipEntry{Ref: e.ref, Topic: e.topic, Key: e.key, Meta: e.meta})
		}
	case gossipOutdated:
		if r := m.others[l.to]; r != nil {
			g.Known = &r.process
		}
	case gossipDelta:
		g.Since, g.Version = m.since, m.self.version
		g.Joins, g.Leaves = m.joins, m.leaves
		m.joins, m.leaves, m.since = nil, nil, m.self.version
	}
	parts := g.split(m.partBytes)
	if len(parts) > 1 {
		m.number++
		for i := range parts {
			parts[i].Number = m.number
		}
	}
	return parts
}

// valid reports whether the entries are what a tracker sends: what is not is never
// shown to clients. It checks only what encodeMeta relies on; JSON itself was
// checked by the decoder.
func (g *gossip) valid() bool {
	if g.Parts != 0 && (g.Part < 0 || g.Part >= g.Parts || g.Parts > maxParts) {
		return false
	}
	for _, e := range g.Joins {
		if e.Ref == "" || len(e.Meta) == 0 || e.Meta[0] != '{' {
			return false
		}
	}
	return true
}
