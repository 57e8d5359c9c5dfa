package stage

import (
	"context"

	"github.com/penstock-go/penstock/internal/crash"
)

// MapFunc is a producer-consumer that emits, for each event, what the function
// makes of it. An event for which the function returns an error, or panics, fails
// alone: see [Emitter.Fail]. ErrDone ends the stage before that event.
type MapFunc[In, Out any] func(ctx context.Context, event In) (Out, error)

// HandleEvents implements ProducerConsumer.
func (f MapFunc[In, Out]) HandleEvents(ctx context.Context, events []In, emit *Emitter[Out]) error {
	for at := 0; at < len(events); {
		next, err := f.untilPanic(ctx, events, at, emit)
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

// These make a stage pass sampled events alone, so that ctx names their spans.
func (MapFunc[In, Out]) perEvent()     {}
func (FilterFunc[T]) perEvent()        {}
func (FlatMapFunc[In, Out]) perEvent() {}

// untilPanic is as eachUntilPanic, and cheaper: each event has exactly one result.
func (f MapFunc[In, Out]) untilPanic(ctx context.Context, events []In, at int, emit *Emitter[Out]) (next int, err error) {
	place := at
	defer func() {
		if p := recover(); p != nil {
			emit.Fail(place, crash.Of(p))
			next, err = place+1, nil
		}
	}()
	next, err = f.untilError(ctx, events, at, emit, &place)
	switch {
	case err == nil:
	case err == ErrDone:
		for i := next; i < len(events); i++ {
			emit.Hold(i) // it was not handled, and is given back
		}
	case ctx.Err() != nil: // the stage is being stopped
	default:
		emit.Fail(next, err)
		return next + 1, nil
	}
	return next, err
}

// untilError calls f for the events from place at on, up to the first for which it returns
// an error. It keeps *place up to date, for a panic.
func (f MapFunc[In, Out]) untilError(ctx context.Context, events []In, at int, emit *Emitter[Out], place *int) (next int, err error) {
	emit.FromEach(at)
	for i := at; i < len(events); i++ {
		*place = i
		out, err := f(ctx, events[i])
		if err != nil {
			return i, err
		}
		emit.Emit(out)
	}
	return len(events), nil
}

// FilterFunc is a producer-consumer that emits the events for which the function
// returns true. Errors are as for [MapFunc].
type FilterFunc[T any] func(ctx context.Context, event T) (bool, error)

// HandleEvents implements ProducerConsumer.
func (f FilterFunc[T]) HandleEvents(ctx context.Context, events []T, emit *Emitter[T]) error {
	return eachEvent(ctx, events, emit, func(ctx context.Context, event T, emit *Emitter[T]) error {
		keep, err := f(ctx, event)
		if err == nil && keep {
			emit.Emit(event)
		}
		return err
	})
}

// FlatMapFunc is a producer-consumer that emits, for each event, what the
// function passes to emit, which must not be used after the function has
// returned. Errors are as for [MapFunc]; what was emitted for an event that
// fails, or for which the function returns ErrDone, is taken back.
type FlatMapFunc[In, Out any] func(ctx context.Context, event In, emit func(Out)) error

// HandleEvents implements ProducerConsumer.
func (f FlatMapFunc[In, Out]) HandleEvents(ctx context.Context, events []In, emit *Emitter[Out]) error {
	add := emit.Emit // one value for all calls
	return eachEvent(ctx, events, emit, func(ctx context.Context, event In, _ *Emitter[Out]) error {
		return f(ctx, event, add)
	})
}

// eachEvent calls f for each event, so that each has its own receipt. The events after one
// that panics are handled all the same.
func eachEvent[In, Out any](ctx context.Context, events []In, emit *Emitter[Out], f func(context.Context, In, *Emitter[Out]) error) error {
	for at := 0; at < len(events); {
		next, err := eachUntilPanic(ctx, events, at, emit, f)
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

// eachUntilPanic calls f for the events from place at on, up to the first for which it
// panics, and returns the place to go on from. One deferred call covers many events, which
// is cheaper than one for each. before is the length of the emitter when the event began:
// what an event that fails has emitted is cut off there.
func eachUntilPanic[In, Out any](ctx context.Context, events []In, at int, emit *Emitter[Out], f func(context.Context, In, *Emitter[Out]) error) (next int, err error) {
	i, before := at, 0
	defer func() {
		if p := recover(); p != nil {
			emit.buf = emit.buf[:before]
			emit.Fail(i, crash.Of(p))
			next, err = i+1, nil
		}
	}()
	for ; i < len(events); i++ {
		emit.From(i)
		before = len(emit.buf)
		switch err := f(ctx, events[i], emit); {
		case err == nil:
		case err == ErrDone:
			emit.buf = emit.buf[:before]
			for ; i < len(events); i++ {
				emit.Hold(i) // it was not handled, and is given back
			}
			return i, err
		case ctx.Err() != nil:
			return i, err // the stage is being stopped
		default:
			emit.buf = emit.buf[:before]
			emit.Fail(i, err)
		}
	}
	return i, nil
}
