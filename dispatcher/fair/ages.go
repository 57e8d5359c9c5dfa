package fair

import "time"

// ages says how long the oldest waiting event has waited. Events that have come within
// a short time are counted in one cohort, by whose number their items name it: so an event
// costs two additions, and the clock is read when a cohort begins.
type ages struct {
	epoch time.Time
	// A ring: the cohort of the oldest waiting event is first, the one of new events last.
	cohorts     [256]cohort
	first, last uint8
}

// cohort is the events that have come from a time on, until that of the next cohort.
type cohort struct {
	begun   time.Duration // since the epoch of ages
	at      int64         // the same on the clock of Offer.Now
	waiting int
}

// A cohort takes events for cohortTime, or for a cohortPart-th of the age of the oldest one
// if that is longer: otherwise there would not be enough numbers for a flood that waits for
// an hour.
const (
	cohortTime = int64(10 * time.Millisecond)
	cohortPart = 16
)

// begin makes the first cohort.
func (a *ages) begin() { a.epoch = time.Now() }

// arrive begins a cohort for events that come now, on the clock of Offer.Now, if the last
// one has taken events for long enough. If all numbers are in use it goes on with the last.
func (a *ages) arrive(now int64) {
	last := &a.cohorts[a.last]
	if now-last.at < cohortTime && last.begun != 0 {
		return
	}
	for a.first != a.last && a.cohorts[a.first].waiting == 0 {
		a.first++
	}
	if now-last.at < (now-a.cohorts[a.first].at)/cohortPart && last.waiting > 0 {
		return
	}
	if last.waiting > 0 {
		if a.last+1 == a.first {
			return
		}
		a.last++
		last = &a.cohorts[a.last]
	}
	*last = cohort{begun: max(1, time.Since(a.epoch)), at: now}
}

// come counts an event that has come now, and returns the number of its cohort.
func (a *ages) come() uint8 {
	a.cohorts[a.last].waiting++
	return a.last
}

// leave counts an event as not waiting any more.
func (a *ages) leave(n uint8) { a.cohorts[n].waiting-- }

// oldest returns how long the oldest waiting event has waited, and up to cohortTime more, or
// a cohortPart-th of what it returned when that event came. It is 0 if none waits.
func (a *ages) oldest() time.Duration {
	for n := a.first; ; n++ {
		if c := &a.cohorts[n]; c.waiting > 0 {
			return time.Since(a.epoch) - c.begun
		}
		if n == a.last {
			return 0
		}
	}
}
