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

// Unlimited is the value of BufferSize for a buffer without a bound.
const Unlimited = math.MaxInt

// The defaults of the package, in events.
const (
	DefaultMaxDemand  = 1000
	DefaultBufferSize = 10_000
)

// Keep says which events a full buffer keeps.
type Keep uint8

const (
	// KeepLast drops the oldest buffered event for each new one. It is the
	// default.
	KeepLast Keep = iota
	// KeepFirst drops the newcomers.
	KeepFirst
)

// DemandMode says what a producer's stage does with demand.
type DemandMode uint8

const (
	// Forward tells the handler of demand and delivers what it emits. It is
	// the default.
	Forward DemandMode = iota
	// Accumulate keeps the demand of subscribers and the events that are
	// emitted, within the buffer's bound, until the mode is Forward again: so
	// that several subscribers can be there before the first event. A drain
	// forwards.
	Accumulate
)

// ProducerConfig configures [NewProducer]. The zero value is useful.
type ProducerConfig[T any] struct {
	// Name names the stage in errors, metrics and snapshots. Default: made
	// from the handler's type.
	Name string
	// Dispatcher hands the events out. It must not be shared between stages.
	// Default: dispatcher.NewDemand.
	Dispatcher dispatcher.Dispatcher[T]
	// BufferSize bounds, in events, what was emitted without demand. 0 means
	// 10,000 for a producer and no bound for a producer-consumer; None drops
	// at once what nobody has asked for; Unlimited sets no bound.
	BufferSize int
	// Keep says which events a full buffer keeps. Default: KeepLast.
	Keep Keep
	// Demand says whether the stage begins by accumulating demand and events,
	// until [ProducerStage.SetDemand] lets them pass. Default: Forward.
	Demand DemandMode
	// Discarded, if set, is called on the stage's goroutine for every event
	// that is discarded. It must not block.
	Discarded func(event T, reason receipt.Reason)
	// Logger gets what an operator should know. nil discards.
	Logger *slog.Logger
}

// ConsumerConfig configures [NewConsumer]. The zero value is useful.
type ConsumerConfig struct {
	// Name is as in ProducerConfig.
	Name string
	// Logger gets what an operator should know. nil discards.
	Logger *slog.Logger
}

// ProducerConsumerConfig configures [NewProducerConsumer]. The zero value is
// useful. Its fields are those of ProducerConfig, for the side that emits.
type ProducerConsumerConfig[Out any] = ProducerConfig[Out]

// CancelMode says whether a consumer survives the end of a subscription.
type CancelMode uint8

const (
	// Permanent: the consumer stops with the subscription, whatever the
	// reason; when the reason is ErrDone it stops with the last of its
	// subscriptions. It is the default.
	Permanent CancelMode = iota
	// Transient: the consumer stops unless the reason is a normal one.
	Transient
	// Temporary: the consumer lives on.
	Temporary
)

// SubscribeConfig configures a subscription. The zero value is useful.
type SubscribeConfig struct {
	// MaxDemand is the most that may be outstanding at once, in events, 1 or
	// more. Default: 1000, or what the consumer says ([DefaultDemandHandler]).
	MaxDemand int
	// MinDemand is the level at or below which more is asked for: 0 means half
	// of MaxDemand, None means 0. It must be below MaxDemand.
	MinDemand int
	// Cancel says whether the consumer survives the end of the subscription.
	Cancel CancelMode
	// Manual leaves the asking to [Subscription.Ask]: nothing is asked for
	// automatically, and a handler gets all that arrived together.
	Manual bool
	// Redeliver gives what a consumer had not given a receipt for when it
	// died to the others, in order, once.
	Redeliver bool
	// Partition and Selector are for the producer's dispatcher; see
	// dispatcher.SubscribeOptions.
	Partition any
	Selector  any
}

// demands answers max and min demand, or which option is wrong.
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
	return maxDemand, minDemand, nil
}
