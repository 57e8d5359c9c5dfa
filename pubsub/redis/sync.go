package redis

import (
	"context"
	"time"
)

// syncPatience bounds the wait for the outbox, in which a mark may have been dropped.
const syncPatience = 5 * time.Second

// sync waits until all earlier calls of Join and Leave are in effect, and until the
// server has what was published before.
func (s *session) sync(ctx context.Context) error {
	reconnects := s.counters.reconnects.Load()
	if err := s.interest.Wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	s.mu.Lock()
	s.lastNum++
	number, sent := s.lastNum, make(chan struct{})
	s.syncs[number] = sent
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.syncs, number)
		s.mu.Unlock()
	}()
	s.send("", number, 0, func(dst []byte) []byte { return dst })
	for _, done := range []chan struct{}{s.greeted, sent} { // at first this node knows no members
		select {
		case <-done:
		case <-s.ended:
			return ErrNotConnected
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.counters.reconnects.Load() != reconnects || s.up.Load() != s {
		return ErrNotConnected
	}
	return nil
}

// sent notes that the writer has come to the mark of a sync.
func (s *session) sent(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done := s.syncs[number]; done != nil {
		close(done)
		delete(s.syncs, number)
	}
}
