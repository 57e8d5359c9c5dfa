package dispatcher

import (
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// The interfaces below are optional, like [Holder], [Timed] and [ReceiptTaker].

// EachGiver is an [Out] that takes scattered events in one call.
type EachGiver interface {
	// GiveEach hands the events at the given places of the current offer to
	// sub, in that order, like as many calls of Give. The slice may be used
	// again afterwards.
	GiveEach(sub int, at []int32)
}

// HeldGiver is an [Out] that takes a run of held events in one call.
type HeldGiver[T any] interface {
	// GiveHeldAll hands sub events that the dispatcher has held, like as many
	// calls of GiveHeld with a ticket of 0. The slices may be used again
	// afterwards.
	GiveHeldAll(sub int, events []T, seqs []uint64)
}

// Rejecter is an [Out] through which a dispatcher ends a subscription that turned
// out to be bad.
type Rejecter interface {
	// Reject makes the stage cancel sub with reason when Dispatch has returned.
	// sub must be handed nothing more.
	Reject(sub int, reason error)
}

// Returner is a dispatcher that takes back events whose consumer died before it
// had handled them. Without it they go to the front of the stage's buffer, which
// is served after the events that a [Holder] holds.
type Returner[T any] interface {
	// PutBack puts an event before all others that the dispatcher holds for
	// the same subscription. Of several events the last one is put back first.
	PutBack(event T, seq uint64)
}

// Orphanage is a [Holder] that knows which events it holds for subscriptions that
// do not exist. They wait for one, and the stage logs it if none comes. A draining
// stage accepts no subscriptions, so none will come for these events.
type Orphanage[T any] interface {
	// Orphans returns the number of such events.
	Orphans() int
	// DiscardOrphans discards such events, calling out.Discard with reason for
	// each.
	DiscardOrphans(out Out[T], reason receipt.Reason)
}

// Parking is a [Holder] that keeps events back until the program releases them. A
// draining stage does not wait for that.
type Parking[T any] interface {
	// DiscardParked discards the events kept back, calling out.Discard with
	// [receipt.Parked] for each, if nothing else is held. The stage calls it when
	// it drains, its source has ended or there is no room for more of it, and no
	// event is in flight that may come back.
	DiscardParked(out Out[T])
}

// Staller is a dispatcher that may wait for receipts before it hands out more. The
// stage then tells its subscribers, so that those which gather events do not wait for
// more.
type Staller interface {
	// Stalled reports whether a subscription has open demand, nothing can be handed
	// out now, and something could be if events in flight had their receipts.
	Stalled() bool
}

// Withdrawer is a [Holder] that gives back events which it has not handed out, because
// their source has asked for them.
type Withdrawer[T any] interface {
	// Withdraw removes the held events whose numbers match, and calls gone for each. It
	// is not called during a Dispatch, and Dispatch is called afterwards.
	Withdraw(match func(seq uint64) bool, gone func(seq uint64))
}

// Costed is a [ReceiptTaker] that may do without [Receipt.Cost]. A consumer then need not
// read the clock twice for each event. The cost of receipts is wanted by any other
// ReceiptTaker.
type Costed interface {
	// Costs reports whether the cost is wanted. It is called once, before the first
	// Subscribe.
	Costs() bool
}

// DoneTaker is a [ReceiptTaker] that takes the usual receipts as short notes.
type DoneTaker interface {
	// Done reports deliveries with the outcome Done and without a cost, in the order in
	// which they were finished. Receipts is called for all others. The slice may be used
	// only during the call. now is the clock of Offer.Now.
	Done(now int64, done []Done)
}

// Done is the end of a delivery that was handled.
type Done struct {
	// Seq and Ticket are as in [Receipt].
	Seq, Ticket uint64
}

// MisuseCounter is a dispatcher that counts the values of the program's functions
// that it could not use and has replaced. Its stage logs them.
type MisuseCounter interface {
	// Misused returns how many there were, and the function that has returned the
	// last one.
	Misused() (total uint64, function string)
}

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// giveEach hands scattered events out, one by one if out is no EachGiver.
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
