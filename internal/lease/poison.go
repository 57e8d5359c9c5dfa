package lease

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/stage"
)

// poison is an item that cannot be used, with its lease. It ends as failed, and with dead
// letters not before its letter is stored.
type poison[K comparable, T any] struct {
	item Item[K, T]
	h    *hold[K]
}

const poisonLine = "poison"

// dispose counts and logs a poison item, and ends it. It runs on the fetcher's goroutine.
func (s *Source[K, T]) dispose(b poison[K, T]) {
	s.cfg.Meters.Poison.Add(1)
	s.lines[poisonLine].Log(s.cfg.Logger, slog.LevelWarn, s.cfg.Name+": items not usable", "of", s.cfg.Of,
		"item", b.item.Letter.Source, "error", b.item.Err)
	s.mu.Lock()
	s.stats.Poison++
	s.mu.Unlock()
	end := func() {
		s.mu.Lock()
		s.core.finish(b.h, Failed, b.item.Err.Error())
		s.mu.Unlock()
		nudge(s.kick)
	}
	if s.letters == nil {
		end()
		return
	}
	now := time.Now()
	l := b.item.Letter
	l.Stage, l.Error, l.Attempts, l.First, l.Last = s.self.Name(), b.item.Err.Error(), max(1, l.Attempts), now, now
	s.letters.Send(l, end)
}

// keepLetters starts the writer of dead letters, if there is a sink for them.
func (s *Source[K, T]) keepLetters(ctx context.Context, self *stage.Handle) error {
	if s.cfg.DeadLetters == nil {
		return nil
	}
	w, err := deadletter.NewWriter(s.cfg.DeadLetters, deadletter.WriterConfig{
		Stage: self.Name(), Metrics: s.cfg.Metrics, Logger: s.cfg.Logger,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.letters = w // Snapshot reads it from other goroutines
	s.mu.Unlock()
	s.running.Go(func() { _ = w.Run(context.WithoutCancel(ctx)) }) // it logs its errors
	return nil
}
