package pipeline

import (
	"time"
)

// BatchSnapshot is the state of a step that gathers at one moment.
type BatchSnapshot struct {
	// WorkSnapshot is what its workers do, with batches in the place of events, but for
	// Failures, which counts events. It is zero for [Batch], which has none.
	WorkSnapshot
	// Open is the number of open batches, and Gathered that of the events in them.
	Open     int `json:"open"`
	Gathered int `json:"gathered"`
	// Batches counts the batches that were begun.
	Batches uint64 `json:"batches"`
	// Size is the number of events in a full batch, and Timeout the age of an open one.
	Size    int           `json:"size"`
	Timeout time.Duration `json:"timeout_ns"`
}

// Resize changes the number of workers. Any goroutine may call it.
func (s *batchStep[T, Out]) Resize(workers int) error {
	if err := checkWorkers(stepOwner(s.at.stage), workers); err != nil {
		return err
	}
	s.pool.resize(workers)
	s.stir()
	return nil
}

// SetRate changes the rate, in batches a second. Any goroutine may call it.
func (s *batchStep[T, Out]) SetRate(rate Rate) error {
	if err := checkRate(stepOwner(s.at.stage), "Rate", rate); err != nil {
		return err
	}
	s.pool.setRate(rate)
	return nil
}

// stir has the stage look again, if it has begun.
func (s *batchStep[T, Out]) stir() {
	s.mu.Lock()
	begun := s.begun
	s.mu.Unlock()
	if begun {
		s.wake()
	}
}

// HandleInspect implements stage.InspectHandler. Its value is a [BatchSnapshot].
func (s *batchStep[T, Out]) HandleInspect() any {
	return BatchSnapshot{WorkSnapshot: s.pool.snapshot(), Open: s.gather.count, Gathered: s.gather.events, Batches: s.gather.begun, Size: s.cfg.Size, Timeout: max(0, s.cfg.Timeout)}
}
