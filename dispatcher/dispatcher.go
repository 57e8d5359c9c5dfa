package dispatcher

import "github.com/penstock-go/penstock/receipt"

// Dispatcher hands events to subscriptions. Subscriptions are named by small
// non-negative integers that the stage assigns, densely, and uses again after
// Cancel, so that a slice indexed by subscription is the natural state.
//
// A dispatcher is used by one stage only and is called by that stage's
// goroutine only; no method may block. A method that panics stops its stage.
type Dispatcher[T any] interface {
	// Subscribe announces a subscription, which has asked for nothing yet. An
	// error refuses it: the subscriber receives the error, the stage lives on
	// and sub is free again.
	Subscribe(sub int, opts SubscribeConfig) error

	// Ask adds n > 0 to the number of events that sub may be handed. Sums
	// saturate; they never wrap.
	Ask(sub int, n int)

	// Cancel forgets the demand of sub, which is handed nothing more. Receipts
	// for its earlier events may still come, until the same number is
	// subscribed again.
	Cancel(sub int)

	// Demand returns the number of events that the dispatcher can still take, 0
	// or above.
	Demand() int

	// Dispatch takes events from the front of the offer, hands them out or
	// keeps them, and returns how many it took. With an empty offer it hands
	// out events that it holds, if it is of the kind that holds events.
	Dispatch(offer Offer[T], out Out[T]) (taken int)
}

// SubscribeConfig are a subscriber's options for the dispatcher.
type SubscribeConfig struct {
	// Consumer identifies the subscribing stage: equal values are the same
	// stage. It is 0 if the stage has not named it.
	Consumer uint64
	// MaxDemand bounds the open demand of the subscription.
	MaxDemand int
	// Partition names the partition that a subscriber of a partitioning
	// dispatcher takes, and is nil elsewhere.
	Partition any
	// Selector is a func(T) bool that selects the events for a subscriber of a
	// broadcasting dispatcher, and is nil for all events.
	Selector any
}

// Offer is a run of events, oldest first, that a stage offers its dispatcher.
type Offer[T any] struct {
	// Events belong to the stage and may be used only during the call.
	Events []T
	// First is the sequence number of Events[0] among all that the stage has
	// emitted; the others follow it without a gap.
	First uint64
	// Now is the stage's monotonic clock in nanoseconds. It is set only for a
	// dispatcher that is a [Timed].
	Now int64
}

// Out takes a dispatcher's decisions. It is valid only during the call to
// which it was passed.
type Out[T any] interface {
	// Give hands the events lo to hi-1 of the current offer to sub. The same
	// event may be given to several subscriptions. sub must have asked for at
	// least that many.
	Give(sub int, lo, hi int)

	// GiveHeld hands sub an event that an earlier offer contained and that the
	// dispatcher has kept. seq is the event's sequence number and ticket is
	// any value of the dispatcher's own: both come back in the [Receipt].
	GiveHeld(sub int, event T, seq, ticket uint64)

	// Discard drops an event, from the current offer or held, by a policy. The
	// stage counts and reports it, and the source receives a receipt with reason.
	Discard(event T, seq uint64, reason receipt.Reason)
}

// Holder is a dispatcher that keeps events in queues of its own. A stage with a
// Holder counts Held as buffered, is drained only when Held is 0, and calls
// Dispatch with an empty offer after every round that changed anything.
type Holder[T any] interface {
	Dispatcher[T]
	// Held returns the number of events that the dispatcher keeps.
	Held() int
	// DiscardHeld discards all held events, calling out.Discard with reason for
	// each; used when a stage stops without draining.
	DiscardHeld(out Out[T], reason receipt.Reason)
}

// Timed is a dispatcher with deadlines. Its stage passes the time in every
// [Offer] and calls Dispatch when Wake comes due.
type Timed interface {
	// Wake is the time, on the clock of Offer.Now, at which Dispatch must be
	// called even if nothing happens until then; ok is false for never.
	Wake() (at int64, ok bool)
}

// Copier is a dispatcher that may give an event to several subscriptions. When a
// subscriber of such a dispatcher fails and its pipeline ends with it, the events
// that only the others get from then on count as abandoned.
type Copier interface {
	// Copies reports whether each subscription gets every event, or every one
	// that it selects.
	Copies() bool
}

// Dropper is a dispatcher that may discard events to make room for others. Where its source
// wants receipts, such as a Kafka topic, the stage logs that once at its start: the source
// counts what is discarded as finished.
type Dropper interface {
	// Drops names the policies that discard, such as "Overflow: DropLongest". "" is none.
	Drops() string
}

// ReceiptTaker is a dispatcher that receives the receipts of its deliveries.
type ReceiptTaker[T any] interface {
	// Receipts reports finished deliveries, in the order in which they were
	// finished. The slice may be used only during the call. now is the clock
	// of Offer.Now. A dispatcher that takes an event back in order to deliver
	// it again sets that receipt's Outcome to Requeued; the source then receives
	// no receipt for it yet. It may do so for Failed and Returned only. A Returned
	// event that is not taken back goes to the front of the stage's buffer.
	Receipts(now int64, receipts []Receipt[T])
}

// Receipt is the end of one delivery.
type Receipt[T any] struct {
	// Sub is the subscription to which the event was handed.
	Sub int
	// Seq and Ticket are as they were passed to [Out.GiveHeld]; Ticket is 0 for
	// an event that was handed out by [Out.Give].
	Seq, Ticket uint64
	// Outcome is how it ended, Reason the reason of Discarded, and of Failed the text of the
	// error.
	Outcome receipt.Outcome
	Reason  receipt.Reason
	// Cost is the time that the handler took for this event, in nanoseconds, 0
	// if it was not measured.
	Cost int64
	// Event is the event itself where Outcome is Failed or Returned.
	Event T
}
