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

// Attempt begins the span of an attempt below parent, which is sampled, and returns a context
// with it.
func Attempt(ctx context.Context, t trace.Tracer, parent trace.Context, stage string, attempt int) (context.Context, trace.Span) {
	s := t.Start(parent, trace.SpanAttempt+" "+stage, trace.SpanConfig{
		Attrs: []trace.Attr{trace.String(trace.AttrStage, stage), trace.Int(trace.AttrAttempt, attempt)},
	})
	return trace.NewContext(ctx, s.Context()), s
}

// Try calls f with the span of an attempt, which ends with its error, or with ErrPanicked.
func Try(ctx context.Context, t trace.Tracer, parent trace.Context, stage string, attempt int, f func(ctx context.Context) error) (err error) {
	ctx, span := Attempt(ctx, t, parent, stage, attempt)
	returned := false
	defer func() {
		if !returned { // a panic, or runtime.Goexit
			span.End(time.Time{}, errUnwound)
		}
	}()
	err = f(ctx)
	returned = true
	span.End(time.Time{}, err)
	return err
}

var errUnwound = errors.New("the function panicked, or ended its goroutine")
