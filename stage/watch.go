package stage

import (
	"slices"
	"time"
)

// The periods of the log about events that wait for something that only the program
// can do.
const (
	waitAfter = 10 * time.Second // the first line
	waitEvery = time.Minute      // the next ones
)

// waitState is why the events of a stage wait, other than for busy consumers, and since
// when. The zero value is no reason. It belongs to the stage's goroutine.
type waitState struct {
	why        string
	since      time.Time
	logged     time.Time
	deliveries int64 // when it was last looked at
}

// whyWaiting returns why events wait although no consumer is busy with others, "" if none do.
func (e *engine[In, Out]) whyWaiting() string {
	o := e.out
	waiting := o.held()
	switch {
	case e.draining || e.isDry():
		return "" // a drain ends, with or without them
	case o.paused:
		if waiting > 0 || o.disp.Demand() > 0 || e.in != nil && e.in.queue.Len() > 0 {
			return "the demand mode is Accumulate"
		}
		return ""
	case waiting == 0:
		return ""
	case o.live == 0:
		return "there is no subscriber"
	case o.orphans != nil && o.orphans.Orphans() > 0:
		return "a partition has no subscriber"
	}
	asked := false // a subscriber could be given events now
	for _, s := range o.subs {
		switch {
		case s == nil || s.supply != supplyActive:
		case s.paused():
			return "a subscriber is paused: " + s.info.Consumer
		case s.asked > 0:
			asked = true
		case s.manual:
			return "a subscriber with Manual has not asked for more: " + s.info.Consumer
		}
	}
	// The dispatcher holds events, has taken all that it may, and serves none of them.
	if asked && o.disp.Demand() == 0 {
		return "the events held for busy partitions or for parked keys leave no room for others"
	}
	return ""
}

// watch looks, each time the stage rests, whether events wait for something that only the
// program can do, and logs it when they have done so for waitAfter. It returns how long
// to wait until the next look, -1 for no limit.
func (e *engine[In, Out]) watch() time.Duration {
	o := e.out
	st := &o.wait
	if !o.paused && o.held() == 0 {
		st.why = ""
		return -1
	}
	why := e.whyWaiting()
	if why == "" {
		st.why = ""
		return -1
	}
	now := time.Now()
	if why != st.why || o.deliveries != st.deliveries && (o.orphans == nil || o.orphans.Orphans() == 0) {
		// A stage that delivers does not wait, except for what it holds for a partition
		// without a subscriber, while the others are served.
		*st = waitState{why: why, since: now, deliveries: o.deliveries}
	}
	due := st.since.Add(waitAfter)
	if !st.logged.IsZero() {
		due = st.logged.Add(waitEvery)
	}
	if left := due.Sub(now); left > 0 {
		return left
	}
	st.logged = now
	args := []any{"stage", e.name, "why", why, "events", o.held(), "demand", o.disp.Demand(), "since", st.since}
	if n := o.pins.Len(); n > 0 {
		args = append(args, "messages_behind", n)
	}
	e.log.Warn("events wait", args...)
	return waitEvery
}

// unbegun is a subscription to a producer that was not started when it joined.
type unbegun[T any] struct {
	sub   *Subscription[T]
	since time.Time
}

// watchSources logs subscriptions whose producers have not been started for waitAfter, once
// each: their consumers wait for nothing. It returns how long to wait until the next look,
// -1 for no limit.
func (e *engine[In, Out]) watchSources() time.Duration {
	if e.in == nil || len(e.in.unbegun) == 0 {
		return -1
	}
	next := time.Duration(-1)
	e.in.unbegun = slices.DeleteFunc(e.in.unbegun, func(u unbegun[In]) bool {
		if u.sub.up.begun() || u.sub.intake != intakeOpen {
			return true
		}
		left := waitAfter - time.Since(u.since)
		if left > 0 {
			next = soonest(next, left)
			return false
		}
		e.log.Warn("the producer of a subscription has not been started", "stage", e.name, "producer", u.sub.info.Producer, "since", u.since)
		return true
	})
	return next
}
