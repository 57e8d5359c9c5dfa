package gostreams

import (
	"fmt"
	"slices"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/stage"
)

// complete ends the sink's input and waits until it has written everything. It runs on a
// goroutine of its own, which is left behind if the sink never completes. The writer has
// ended by then, so that nothing is sent to the closed channel.
func (s *Sink[T]) complete() (err error) {
	defer crash.Catch(&err)
	close(s.to)
	s.sink.AwaitCompletion()
	return nil
}

// run is the writer's goroutine, which may block on the sink. It ends when quit is closed,
// or when the sink has panicked, for which the stage stops.
func (s *Sink[T]) run() {
	defer close(s.gone)
	defer func() {
		if p := recover(); p != nil {
			s.self.Send(halt{fmt.Errorf("write to sink: %w", crash.Of(p))})
		}
	}()
	var finished []stage.Finished
	for {
		p, ok := s.next()
		if !ok {
			return
		}
		// The sink may keep the slice of a batch, which is not used again.
		if s.cfg.Batches {
			ok = s.write(p.events)
			if ok {
				finished = s.settle(p.sub, p.first, len(p.events), finished)
			}
		} else {
			finished, ok = s.writeEach(p, finished)
			s.recycle(p.events)
		}
		if !ok {
			return
		}
	}
}

// next waits for a delivery; ok is false when the writer must end. Deliveries that are
// there are written before quit is looked at, as long as the sink takes them at once.
func (s *Sink[T]) next() (p delivery[T], ok bool) {
	for {
		s.mu.Lock()
		if s.waiting.Len() > 0 {
			// The slices of single events return to spare when they are written.
			p = s.waiting.Pop()
			s.mu.Unlock()
			return p, true
		}
		s.mu.Unlock()
		select {
		case <-s.arrived:
		case <-s.quit:
			return delivery[T]{}, false
		}
	}
}

// writeEach writes the events of p one by one. Events that the sink has taken get their
// receipts before the writer waits for the sink. It returns the storage finished, and
// false if the writer must end.
func (s *Sink[T]) writeEach(p delivery[T], finished []stage.Finished) ([]stage.Finished, bool) {
	done := 0
	give := func(n int) {
		finished = s.settle(p.sub, p.first+uint64(done), n-done, finished)
		done = n
	}
	for i, event := range p.events {
		select {
		// Most sinks have a buffered channel, which takes events without waiting.
		case s.to <- event:
			continue
		default:
		}
		if p.sub.Tracked() {
			give(i)
		}
		if !s.write(event) {
			give(i)
			return finished, false
		}
	}
	give(len(p.events))
	return finished, true
}

// write blocks until the sink has taken element; false if the writer must end.
func (s *Sink[T]) write(element any) bool {
	select {
	case s.to <- element:
		return true
	case <-s.quit:
		return false
	}
}

// recycle keeps an emptied slice for a later delivery.
func (s *Sink[T]) recycle(events []T) {
	clear(events)
	s.mu.Lock()
	s.spare = append(s.spare, events[:0])
	s.mu.Unlock()
}

// settle gives receipts for n events from first on and asks for as many. It
// returns the storage finished for the next call.
func (s *Sink[T]) settle(sub *stage.Subscription[T], first uint64, n int, finished []stage.Finished) []stage.Finished {
	if n > 0 {
		finished = slices.Grow(finished[:0], n)[:n]
		if sub.Tracked() { // otherwise only their number counts
			for i := range finished {
				finished[i] = stage.Finished{Position: first + uint64(i)}
			}
		}
		sub.Settle(n, finished...)
	}
	return finished
}
