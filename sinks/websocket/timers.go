package websocket

import (
	"sync/atomic"
	"time"
)

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

// alarm is a timer of a channel. The runtime may know a stopped timer for as long
// as it would have run; what it then holds on to is the alarm alone.
type alarm struct {
	to    atomic.Pointer[recipient] // nil once it is over
	timer *time.Timer               // guarded by Channel.mu
}

type recipient struct {
	ch     *Channel
	msg    any
	period time.Duration // 0 for once
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

func (a *alarm) fire() {
	to := a.to.Load()
	if to == nil {
		return
	}
	ch := to.ch
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

// stop ends the alarm and answers whether it came in time. The mutex is held.
func (a *alarm) stop() bool {
	to := a.to.Swap(nil)
	if to == nil {
		return false
	}
	delete(to.ch.rare.timers, a)
	return a.timer.Stop() || to.period > 0
}

// stopTimers ends all timers. The mutex is held.
func (r *rare) stopTimers() {
	for a := range r.timers {
		a.stop()
	}
	r.timers = nil
}
