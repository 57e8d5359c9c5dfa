package presence

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pubsub"
)

// teller is what waits to be told to clients. The tracker's mutex guards it.
//
// Changes are told in rounds: a round takes all that is due, merges it, and
// broadcasts a diff for each topic. One goroutine goes through a round; there is
// none while nothing waits. So the diffs of a topic are in the order of the changes, and
// nothing that a round calls holds up those who make changes.
type teller struct {
	waiting []change // for a later round
	telling bool     // a round goes on, or will begin
	// Clients whose next part of a state waits for a round.
	streams []*stream
	paces   paces          // which topics a round takes
	changes map[string]int // of the present round by topic; nil if no pace follows from it
	timer   *time.Timer    // begins the next round, unless nil; it is due at this time
	due     time.Duration  // on the clock of Tracker.made
	// Closed when the next round, or the present one, is over. They are nil unless
	// Settle waits for them.
	next, now chan struct{}
}

// round is the diffs of one round that are still to be told. The goroutine that
// goes through it owns it.
type round struct {
	todo []*telling
	busy string // the topic that is being told, or ""
}

// telling is a diff on its way to clients, or, if it is for streams, a part of a
// state on its way to those.
type telling struct {
	topic   string
	diff    *Diff
	streams []*stream
	encoded pubsub.Payload // of a part, once it is encoded
	fetched *fetched       // nil before Fetch is called
}

// tell notes a change, and begins a round unless one goes on. The mutex is held.
func (t *Tracker) tell(c change) {
	t.teller.waiting = append(t.teller.waiting, c)
	t.wakeTeller(t.teller.paces.ofChange(c, time.Since(t.made)))
}

// wakeTeller has a round begin after a wait at the latest, unless one goes on, which looks
// again at its end. The mutex is held.
func (t *Tracker) wakeTeller(wait time.Duration) {
	switch {
	case !t.teller.telling:
		t.teller.telling = true
		t.beginRound(wait)
	case t.cfg.DiffPeriod > 0 || t.teller.timer == nil || time.Since(t.made)+wait >= t.teller.due:
	case t.teller.timer.Stop(): // else the round begins already
		t.beginRound(wait)
	}
}

// beginRound begins a round after a wait, or when DiffPeriod is over. The mutex is held.
func (t *Tracker) beginRound(wait time.Duration) {
	t.teller.timer = nil
	if t.cfg.DiffPeriod > 0 {
		wait = t.cfg.DiffPeriod
	}
	if wait > 0 {
		t.teller.due = time.Since(t.made) + wait
		t.teller.timer = time.AfterFunc(wait, t.tellWaiting)
	} else {
		go t.tellWaiting()
	}
}

// tellWaiting is the goroutine of a round.
func (t *Tracker) tellWaiting() {
	t.mu.Lock()
	t.teller.timer = nil
	now := time.Since(t.made)
	// Settle waits for all that waits.
	due := func(topic string) bool { return t.teller.next != nil || t.teller.paces.wait(topic, now) == 0 }
	list := t.teller.waiting
	t.teller.waiting = nil
	if len(t.teller.paces) > 0 {
		list, t.teller.waiting = divide(list, due)
	}
	t.teller.changes = nil
	if t.cfg.DiffPeriod == 0 && (len(list) >= crowdChanges || len(t.teller.paces) > 0) {
		t.teller.changes = countByTopic(list)
	}
	parts := t.parts(due) // of what clients know once these changes have been told
	t.teller.now, t.teller.next = t.teller.next, nil
	t.mu.Unlock()
	t.goThrough(&round{todo: append(merge(list).byTopic(), parts...)})
}

// goThrough tells what is left of a round. Fetch is called ahead for a few topics,
// so that one that takes long delays a round with many topics by little.
func (t *Tracker) goThrough(r *round) {
	defer t.endRound(r)
	for len(r.todo) > 0 {
		for _, ahead := range r.todo[:min(fetchAhead, len(r.todo))] {
			if ahead.fetched == nil {
				ahead.fetched = t.beginFetch(ahead.topic, ahead.diff.Joins, ahead.diff.Leaves)
			}
		}
		first := r.todo[0]
		r.busy = first.topic
		// A diff is told once. A part stays until all of its clients have been pushed
		// to, since a push can end the goroutine.
		if first.streams == nil {
			r.todo = r.todo[1:]
		}
		t.tellTopic(first)
		if first.streams != nil {
			r.todo = r.todo[1:]
		}
		r.busy = ""
	}
}

