package lease

import (
	"context"
	"log/slog"
	"time"
)

// lagEvery is how often the lag is measured.
const lagEvery = 5 * time.Second

// renew is the renewer's goroutine: a third of the lease after the last renewal it prolongs
// all leases, so that two attempts may fail. It measures the lag as well.
func (s *Source[K, T]) renew() {
	every := s.cfg.Lease / 3
	tick := time.NewTimer(min(every, lagEvery))
	defer tick.Stop()
	renewed, measured := time.Now(), time.Time{}
	for {
		select {
		case <-s.renewing.Done():
			return
		case <-tick.C:
		}
		next := every
		if time.Since(renewed) >= every {
			if s.prolong() {
				renewed = time.Now()
			} else {
				next = max(every/4, 10*time.Millisecond) // the lease still runs
			}
		} else {
			next = every - time.Since(renewed)
		}
		if time.Since(measured) >= lagEvery {
			s.measure()
			measured = time.Now()
		}
		tick.Reset(min(next, lagEvery))
	}
}

// prolong renews all leases, and reports whether it has.
func (s *Source[K, T]) prolong() bool {
	begun := time.Now() // what the server has renewed runs out a lease after this at the earliest
	s.mu.Lock()
	held := s.core.renewals()
	s.mu.Unlock()
	s.cfg.Meters.Held.Set(float64(len(held)))
	if len(held) == 0 {
		s.attempted(begun, nil)
		return true
	}
	ctx, cancel := context.WithTimeout(s.renewing, min(s.cfg.Timeout, s.cfg.Lease/3))
	lost, err := s.store.Renew(ctx, held)
	cancel()
	if s.renewing.Err() != nil {
		return true
	}
	s.report(renewCall, err)
	if err != nil {
		s.attempted(begun, err)
		return false
	}
	s.mu.Lock()
	n := s.core.lose(lost)
	s.mu.Unlock()
	s.attempted(begun, nil)
	if n > 0 {
		s.cfg.Meters.Lost.Add(int64(n))
		s.lines[lostLine].Log(s.cfg.Logger, slog.LevelWarn, s.cfg.Name+": leases had run out, and another process has the items",
			"of", s.cfg.Of, "items", n)
		nudge(s.look)
	}
	return true
}

// attempted notes the result of an attempt, for which the fetcher may wait.
func (s *Source[K, T]) attempted(begun time.Time, err error) {
	s.mu.Lock()
	if err == nil {
		s.renewed = begun
	}
	s.renewal = err
	s.mu.Unlock()
	nudge(s.tried)
}

// valid returns for how long no lease can have run out; negative: some may have.
func (s *Source[K, T]) valid() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.core.held) == 0 {
		return s.cfg.Lease // the fetcher takes none before its next fetch
	}
	return s.cfg.Lease - time.Since(s.renewed)
}

// assure waits until the leases are renewed, if they may have run out. Otherwise a fetch would
// lease the source's own items, and the end of one that is under way to the server would be
// too late: the item would be handled twice.
func (s *Source[K, T]) assure() error {
	for s.valid() <= 0 {
		select {
		case <-s.tried:
		case <-s.fetching.Done():
			return nil
		}
		s.mu.Lock()
		err := s.renewal
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

const lostLine = "lost"

// measure sets the gauges.
func (s *Source[K, T]) measure() {
	ctx, cancel := context.WithTimeout(s.renewing, min(s.cfg.Timeout, s.cfg.Lease/3))
	defer cancel()
	lag, err := s.store.Lag(ctx)
	if s.renewing.Err() != nil {
		return
	}
	s.report(lagCall, err)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.stats.Waiting, s.stats.Oldest, s.stats.Leased = lag.Waiting, lag.Oldest, lag.Leased
	s.mu.Unlock()
	s.cfg.Meters.Waiting.Set(float64(lag.Waiting))
	s.cfg.Meters.Oldest.Set(lag.Oldest.Seconds())
}
