package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/pipeline"
)

// ErrTimeout is the cause of the context of an attempt that [Timeout] has ended: that of
// the Timeout of a step.
var ErrTimeout = pipeline.ErrTimeout

// Timeout ends the context of an attempt after d, with ErrTimeout as its cause. What does
// not look at its context is not ended. If the attempt returns the context's error, the
// error says ErrTimeout as well. d must be more than 0.
func Timeout[T any](d time.Duration) (Func[T], error) {
	if err := option.AtLeast("middleware.Timeout", "d", d, 1); err != nil {
		return nil, err
	}
	return func(ctx context.Context, _ T, next func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeoutCause(ctx, d, ErrTimeout)
		defer cancel()
		err := next(ctx)
		if err != nil && context.Cause(ctx) == ErrTimeout && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrTimeout) {
			return errors.Join(ErrTimeout, err)
		}
		return err
	}, nil
}
