package websocket

import (
	"sync/atomic"
	"time"
)

// SendAfter calls Send after a delay, unless stop is called or the channel ends
// before. stop reports whether it has prevented the Send.
func (ch *Channel) SendAfter(d time.Duration, msg any) (stop func() bool) {
	return ch.timer(d, 0, msg)
}

// SendEvery calls Send repeatedly, each time a period after the last one, until
// stop is called or the channel ends. A message for which the inbox has no room is
// counted in websocket.discarded, and the next one is tried as usual. A period
// below a millisecond counts as one. stop reports whether it has ended the
// repetition.
func (ch *Channel) SendEvery(period time.Duration, msg any) (stop func() bool) {
	period = max(period, time.Millisecond)
	return ch.timer(period, period, msg)
}

// alarm is a timer of a channel. The runtime may keep a stopped timer for as long
// as it would have run; then it keeps only the alarm in memory.
type alarm struct {
	to    atomic.Pointer[recipient] // nil once it is over
	timer *time.Timer               // guarded by Channel.mu
}

// recipient is what an alarm keeps alive while it runs.
type recipient struct {
	ch     *Channel
	msg    any
	period time.Duration // 0 for once
}

// timer sends msg after a delay, and then every period if that is not 0. The
// channel stops its timers when it ends: a running one would keep the channel and
// its connection in memory.
func (ch *Channel) timer(d, period time.Duration, msg any) (stop func() bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	// detach has stopped the timers, and would not stop a new one.
	if ch.state >= ending {
		return func() bool { return false }
	}
	r := ch.more()
	a := &alarm{}
	a.to.Store(&recipient{ch, msg, period})
	a.timer = time.AfterFunc(d, a.fire)
	if r.timers == nil {
		r.timers = make(map[*alarm]bool)
	}
	r.timers[a] = true
	return func() bool {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		return a.stop()
	}
}

// fire sends the message. It runs in the timer's goroutine.
func (a *alarm) fire() {
	to := a.to.Load()
	if to == nil {
		return
	}
	ch := to.ch
	// Without the mutex, which Send takes.
	if err := ch.Send(to.msg); err == ErrQueueFull {
		ch.sess.endpoint().discarded[discardedInboxFull].Add(1)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case a.to.Load() == nil: // stopped meanwhile
	case to.period > 0:
		a.timer.Reset(to.period)
	default:
		a.stop()
	}
}

// stop ends the alarm and reports whether that was in time. The mutex is held.
func (a *alarm) stop() bool {
	to := a.to.Swap(nil)
	if to == nil {
		return false
	}
	delete(to.ch.rare.timers, a)
	// Stop returns false if the message has been sent or is being sent.
	return a.timer.Stop() || to.period > 0
}

// stopTimers ends all timers. The mutex is held.
func (r *rare) stopTimers() {
	for a := range r.timers {
		a.stop()
	}
	r.timers = nil
}
