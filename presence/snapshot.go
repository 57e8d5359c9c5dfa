package presence

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/complain"
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
	// Malformed messages of other nodes were ignored, and Unknown ones, which a later
	// release may send.
	Malformed int64 `json:"malformed"`
	Unknown   int64 `json:"unknown"`
	// Diffs were broadcast, DiffsFailed could not be. Unfetched counts the calls of
	// Fetch that failed, took too long or were left out: what clients got then
	// lacks its fields. Crashed counts panics of OnDiff and subscribers.
	Diffs       int64 `json:"diffs"`
	DiffsFailed int64 `json:"diffs_failed"`
	Unfetched   int64 `json:"unfetched"`
	Crashed     int64 `json:"crashed"`
}

// counters of a tracker, besides those of its post.
type counters struct{ malformed, unknown, diffs, diffsFailed, unfetched, crashed atomic.Int64 }

// logs bounds the lines, by kind.
type logs struct{ malformed, unknown, idle, notSent, diff, fetch, crashed, slow complain.Limit }

// Snapshot returns the state of the tracker. It may be called at any time. It
// waits for the tracker's mutex, under which nothing slow is done.
func (t *Tracker) Snapshot() Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Snapshot{
		Node: t.machine.self.name, Presences: len(t.tracked), Waiting: len(t.post.waiting),
		Sent: t.post.sent.Load(), Failed: t.post.failed.Load(), Dropped: t.post.dropped.Load(), Malformed: t.counters.malformed.Load(), Unknown: t.counters.unknown.Load(),
		Diffs: t.counters.diffs.Load(), DiffsFailed: t.counters.diffsFailed.Load(), Unfetched: t.counters.unfetched.Load(), Crashed: t.counters.crashed.Load(),
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
