package gostreams

import (
	"fmt"
	"reflect"

	"github.com/reugn/go-streams"

	"github.com/penstock-go/penstock/internal/feed"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// TypeError ends a [Source] that was sent something else than events.
type TypeError struct {
	// Got is the type of the element, nil for a nil element; Want is the type
	// of events. A slice of Want would have been taken as well.
	Got, Want reflect.Type
}

// Error implements error.
func (e *TypeError) Error() string {
	return fmt.Sprintf("element of type %v, want %v or []%v", e.Got, e.Want, e.Want)
}

// SourceConfig configures [NewSource]. The zero value is useful.
type SourceConfig[T any] struct {
	// Discarded, if set, is called with receipt.Stopped for every event that
	// was received and not emitted before the stage stopped. It must not block.
	// The stage discards and counts these events too, and passes them to its own
	// Discarded.
	// Default: none.
	Discarded func(event T, reason receipt.Reason)
}

// Source is a go-streams source as a source of events. It implements
// stage.Producer.
//
// An element of type T is an event. An element of type []T is its events, in
// order, which costs one step through the source's channel instead of one for
// each event. Any other element stops the stage with a *TypeError. No element is
// received before there is demand for its first event.
//
// go-streams has no cancellation: when the stage drains or stops before the
// source's channel is closed, the goroutine that sends on that channel stays
// blocked. The program must end it.
type Source[T any] struct{ *source[T] }

// source makes the embedded field of Source unexported.
type source[T any] = feed.Stage[T]

// NewSource makes a source of any go-streams Source or Flow. An error is an
// [*OptionError].
func NewSource[T any](outlet streams.Outlet, cfg SourceConfig[T]) (*Source[T], error) {
	if err := option.Owner("gostreams.Source").Needs("outlet", outlet, "a go-streams source"); err != nil {
		return nil, err
	}
	return &Source[T]{feed.New(feed.Config[T]{Discarded: cfg.Discarded}, func(r *feed.Reader[T]) error {
		return feed.Receive(r, outlet.Out(), add[T])
	})}, nil
}

// add appends the events that an element holds.
func add[T any](events []T, element any) ([]T, error) {
	switch e := element.(type) {
	case T:
		return append(events, e), nil
	case []T:
		return append(events, e...), nil
	}
	return events, &TypeError{Got: reflect.TypeOf(element), Want: reflect.TypeFor[T]()}
}
