package middleware

import (
	"context"

	"github.com/penstock-go/penstock/internal/option"
)

// TraceConfig configures [Trace].
type TraceConfig struct {
	// Name names the spans, such as the name of the step.
	Name string
	// Start begins a span and returns the context with it and a function that ends it
	// with the error of the attempt. A nil function stands for an attempt that is not
	// sampled, which costs nothing more. It is required.
	Start func(ctx context.Context, name string) (context.Context, func(err error))
}

// Trace makes a span of each attempt, with any tracer. A panic ends the span with a
// [*PanicError] and goes on.
func Trace[T any](cfg TraceConfig) (Func[T], error) {
	if err := option.Owner("middleware.Trace").Needs("Start", cfg.Start, "a function"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, _ T, next func(ctx context.Context) error) error {
		ctx, end := cfg.Start(ctx, cfg.Name)
		if end == nil {
			return next(ctx)
		}
		return spanned(ctx, next, end)
	}, nil
}

// spanned calls next and ends its span, whatever next does.
func spanned(ctx context.Context, next func(ctx context.Context) error, end func(err error)) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = unwound(recover(), end)
		}
	}()
	err = next(ctx)
	returned = true
	end(err)
	return err
}
