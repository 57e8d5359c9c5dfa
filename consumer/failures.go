package consumer

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/pace"
)

// failures bounds the log about failures of one kind, those that are repeated or those for
// good, to one line a second. Each failure is in some line: what a line leaves out is in
// the next one, or in that of rest, when the stage ends. Calls must not overlap.
type failures struct {
	lines pace.Limiter
	last  failureLine
}

// failureLine is a line of the log about count failures, of which err is the last.
type failureLine struct {
	err     error
	attempt int  // of that failure, from 1 on
	again   bool // it is repeated
	count   int  // 0: no line
}

// note counts n failures at now, a time since the start of the stage, and returns the line
// for them.
func (f *failures) note(now time.Duration, n int, err error, attempt int, again bool) failureLine {
	f.last = failureLine{err: err, attempt: attempt, again: again}
	line := f.last
	line.count = f.lines.Line(now, n)
	return line
}

// rest returns the line for the failures that are in none yet.
func (f *failures) rest() failureLine {
	line := f.last
	line.count = f.lines.Rest()
	return line
}

// log writes the line, about what, without a lock: the logger is the program's.
func (l failureLine) log(logger *slog.Logger, what, stage string) {
	if l.count > 0 {
		logger.Warn(what+" failed", "stage", stage, "attempt", l.attempt, "again", l.again, "failures", l.count, "error", l.err)
	}
}
