package stage

import (
	"log/slog"
	"math"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// None is the value of an option for which zero is meant and the zero value
// means the default.
const None = -1

// Unlimited is the value of an option that sets no bound.
const Unlimited = math.MaxInt

// The defaults of the package, in events.
const (
	DefaultMaxDemand  = 1000
	DefaultBufferSize = 10_000
)

// Keep selects the events that a stage's buffer keeps. The buffer holds events that
// were emitted without demand, or whose subscriber has left.
type Keep uint8

const (
	// KeepAll keeps every event: nothing is lost, and the buffer has no bound. A
	// handler that emits only what it was asked for needs none. Where a handler
	// emits regardless of demand, memory grows until subscribers ask: the stage
	// logs a warning at 10,000 events and each time the number has doubled since. It
	// is the default.
	KeepAll Keep = iota
	// KeepLast drops the oldest buffered event for each new one when BufferSize
	// events are buffered.
	KeepLast
	// KeepFirst drops new events while BufferSize events are buffered.
	KeepFirst
)

// DemandMode selects what a producer's stage does with demand.
type DemandMode uint8

const (
	// Forward passes demand to the handler and delivers the events that it
	// emits. It is the default.
	Forward DemandMode = iota
	// Accumulate keeps the demand of subscribers and the emitted events, within
	// the buffer's bound, until the mode is Forward again, so that several
	// subscribers can be there before the first event. A drain sets Forward.
	Accumulate
)

// ProducerConfig configures [NewProducer]. The zero value is useful.
type ProducerConfig[T any] struct {
	// Name names the stage in errors, metrics and snapshots. Default: made
	// from the handler's type.
	Name string
	// Dispatcher hands the events out. Start refuses one that another stage uses, with
	// ErrShared.
	// Default: dispatcher.NewDemand.
	Dispatcher dispatcher.Dispatcher[T]
	// Keep selects the events that a full buffer keeps. Default: KeepAll.
	Keep Keep
	// BufferSize bounds the buffer under KeepLast and KeepFirst, in events.
	// Default: 10,000. None drops events without demand at once. Under KeepAll
	// there is no bound, and any other value than 0 and Unlimited is refused.
	BufferSize int
	// Demand is the mode at the start; [ProducerStage.SetDemand] changes it.
	// Default: Forward.
	Demand DemandMode
	// Eager makes a producer-consumer handle events although its subscribers have no
	// demand. What it emits then waits in its buffer, under Keep and BufferSize: a
	// stage that drops, or buffers, for a slow subscriber, without delaying its own
	// producer. Under KeepAll only the subscription upstream bounds what waits, if its
	// source waits for receipts. Default: false; a producer refuses true.
	Eager bool
	// Discarded, if set, is called on the stage's goroutine for every event
	// that is discarded. It must not block.
	Discarded func(event T, reason receipt.Reason)
	// Abandoned, if set, is called on the stage's goroutine for every event of a
	// subscription with Redeliver over which a consumer has died, and that is delivered
	// no more. Its receipt is receipt.Abandoned. It must not block.
	Abandoned func(event T)
	// Logger gets the warnings of the stage: events that were discarded or
	// abandoned, by reason and number, events that wait without an end in sight,
	// and what a handler does wrong; at most one line a second for each. Default:
	// slog.Default.
	Logger *slog.Logger
}

// ConsumerConfig configures [NewConsumer]. The zero value is useful.
type ConsumerConfig struct {
	// Name is as in ProducerConfig.
	Name string
	// Logger is as in ProducerConfig.
	Logger *slog.Logger
}

// ProducerConsumerConfig configures [NewProducerConsumer]. The zero value is
// useful. Its fields are those of ProducerConfig, for the side that emits.
type ProducerConsumerConfig[Out any] = ProducerConfig[Out]

// CancelMode decides whether a consumer survives the end of a subscription.
type CancelMode uint8

const (
	// Permanent: the consumer stops with the subscription, for any reason; if
	// the reason is ErrDone it stops with the last of its subscriptions. It is
	// the default.
	Permanent CancelMode = iota
	// Transient: the consumer stops unless the reason is a normal one.
	Transient
	// Temporary: the consumer lives on.
	Temporary
)

// SubscribeConfig configures a subscription. The zero value is useful.
type SubscribeConfig struct {
	// MaxDemand bounds the open demand, in events, 1 or more. Default: 1000, or
	// the consumer's own default ([DefaultDemandHandler]).
	MaxDemand int
	// MinDemand is the open demand at or below which the consumer asks for more.
	// It must be below MaxDemand. Default: half of MaxDemand; None means 0.
	MinDemand int
	// Cancel decides whether the consumer survives the end of the subscription.
	// Default: Permanent.
	Cancel CancelMode
	// Manual leaves the asking to [Subscription.Ask]: the stage asks for nothing
	// itself, and a handler gets all events that arrived together.
	Manual bool
	// Redeliver delivers events again whose consumer died without a receipt for
	// them: they return to the front of the buffer, in order, for the other
	// subscribers.
	Redeliver bool
	// Redeliveries bounds how often, with Redeliver, an event over which a consumer died is
	// delivered again, so that a poisonous event does not end one consumer after the other.
	// One that only waited for the consumer does not count. While such events are under way a
	// consumer's HandleEvents gets all events of the stage one by one, so that the next death
	// is over one of them alone. Default: 1; None means 0, and
	// Unlimited is for a program that itself bounds how often it replaces a consumer.
	Redeliveries int
	// Partition and Selector are for the producer's dispatcher; see
	// dispatcher.SubscribeConfig.
	Partition any
	Selector  any
}

// demands returns max and min demand with the defaults filled in, or an error for the
// wrong option. byDefault is the consumer's own default, or nil; it is used as a pair,
// unless the config sets MinDemand.
func (c SubscribeConfig) demands(stage string, byDefault func() (maxDemand, minDemand int)) (maxDemand, minDemand int, err error) {
	maxDemand, minDemand = c.MaxDemand, c.MinDemand
	if maxDemand == 0 {
		maxDemand = DefaultMaxDemand
		if byDefault != nil {
			var least int
			maxDemand, least = byDefault()
			if minDemand == 0 {
				minDemand = least
				if least == 0 {
					minDemand = None
				}
			}
		}
	}
	if maxDemand < 1 {
		return 0, 0, ownerOf(stage).Refuse("MaxDemand", maxDemand, "1 or more")
	}
	switch {
	case minDemand == 0:
		minDemand = maxDemand / 2
	case minDemand == None:
		minDemand = 0
	}
	if minDemand < 0 || minDemand >= maxDemand {
		return 0, 0, ownerOf(stage).Refuse("MinDemand", minDemand,
			"from 0 (None) to MaxDemand-1, which is "+itoa(maxDemand-1))
	}
	if c.Cancel > Temporary {
		return 0, 0, ownerOf(stage).Refuse("Cancel", c.Cancel, "Permanent, Transient or Temporary")
	}
	if c.Redeliveries < None {
		return 0, 0, ownerOf(stage).Refuse("Redeliveries", c.Redeliveries, "None, or 0 or more")
	}
	return maxDemand, minDemand, nil
}
