package stage

import (
	"context"
	"iter"

	"github.com/penstock-go/penstock/receipt"
)

// Producer is where events come from.
type Producer[T any] interface {
	// HandleDemand is told that n events more than before are wanted, n > 0.
	// It emits up to that many now, and owes the rest: a producer is told a
	// demand once and keeps it until it is served. Events emitted beyond the
	// demand are buffered by the stage.
	//
	// HandleDemand should not block for long, since its stage does nothing
	// else meanwhile; a producer that waits for something outside answers at
	// once and emits from HandleWake. ErrDone ends the stream after what was
	// emitted; any other error stops the stage.
	HandleDemand(ctx context.Context, n int, emit *Emitter[T]) error
}

// Consumer is where events end.
type Consumer[T any] interface {
	// HandleEvents handles events, of which there is at least one and never
	// more than max demand less min demand. The slice belongs to the handler
	// only during the call: the stage reuses it. Returning nil is the receipt
	// for all of them. ErrDone says that they were handled and that no more
	// are wanted: the stage ends in good order. Any other error stops it.
	HandleEvents(ctx context.Context, events []T) error
}

// ProducerConsumer is both: it takes events and emits others.
type ProducerConsumer[In, Out any] interface {
	// HandleEvents is as in [Consumer]; what it emits goes to the stage's own
	// subscribers. It is called only while they have demand. After ErrDone what
	// it has emitted is still delivered.
	HandleEvents(ctx context.Context, events []In, emit *Emitter[Out]) error
}

// ProducerFunc is a function as a [Producer].
type ProducerFunc[T any] func(ctx context.Context, n int, emit *Emitter[T]) error

// HandleDemand calls f.
func (f ProducerFunc[T]) HandleDemand(ctx context.Context, n int, emit *Emitter[T]) error {
	return f(ctx, n, emit)
}

// ConsumerFunc is a function as a [Consumer].
type ConsumerFunc[T any] func(ctx context.Context, events []T) error

// HandleEvents calls f.
func (f ConsumerFunc[T]) HandleEvents(ctx context.Context, events []T) error { return f(ctx, events) }

// ProducerConsumerFunc is a function as a [ProducerConsumer].
type ProducerConsumerFunc[In, Out any] func(ctx context.Context, events []In, emit *Emitter[Out]) error

// HandleEvents calls f.
func (f ProducerConsumerFunc[In, Out]) HandleEvents(ctx context.Context, events []In, emit *Emitter[Out]) error {
	return f(ctx, events, emit)
}

// The interfaces below are optional: a stage finds out by a type assertion
// whether its handler has them. They are called on the stage's goroutine and
// never overlap with each other or with the handlers above.

// StartHandler is called once, before everything else.
type StartHandler interface {
	// HandleStart gets the handle with which the stage can be woken from other
	// goroutines. An error refuses the start; ErrDone ends the stage in good
	// order before it has begun.
	HandleStart(ctx context.Context, self *Handle) error
}

// WakeHandler is a producer or producer-consumer that emits when something outside
// has happened.
type WakeHandler[T any] interface {
	// HandleWake is called some time after [Handle.Wake], once for any number
	// of calls in between.
	HandleWake(ctx context.Context, emit *Emitter[T]) error
}

// InfoHandler gets messages from outside.
type InfoHandler interface {
	// HandleInfo gets what was passed to [Handle.Send], in that order, and to
	// [Handle.SendBehind].
	HandleInfo(ctx context.Context, msg any) error
}

// ReceiptsHandler is a producer that wants to know what became of its events,
// for instance in order to acknowledge them where they came from.
type ReceiptsHandler interface {
	// HandleReceipts gets receipts in the order in which the events were
	// finished. The slice may be used only during the call.
	HandleReceipts(ctx context.Context, receipts []Receipt) error
}

// Receipt is the end of a run of events that ended alike, as their source hears
// of it.
type Receipt struct {
	// First is the number of the first event of the run among all that the stage
	// has emitted, from 0 on; the run has Count events, 1 or more.
	First uint64
	Count int
	// Outcome is how they ended: Done, Failed, Discarded or Abandoned.
	Outcome receipt.Outcome
	// Reason names why they were discarded.
	Reason receipt.Reason
}

