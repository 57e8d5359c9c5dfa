package kafka

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/metrics"
)

// ShareSnapshot is a share group member's counts and what it holds.
type ShareSnapshot struct {
	// Records is the number of polled records, Poison that of unusable ones.
	Records int64 `json:"records"`
	Poison  int64 `json:"poison"`
	// Accepted, Released and Rejected count verdicts, Renewed renewals of locks.
	Accepted int64 `json:"accepted"`
	Released int64 `json:"released"`
	Rejected int64 `json:"rejected"`
	Renewed  int64 `json:"renewed"`
	// AckErrors is how often the broker has refused the verdicts on a partition, since a
	// lock was lost: the records are delivered again. Errors are polls that failed.
	AckErrors int64 `json:"ack_errors"`
	Errors    int64 `json:"errors"`
	// LastError is the latest failure, "" if there has been none.
	LastError string `json:"last_error,omitempty"`
	// Demand is the number of events asked for and not emitted, Unfinished that of
	// records that have no verdict.
	Demand     int `json:"demand"`
	Unfinished int `json:"unfinished"`
}

// verdict returns the count of a verdict.
func (v *ShareSnapshot) verdict(of Verdict) *int64 {
	switch of {
	case Release:
		return &v.Released
	case Reject:
		return &v.Rejected
	}
	return &v.Accepted
}

// Snapshot returns the counts. It blocks only while they are copied.
func (s *Share[T]) Snapshot() ShareSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.stats
	v.Demand, v.Unfinished = s.core.owed, s.core.open
	return v
}

// HandleInspect implements stage.InspectHandler: it returns the [ShareSnapshot].
func (s *Share[T]) HandleInspect() any { return s.Snapshot() }

// acknowledged gets the broker's results, on a goroutine of the client's.
func (s *Share[T]) acknowledged(_ *kgo.Client, results kgo.ShareAckResults) {
	for _, r := range results {
		if r.Err != nil {
			s.meters.ackErrors.Add(1)
			s.mu.Lock()
			s.stats.AckErrors++
			s.mu.Unlock()
			s.say("verdicts", fmt.Errorf("topic %q, partition %d: %w", r.Topic, r.Partition, r.Err))
		}
	}
}

// report counts an error of a poll.
func (s *Share[T]) report(doing string, err error) {
	s.meters.errors.Add(1)
	s.mu.Lock()
	s.stats.Errors++
	s.mu.Unlock()
	s.say(doing, err)
}

// say keeps an error for Snapshot and logs it at most once in logEvery.
func (s *Share[T]) say(doing string, err error) {
	now := time.Now()
	s.mu.Lock()
	s.stats.LastError = fmt.Sprintf("%s: %v", doing, err)
	due := s.told.IsZero() || now.Sub(s.told) >= logEvery
	if due {
		s.told = now
	}
	s.mu.Unlock()
	if due {
		s.cfg.Logger.Warn("kafka: "+doing+" failed; it is retried", "share group", s.cfg.Group, "error", err)
	}
}

// poison rejects a record that cannot be used.
func (s *Share[T]) poison(r *kgo.Record, err error) {
	s.meters.poison.Add(1)
	s.mu.Lock()
	s.stats.Poison++
	s.mu.Unlock()
	if n := s.poisonLines.Line(time.Since(s.epoch), 1); n > 0 {
		s.cfg.Logger.Warn("kafka: records not usable", "share group", s.cfg.Group, "records", n, "position", PositionOf(r), "error", err)
	}
	if s.cfg.OnPoison != nil {
		if exit := crash.Apart(func() { s.cfg.OnPoison(r, err) }); exit != nil {
			s.cfg.Logger.Error("kafka: OnPoison panicked", "position", PositionOf(r), "error", exit)
		}
	}
	s.mark(Reject, []*kgo.Record{r})
}

type shareMeters struct {
	records, poison, accepted, released, rejected, ackErrors, errors metrics.Counter
}

func newShareMeters(r metrics.Recorder) shareMeters {
	return shareMeters{
		records: r.Counter("kafka.share.records"), poison: r.Counter("kafka.share.poison"), accepted: r.Counter("kafka.share.accepted"),
		released: r.Counter("kafka.share.released"), rejected: r.Counter("kafka.share.rejected"),
		ackErrors: r.Counter("kafka.share.ack_errors"), errors: r.Counter("kafka.share.errors"),
	}
}

// verdict returns the counter of a verdict.
func (m *shareMeters) verdict(of Verdict) metrics.Counter {
	switch of {
	case Release:
		return m.released
	case Reject:
		return m.rejected
	}
	return m.accepted
}
