package stage

import "math"

// The states of a subscription's flow. Any goroutine may change them, without a lock: demand
// that was kept is taken out once, by whichever call swaps it.
const (
	flows  uint32 = iota // demand passes
	paused               // demand is kept
	ended                // demand passes, for good: the consumer drains
)

// passOn returns how much of n more events to ask for now.
func (s *Subscription[T]) passOn(n int) int {
	if n == 0 || s.flow.Load() != paused {
		return n
	}
	return s.keep(n)
}

// keep is passOn for a subscription that was paused.
func (s *Subscription[T]) keep(n int) int {
	for {
		kept := s.kept.Load()
		sum := kept + int64(n)
		if sum < kept {
			sum = math.MaxInt64
		}
		if s.kept.CompareAndSwap(kept, sum) {
			break
		}
	}
	if s.flow.Load() != paused {
		return s.takeKept() // it was resumed meanwhile, perhaps without what was added
	}
	return 0
}

// takeKept returns what was kept, once.
func (s *Subscription[T]) takeKept() int { return int(min(s.kept.Swap(0), math.MaxInt)) }

// Pause keeps the consumer's demand back until Resume: the producer delivers what it was
// asked for before, and then nothing more on this subscription. It does not cancel
// anything, and the events in the consumer's hands are handled. A drain of the consumer
// resumes it; pausing has no effect after that. A dispatcher that gives each event to
// several subscribers, such as dispatcher.Broadcast, waits for those that are paused, and
// the others with them, unless a stage with Eager is between. Pausing again does nothing.
func (s *Subscription[T]) Pause() { s.flow.CompareAndSwap(flows, paused) }

// Resume asks for what was kept back since Pause. Resuming again does nothing.
func (s *Subscription[T]) Resume() {
	if s.flow.CompareAndSwap(paused, flows) {
		s.askKept()
	}
}

// resumeForGood resumes s when its consumer drains.
func (s *Subscription[T]) resumeForGood() {
	if s.flow.Swap(ended) == paused {
		s.askKept()
	}
}

func (s *Subscription[T]) askKept() {
	if n := s.takeKept(); n > 0 {
		s.up.postAsk(s, n, 0, nil, nil)
	}
}

// paused reports whether demand is kept back.
func (s *Subscription[T]) paused() bool { return s.flow.Load() == paused }
