package presence

import (
	"maps"
	"slices"
)

// Snapshot is the state of a tracker at one moment. Counters begin with it.
type Snapshot struct {
	// Node is the name of this node, Presences the number of presences that it
	// tracks itself.
	Node      string `json:"node"`
	Presences int    `json:"presences"`
	// Up are other nodes whose presences are visible, Down those that are silent.
	Up   []string `json:"up"`
	Down []string `json:"down"`
	// Waiting messages are to be sent. Sent and Failed count attempts; what failed
	// is sent again. Dropped found no room.
	Waiting int   `json:"waiting"`
	Sent    int64 `json:"sent"`
	Failed  int64 `json:"failed"`
	Dropped int64 `json:"dropped"`
	// Malformed messages of other nodes were ignored.
	Malformed int64 `json:"malformed"`
}

// Snapshot returns the state of the tracker. It may be called at any time. It
// waits for the tracker's mutex, under which nothing slow is done.
func (t *Tracker) Snapshot() Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Snapshot{
		Node: t.machine.self.name, Presences: len(t.tracked), Waiting: len(t.post.waiting),
		Sent: t.post.sent.Load(), Failed: t.post.failed.Load(), Dropped: t.post.dropped.Load(), Malformed: t.malformed.Load(),
	}
	for _, name := range slices.Sorted(maps.Keys(t.machine.others)) {
		switch t.machine.others[name].phase {
		case up:
			s.Up = append(s.Up, name)
		case down:
			s.Down = append(s.Down, name)
		}
	}
	return s
}
