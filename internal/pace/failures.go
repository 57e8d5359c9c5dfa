package pace

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
)

// Failures bounds the log about failures of one kind, those that are repeated or those for
// good, to one line a second. Each failure is in some line: what a line leaves out is in
// the next one, or in that of Rest, at the end of the stage. The zero value is ready. It is
// not safe for concurrent use.
type Failures struct {
	lines Limiter
	last  Failure
}

// Failure is a line of the log about one or more failures, of which Err is the last.
type Failure struct {
	Err     error
	Attempt int  // of that failure, from 1 on
	Again   bool // it is repeated
	Count   int  // how many failures the line stands for; 0: no line
}

// Note counts n failures at now, a time since any fixed moment, and returns the line for
// them.
func (f *Failures) Note(now time.Duration, n int, err error, attempt int, again bool) Failure {
	f.last = Failure{Err: err, Attempt: attempt, Again: again}
	line := f.last
	line.Count = f.lines.Line(now, n)
	return line
}

// Rest returns the line for the failures that are in none yet.
func (f *Failures) Rest() Failure {
	line := f.last
	line.Count = f.lines.Rest()
	return line
}

// Log writes the line, about what, such as "event", in a stage. No lock may be held: the
// logger is the program's.
func (l Failure) Log(logger *slog.Logger, what, stage string) {
	if l.Count > 0 {
		attrs := []any{"stage", stage, "attempt", l.Attempt, "again", l.Again, "failures", l.Count, "error", l.Err}
		if stack := crash.StackOf(l.Err); stack != "" {
			attrs = append(attrs, "stack", stack)
		}
		logger.Warn(what+" failed", attrs...)
	}
}
