package dispatcher

import (
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// The interfaces below are optional, as [Holder], [Timed] and [ReceiptTaker]
// are.

// EachGiver is what an [Out] may be as well: one that takes scattered events in
// one call.
type EachGiver interface {
	// GiveEach hands the events at the given places of the current offer to
	// sub, in that order, like as many calls of Give. The slice may be used
	// again afterwards.
	GiveEach(sub int, at []int32)
}

// HeldGiver is what an [Out] may be as well: one that takes a run of held events
// in one call.
type HeldGiver[T any] interface {
	// GiveHeldAll hands sub events that the dispatcher has kept, like as many
	// calls of GiveHeld with a ticket of 0. The slices may be used again
	// afterwards.
	GiveHeldAll(sub int, events []T, seqs []uint64)
}

// Rejecter is what an [Out] may be as well: one through which a dispatcher gets
// rid of a subscription that turned out to be bad.
type Rejecter interface {
	// Reject has sub cancelled with reason when Dispatch has returned. It must
	// be handed nothing more.
	Reject(sub int, reason error)
}

// Returner is a dispatcher that takes events back which their consumer had not
// handled when it died. Without it they go to the front of the stage's buffer,
// which is behind what a [Holder] holds.
type Returner[T any] interface {
	// PutBack puts an event before all others that the dispatcher holds for
	// the same taker. Of several events the last one is put back first.
	PutBack(event T, seq uint64)
}

// Orphanage is a [Holder] that can tell what it holds for takers which are not
// there. A stage that drains accepts no subscriptions any more, so that nobody
// will come for it.
type Orphanage[T any] interface {
	// DiscardOrphans gives such events up, calling out.Discard with reason for
	// each.
	DiscardOrphans(out Out[T], reason receipt.Reason)
}

// Parking is a [Holder] that keeps events back until somebody says otherwise. A
// stage that drains does not wait for that.
type Parking[T any] interface {
	// DiscardParked gives up what is kept back, calling out.Discard with [Parked]
	// for each event, if nothing else is held. The stage calls it when it drains,
	// its source has ended or there is no room for more of it, and nothing is in
	// flight that may come back.
	DiscardParked(out Out[T])
}

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// giveEach hands scattered events out, one by one where out cannot do better.
func giveEach[T any](out Out[T], sub int, at []int32) {
	if len(at) == 0 {
		return
	}
	if g, ok := out.(EachGiver); ok {
		g.GiveEach(sub, at)
		return
	}
	for _, i := range at {
		out.Give(sub, int(i), int(i)+1)
	}
}
