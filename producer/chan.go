package producer

import (
	"github.com/penstock-go/penstock/internal/feed"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// ChanConfig configures [NewChan]. The zero value is useful.
type ChanConfig[T any] struct {
	// Discarded, if set, is called with receipt.Stopped for every event that
	// was received and not emitted before the stage stopped. It must not block.
	// The stage discards and counts these events too, and passes them to its own
	// Discarded.
	Discarded func(event T, reason receipt.Reason)
}

// Chan is a channel as a source. It implements stage.Producer.
//
// A goroutine of its own, which begins with the first demand, receives from the
// channel: never more than was asked for, and events that arrive without waiting
// are emitted together. The stage ends when the channel is closed. A drain or
// stop leaves the other events in the channel.
type Chan[T any] struct{ *source[T] }

// NewChan makes a source of a channel, which must not be nil: the error is an
// [*OptionError].
func NewChan[T any](ch <-chan T, cfg ChanConfig[T]) (*Chan[T], error) {
	if ch == nil {
		return nil, option.Owner("producer.Chan").Refuse("ch", nil, "a channel")
	}
	return &Chan[T]{feed.New(feed.Config[T]{Discarded: cfg.Discarded}, func(r *feed.Reader[T]) error {
		return feed.Receive(r, ch, func(events []T, event T) ([]T, error) { return append(events, event), nil })
	})}, nil
}
