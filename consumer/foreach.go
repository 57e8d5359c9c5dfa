package consumer

import (
	"context"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// ForEach makes a consumer that calls f for each event, in order, one at a time.
// If f returns an error, the stage stops, and the events after the one that
// failed get no receipt. f must not be nil: the error is an [*OptionError].
func ForEach[T any](f func(ctx context.Context, event T) error) (stage.Consumer[T], error) {
	if f == nil {
		return nil, option.Owner("consumer.ForEach").Refuse("f", nil, "a function")
	}
	return stage.ConsumerFunc[T](func(ctx context.Context, events []T) error {
		for _, event := range events {
			if err := f(ctx, event); err != nil {
				return err
			}
		}
		return nil
	}), nil
}
