package pipeline

import "time"

// batchClock is the time of a step that gathers, and its one timer. It belongs to the
// stage's goroutine, but for ring, which the timer calls on a goroutine of its own.
type batchClock struct {
	begun time.Time
	ring  func()
	timer *time.Timer
	set   bool
	at    time.Duration // then: when the timer rings
}

// start begins the clock. ring wakes the stage and does not block.
func (c *batchClock) start(ring func()) { c.begun, c.ring = time.Now(), ring }

// now is the time since the start.
func (c *batchClock) now() time.Duration { return time.Since(c.begun) }

// wake has the timer ring at the given time, if it does not earlier. A timer that is set to
// an earlier time is left alone: what it was for is often over when it rings, and setting
// it for each batch would cost more.
func (c *batchClock) wake(now, at time.Duration) {
	if c.set && c.at <= at && c.at > now {
		return
	}
	c.set, c.at = true, at
	if c.timer == nil {
		c.timer = time.AfterFunc(max(0, at-now), c.ring)
		return
	}
	c.timer.Reset(max(0, at-now))
}

// rung notes that the timer has rung, if its time has come.
func (c *batchClock) rung(now time.Duration) {
	if c.at <= now {
		c.set = false
	}
}

// stop stops the timer, for good.
func (c *batchClock) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}
