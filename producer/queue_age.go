package producer

import (
	"slices"
	"time"
)

// maxMarks bounds the snapshots that ages remembers.
const maxMarks = 64

// ages finds out how long the first event of a queue has waited from the counts of
// snapshots alone, so that a push needs no clock.
type ages struct {
	marks []mark // those at which the first event was there already, in order
}

// mark is how many events had entered the queue by the time of a snapshot.
type mark struct {
	at     time.Time
	pushed int64
}

// oldest notes the counts of a snapshot, of which gone events have left the queue, and
// returns how long the first one of the others has waited at least.
func (a *ages) oldest(now time.Time, gone, pushed int64) (age time.Duration) {
	there := slices.IndexFunc(a.marks, func(m mark) bool { return m.pushed > gone })
	if there < 0 {
		there = len(a.marks)
	}
	a.marks = slices.Delete(a.marks, 0, there)
	if len(a.marks) > 0 {
		age = now.Sub(a.marks[0].at)
	}
	if n := len(a.marks); pushed > gone && (n == 0 || a.marks[n-1].pushed < pushed) {
		a.marks = append(a.marks, mark{now, pushed})
	}
	if len(a.marks) > maxMarks {
		// Of an old queue every second snapshot is enough.
		kept := a.marks[:0]
		for i := 0; i < len(a.marks); i += 2 {
			kept = append(kept, a.marks[i])
		}
		a.marks = kept
	}
	return age
}
