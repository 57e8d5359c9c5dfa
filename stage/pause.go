package stage

import (
	"math"
	"sync/atomic"
)

// pause keeps the demand of a subscription back. It may be used from any goroutine, and
// has no lock: demand that was kept is taken out once, by whichever call swaps it.
type pause struct {
	state atomic.Uint32
	kept  atomic.Int64
}

// The states of a pause.
const (
	flows  uint32 = iota // demand passes
	paused               // demand is kept
	ended                // demand passes, for good: the consumer drains
)

// pass returns how much of n more events to ask for now.
func (p *pause) pass(n int) int {
	if n == 0 || p.state.Load() != paused {
		return n
	}
	for {
		kept := p.kept.Load()
		sum := kept + int64(n)
		if sum < kept {
			sum = math.MaxInt64
		}
		if p.kept.CompareAndSwap(kept, sum) {
			break
		}
	}
	if p.state.Load() != paused {
		return p.take() // it was resumed meanwhile, perhaps without what was added
	}
	return 0
}

// take returns what was kept, once.
func (p *pause) take() int { return int(min(p.kept.Swap(0), math.MaxInt)) }

// Pause keeps the consumer's demand back until Resume: the producer delivers what it was
// asked for before, and then nothing more on this subscription. It does not cancel
// anything, and the events in the consumer's hands are handled. A drain of the consumer
// resumes it; pausing has no effect after that. A dispatcher that gives each event to
// several subscribers, such as dispatcher.Broadcast, waits for those that are paused, and
// the others with them, unless a stage with Eager is between. Pausing again does nothing.
func (s *Subscription[T]) Pause() { s.pause.state.CompareAndSwap(flows, paused) }

// Resume asks for what was kept back since Pause. Resuming again does nothing.
func (s *Subscription[T]) Resume() {
	if s.pause.state.CompareAndSwap(paused, flows) {
		s.askKept()
	}
}

// resumeForGood resumes s when its consumer drains.
func (s *Subscription[T]) resumeForGood() {
	if s.pause.state.Swap(ended) == paused {
		s.askKept()
	}
}

func (s *Subscription[T]) askKept() {
	if n := s.pause.take(); n > 0 {
		s.up.postAsk(s, n, 0, nil, nil)
	}
}

// paused reports whether demand is kept back.
func (s *Subscription[T]) paused() bool { return s.pause.state.Load() == paused }
