package consumer

import (
	"time"

	"github.com/penstock-go/penstock/deadletter"
)

// HandleInspect implements stage.InspectHandler: it returns the figures of Snapshot.
func (s *Supervisor[T]) HandleInspect() any { return s.Snapshot() }

// BatchSnapshot is the state of a [Batch] at one moment.
type BatchSnapshot struct {
	// Events is the number of events that were gathered and not passed on, of at
	// most Size.
	Events int `json:"events"`
	Size   int `json:"size"`
	// Subscriptions is the number of subscriptions that they came on.
	Subscriptions int `json:"subscriptions"`
	// Batches is the number of batches that were begun.
	Batches uint64 `json:"batches"`
	AttemptCounts
	// Pausing reports that these events are a batch that waits for its next attempt,
	// and Late is how many events have arrived behind it.
	Pausing bool `json:"pausing"`
	Late    int  `json:"late"`
	// DeadLetters is what has become of the letters of events that have failed, nil without
	// a sink.
	DeadLetters *deadletter.WriterSnapshot `json:"dead_letters,omitempty"`
	// Timeout bounds how long a batch gathers, 0 for as long as it takes.
	Timeout time.Duration `json:"timeout_ns"`
}

// HandleInspect implements stage.InspectHandler: it returns a [BatchSnapshot].
func (b *Batch[T]) HandleInspect() any {
	return BatchSnapshot{
		Events: len(b.events), Size: b.cfg.Size, Subscriptions: len(b.parts), Batches: b.number, AttemptCounts: b.attempts.counts, Timeout: max(0, b.cfg.Timeout),
		Pausing: b.attempts.resting, Late: len(b.late), DeadLetters: b.buried.snapshot(),
	}
}

// ForEachSnapshot is the state of a ForEach at one moment.
type ForEachSnapshot struct {
	AttemptCounts
	// DeadLetters is what has become of the letters of events that have failed, nil without
	// a sink.
	DeadLetters *deadletter.WriterSnapshot `json:"dead_letters,omitempty"`
}

// HandleInspect implements stage.InspectHandler: it returns a [ForEachSnapshot].
func (c *forEach[T]) HandleInspect() any {
	return ForEachSnapshot{AttemptCounts: c.attempts.counts, DeadLetters: c.buried.snapshot()}
}
