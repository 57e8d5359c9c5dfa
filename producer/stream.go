package producer

import (
	"context"
	"reflect"

	"github.com/reugn/go-streams"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// StreamConfig configures [NewStream]. The zero value is useful.
type StreamConfig[T any] struct {
	// Discarded, if set, is called with receipt.Stopped for every event that
	// was received and not emitted before the stage stopped. It must not block.
	Discarded func(event T, reason receipt.Reason)
}

// Stream is a go-streams source as a source of events. It implements
// stage.Producer.
//
// An element of type T is one event; an element of type []T is the events in it, in
// order, which costs one step through the source's channel instead of one for each
// event. Anything else stops the stage with a *TypeError. No element is
// received before there is demand for its first event.
//
// go-streams has no cancellation: if the stage drains or stops before the source's
// channel is closed, the goroutine that feeds that channel stays blocked on it. The
// program that made the source must end it.
type Stream[T any] struct{ *feed[T] }

// NewStream returns a source of the elements of any go-streams Source or Flow. An error is an
// [*OptionError].
func NewStream[T any](outlet streams.Outlet, cfg StreamConfig[T]) (*Stream[T], error) {
	if option.IsNil(outlet) {
		return nil, option.Owner("producer.Stream").Refuse("outlet", outlet, "a go-streams source")
	}
	s := &Stream[T]{newFeed(0, nil, cfg.Discarded)}
	s.feed.read = func() error { return receive(s.feed, outlet.Out(), s.add) }
	return s, nil
}

func (s *Stream[T]) add(events []T, element any) ([]T, error) {
	switch e := element.(type) {
	case T:
		return append(events, e), nil
	case []T:
		return append(events, e...), nil
	}
	return events, &TypeError{Stage: s.self.Name(), Got: reflect.TypeOf(element), Want: reflect.TypeFor[T]()}
}

// HandleStart implements stage.StartHandler.
func (s *Stream[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.start(ctx, self)
	return nil
}
