// Package complain bounds log lines about what others can cause as often as they
// like.
package complain

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Limit lets one line of its kind pass in a second. The zero value is ready; it is
// safe for concurrent use.
type Limit struct {
	mu      sync.Mutex
	last    time.Time
	leftOut int
}

// Log logs a line, unless another one was logged within the last second. What is
// left out is counted in the next line, as left_out.
func (l *Limit) Log(logger *slog.Logger, level slog.Level, message string, attrs ...any) {
	leftOut, ok := l.pass(time.Now())
	if !ok {
		return
	}
	if leftOut > 0 {
		attrs = append(attrs, "left_out", leftOut)
	}
	logger.Log(context.Background(), level, message, attrs...)
}

// pass reports whether a line may be logged now, and how many were left out
// before it.
func (l *Limit) pass(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A time before the last line, as after a step of the clock, lets a line pass.
	if since := now.Sub(l.last); !l.last.IsZero() && since >= 0 && since < time.Second {
		l.leftOut++
		return 0, false
	}
	leftOut, l.last, l.leftOut = l.leftOut, now, 0
	return leftOut, true
}
