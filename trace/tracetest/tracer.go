// Package tracetest keeps spans for tests.
package tracetest

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/trace"
)

// Span is a span that was recorded.
type Span struct {
	Name    string
	Kind    trace.Kind
	Context trace.Context
	// Parent is zero for the first span of a trace.
	Parent trace.Context
	Links  []trace.Context
	Attrs  map[string]any
	Begin  time.Time
	// End is zero as long as the span has not ended.
	End time.Time
	// Err is what the span has ended with.
	Err error
}

// Tracer is a [trace.Tracer] that keeps all spans. The zero value is ready for use; it must
// not be copied. Spans and traces are numbered, so that a test has the same ids each time.
type Tracer struct {
	mu    sync.Mutex
	last  uint64
	spans []*Span // guarded by mu, with all that is in them
}

// Start implements trace.Tracer. A span without a parent is the first of a sampled trace.
func (t *Tracer) Start(parent trace.Context, name string, cfg trace.SpanConfig) trace.Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	c := parent
	if !c.IsValid() {
		c = trace.Context{Flags: trace.Sampled}
		binary.BigEndian.PutUint64(c.TraceID[8:], t.last)
	}
	c.SpanID = [8]byte{}
	binary.BigEndian.PutUint64(c.SpanID[:], t.last)
	if !c.IsSampled() {
		return trace.Nop(c)
	}
	s := &Span{
		Name: name, Kind: cfg.Kind, Context: c, Parent: parent, Links: slices.Clone(cfg.Links),
		Attrs: make(map[string]any), Begin: cfg.At,
	}
	if s.Begin.IsZero() {
		s.Begin = time.Now()
	}
	r := &recorded{t, s}
	r.set(cfg.Attrs)
	t.spans = append(t.spans, s)
	return r
}

// recorded is a span on its way.
type recorded struct {
	tracer *Tracer
	span   *Span // guarded by tracer.mu, but for its context
}

func (r *recorded) set(attrs []trace.Attr) {
	for _, a := range attrs {
		r.span.Attrs[a.Key] = a.Value
	}
}

// Context implements trace.Span.
func (r *recorded) Context() trace.Context { return r.span.Context }

// Set implements trace.Span.
func (r *recorded) Set(attrs ...trace.Attr) {
	r.tracer.mu.Lock()
	defer r.tracer.mu.Unlock()
	if r.span.End.IsZero() {
		r.set(attrs)
	}
}

// End implements trace.Span.
func (r *recorded) End(at time.Time, err error) {
	r.tracer.mu.Lock()
	defer r.tracer.mu.Unlock()
	if !r.span.End.IsZero() {
		return
	}
	if at.IsZero() {
		at = time.Now()
	}
	r.span.End, r.span.Err = at, err
}

// Spans returns copies of all spans in the order of their starts.
func (t *Tracer) Spans() []Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Span, len(t.spans))
	for i, s := range t.spans {
		list[i] = *s
		list[i].Attrs = make(map[string]any, len(s.Attrs))
		for k, v := range s.Attrs {
			list[i].Attrs[k] = v
		}
	}
	slices.SortStableFunc(list, func(a, b Span) int { return a.Begin.Compare(b.Begin) })
	return list
}

// Named returns the spans with a name.
func (t *Tracer) Named(name string) []Span {
	return slices.DeleteFunc(t.Spans(), func(s Span) bool { return s.Name != name })
}

// Open returns the spans that have not ended. A test checks at its end that there is none.
func (t *Tracer) Open() []Span {
	return slices.DeleteFunc(t.Spans(), func(s Span) bool { return !s.End.IsZero() })
}

// Reset forgets all spans.
func (t *Tracer) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = nil
}

// Sampled returns a sampled context of a trace with that number, as a header would bring it.
func Sampled(n uint64) trace.Context {
	c := trace.Context{Flags: trace.Sampled}
	c.TraceID[0], c.SpanID[0] = 0xee, 0xee
	binary.BigEndian.PutUint64(c.TraceID[8:], n)
	return c
}
