package websocket

import "runtime"

// queued adds to the bytes that wait in all queues together. It reports whether
// this has taken them over the bound.
func (e *Endpoint) queued(bytes int) (over bool) {
	return e.queuedBytes.Add(int64(bytes)) > e.cfg.Limits.QueuedBytes && bytes > 0
}

// pressed reports whether the queues together have reached half of the bound. Then
// clients that have not taken all of their replies wait for more, so that replies
// alone do not reach the bound.
func (e *Endpoint) pressed() bool { return e.queuedBytes.Load() > e.cfg.Limits.QueuedBytes/2 }

// shed closes the connection with the longest queue, in a goroutine of its own,
// until the bytes in all queues are within the bound. A caller that queues faster
// than this yields to it.
func (e *Endpoint) shed() {
	// More than twice the bound: let the goroutine that sheds run.
	if e.queuedBytes.Load()/2 > e.cfg.Limits.QueuedBytes {
		defer runtime.Gosched()
	}
	if !e.shedding.CompareAndSwap(false, true) {
		return
	}
	e.spawn(func() {
		defer e.shedding.Store(false)
		for e.queuedBytes.Load() > e.cfg.Limits.QueuedBytes {
			longest := e.longestQueue()
			// All that is queued belongs to sessions that are closing.
			if longest == nil {
				return
			}
			longest.slow(slowBudget)
			// Closing drops its queue, so that the sum falls at once.
			longest.close(tryAgainLater, ErrQueueFull, false)
		}
	})
}

// longestQueue returns the open session with the most bytes queued, or nil if
// no session has any. Replies within their bound count only if nothing else is
// queued anywhere: the client has asked for them.
func (e *Endpoint) longestQueue() *session {
	var longest *session
	most, mostInAll := 0, 0
	for _, s := range e.registry.all() {
		// One at a time: with all locked no client could be written to.
		s.mu.Lock()
		bytes, inAll := s.out.events.bytes+max(0, s.out.asked.bytes-2*s.out.bounds.bytes), s.out.total().bytes
		if s.out.phase == open && (bytes > most || bytes == most && inAll > mostInAll) {
			longest, most, mostInAll = s, bytes, inAll
		}
		s.mu.Unlock()
	}
	return longest
}
