package stage

import (
	"context"
	"iter"

	"github.com/penstock-go/penstock/receipt"
)

// Producer is the handler of a source of events.
type Producer[T any] interface {
	// HandleDemand asks for n more events, n > 0. The producer emits up to that
	// many now, and owes the rest: each unit of demand is passed to it exactly
	// once. Events emitted beyond the demand are buffered by the stage.
	//
	// HandleDemand should not block for long, since its stage does nothing
	// else meanwhile; a producer that waits for something outside returns at
	// once and emits from HandleWake. ErrDone ends the stream after what was
	// emitted; any other error stops the stage.
	HandleDemand(ctx context.Context, n int, emit *Emitter[T]) error
}

// Consumer is the handler of events at the end of a pipeline.
type Consumer[T any] interface {
	// HandleEvents handles events, at least one and at most max demand less min
	// demand. The slice belongs to the handler only during the call: the stage
	// reuses it. Returning nil is the receipt for all of them. With ErrDone they
	// were handled and the consumer needs no more: the stage ends in good order.
	// Any other error stops the stage.
	HandleEvents(ctx context.Context, events []T) error
}

// ProducerConsumer is the handler of a stage that takes events and emits others.
type ProducerConsumer[In, Out any] interface {
	// HandleEvents is as in [Consumer]; events that it emits go to the stage's
	// own subscribers. It is called only while they have demand, unless
	// ProducerConfig.Eager is set. After ErrDone
	// the emitted events are still delivered.
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

// InfoHandler is a handler that receives messages from outside.
type InfoHandler interface {
	// HandleInfo gets the messages passed to [Handle.Send], in that order, and
	// those passed to [Handle.SendBehind].
	HandleInfo(ctx context.Context, msg any) error
}

// ReceiptsHandler is a producer that receives the receipts of its events, for
// instance to acknowledge them where they came from.
type ReceiptsHandler interface {
	// HandleReceipts gets receipts in the order in which the events were
	// finished. The slice may be used only during the call.
	HandleReceipts(ctx context.Context, receipts []Receipt) error
}

// ReceiptsWantedHandler is a [ReceiptsHandler] that needs receipts only with some of
// its options. Keeping them costs memory and time for each event.
type ReceiptsWantedHandler interface {
	// HandleReceiptsWanted reports whether HandleReceipts is to be called. handler
	// is the whole handler of the stage: it is not the receiver if the receiver is
	// embedded in it, and may then have a HandleReceipts of its own, so that the
	// result must be true. It is called once, when the stage is made, in the
	// goroutine that makes it.
	HandleReceiptsWanted(handler any) bool
}

// Receipt is the end of a run of events that ended alike, for their source.
type Receipt struct {
	// First is the number of the first event of the run among all that the stage
	// has emitted, from 0 on; the run has Count events, 1 or more.
	First uint64
	Count int
	// Outcome is how they ended: Done, Failed, Discarded or Abandoned.
	Outcome receipt.Outcome
	// Reason names why they were discarded.
	Reason receipt.Reason
	// Error is the text of the error with which they failed, at most 1,024 bytes of it; of
	// several parts of one event that of the first. It is for a source that keeps failed events.
	Error string
}

// Seqs returns the numbers of the run's events, in order.
func (r Receipt) Seqs() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for seq := r.First; seq < r.First+uint64(r.Count) && yield(seq); seq++ {
		}
	}
}

// extends reports whether an event with this number and end continues the run.
func (r *Receipt) extends(seq uint64, outcome receipt.Outcome, reason receipt.Reason, text string) bool {
	return r.First+uint64(r.Count) == seq && r.Outcome == outcome && r.Reason == reason && r.Error == text
}

// DrainHandler is a producer that can run dry, or a consumer that acts
// differently during a drain.
type DrainHandler interface {
	// HandleDrain must stop accepting events from outside. HandleDemand and
	// HandleWake are still called for the accepted ones, until one of them
	// returns ErrDone. HandleDrain itself may
	// return ErrDone. A producer without HandleDrain is not asked for anything
	// after the drain has begun.
	//
	// A consumer's HandleDrain is called when the drain has begun. Events arrive
	// until its producers have none; to let the drain end, the consumer can give
	// receipts at once that it would otherwise give later.
	HandleDrain(ctx context.Context) error
}

