// Package pace bounds how often a repeated event is logged.
package pace

import "time"

// Every is the time between two lines about the same kind of event.
const Every = time.Second

// Limiter lets one line a second through and counts what the line stands for. The
// zero value is ready. It is not safe for concurrent use.
type Limiter struct {
	begun bool
	at    time.Duration // of the last line
	count int           // occurrences since then
}

// Line counts n occurrences at now, a time since any fixed moment, and returns how many
// the line for them stands for, or 0 if they get no line of their own. The first
// occurrence always has one.
func (l *Limiter) Line(now time.Duration, n int) int {
	l.count += n
	if l.begun && now-l.at < Every {
		return 0
	}
	count := l.count
	*l = Limiter{begun: true, at: now}
	return count
}

// Rest returns how many occurrences no line stands for yet, and forgets them: they are
// logged at the end of their owner.
func (l *Limiter) Rest() int {
	n := l.count
	l.count = 0
	return n
}

// Logged is an error that was logged already by the code that returns it: a stage counts it,
// and leaves it out of its own lines.
type Logged struct{ Err error }

// Error implements error.
func (l Logged) Error() string { return l.Err.Error() }

// Unwrap returns Err.
func (l Logged) Unwrap() error { return l.Err }
