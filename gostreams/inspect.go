package gostreams

import "github.com/penstock-go/penstock/internal/feed"

// SourceSnapshot is the state of a [Source] at one moment: the Demand that has
// not been emitted, the events of it that are Ready, whether its goroutine is
// Reading, and whether it has Ended.
type SourceSnapshot = feed.Snapshot

// SinkSnapshot is the state of a [Sink] at one moment.
type SinkSnapshot struct {
	// Waiting is the number of batches that wait for the sink.
	Waiting int `json:"waiting"`
}

// HandleInspect implements stage.InspectHandler: it returns a [SinkSnapshot].
func (s *Sink[T]) HandleInspect() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SinkSnapshot{Waiting: s.waiting.Len()}
}
