package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/retry"
)

// fetch is the fetcher's goroutine.
func (s *Source[K, T]) fetch() {
	pauses := s.pauses()
	for {
		n, ok := s.wanted()
		if !ok {
			return
		}
		err := s.assure()
		if err == nil && s.fetching.Err() == nil {
			err = s.call(n)
		}
		if s.fetching.Err() != nil {
			continue // wanted ends the loop
		}
		s.report(fetchCall, err)
		if err == nil {
			pauses.reset()
		} else if !pauses.wait(s.fetching, err) {
			s.fail(fmt.Errorf("%s: %s: %w", s.cfg.Name, fetchCall, err))
		}
	}
}

// call fetches up to n items once. If there are none it waits for some.
func (s *Source[K, T]) call(n int) error {
	// A call that outlasts the leases would find them free.
	ctx, cancel := context.WithTimeout(s.alive, min(s.cfg.Timeout, s.valid()))
	items, err := s.store.Fetch(ctx, n)
	cancel()
	for _, b := range s.take(items) {
		s.dispose(b)
	}
	if err == nil && len(items) == 0 {
		return s.await()
	}
	return err
}

// wanted waits until there is room for items, and returns for how many. ok is false at the end.
func (s *Source[K, T]) wanted() (n int, ok bool) {
	for {
		s.mu.Lock()
		n = s.core.room(s.cfg.FetchMax)
		s.freed = false
		s.mu.Unlock()
		if s.fetching.Err() != nil {
			return 0, false
		}
		if n > 0 {
			return n, true
		}
		select {
		case <-s.look:
		case <-s.fetching.Done():
		}
	}
}

// await waits for items that may come. Ends that free others, and the drain, interrupt it.
func (s *Source[K, T]) await() error {
	ctx, cancel := context.WithCancel(s.fetching)
	defer cancel()
	s.mu.Lock()
	if s.freed {
		s.mu.Unlock()
		return nil
	}
	s.interrupt = cancel
	s.mu.Unlock()
	if s.cfg.Ordered {
		s.self.Wake() // so that the stage asks whether it is stalled
	}
	err := s.store.Wait(ctx)
	interrupted := ctx.Err() != nil
	s.mu.Lock()
	s.interrupt = nil
	s.mu.Unlock()
	if interrupted {
		return nil
	}
	return err
}

// refetch has the fetcher look for items that have become free.
func (s *Source[K, T]) refetch() {
	s.mu.Lock()
	s.freed = true
	interrupt := s.interrupt
	s.mu.Unlock()
	if interrupt != nil {
		interrupt()
	}
	nudge(s.look)
}

// take has the core take items, and returns those that cannot be used.
func (s *Source[K, T]) take(items []Item[K, T]) (bad []poison[K, T]) {
	s.mu.Lock()
	s.core.empty = len(items) == 0
	for i := range items {
		item := &items[i]
		h := s.core.take(item.ID, item.Fence)
		switch {
		case h == nil:
		case item.Err != nil:
			bad = append(bad, poison[K, T]{*item, h})
		default:
			s.core.makeReady(h)
			s.events = append(s.events, item.Event)
		}
	}
	unused := len(s.core.ends) > 0
	s.mu.Unlock()
	if len(items) > 0 {
		s.cfg.Meters.Fetched.Add(int64(len(items)))
		s.self.Wake()
	}
	if unused {
		nudge(s.kick)
	}
	return bad
}

// fail stops the stage.
func (s *Source[K, T]) fail(err error) {
	s.mu.Lock()
	ended := s.core.phase != running
	if !ended && s.failure == nil {
		s.failure = err
	}
	s.mu.Unlock()
	s.stop()
	if !ended {
		s.self.Wake()
	}
}

// pauses are the pauses between attempts of one goroutine.
type pauses struct {
	policy   retry.Policy
	attempts int
}

func (s *Source[K, T]) pauses() *pauses { return &pauses{policy: s.cfg.Retry} }

// wait pauses after a call that failed. It returns false if it has failed too often; when
// ctx is done it returns true at once.
func (p *pauses) wait(ctx context.Context, err error) bool {
	p.attempts++
	pause, again, _ := p.policy.Next(p.attempts, err)
	if !again {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return true
}

func (p *pauses) reset() { p.attempts = 0 }
