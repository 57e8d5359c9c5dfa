package consumer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// blank returns n receipts without content, in the storage of finished.
func blank(finished []stage.Finished, n int) []stage.Finished {
	return slices.Grow(finished[:0], n)[:n]
}

// receipts returns receipts for n events of sub from the position first on, in
// the storage of finished. On a subscription whose producer wants none only
// their number counts.
func receipts[T any](sub *stage.Subscription[T], first uint64, n int, finished []stage.Finished) []stage.Finished {
	finished = blank(finished, n)
	if sub.Tracked() {
		for i := range finished {
			finished[i] = stage.Finished{Position: first + uint64(i)}
		}
	}
	return finished
}

// discarded reports whether err is the decision to drop an event.
func discarded(err error) bool {
	_, ok := errors.AsType[*stage.DiscardError](err)
	return ok
}

// refuseManual refuses a subscription on which the consumer is not to ask itself.
func refuseManual(owner option.Owner, cfg stage.SubscribeConfig) error {
	return owner.Check(!cfg.Manual, "Manual", cfg.Manual, "false: the consumer asks for what it has room for")
}

// errDeliveries is returned by HandleEvents of the consumers that are given
// deliveries instead.
var errDeliveries = fmt.Errorf("HandleEvents of a consumer that takes deliveries: %w", errors.ErrUnsupported)
