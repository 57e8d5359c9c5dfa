package stage

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// warnEvery is the least time between two lines of a stage's log about the same thing.
const warnEvery = time.Second

// losses is what of an outlet's counts was logged. What is counted within a second of a
// line is logged when the second is over, also by a stage that rests, or at the end: no
// loss is left out of the log. It belongs to the stage's goroutine.
type losses struct {
	fresh     bool // there may be something to log
	at        time.Time
	logged    map[receipt.Reason]int64
	abandoned int64
	growth    int  // the size of the buffer that is logged next
	grown     bool // the buffer has reached it, with events emitted without demand
	misused   uint64
}

func newLosses() losses {
	return losses{logged: make(map[receipt.Reason]int64), growth: DefaultBufferSize}
}

// due returns how long to wait until the next line may be logged.
func (l *losses) due() time.Duration { return max(0, warnEvery-time.Since(l.at)) }

// grow takes note of the size of the buffer after an emission without demand.
func (l *losses) grow(size int) {
	if size >= l.growth {
		l.fresh, l.grown = true, true
	}
}

// abandonedNow counts deliveries whose consumer has ended before it had handled them.
func (o *outlet[T]) abandonedNow(n int) {
	if n > 0 {
		o.abandoned += int64(n)
		o.losses.fresh = true
	}
}

// noteLosses logs at the end of a round what there is to log, if it is time to.
func (o *outlet[T]) noteLosses() {
	if o.misuses != nil {
		n, _ := o.misuses.Misused()
		o.losses.fresh = o.losses.fresh || n != o.losses.misused
	}
	if o.losses.fresh {
		o.logLosses(false)
	}
}

// logLosses logs what was discarded or abandoned since the last lines, one line for each
// reason, unless these are less than a second ago and it is not the end of the stage.
func (o *outlet[T]) logLosses(end bool) {
	l := &o.losses
	if !l.fresh || !end && l.due() > 0 {
		return
	}
	l.fresh, l.at = false, time.Now()
	for _, reason := range slices.Sorted(maps.Keys(o.lost)) {
		total := o.lost[reason]
		n := total - l.logged[reason] // since the last line about this reason
		if n == 0 {
			continue
		}
		l.logged[reason] = total
		level := slog.LevelWarn
		if reason == receipt.Conflated {
			level = slog.LevelDebug // not a loss: a newer event has taken the place
		}
		o.log.Log(context.Background(), level, "events discarded",
			"stage", o.stage, "reason", string(reason), "events", n, "total", total)
	}
	if n := o.abandoned - l.abandoned; n > 0 {
		l.abandoned = o.abandoned
		o.log.Warn("events abandoned: their consumer has ended without a receipt for them",
			"stage", o.stage, "events", n, "total", o.abandoned)
	}
	if o.misuses != nil {
		if n, function := o.misuses.Misused(); n != l.misused {
			o.log.Warn("a function of the dispatcher's options has returned values that were replaced",
				"stage", o.stage, "function", function, "values", n-l.misused, "total", n)
			l.misused = n
		}
	}
	if l.grown {
		l.grown = false
		for l.growth <= o.buf.len() {
			l.growth *= 2 // the number of lines grows with the logarithm of the buffer
		}
		o.log.Warn("events emitted without demand wait in the buffer", "stage", o.stage, "events", o.buf.len())
	}
}
