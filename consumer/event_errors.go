package consumer

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// EventErrors are the errors of single events of a batch, by their index in it.
// The function of a [Batch] returns them to say that these events have failed and
// that all others of the batch were handled:
//
//	failed := consumer.EventErrors{}
//	for i, row := range rows {
//		if err := insert(row); err != nil {
//			failed[i] = err
//		}
//	}
//	return failed
//
// A *stage.DiscardError is the error of an event that was dropped on purpose. An
// event whose error is nil was handled, so empty EventErrors are success. They
// may be wrapped, but not joined with another error, which is a failure of the
// batch.
type EventErrors map[int]error

// Error implements error. It has the first error and the number of the others.
func (e EventErrors) Error() string {
	first := e.indexes()
	switch len(first) {
	case 0:
		return "no event failed"
	case 1:
		return fmt.Sprintf("event %d: %v", first[0], e[first[0]])
	}
	return fmt.Sprintf("event %d: %v (and %d others)", first[0], e[first[0]], len(first)-1)
}

// Unwrap returns the errors in the order of the events.
func (e EventErrors) Unwrap() []error {
	var errs []error
	for _, i := range e.indexes() {
		errs = append(errs, e[i])
	}
	return errs
}

// indexes returns the indexes of the events that have an error, in order.
func (e EventErrors) indexes() []int {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(e)), func(i int) bool { return e[i] == nil })
}

// settled reports whether err decides about the events of a batch, whatever their number:
// the function is not called again for them.
func settled(err error) bool { return verdictOf(err, math.MaxInt).failed == nil }

// verdict is what the return of a batch function means.
type verdict struct {
	some    EventErrors // of single events; all others were handled
	failed  error       // the batch has failed as a whole
	dropped error       // the batch was dropped on purpose
}

// verdictOf returns what err means for a batch of n events.
func verdictOf(err error, n int) verdict {
	_, some := errors.AsType[EventErrors](err)
	switch {
	case err == nil:
		return verdict{}
	case !some && discarded(err):
		return verdict{dropped: err}
	case !some:
		return verdict{failed: err}
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if some, ok := inner.(EventErrors); ok {
			for i := range some {
				if i < 0 || i >= n {
					return verdict{failed: fmt.Errorf("no event %d in a batch of %d: %w", i, n, err)}
				}
			}
			return verdict{some: some}
		}
	}
	return verdict{failed: err} // it is joined with another error
}
