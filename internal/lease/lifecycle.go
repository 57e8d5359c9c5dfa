package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// HandleStart implements stage.StartHandler: it starts the goroutines. The server is first
// called when there is demand.
func (s *Source[K, T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.mu.Lock()
	s.self, s.renewed = self, time.Now()
	s.mu.Unlock()
	// They have the values of ctx but not its end: each ends in its own step of HandleTerminate.
	apart := context.WithoutCancel(ctx)
	s.fetching, s.stop = context.WithCancel(apart)
	s.alive, s.abort = context.WithCancel(apart)
	s.renewing, s.retire = context.WithCancel(apart)
	if err := s.keepLetters(ctx, self); err != nil {
		return err
	}
	s.running.Go(func() {
		defer close(s.fetched)
		s.fetch()
	})
	s.running.Go(func() {
		defer close(s.settledAll)
		s.settle()
	})
	s.running.Go(s.renew)
	return nil
}

// HandleDrain implements stage.DrainHandler: nothing more is fetched, and what was not
// emitted is given back.
func (s *Source[K, T]) HandleDrain(context.Context) error {
	s.advance(draining)
	return stage.ErrDone
}

// advance moves the source to a later phase, without a look at the fetcher: what it brings
// afterwards is given back too.
func (s *Source[K, T]) advance(to phase) {
	s.mu.Lock()
	s.core.advance(to)
	clear(s.events)
	s.events = s.events[:0]
	s.mu.Unlock()
	s.stop()
	nudge(s.kick)
}

// HandleTerminate implements stage.TerminateHandler: it settles what has ended, gives back
// what has not, and ends all goroutines, within CloseTimeout.
func (s *Source[K, T]) HandleTerminate(ctx context.Context, _ error) error {
	if s.self == nil || s.fetching == nil {
		return nil // HandleStart was not called
	}
	limit := time.NewTimer(s.cfg.CloseTimeout)
	defer limit.Stop()
	// The last eighth of the time is for goroutines to end after everything else was cancelled.
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.CloseTimeout/8*7)
	defer cancel()
	half, cancelHalf := context.WithTimeout(bound, s.cfg.CloseTimeout/2)
	defer cancelHalf()
	s.advance(closing)
	s.until(half, s.fetched)
	if s.letters != nil {
		_ = s.letters.Close(half) // Run logs what is left
	}
	s.mu.Lock()
	s.last = true
	s.mu.Unlock()
	nudge(s.kick)
	s.until(bound, s.settledAll)
	s.retire()
	s.abort()
	s.mu.Lock()
	left := len(s.core.held)
	s.mu.Unlock()
	if left > 0 {
		s.cfg.Logger.Warn(s.cfg.Name+": leases were not given back; they run out", "of", s.cfg.Of, "items", left, "after", s.cfg.Lease)
	}
	ended := make(chan struct{})
	go func() {
		// The fetcher may be in a function of the user's, which cannot be cancelled.
		s.running.Wait()
		if err := s.store.Close(bound, left == 0); err != nil {
			s.cfg.Logger.Warn(s.cfg.Name+": end", "of", s.cfg.Of, "error", err)
		}
		close(ended)
	}()
	s.zero()
	select {
	case <-ended:
		return nil
	case <-limit.C:
		return fmt.Errorf("%s: a function of the program or the client did not return within %v: %w", s.cfg.Name, s.cfg.CloseTimeout, stage.ErrHung)
	}
}

// until waits for a channel to be closed, or ctx.
func (s *Source[K, T]) until(ctx context.Context, ch <-chan struct{}) {
	select {
	case <-ch:
	case <-ctx.Done():
	}
}

// zero sets the gauges to 0: the source holds nothing any more.
func (s *Source[K, T]) zero() {
	s.cfg.Meters.Held.Set(0)
	s.cfg.Meters.Waiting.Set(0)
	s.cfg.Meters.Oldest.Set(0)
}
