package websocket

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"
)

// logLimit passes on a bounded number of lines of each kind in a second. The kind
// is the message, of which this package has a handful.
type logLimit struct {
	next  slog.Handler
	state *logState
}

// logState is what all handlers derived from one logger share, so that
// attributes do not multiply the rate.
type logState struct {
	rate int
	mu   sync.Mutex
	// Guarded by mu, as are the kinds in it. It never shrinks: there are few messages.
	kinds map[string]*logKind
}

// logKind counts the lines with one message.
type logKind struct {
	second  time.Time // when the present second began
	n       int       // lines in it
	leftOut int       // lines suppressed since the last one that was passed on
}

// quieter is how many times more lines below the level warn may pass: they are for
// following single clients, and off unless the program wants them.
const quieter = 100

// newLogLimit returns a handler that passes on rate lines of each kind in a
// second.
func newLogLimit(next slog.Handler, rate int) logLimit {
	return logLimit{next, &logState{rate: rate, kinds: make(map[string]*logKind)}}
}

// Enabled implements slog.Handler.
func (l logLimit) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l logLimit) Handle(ctx context.Context, r slog.Record) error {
	l.state.mu.Lock()
	k := l.state.kinds[r.Message]
	if k == nil {
		k = &logKind{}
		l.state.kinds[r.Message] = k
	}
	// A time before the second, as after a step of the clock, begins a new one.
	if d := r.Time.Sub(k.second); d < 0 || d >= time.Second {
		k.second, k.n = r.Time, 0
	}
	k.n++
	rate := l.state.rate
	if r.Level < slog.LevelWarn {
		rate = max(rate, min(rate, math.MaxInt/quieter)*quieter)
	}
	pass := k.n <= rate
	leftOut := k.leftOut
	if pass {
		k.leftOut = 0
	} else {
		k.leftOut++
	}
	// The lock is not held while the next handler writes.
	l.state.mu.Unlock()
	if !pass {
		return nil
	}
	// The next line that passes says how many were suppressed before it.
	if leftOut > 0 {
		r.AddAttrs(slog.Int("left_out", leftOut))
	}
	return l.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l logLimit) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logLimit{l.next.WithAttrs(attrs), l.state}
}

// WithGroup implements slog.Handler.
func (l logLimit) WithGroup(name string) slog.Handler {
	return logLimit{l.next.WithGroup(name), l.state}
}
