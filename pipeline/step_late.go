package pipeline

import (
	"sync"
	"sync/atomic"
	"time"
)

// lateness notices that a stage's goroutine has been in one delivery for long, without a
// look at the clock for each event: a timer that runs while deliveries come sets a flag.
type lateness struct {
	// flag is set when the events that are left should go to the pool.
	flag  atomic.Bool
	round atomic.Uint64 // odd during a delivery
	armed atomic.Bool

	mu    sync.Mutex // guards the rest
	timer *time.Timer
	seen  uint64 // the round when the timer fired last
	ended bool
}

// lateAfter is the time between two looks.
const lateAfter = 2 * time.Millisecond

// enter is called at the beginning of a delivery, and exit at its end, by the stage's
// goroutine.
func (l *lateness) enter() {
	if l.flag.Load() {
		l.flag.Store(false)
	}
	l.round.Add(1)
	if !l.armed.Load() {
		l.arm()
	}
}

func (l *lateness) exit() { l.round.Add(1) }

// leave sets the flag: something has changed.
func (l *lateness) leave() { l.flag.Store(true) }

func (l *lateness) arm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.armed.Store(true)
	if l.timer == nil {
		l.timer = time.AfterFunc(lateAfter, l.look)
	} else {
		l.timer.Reset(lateAfter)
	}
}

// look runs on the timer's goroutine. The timer rests when nothing has come since the last
// look.
func (l *lateness) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	round := l.round.Load()
	switch {
	case l.ended:
		return
	case round != l.seen:
		l.seen = round
	case round%2 == 1:
		l.flag.Store(true)
	default:
		// A delivery that begins now sets the timer no more than one delivery late.
		l.armed.Store(false)
		return
	}
	l.timer.Reset(lateAfter)
}

func (l *lateness) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.timer != nil {
		l.timer.Stop()
	}
}