// endRound begins the next round if there is something to tell. It also runs if a
// subscriber or OnDiff has ended the goroutine: then another one takes its place.
func (t *Tracker) endRound(r *round) {
	if r.busy != "" {
		t.crashed(r.busy, crash.ErrGoexit)
		r.busy = ""
	}
	if len(r.todo) > 0 {
		go t.goThrough(r)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.teller.now != nil {
		close(t.teller.now)
		t.teller.now = nil
	}
	now := time.Since(t.made)
	t.teller.paces.round(t.teller.changes, now)
	if t.teller.telling = len(t.teller.waiting)+len(t.teller.streams) > 0; t.teller.telling {
		t.beginRound(t.leastWait(now))
	}
}

// leastWait returns how long it takes until the first of what waits is due. The mutex is
// held.
func (t *Tracker) leastWait(now time.Duration) time.Duration {
	least := maxWindow
	for _, c := range t.teller.waiting {
		if least = min(least, t.teller.paces.ofChange(c, now)); least == 0 {
			return 0
		}
	}
	for _, s := range t.teller.streams {
		least = min(least, t.teller.paces.wait(s.topic, now))
	}
	return least
}

// slowDiff is how long a diff may take before the log says so: later ones wait.
const slowDiff = 10 * time.Second

// tellTopic broadcasts one diff. Fetch, subscribers and OnDiff are the user's: the
// mutex must not be held.
func (t *Tracker) tellTopic(one *telling) {
	slow := time.AfterFunc(slowDiff, func() {
		t.logs.slow.Log(t.logger, slog.LevelWarn, "presence diff is held up by a subscriber, Fetch or OnDiff", "tracker", t.cfg.Name, "topic", one.topic)
	})
	defer slow.Stop()
	t.endFetch(one.fetched, one.topic, one.diff.Joins, one.diff.Leaves)
	one.fetched = nil
	if one.streams != nil {
		t.pushPart(one)
		return
	}
	if !t.cfg.Silent {
		t.guard(one.topic, func() { t.broadcast(one.topic, one.diff) })
	}
	if t.cfg.OnDiff != nil {
		t.guard(one.topic, func() { t.cfg.OnDiff(one.topic, *one.diff) })
	}
}

// broadcast broadcasts a diff. Fields of Fetch that cannot be encoded are left out:
// clients would miss the change otherwise.
func (t *Tracker) broadcast(topic string, diff *Diff) {
	_, err := t.cfg.Hub.LocalBroadcast(nil, topic, "presence_diff", *diff)
	if err != nil && withoutUnfit(diff.Joins, diff.Leaves) {
		t.unfetched(topic, err)
		_, err = t.cfg.Hub.LocalBroadcast(nil, topic, "presence_diff", *diff)
	}
	if err != nil {
		t.counters.diffsFailed.Add(1)
		t.logs.diff.Log(t.logger, slog.LevelWarn, "presence diff not broadcast", "tracker", t.cfg.Name, "topic", topic, "error", err)
		return
	}
	t.counters.diffs.Add(1)
}

// withoutUnfit removes the fields of Fetch that cannot be encoded, and reports
// whether there were any.
func withoutUnfit(states ...State) (removed bool) {
	for _, s := range states {
		for key, p := range s {
			if len(p.Extra) == 0 {
				continue
			}
			fit := make(map[string]any, len(p.Extra))
			for name, v := range p.Extra {
				// As a part of something else, as it will be: Encode takes bytes alone
				// for JSON. It returns a panic of MarshalJSON as an error.
				if _, err := pubsub.Encode(map[string]any{name: v}); err != nil {
					removed = true
					continue
				}
				fit[name] = v
			}
			p.Extra = fit
			s[key] = p
		}
	}
	return removed
}

// guard calls user code. A panic is logged.
func (t *Tracker) guard(topic string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			t.crashed(topic, crash.Of(v))
		}
	}()
	f()
}

// crashed counts and logs a panic of user code, or an end of its goroutine.
func (t *Tracker) crashed(topic string, err error) {
	t.counters.crashed.Add(1)
	t.logs.crashed.Log(t.logger, slog.LevelError, "presence callback crashed", "tracker", t.cfg.Name, "topic", topic, "error", err, "stack", crash.StackOf(err))
}

// Settle waits until the diffs of all changes made before the call have been
// broadcast and OnDiff has returned, for DiffPeriod also, or until ctx is done,
// which is the error. It must not be called in Fetch, OnDiff or a subscriber.
func (t *Tracker) Settle(ctx context.Context) error {
	t.mu.Lock()
	var over *chan struct{}
	switch {
	// The next round closes next. A present one began without what waits, and one that
	// has not begun yet, for clients of PushState perhaps, has no channel in now.
	case len(t.teller.waiting)+len(t.teller.streams) > 0:
		over = &t.teller.next
	case t.teller.telling:
		over = &t.teller.now
	default:
		t.mu.Unlock()
		return nil
	}
	if *over == nil {
		*over = make(chan struct{})
	}
	wait := *over
	t.mu.Unlock()
	select {
	case <-wait:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
