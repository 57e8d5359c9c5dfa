package middleware

import "time"

// BreakerState is what a [Breaker] does with attempts.
type BreakerState string

// The states of a breaker.
const (
	// BreakerClosed lets all attempts through.
	BreakerClosed BreakerState = "closed"
	// BreakerOpen lets none through.
	BreakerOpen BreakerState = "open"
	// BreakerHalfOpen lets one through, and waits for its end.
	BreakerHalfOpen BreakerState = "half_open"
)

// result is how an attempt has ended, as far as a breaker looks at it.
type result uint8

const (
	succeeded result = iota
	failed
	unknown // it says nothing about what the breaker protects
)

// circuit decides for a breaker. It is pure: no lock and no clock; times are since any
// fixed moment and do not go back.
type circuit struct {
	consecutive int     // failures one after the other that open it, 0 for none
	ratio       float64 // of failures among the last attempts that opens it, 0 for none
	pause       time.Duration
	maxPause    time.Duration

	state   BreakerState
	since   time.Duration // of the state
	until   time.Duration // of BreakerOpen
	length  time.Duration // of the pause that began last
	probing bool          // an attempt runs while it is half-open
	// generation goes up with each state. What began in another one does not count.
	generation uint64

	row    int    // failures one after the other
	window []bool // the last attempts while it is closed: whether each has failed
	at     int    // the place of the next one
	seen   int    // those there are, up to the length of the window
	bad    int    // those of them that have failed
}

// newCircuit makes a closed circuit that looks at the last window attempts.
func newCircuit(consecutive int, ratio float64, window int, pause, maxPause time.Duration) *circuit {
	return &circuit{
		consecutive: consecutive, ratio: ratio, pause: pause, maxPause: maxPause,
		state: BreakerClosed, window: make([]bool, window),
	}
}

// admit reports whether an attempt may begin at now. If so, end must be called with its
// generation; otherwise wait is the time after which it should come again.
func (c *circuit) admit(now time.Duration) (generation uint64, ok bool, wait time.Duration) {
	if c.state == BreakerOpen && now >= c.until {
		c.become(BreakerHalfOpen, now)
	}
	switch {
	case c.state == BreakerClosed:
	case c.state == BreakerOpen:
		return 0, false, c.until - now
	case c.probing:
		// The probe may end at any time. A tenth of the pause is soon enough.
		return 0, false, c.pause / 10
	default:
		c.probing = true
	}
	return c.generation, true, 0
}

// end takes the end of an attempt that admit has let through.
func (c *circuit) end(generation uint64, r result, now time.Duration) {
	if generation != c.generation {
		return
	}
	if c.state == BreakerHalfOpen {
		c.probing = false
		switch r {
		case succeeded:
			c.length = 0
			c.become(BreakerClosed, now)
		case failed:
			c.open(now)
		}
		return // after unknown, the next one is the probe
	}
	if r == unknown {
		return
	}
	if r == failed {
		c.row++
	} else {
		c.row = 0
	}
	c.note(r == failed)
	// A ratio of few attempts says little: the window must be full.
	full := c.seen == len(c.window)
	if c.consecutive > 0 && c.row >= c.consecutive || c.ratio > 0 && full && float64(c.bad) >= c.ratio*float64(c.seen) {
		c.open(now)
	}
}

// note enters an attempt into the window in place of the oldest.
func (c *circuit) note(bad bool) {
	if len(c.window) == 0 {
		return
	}
	if c.seen == len(c.window) {
		if c.window[c.at] {
			c.bad--
		}
	} else {
		c.seen++
	}
	c.window[c.at] = bad
	if bad {
		c.bad++
	}
	c.at = (c.at + 1) % len(c.window)
}

// open opens the circuit, for twice as long as before if the pause before it has helped
// nothing.
func (c *circuit) open(now time.Duration) {
	c.length = min(max(c.pause, 2*c.length), c.maxPause)
	c.until = now + c.length
	c.become(BreakerOpen, now)
}

// become enters a state, and forgets what was counted in the one before.
func (c *circuit) become(state BreakerState, now time.Duration) {
	c.state, c.since = state, now
	c.generation++
	c.probing = false
	c.row, c.at, c.seen, c.bad = 0, 0, 0, 0
}