// Seqs returns the numbers of the run's events, in order.
func (r Receipt) Seqs() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for seq := r.First; seq < r.First+uint64(r.Count) && yield(seq); seq++ {
		}
	}
}

// extends reports whether an event with this number and end continues the run.
func (r *Receipt) extends(seq uint64, outcome receipt.Outcome, reason receipt.Reason) bool {
	return r.First+uint64(r.Count) == seq && r.Outcome == outcome && r.Reason == reason
}

// DrainHandler is a producer that can run dry, or a consumer that acts
// differently during a drain.
type DrainHandler interface {
	// HandleDrain says that no more events shall be taken in from outside.
	// HandleDemand and HandleWake go on being called for what is there
	// already, until one of them returns ErrDone. HandleDrain itself may
	// return ErrDone. A producer without HandleDrain is not asked for anything
	// after the drain has begun.
	//
	// A consumer's HandleDrain reports that the drain has begun. Events go on
	// arriving until its producers have none; to let a drain come to its end, it
	// can give receipts at once that it would have waited with.
	HandleDrain(ctx context.Context) error
}

// SubscribeHandler is told about subscriptions, on either side.
type SubscribeHandler interface {
	// HandleSubscribe runs at a producer before it accepts a subscription, and
	// at a consumer before the subscription is sent. An error refuses it; a
	// consumer that refuses lives on.
	HandleSubscribe(ctx context.Context, s SubscriptionInfo) error
}

// CancelHandler is told about the end of subscriptions, on either side.
type CancelHandler interface {
	// HandleCancel runs when a subscription has ended with reason, once, before
	// the cancel mode takes effect. A producer is not told of the ends that its
	// own end brings.
	HandleCancel(ctx context.Context, s SubscriptionInfo, reason error) error
}

// TerminateHandler is called once, after everything else.
type TerminateHandler interface {
	// HandleTerminate gets the reason for which the stage ends; nil for a
	// normal end. ctx is cancelled already unless the stage drained. An error,
	// such as ErrHung for something that did not end in time, is the stage's
	// failure if it has no other.
	HandleTerminate(ctx context.Context, reason error) error
}

// DeliveryHandler is a consumer that finishes events later than its handler
// returns, such as a pool of workers. It gets HandleDelivery instead of
// HandleEvents, and gives demand and receipts itself with
// [Subscription.Settle].
type DeliveryHandler[T any] interface {
	Consumer[T]
	// HandleDelivery gets all events that arrived together. Delivery.Events
	// belongs to the handler only during the call.
	HandleDelivery(ctx context.Context, d Delivery[T]) error
}

// DefaultDemandHandler is a consumer that knows better than the package what max and
// min demand a subscription should have that does not say.
type DefaultDemandHandler interface {
	// HandleDefaultDemand returns the defaults; min may be 0.
	HandleDefaultDemand() (maxDemand, minDemand int)
}

// Delivery is a batch for a [DeliveryHandler].
type Delivery[T any] struct {
	Subscription *Subscription[T]
	// Events arrived on Subscription; the position of Events[i] on it is
	// First + i.
	Events []T
	First  uint64
}

// EmitterHandler is a producer or producer-consumer that emits from handlers that are
// not given an [Emitter], such as HandleInfo or HandleCancel.
type EmitterHandler[T any] interface {
	// HandleEmitter is called once, before HandleStart, with the emitter that all
	// handlers of the stage may use. Inside Do it may be used as well.
	HandleEmitter(emit *Emitter[T])
}

// SubscriptionInfo describes a subscription to a handler.
type SubscriptionInfo struct {
	// Upstream says, in a handler, that its stage is the consumer of the
	// subscription; otherwise it is the producer.
	Upstream bool
	// Producer and Consumer name the stages.
	Producer, Consumer string
	// MaxDemand and MinDemand are in events.
	MaxDemand, MinDemand int
	// Partition is as in [SubscribeConfig].
	Partition any
}

const (
	consuming = true
	producing = false
)

// seenBy answers the info for a handler of one of the two stages.
func (i SubscriptionInfo) seenBy(consumer bool) SubscriptionInfo {
	i.Upstream = consumer
	return i
}
