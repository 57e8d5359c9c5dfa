// Package tracing is what packages of this module share to make their spans.
package tracing

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/trace"
)

// PerEvent is a handler that handles the events of a call one after the other, each alone. A
// stage passes a sampled event to it in a call of its own, whose context names its span.
type PerEvent interface{ PerEvent() }

// notFinished is the outcome of an event without a receipt: its stage has ended, or its
// subscription.
const notFinished = "not_finished"

// End ends the span of an event with its outcome. Only a failure is an error of the span.
func End(s trace.Span, outcome receipt.Outcome, reason receipt.Reason, err error) {
	attrs := []trace.Attr{trace.String(trace.AttrOutcome, outcome.String())}
	if outcome != receipt.Failed {
		err = nil
	}
	if outcome == receipt.Discarded {
		attrs = append(attrs, trace.String(trace.AttrReason, string(reason)))
	}
	s.Set(attrs...)
	s.End(time.Time{}, err)
}

// Abandon ends the span of an event that gets no receipt.
func Abandon(s trace.Span) {
	s.Set(trace.String(trace.AttrOutcome, notFinished))
	s.End(time.Time{}, nil)
}

// Try calls f with the span of an attempt below parent, which is sampled. The span ends with
// the error of f, and with one of its own if f panics or ends its goroutine.
func Try(ctx context.Context, t trace.Tracer, parent trace.Context, stage string, attempt int, f func(ctx context.Context) error) error {
	return Within(ctx, Attempt(t, parent, stage, attempt), f)
}

// Attempt begins the span of an attempt below parent.
func Attempt(t trace.Tracer, parent trace.Context, stage string, attempt int) trace.Span {
	return t.Start(parent, trace.SpanAttempt+" "+stage, trace.SpanConfig{
		Attrs: []trace.Attr{trace.String(trace.AttrStage, stage), trace.Int(trace.AttrAttempt, attempt)},
	})
}

// Within calls f with a span, and ends that: with the error of f, and with one of its own if
// f panics or ends its goroutine.
func Within(ctx context.Context, span trace.Span, f func(ctx context.Context) error) (err error) {
	returned := false
	defer func() {
		if !returned {
			span.End(time.Time{}, errUnwound)
		}
	}()
	err = f(trace.NewContext(ctx, span.Context()))
	returned = true
	span.End(time.Time{}, err)
	return err
}

var errUnwound = errors.New("the function panicked, or ended its goroutine")

// Links gathers the spans of the events of a batch. The zero value is empty.
type Links struct {
	list []trace.Context
	left int // sampled events beyond MaxLinks
}

// Add adds the span of an event, if that is sampled.
func (l *Links) Add(c trace.Context) {
	switch {
	case !c.IsSampled():
	case len(l.list) < trace.MaxLinks:
		l.list = append(l.list, c)
	default:
		l.left++
	}
}

// Any reports whether there is a sampled event.
func (l *Links) Any() bool { return len(l.list) > 0 }

// Start begins the span of a batch of n events: below the span of the first sampled one, of
// which there must be one, and linked to the others.
func (l *Links) Start(t trace.Tracer, stage string, n int, attrs ...trace.Attr) trace.Span {
	attrs = append(attrs, trace.String(trace.AttrStage, stage), trace.Int(trace.AttrEvents, n))
	if l.left > 0 {
		attrs = append(attrs, trace.Int(trace.AttrUnlinked, l.left))
	}
	return t.Start(l.list[0], trace.SpanBatch+" "+stage, trace.SpanConfig{Attrs: attrs, Links: l.list[1:]})
}

// Try calls f with a span for an attempt at a batch of n events, see Start.
func (l *Links) Try(ctx context.Context, t trace.Tracer, stage string, n, attempt int, f func(ctx context.Context) error) error {
	return Within(ctx, l.Start(t, stage, n, trace.Int(trace.AttrAttempt, attempt)), f)
}
