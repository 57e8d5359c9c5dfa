package consumer

import (
	"context"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// ForEach returns a consumer that calls f for each event, in order, one at a time.
// If f returns an error or panics, the stage stops: the events before have their
// receipts, and that event and the later ones have none. stage.ErrDone ends the
// stage after that event. f must not be nil: the error is an [*OptionError].
func ForEach[T any](f func(ctx context.Context, event T) error) (stage.Consumer[T], error) {
	if f == nil {
		return nil, option.Owner("consumer.ForEach").Refuse("f", nil, "a function")
	}
	return &forEach[T]{f: f}, nil
}

// forEach belongs to its stage's goroutine.
type forEach[T any] struct {
	f       func(ctx context.Context, event T) error
	handled int // events of the last call
}

// HandleEvents implements stage.Consumer.
// The stage reads handled through HandleProgress after a call that failed.
func (c *forEach[T]) HandleEvents(ctx context.Context, events []T) error {
	for i, event := range events {
		c.handled = i // if f does not return
		if err := c.f(ctx, event); err != nil {
			if err == stage.ErrDone {
				c.handled++
			}
			return err
		}
	}
	return nil
}

// HandleProgress implements stage.ProgressHandler.
func (c *forEach[T]) HandleProgress() int { return c.handled }
