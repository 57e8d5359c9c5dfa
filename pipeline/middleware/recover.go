package middleware

import (
	"context"

	"github.com/penstock-go/penstock/internal/crash"
)

// Recover makes a panic the error of the attempt, a [*PanicError], for the middleware
// around it. A step recovers from panics in any case.
func Recover[T any]() Func[T] {
	return func(ctx context.Context, _ T, next func(ctx context.Context) error) (err error) {
		defer crash.Catch(&err)
		return next(ctx)
	}
}
