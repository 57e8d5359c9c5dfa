package tracing

import (
	"sync"
	"sync/atomic"

	"github.com/penstock-go/penstock/trace"
)

// Spans are open spans by what they belong to. The zero value is empty. Any goroutine may use
// it; a tracer, which is the program's code, is called without the lock.
type Spans[K comparable] struct {
	n    atomic.Int64 // their number: mostly there are none, and the lock is passed over
	mu   sync.Mutex
	open map[K]trace.Span // guarded by mu
}

// Add adds a span.
func (s *Spans[K]) Add(key K, span trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[K]trace.Span)
	}
	s.open[key] = span
	s.n.Store(int64(len(s.open)))
}

// Any reports whether there is a span.
func (s *Spans[K]) Any() bool { return s.n.Load() > 0 }

// Context returns the context of a span, zero if there is none.
func (s *Spans[K]) Context(key K) trace.Context {
	if !s.Any() {
		return trace.Context{}
	}
	s.mu.Lock()
	span := s.open[key]
	s.mu.Unlock()
	if span == nil {
		return trace.Context{}
	}
	return span.Context()
}

// Take removes a span and returns it, nil if there is none.
func (s *Spans[K]) Take(key K) trace.Span {
	if !s.Any() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	span := s.open[key]
	delete(s.open, key)
	s.n.Store(int64(len(s.open)))
	return span
}

// Abandon ends all spans: what they wait for does not come.
func (s *Spans[K]) Abandon() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.n.Store(0)
	s.mu.Unlock()
	for _, span := range open {
		Abandon(span)
	}
}
