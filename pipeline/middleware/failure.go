package middleware

import (
	"errors"

	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// isFailure reports whether err says that an attempt has failed, rather than that its
// event was discarded or postponed.
func isFailure(err error) bool {
	if err == nil {
		return false
	}
	var discard *stage.DiscardError
	return !errors.As(err, &discard) && !retry.IsLater(err)
}
