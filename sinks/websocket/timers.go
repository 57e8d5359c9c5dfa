package websocket

import "time"

// SendAfter is Send after a delay, unless stop is called or the channel has
// ended before. stop answers whether it came in time.
func (ch *Channel) SendAfter(d time.Duration, msg any) (stop func() bool) {
	return ch.timer(d, 0, msg)
}

// SendEvery is Send again and again, each time a period after the last one,
// until stop is called or the channel has ended. A message for which the inbox
// has no room is counted in websocket.discarded, and the next one is tried as
// usual. A period below a millisecond counts as one. stop answers whether it was
// the one that ended it.
func (ch *Channel) SendEvery(period time.Duration, msg any) (stop func() bool) {
	period = max(period, time.Millisecond)
	return ch.timer(period, period, msg)
}

// timer sends msg after a delay, and then every period if that is not 0. The
// channel knows its timers, so that they end with it: one that was left to run
// would keep the channel and its connection in memory.
func (ch *Channel) timer(d, period time.Duration, msg any) (stop func() bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state >= ending {
		return func() bool { return false }
	}
	r := ch.more()
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		if err := ch.Send(msg); err == ErrQueueFull {
			ch.sess.endpoint().discarded[discardedInboxFull].Add(1)
		}
		ch.mu.Lock()
		defer ch.mu.Unlock()
		switch {
		case !r.timers[t]: // stopped meanwhile
		case period > 0:
			t.Reset(period)
		default:
			delete(r.timers, t)
		}
	})
	if r.timers == nil {
		r.timers = make(map[*time.Timer]bool)
	}
	r.timers[t] = true
	return func() bool {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		had := r.timers[t]
		delete(r.timers, t)
		inTime := t.Stop() || period > 0
		return had && inTime
	}
}

// stopTimers ends all timers. The mutex is held.
func (r *rare) stopTimers() {
	for t := range r.timers {
		t.Stop()
	}
	r.timers = nil
}
