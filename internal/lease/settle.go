package lease

import (
	"context"
	"time"
)

// settle is the settler's goroutine. It ends when it was told that no more ends come and all
// are in the store, or when the calls must end.
func (s *Source[K, T]) settle() {
	pauses := s.pauses()
	var list []Verdict[K]
	for {
		s.mu.Lock()
		list = s.core.verdicts(list[:0], s.cfg.SettleMax)
		last := s.last
		s.mu.Unlock()
		if s.alive.Err() != nil || len(list) == 0 && last {
			return
		}
		if len(list) == 0 {
			select {
			case <-s.kick:
			case <-s.alive.Done():
			}
			continue
		}
		ctx, cancel := context.WithTimeout(s.alive, s.cfg.Timeout)
		late, err := s.store.Settle(ctx, list)
		cancel()
		s.report(settleCall, err)
		if err != nil {
			// Ends are never dropped: MaxAttempts bounds the fetcher's attempts only.
			if !pauses.wait(s.alive, err) {
				pauses.attempts--
				sleep(s.alive, s.cfg.Retry.WithDefaults().MaxBackoff)
			}
			continue
		}
		pauses.reset()
		s.settled(list, late)
	}
}

// settled notes that ends are in the store. late is the number of them that had lost their lease.
func (s *Source[K, T]) settled(list []Verdict[K], late int) {
	failed, released, free := 0, 0, s.cfg.Ordered
	for _, v := range list {
		switch v.End {
		case Failed:
			failed++
		case Released:
			released++
			free = true
		}
	}
	s.mu.Lock()
	s.core.settled(list)
	s.stats.Settled += int64(len(list) - late)
	s.stats.Late += int64(late)
	s.mu.Unlock()
	s.cfg.Meters.Settled.Add(int64(len(list) - late))
	s.cfg.Meters.Failed.Add(int64(failed))
	s.cfg.Meters.Released.Add(int64(released))
	nudge(s.look) // the window may have room
	if free {
		s.refetch()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
