package statsdserver

import (
	"slices"
	"time"
)

const (
	// idleEnd is the time without a line after which a series gives way to another one
	// when there are as many as allowed. Senders repeat no gauge that stays, so one that
	// is not 0 has standingEnd.
	idleEnd     = time.Minute
	standingEnd = 5 * time.Minute
	// searchAgain is the time after which a search for such series is repeated when it
	// has found none: it looks at all of them.
	searchAgain = time.Second
)

// makeRoom removes idle series, the least recently used first, up to a sixteenth of the
// bound, so that the search is rare. It reports whether it has removed one. The mutex is
// held.
func (a *Aggregate) makeRoom(now time.Duration) bool {
	if now < a.searchAt {
		return false
	}
	var idle []id
	for key, v := range a.series {
		end := idleEnd
		if key.kind == Gauge && v.number != 0 {
			end = standingEnd
		}
		if now-v.used >= end {
			idle = append(idle, key)
		}
	}
	if len(idle) == 0 {
		a.searchAt = now + searchAgain
		return false
	}
	slices.SortFunc(idle, func(x, y id) int { return int(a.series[x].used - a.series[y].used) })
	for _, key := range idle[:min(len(idle), max(1, a.maxSeries/16))] {
		delete(a.series, key)
		a.removed++
	}
	return true
}
