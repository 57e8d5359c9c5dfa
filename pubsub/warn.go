package pubsub

import (
	"sync"
	"time"
)

// logLimit lets one line of its kind pass in a second.
type logLimit struct {
	mu      sync.Mutex
	last    time.Time
	leftOut int
}

// pass reports whether a line may be logged now, and how many were left out
// before it.
func (l *logLimit) pass(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() && now.Sub(l.last) < time.Second {
		l.leftOut++
		return 0, false
	}
	leftOut, l.last, l.leftOut = l.leftOut, now, 0
	return leftOut, true
}

// complain logs a warning, at most one of its kind in a second. What is left out
// is counted in the next one. It is for events that a remote can cause as often as
// it likes.
func (h *Hub) complain(limit *logLimit, message string, attrs ...any) {
	leftOut, ok := limit.pass(time.Now())
	if !ok {
		return
	}
	if leftOut > 0 {
		attrs = append(attrs, "left_out", leftOut)
	}
	h.log.Warn("pubsub: "+message, attrs...)
}
