package consumer

import (
	"context"

	"github.com/penstock-go/penstock/stage"
)

// ForEach answers a consumer that calls f for each event, in order, one at a
// time. An error stops the stage; events behind the one that failed have no
// receipt then.
func ForEach[T any](f func(ctx context.Context, event T) error) stage.Consumer[T] {
	return stage.ConsumerFunc[T](func(ctx context.Context, events []T) error {
		for _, event := range events {
			if err := f(ctx, event); err != nil {
				return err
			}
		}
		return nil
	})
}
