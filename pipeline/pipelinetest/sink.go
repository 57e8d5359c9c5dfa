package pipelinetest

import (
	"context"
	"slices"
	"sync"
)

// Sink is an end that records what it gets. Its methods Each and Batch are the functions of
// an end of a pipeline; all methods may be called by any goroutine.
//
//	pipeline.Each(rows, sink.Each, pipeline.StepConfig[Row]{})
type Sink[T any] struct {
	fail func(ctx context.Context, event T) error

	mu      sync.Mutex // guards the fields below
	events  []T
	batches [][]T
	changed chan struct{} // closed at the next change
}

// NewSink makes a sink. fail is called for each event before it is recorded, and its error
// is that of the end, so that a test says which events fail, and how often; nil fails none.
func NewSink[T any](fail func(ctx context.Context, event T) error) *Sink[T] {
	return &Sink[T]{fail: fail, changed: make(chan struct{})}
}

// Each records an event, unless it fails.
func (s *Sink[T]) Each(ctx context.Context, event T) error {
	if s.fail != nil {
		if err := s.fail(ctx, event); err != nil {
			return err
		}
	}
	s.record([]T{event}, false)
	return nil
}

// Batch records a batch, unless one of its events fails.
func (s *Sink[T]) Batch(ctx context.Context, events []T) error {
	if s.fail != nil {
		for _, event := range events {
			if err := s.fail(ctx, event); err != nil {
				return err
			}
		}
	}
	s.record(events, true)
	return nil
}

func (s *Sink[T]) record(events []T, batch bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	if batch {
		s.batches = append(s.batches, slices.Clone(events)) // the slice is the caller's
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Events returns what was recorded, in order.
func (s *Sink[T]) Events() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Batches returns the batches that Batch has recorded, in order.
func (s *Sink[T]) Batches() [][]T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

// Wait waits until n events were recorded since the sink was made, and returns them all.
// If ctx ends before that, the error is its cause.
func (s *Sink[T]) Wait(ctx context.Context, n int) ([]T, error) {
	for {
		s.mu.Lock()
		events, changed := slices.Clone(s.events), s.changed
		s.mu.Unlock()
		if len(events) >= n {
			return events, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return events, context.Cause(ctx)
		}
	}
}
