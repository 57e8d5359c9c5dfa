package series

import (
	"sync"
	"sync/atomic"
	"time"
)

// Series is one time series; it embeds an [Entry].
type Series interface{ Base() *Entry }

// The states of an entry. A new one is out.
const (
	out   uint32 = iota // not in the table
	live                // in the table
	ended               // in the table; its owner has ended
)

// Entry is what all series have. It belongs to one table.
type Entry struct {
	table *Table
	key   string
	state atomic.Uint32
	// endedAt and seenAt are the times of the last End and of the last collection, in Unix
	// nanoseconds.
	endedAt, seenAt atomic.Int64
	// tried is the table's turn at the last search for room that has found none.
	tried atomic.Int64
}

// Base returns e.
func (e *Entry) Base() *Entry { return e }

// Live reports whether the series is in the table and its owner has not ended. It is for
// each use; if it returns false, the value belongs to what [Use] returns.
func (e *Entry) Live() bool { return e.state.Load() == live }

// End implements metrics.Ender.
func (e *Entry) End() {
	e.endedAt.Store(time.Now().UnixNano())
	if e.state.CompareAndSwap(live, ended) {
		e.table.turn.Add(1)
	}
}

// Use is [Table.Use] of the table of one.
func Use(one Series) Series { return one.Base().table.Use(one) }

// Target returns the series that a use of one that is not live belongs to, or nil if there is no
// room, which counts as refused. to is the one of the last time, so that only the first use after
// a removal takes the lock.
func Target[S any, P interface {
	*S
	Series
}](one P, to *atomic.Pointer[S], refused *atomic.Int64) P {
	if last := P(to.Load()); last != nil && last.Base().Live() {
		return last
	}
	found, ok := Use(one).(P)
	if !ok {
		refused.Add(1)
		return nil
	}
	if found != one {
		to.Store((*S)(found))
	}
	return found
}

// Table keeps at most max series. All methods are safe for concurrent use.
type Table struct {
	max    int
	linger time.Duration
	// turn goes up when a search for room could have another result than before. Without it
	// each use of a series that is out would take the lock in vain.
	turn atomic.Int64

	mu      sync.Mutex // guards what follows
	byKey   map[string]Series
	refused int64 // series that found no room when they were made
	removed int64
}

// New returns an empty table. A series whose owner has ended leaves the table once it was
// collected afterwards and linger has passed, or when another one needs its place.
func New(max int, linger time.Duration) *Table {
	t := &Table{max: max, linger: linger, byKey: make(map[string]Series)}
	t.turn.Store(1)
	return t
}

// Get returns the series of that key, made by create if there is none, and reports whether
// it is in the table: there may be no room. A series whose owner has ended is live again.
func (t *Table) Get(key string, create func() Series) (Series, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have, ok := t.byKey[key]; ok {
		have.Base().state.Store(live)
		return have, true
	}
	made := create()
	e := made.Base()
	e.table, e.key = t, key
	if !t.attach(made) {
		t.refused++
		return made, false
	}
	return made, true
}

// Use returns the series that a value for one belongs to: one itself, which is live
// again, or another one of its key that was made since one was removed. It returns nil if
// there is no room.
func (t *Table) Use(one Series) Series {
	e := one.Base()
	if e.state.CompareAndSwap(ended, live) || e.Live() {
		return one
	}
	if e.tried.Load() == t.turn.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if have, ok := t.byKey[e.key]; ok {
		have.Base().state.Store(live)
		return have
	}
	if !t.attach(one) {
		return nil
	}
	return one
}

// attach adds a series and reports whether there was room. The caller holds the lock.
func (t *Table) attach(one Series) bool {
	e := one.Base()
	// Read before the search: what ends meanwhile lets the next use search again.
	turn := t.turn.Load()
	if len(t.byKey) >= t.max && !t.giveWay() {
		e.tried.Store(turn)
		return false
	}
	t.byKey[e.key] = one
	e.state.Store(live)
	t.turn.Add(1)
	return true
}

// giveWay removes a series whose owner has ended, the one that has ended first, and
// reports whether there was one. The caller holds the lock.
func (t *Table) giveWay() bool {
	var first *Entry
	for _, one := range t.byKey {
		if e := one.Base(); e.state.Load() == ended && (first == nil || e.endedAt.Load() < first.endedAt.Load()) {
			first = e
		}
	}
	return first != nil && t.remove(first)
}

// remove removes a series unless it was used again, and reports whether it did. The caller
// holds the lock.
func (t *Table) remove(e *Entry) bool {
	if !e.state.CompareAndSwap(ended, out) {
		return false
	}
	delete(t.byKey, e.key)
	t.removed++
	t.turn.Add(1)
	return true
}

// Collect calls f with each series that is wanted, all if wanted is nil, after it has removed
// those of them that have ended and were collected since. The order is random. f is called
// without the lock, wanted with it.
func (t *Table) Collect(wanted func(Series) bool, f func(Series)) {
	now := time.Now()
	t.mu.Lock()
	all := make([]Series, 0, len(t.byKey))
	for _, one := range t.byKey {
		if wanted != nil && !wanted(one) {
			continue
		}
		e := one.Base()
		if at := e.endedAt.Load(); e.state.Load() == ended && e.seenAt.Load() >= at && now.UnixNano()-at >= int64(t.linger) && t.remove(e) {
			continue
		}
		e.seenAt.Store(now.UnixNano())
		all = append(all, one)
	}
	t.mu.Unlock()
	for _, one := range all {
		f(one)
	}
}

// Counts returns how many series there are, how many found no room when they were made,
// and how many were removed.
func (t *Table) Counts() (series int, refused, removed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey), t.refused, t.removed
}
