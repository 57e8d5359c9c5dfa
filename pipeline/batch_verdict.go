package pipeline

import (
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/stage"
)

// batchVerdict is what the error of a batch function means for the events of the batch.
type batchVerdict struct {
	failed error                // set if the batch has failed as a whole
	some   consumer.EventErrors // of single events, if it has not; all others were handled
	whole  error                // the *stage.DiscardError of a batch that was dropped on purpose
}

// batchVerdictOf returns what err means for a batch of n events. EventErrors that name no
// event of the batch, or that are joined with another error, are a failure of the batch.
func batchVerdictOf(err error, n int) batchVerdict {
	_, single := errors.AsType[consumer.EventErrors](err)
	switch {
	case err == nil || err == stage.ErrDone:
		return batchVerdict{}
	case !single && discarded(err):
		return batchVerdict{whole: err}
	case !single:
		return batchVerdict{failed: err}
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		some, ok := inner.(consumer.EventErrors)
		if !ok {
			continue
		}
		for i := range some {
			if i < 0 || i >= n {
				return batchVerdict{failed: fmt.Errorf("no event %d in a batch of %d: %w", i, n, err)}
			}
		}
		return batchVerdict{some: some}
	}
	return batchVerdict{failed: err}
}