// SubscribeHandler is a handler that is called for subscriptions, on either side.
type SubscribeHandler interface {
	// HandleSubscribe runs at a producer before it accepts a subscription, and
	// at a consumer before the subscription is sent. An error refuses it; a
	// consumer that refuses lives on.
	HandleSubscribe(ctx context.Context, s SubscriptionInfo) error
}

// CancelHandler is a handler that is called at the end of subscriptions, on either
// side.
type CancelHandler interface {
	// HandleCancel runs when a subscription has ended with reason, once, before
	// the cancel mode takes effect. At a producer it does not run for
	// subscriptions that end with the producer.
	HandleCancel(ctx context.Context, s SubscriptionInfo, reason error) error
}

// TerminateHandler is called once, after everything else.
type TerminateHandler interface {
	// HandleTerminate gets the reason for which the stage ends; nil for a
	// normal end. ctx is cancelled already unless the stage drained. An error,
	// such as ErrHung for something that did not end in time, is the stage's
	// failure if it has no other. ErrHung is reported besides another failure.
	HandleTerminate(ctx context.Context, reason error) error
}

// DeliveryHandler is a consumer that finishes events after its handler has
// returned, such as a pool of workers. The stage calls HandleDelivery instead of
// HandleEvents, and the consumer asks and gives receipts itself, with
// [Subscription.Settle].
type DeliveryHandler[T any] interface {
	Consumer[T]
	// HandleDelivery gets all events that arrived together. Delivery.Events
	// belongs to the handler only during the call.
	HandleDelivery(ctx context.Context, d Delivery[T]) error
}

// TransformDeliveryHandler is a producer-consumer that works on events after its
// handler has returned, such as a pool of workers that emits what they return. The
// stage calls HandleDelivery instead of HandleEvents. Its subscriptions ask for
// MaxDemand at their start and for nothing after that: the handler asks with
// [Subscription.Ask], from any goroutine, when it has room for more. With Manual it
// asks for the first events too.
type TransformDeliveryHandler[In, Out any] interface {
	ProducerConsumer[In, Out]
	// HandleDelivery gets all events that arrived together. Delivery.Events belongs
	// to the handler only during the call. Inputs are as in HandleEvents:
	// [Emitter.Hold] keeps Delivery.Events[i], which [Emitter.For] or [Emitter.Finish]
	// names later; what is neither held nor emitted for is finished when the handler
	// returns. It is called only while there is demand for what it emits, unless
	// ProducerConfig.Eager is set.
	HandleDelivery(ctx context.Context, d Delivery[In], emit *Emitter[Out]) error
}

// ProgressHandler is a consumer that handles the events of a call one by one, and
// knows how far it has come when it fails.
type ProgressHandler interface {
	// HandleProgress returns how many events of the last HandleEvents were handled,
	// from the front. It is called if HandleEvents has failed or returned ErrDone:
	// these events get their receipts, and the others none.
	HandleProgress() int
}

// SubscribeConfigHandler is a consumer that does not take every config of a
// subscription.
type SubscribeConfigHandler interface {
	// HandleSubscribeConfig returns nil, or an *OptionError for an option that the
	// consumer cannot use. Subscribe calls it before anything else, in the
	// goroutine of its caller, and returns the error.
	HandleSubscribeConfig(cfg SubscribeConfig) error
}

// DefaultDemandHandler is a consumer that provides the defaults for its
// subscriptions' MaxDemand and MinDemand.
type DefaultDemandHandler interface {
	// HandleDefaultDemand returns the defaults; min may be 0.
	HandleDefaultDemand() (maxDemand, minDemand int)
}

// Delivery is a batch for a [DeliveryHandler] or [TransformDeliveryHandler].
type Delivery[T any] struct {
	Subscription *Subscription[T]
	// Events arrived on Subscription; the position of Events[i] on it is
	// First + i.
	Events []T
	First  uint64
}

// EmitterHandler is a producer or producer-consumer that emits from handlers
// that are not given an [Emitter], such as HandleInfo or HandleCancel.
type EmitterHandler[T any] interface {
	// HandleEmitter is called once, before HandleStart, with the emitter that all
	// handlers of the stage may use. Inside Do it may be used as well.
	HandleEmitter(emit *Emitter[T])
}

// SubscriptionInfo describes a subscription to a handler.
type SubscriptionInfo struct {
	// Upstream reports, in a handler, whether its stage is the consumer of the
	// subscription rather than the producer.
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

// seenBy returns the info for a handler of one of the two stages.
func (i SubscriptionInfo) seenBy(consumer bool) SubscriptionInfo {
	i.Upstream = consumer
	return i
}
