package pipelinetest

import (
	"context"
	"errors"

	"github.com/penstock-go/penstock/receipt"
)

// ErrEnded is the error of an event without a receipt when its pipeline has ended: its
// source would have it again after a new start.
var ErrEnded = errors.New("the pipeline has ended without a receipt for the event")

// Receipt is what becomes of one event that was pushed. Its methods may be called by any
// goroutine.
type Receipt[T any] struct {
	// Event is the event.
	Event T

	// The fields below are written before done is closed.
	outcome receipt.Outcome
	reason  receipt.Reason
	err     error
	done    chan struct{}
}

// Done is closed when the event has its receipt, or the pipeline has ended without one.
func (r *Receipt[T]) Done() <-chan struct{} { return r.done }

// Finished reports whether Done is closed.
func (r *Receipt[T]) Finished() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Outcome returns how the event ended, Abandoned if it has not.
func (r *Receipt[T]) Outcome() receipt.Outcome {
	if !r.Finished() {
		return receipt.Abandoned
	}
	return r.outcome
}

// Reason returns why the event was discarded, "" if it was not.
func (r *Receipt[T]) Reason() receipt.Reason {
	if !r.Finished() {
		return ""
	}
	return r.reason
}

// Wait waits for the event's receipt and returns its outcome. The error is ErrEnded if
// there is none, and the cause of ctx if that ends before.
func (r *Receipt[T]) Wait(ctx context.Context) (receipt.Outcome, error) {
	select {
	case <-r.done:
		return r.outcome, r.err
	case <-ctx.Done():
		return receipt.Abandoned, context.Cause(ctx)
	}
}

// Receipts are those of several events, in the order of the events.
type Receipts[T any] []*Receipt[T]

// Wait waits for all receipts and returns their outcomes. The error is the first one of
// [Receipt.Wait].
func (rs Receipts[T]) Wait(ctx context.Context) (outcomes []receipt.Outcome, err error) {
	for _, r := range rs {
		o, e := r.Wait(ctx)
		if err == nil {
			err = e
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, err
}
