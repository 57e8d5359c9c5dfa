package producer

import "time"

// unusedAfter is how long the first event of a queue may wait for its stage before that is
// logged.
const unusedAfter = 10 * time.Second

// expectStage begins to wait for the stage when the first event has been accepted. The
// caller holds the lock.
func (q *Queue[T]) expectStage() { q.unused = time.AfterFunc(unusedAfter, q.warnUnused) }

// warnUnused logs, on a timer's goroutine and at most once, that the stage has taken
// nothing: a Push into a queue that is full for that waits, and another one succeeds in
// vain.
func (q *Queue[T]) warnUnused() {
	q.mu.Lock()
	events, waiting, runs := q.events.Len(), q.gate.blocked, q.self != nil
	silent := q.closed || q.taken > 0 || events == 0
	q.mu.Unlock()
	if silent {
		return
	}
	why := "no stage runs with this queue: was its pipeline run?"
	if runs {
		why = "its stage has asked for none: does a stage that runs subscribe to it?"
	}
	q.refused.log.Warn("events wait in a queue from which nothing was taken", "why", why,
		"events", events, "pushes_waiting", waiting, "capacity", q.cfg.Capacity, "after", unusedAfter)
}
