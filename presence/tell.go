package presence

import (
	"sort"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
)

// tell broadcasts the diffs of all changes that wait, in order, at once or when
// DiffPeriod is over. If another goroutine is telling it returns: that one takes
// these changes too. Call it without the mutex.
func (t *Tracker) tell() {
	t.mu.Lock()
	// A change that comes while another goroutine tells is in changes when that
	// one looks again.
	if t.telling || len(t.changes) == 0 {
		t.mu.Unlock()
		return
	}
	t.telling = true // until nothing waits any more
	t.mu.Unlock()
	if d := t.cfg.DiffPeriod; d > 0 {
		time.AfterFunc(d, t.tellWaiting)
	} else {
		t.tellWaiting()
	}
}

// tellWaiting tells what waits. telling is true, so no other goroutine tells at
// the same time and clients see changes in order. What comes meanwhile is told by
// a timer's goroutine, at once or after another period, so that no caller of Track
// tells for longer than one diff.
func (t *Tracker) tellWaiting() {
	t.mu.Lock()
	list := t.changes
	t.changes = nil
	t.mu.Unlock()
	t.tellOne(merge(list))
	t.mu.Lock()
	t.telling = len(t.changes) > 0
	again := t.telling
	t.mu.Unlock()
	if again {
		time.AfterFunc(t.cfg.DiffPeriod, t.tellWaiting)
	}
}

// tellOne broadcasts one change, with a diff for each topic.
func (t *Tracker) tellOne(c change) {
	for topic, diff := range c.byTopic() {
		t.tellTopic(topic, diff)
	}
}

// tellTopic broadcasts one diff. A panic of Fetch or OnDiff is logged.
func (t *Tracker) tellTopic(topic string, diff *Diff) {
	defer func() {
		if v := recover(); v != nil {
			err := crash.Of(v)
			t.logger.Error("presence callback crashed", "tracker", t.cfg.Name, "error", err, "stack", string(err.Stack))
		}
	}()
	t.fetch(topic, diff.Joins, diff.Leaves)
	if !t.cfg.Silent {
		if _, err := t.cfg.Hub.LocalBroadcast(nil, topic, "presence_diff", *diff); err != nil {
			t.logger.Warn("presence diff not broadcast", "tracker", t.cfg.Name, "error", err)
		}
	}
	if t.cfg.OnDiff != nil {
		t.cfg.OnDiff(topic, *diff)
	}
}

// fetch adds the fields of Fetch to states, with one call for the keys of all,
// which is one query for a diff. Fetch is the user's: the mutex must not be held.
func (t *Tracker) fetch(topic string, states ...State) {
	if t.cfg.Fetch == nil {
		return
	}
	seen := map[string]bool{}
	var keys []string
	for _, s := range states {
		for key := range s {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return
	}
	sort.Strings(keys)
	extra := t.cfg.Fetch(topic, keys)
	for _, s := range states {
		for key, p := range s {
			p.Extra = extra[key]
			s[key] = p
		}
	}
}
