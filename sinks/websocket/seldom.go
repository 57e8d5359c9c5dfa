package websocket

import (
	"sync"
	"time"
)

// seldom lets one line a second into the log. The mutex is a leaf.
type seldom struct {
	mu     sync.Mutex
	next   time.Time // when a line may be logged again
	silent int       // lines since the last one that was logged
}

// pass reports whether a line may be logged now, and how many were left out before
// it.
func (s *seldom) pass() (leftOut int, ok bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next) {
		s.silent++
		return 0, false
	}
	leftOut, s.silent = s.silent, 0
	s.next = now.Add(time.Second)
	return leftOut, true
}
