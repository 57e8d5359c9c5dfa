package stage

import (
	"time"

	"github.com/penstock-go/penstock/internal/pace"
)

// tally counts events that are logged at most once a second. What a line leaves out is in
// the next one, which is due a second later, also in a stage that rests, or at its end.
type tally struct {
	total, logged int64
	at            time.Time // of the last line
	err           error     // the last one
}

// add counts n events. Those of an error that was logged already have no line here.
func (t *tally) add(n int, err error) {
	t.total += int64(n)
	if _, logged := err.(pace.Logged); logged {
		t.logged += int64(n)
		return
	}
	t.err = err
}

// due returns how long to wait until there is a line to log, negative if there is none.
func (t *tally) due() time.Duration {
	if t.total == t.logged {
		return -1
	}
	return max(0, warnEvery-time.Since(t.at))
}

// take returns the number of events that a line stands for now, 0 if none is due. At the
// end of a stage all are due.
func (t *tally) take(end bool) (n int64) {
	if due := t.due(); due < 0 || due > 0 && !end {
		return 0
	}
	n, t.logged, t.at = t.total-t.logged, t.total, time.Now()
	return n
}

// logTallies logs the inputs that have failed alone and the events that belong to no input,
// if it is time to.
func (e *engine[In, Out]) logTallies(end bool) {
	if e.in == nil {
		return
	}
	if f := &e.in.failures; f.take(end) > 0 {
		e.log.Warn("event failed", "stage", e.name, "failed", f.total, "error", f.err)
	}
	if n := e.in.unowned.take(end); n > 0 {
		e.log.Warn("events emitted for no input: all inputs of the call are held or have failed, and For was not called",
			"stage", e.name, "events", n, "total", e.in.unowned.total)
	}
}
