package lease

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/deadletter"
)

// Snapshot is what a source has counted and holds at one moment.
type Snapshot struct {
	// Fetched counts deliveries by the server, Done, Failed and Released the receipts:
	// Released items are delivered again. Poison counts items that could not be used, which
	// are in Failed as well.
	Fetched  int64 `json:"fetched"`
	Done     int64 `json:"done"`
	Failed   int64 `json:"failed"`
	Released int64 `json:"released"`
	Poison   int64 `json:"poison"`
	// Settled counts the ends that the server has. Lost counts leases that have run out and
	// that another process has, Late the ends that came after that, and Again the items
	// that the server delivered although they were in work here.
	Settled int64 `json:"settled"`
	Lost    int64 `json:"lost"`
	Late    int64 `json:"late"`
	Again   int64 `json:"again"`
	// Errors counts calls of the server that failed. LastError is the latest failure, ""
	// if there has been none, and Failing reports whether the last call of some kind has failed.
	Errors    int64  `json:"errors"`
	LastError string `json:"last_error,omitempty"`
	Failing   bool   `json:"failing"`
	// Demand is the number of events asked for and not emitted, Ready that of those that
	// have been fetched, InFlight that of emitted ones without a receipt, Settling that of
	// ends that the server does not have yet, and Held that of all leases.
	Demand   int `json:"demand"`
	Ready    int `json:"ready"`
	InFlight int `json:"in_flight"`
	Settling int `json:"settling"`
	Held     int `json:"held"`
	// Waiting is how many items wait for a process, Oldest how long the oldest of them has,
	// and Leased how many all processes have, as they were measured last, within 5 s.
	Waiting int64         `json:"waiting"`
	Oldest  time.Duration `json:"oldest"`
	Leased  int64         `json:"leased"`
	// DeadLetters is what has become of the letters of poison items, nil if none are kept.
	DeadLetters *deadletter.WriterSnapshot `json:"dead_letters,omitempty"`
}

// Snapshot returns the counts, from any goroutine. It blocks only while they are copied.
func (s *Source[K, T]) Snapshot() Snapshot {
	s.mu.Lock()
	c, snap, letters := &s.core, s.stats, s.letters
	snap.Fetched, snap.Done, snap.Failed, snap.Released = c.fetched, c.done, c.failed, c.released
	snap.Lost, snap.Again = c.lost, c.again
	snap.Late += c.late
	snap.Demand, snap.Ready, snap.InFlight, snap.Settling, snap.Held = c.owed, len(c.ready), len(c.flights), len(c.ends), len(c.held)
	snap.Failing = len(s.trouble) > 0
	s.mu.Unlock()
	if letters != nil {
		waiting := letters.Snapshot()
		snap.DeadLetters = &waiting
	}
	return snap
}

// report notes how a call has ended: errors are counted, kept for Snapshot and logged, at most
// one of a kind in a second, and so is the first success after one.
func (s *Source[K, T]) report(kind string, err error) {
	s.mu.Lock()
	before := s.trouble[kind]
	if err == nil {
		delete(s.trouble, kind)
	} else {
		s.trouble[kind] = true
		s.stats.Errors++
		s.stats.LastError = fmt.Sprintf("%s: %v", kind, err)
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		s.cfg.Meters.Errors.Add(1)
		s.lines[kind].Log(s.cfg.Logger, slog.LevelWarn, s.cfg.Name+": "+kind+" failed; it is retried", "of", s.cfg.Of, "error", err)
	case before:
		s.cfg.Logger.Info(s.cfg.Name+": "+kind+" works again", "of", s.cfg.Of)
	}
}
