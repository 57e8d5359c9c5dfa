package pipeline

import (
	"time"

	"github.com/penstock-go/penstock/retry"
)

// batchWork is a closed batch on its way through a function, until each of its events has
// an end. It is the content of a job of a pool, and belongs to the goroutine that the job
// does. What follows from an attempt is a pure decision, but for the policy's functions.
type batchWork[T, P any] struct {
	key     string
	trigger Trigger
	size    int // of the whole batch
	// parts are what is left of it. The last one is next.
	parts []batchPart[T, P]
	// ends are those of the attempts since it was emptied.
	ends []batchEnd[T, P]
	// failed counts events that have failed for good, of which err is the last error, and
	// given those whose ends were passed on before the end of the job.
	failed, given int
	err           error
	out           any   // what the last attempt has returned, of MapBatch
	bad           error // of an event that is in no batch, since a function of the program has panicked for it
}

// batchPart is the part of a batch that one attempt is for: all of it, one half, or the
// events that have failed alone.
type batchPart[T, P any] struct {
	events   []T
	places   []P
	attempts int           // those that count
	tries    int           // all of them
	last     bool          // one more attempt counts: it is half of a batch that has failed
	half     bool          // it is one that was not tried yet
	pause    time.Duration // before the next attempt; of a half, if that follows one that has failed
	first    time.Time     // of the first failure; zero if there was none
}

// batchEnd is the end of events of a batch.
type batchEnd[T, P any] struct {
	events []T
	places []P
	out    any // what the attempt has returned, of MapBatch
	at     int // the index of the first of the events in the attempt's
	// err is nil if they were handled, and a *stage.DiscardError if they were dropped on
	// purpose. Otherwise failed is set: they have failed for good.
	err    error
	failed bool
	tries  int
	first  time.Time // of the first failure
	cost   time.Duration
}

// begin makes w the work on a closed batch.
func (w *batchWork[T, P]) begin(b *gathered[T, P]) {
	*w = batchWork[T, P]{
		key: b.key, trigger: b.trigger, size: len(b.events), ends: w.ends[:0],
		parts: append(w.parts[:0], batchPart[T, P]{events: b.events, places: b.places}),
	}
}

// wipe makes w refer to no event any more.
func (w *batchWork[T, P]) wipe() {
	clear(w.parts[:cap(w.parts)])
	clear(w.ends)
	*w = batchWork[T, P]{parts: w.parts[:0], ends: w.ends[:0]}
}

// top is the part that is next.
func (w *batchWork[T, P]) top() *batchPart[T, P] { return &w.parts[len(w.parts)-1] }

// batchPolicy is what decides about attempts that have failed.
type batchPolicy struct {
	retry retry.Policy
	split bool
}

// judge takes the end of the attempt at the top part, which ended with err, at now. What
// becomes of its events is in ends, and in parts if there is another attempt for them.
func (w *batchWork[T, P]) judge(policy batchPolicy, now time.Time, err error, cost time.Duration) {
	p := *w.top()
	w.parts = w.parts[:len(w.parts)-1]
	p.pause, p.half = 0, false
	n := len(p.events)
	cost /= time.Duration(n)
	p.tries++
	v := batchVerdictOf(err, n)
	if v.failed == nil && len(v.some) == 0 {
		w.end(p, 0, n, v.whole, false, cost)
		return
	}
	if p.first.IsZero() {
		p.first = now
	}
	if v.failed == nil {
		w.judgeSome(policy, p, v.some, cost)
		return
	}
	pause, again, counts, failed := policy.next(p.attempts+1, p.last, v.failed)
	switch {
	case again:
		if counts {
			p.attempts++
		}
		p.pause = pause
		w.parts = append(w.parts, p)
	case policy.split && n > 1 && failed == v.failed:
		// The first half is next, hence the last one.
		for _, half := range [2][2]int{{n / 2, n}, {0, n / 2}} {
			h := p
			h.events, h.places = p.events[half[0]:half[1]:half[1]], p.places[half[0]:half[1]:half[1]]
			h.last, h.half, h.pause = true, true, policy.retry.Pause(1)
			w.parts = append(w.parts, h)
		}
	default:
		w.end(p, 0, n, failed, true, cost)
	}
}

// next is as that of the policy. A half of a batch has but one attempt that counts. failed
// is err, or the panic of a function of the policy, which ends the attempts.
func (policy batchPolicy) next(attempt int, last bool, err error) (pause time.Duration, again, counts bool, failed error) {
	failed = err
	panicked := askRetry(policy.retry, func() { pause, again, counts = policy.retry.Next(attempt, err) })
	if panicked != nil {
		return 0, false, true, panicked
	}
	return pause, again && !(counts && last), counts, failed
}

// judgeSome decides about a part of which single events have failed. Those that are tried
// again do so together, without the others; those whose attempt did not count are a part
// of their own.
func (w *batchWork[T, P]) judgeSome(policy batchPolicy, p batchPart[T, P], some map[int]error, cost time.Duration) {
	counted, uncounted := p, p
	counted.attempts++
	for _, r := range []*batchPart[T, P]{&counted, &uncounted} {
		r.events, r.places = nil, nil
	}
	from := 0 // of the handled events that have no end yet
	for i := range p.events {
		err := some[i]
		if err == nil {
			continue
		}
		w.end(p, from, i, nil, false, cost)
		from = i + 1
		if discarded(err) {
			w.end(p, i, i+1, err, false, cost)
			continue
		}
		pause, again, counts, failed := policy.next(p.attempts+1, p.last, err)
		if !again {
			w.end(p, i, i+1, failed, true, cost)
			continue
		}
		r := &uncounted
		if counts {
			r = &counted
		}
		r.events, r.places = append(r.events, p.events[i]), append(r.places, p.places[i])
		r.pause = max(r.pause, pause)
	}
	w.end(p, from, len(p.events), nil, false, cost)
	for _, r := range []batchPart[T, P]{uncounted, counted} {
		if len(r.events) > 0 {
			w.parts = append(w.parts, r)
		}
	}
}

// end notes the end of the events from lo to hi-1 of a part.
func (w *batchWork[T, P]) end(p batchPart[T, P], lo, hi int, err error, failed bool, cost time.Duration) {
	if lo == hi {
		return
	}
	w.ends = append(w.ends, batchEnd[T, P]{
		events: p.events[lo:hi], places: p.places[lo:hi], out: w.out, at: lo, err: err, failed: failed,
		tries: p.tries, first: p.first, cost: cost,
	})
	if failed {
		w.failed += hi - lo
		w.err = err
	}
}

// giveUp ends all that is left as failed with err: the goroutine that worked on it has
// ended.
func (w *batchWork[T, P]) giveUp(now time.Time, err error) {
	for _, p := range w.parts {
		if p.first.IsZero() {
			p.first = now
		}
		p.tries++
		w.end(p, 0, len(p.events), err, true, 0)
	}
	w.parts = w.parts[:0]
}
