package delivery

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// OptionError reports an option that was refused.
type OptionError = option.Error

const owner = option.Owner("delivery.Consumer")

// The reasons for which an event is discarded, besides receipt.Expired (Timeout)
// and receipt.Conflated (a newer event of the same key took its frame's place).
const (
	// NoSubscriber: no client had joined the topic by the end of the grace.
	NoSubscriber receipt.Reason = "no_subscriber"
	// NoAnswer: no client of this node had joined the topic by the end of the
	// grace, and another node did not answer, to this attempt or to an earlier
	// one. A client there may have the event.
	NoAnswer receipt.Reason = "no_answer"
	// ClientFull: the clients' queues were still full when the stage drained.
	ClientFull receipt.Reason = "client_full"
	// Kept: the clients that took the event closed before it was written, and
	// the history of the topic has it for those that resume.
	Kept receipt.Reason = "kept"
)

// Config configures a [Consumer]. Topic and Event are required. All functions
// run on the stage's goroutine and must not block.
type Config[T any] struct {
	// Topic returns the topic of an event, such as "user:42". An empty topic, or
	// a panic, fails the event.
	Topic func(event T) string
	// Event is the name of the channel event that clients get.
	Event string
	// Payload returns what clients get with it: anything that encodes to a JSON
	// object, or websocket.Binary. An error or a panic fails the event. Default:
	// the event itself.
	Payload func(event T) (any, error)

	// MaxDemand is how many events a subscription may have on their way to
	// sockets, unless the subscription says otherwise. Default: 1,000.
	MaxDemand int
	// MinDemand batches demand: freed slots are requested upstream in groups of
	// this size. Default: a quarter of MaxDemand.
	MinDemand int
	// MaxWaiting is how many more events of a subscription may wait for a client,
	// for room, or for a slow socket. Default: 10,000.
	MaxWaiting int

	// Grace is how long the events of a topic wait for its first client, from
	// when the first of them found none. After it, further events of the topic
	// are discarded at once until a client joins, or until none has come for as
	// long again. At most MaxWaiting such topics are remembered, by all consumers of a
	// hub together whose Grace is no longer than the one that ended. Time in which other
	// nodes cannot be asked does not count. Default: 5 s.
	Grace time.Duration
	// Crowded, if set, reports whether an event is so old that the source will soon wait
	// for it, and with it for the events of clients that are here. If no client has
	// joined its topic, the grace of that topic ends early: what waits is discarded as
	// NoSubscriber. It is called for the first event of each topic that waits for a
	// client, at most every 10 ms. With Crowded set, such graces also end early, the
	// longest first, while more than three quarters of MaxWaiting are taken up. None
	// does while other nodes cannot be asked.
	// DiscardAbsent must not be set then. Default: no grace ends early.
	Crowded func(event T) bool
	// DiscardAbsent discards an event at once if no client has joined its topic.
	// Grace must not be set then.
	DiscardAbsent bool
	// Timeout bounds how long an event may take from its arrival at the consumer
	// until it is written; then it is discarded as expired. A frame that a
	// socket has queued by then can still be written. Default: no bound.
	Timeout time.Duration
	// DiscardOnDrain discards what waits for a client or for room when the stage
	// drains, as NoSubscriber or ClientFull. Default: the drain waits for it, as
	// long as Grace, Timeout and the pipeline's DrainTimeout allow.
	DiscardOnDrain bool
	// WithdrawOnDrain leaves to the source, while the stage drains, what a client has taken
	// and not got before it closed, instead of discarding it as NoSubscriber or NoAnswer: such
	// an event has the outcome Withdrawn, and so have the later ones of its topic, also if a client
	// joins. It is for sources that deliver it again in a later run, such as a Kafka producer.
	// DiscardOnDrain must not be set then. Default: it is discarded.
	WithdrawOnDrain bool
	// DrainGrace is how long after the beginning of the drain DiscardOnDrain leaves what
	// waits its time. From then on nothing waits, so that the drain ends within
	// Timeouts.Write of the mount, however many clients come that read nothing.
	// DiscardOnDrain must be set then. Default: 0.
	DrainGrace time.Duration

	// Enqueued returns when an event entered the pipeline. With it the time from
	// then until it was written is recorded as pipeline.push_delivered; a time
	// in the future counts as now and is counted as delivery.clock_skew.
	Enqueued func(event T) time.Time
	// Delivered, if set, is called for an event that was written, with the time
	// of the write.
	Delivered func(event T, at time.Time)
	// Discarded, if set, is called for an event that is discarded.
	Discarded func(event T, reason receipt.Reason)
	// Failed, if set, is called for an event that failed.
	Failed func(event T, err error)

	// Metrics gets the timer pipeline.push_delivered, the counters
	// delivery.events (tag outcome), delivery.discarded (tag reason),
	// delivery.missed (tag reason: attempts that found no client or no room),
	// delivery.outages and delivery.clock_skew, and the gauges
	// delivery.in_flight and delivery.waiting (tag reason). nil records nothing.
	Metrics metrics.Recorder
	// Logger gets a line for events that fail, and one for those that are discarded,
	// at most once a second for each reason, with their number.
	// Default: slog.Default.
	Logger *slog.Logger
}

func (c Config[T]) validate(endpoint *websocket.Endpoint) error {
	return option.First(
		owner.Needs("endpoint", endpoint, "an endpoint, not nil"),
		owner.Needs("Topic", c.Topic, "a function, not nil"),
		owner.Check(c.Event != "", "Event", c.Event, "a name, not empty"),
		option.AtLeast(owner, "MaxDemand", c.MaxDemand, 0),
		option.AtLeast(owner, "MinDemand", c.MinDemand, 0),
		owner.Check(c.MinDemand == 0 || c.MinDemand < c.withDefaults().MaxDemand, "MinDemand", c.MinDemand, "below MaxDemand"),
		option.AtLeast(owner, "MaxWaiting", c.MaxWaiting, 0),
		option.AtLeast(owner, "Grace", c.Grace, 0),
		owner.Check(!c.DiscardAbsent || c.Grace == 0, "Grace", c.Grace, "0 if DiscardAbsent is set"),
		owner.Check(!c.DiscardAbsent || c.Crowded == nil, "Crowded", "a function", "nil if DiscardAbsent is set"),
		option.AtLeast(owner, "Timeout", c.Timeout, 0),
		option.AtLeast(owner, "DrainGrace", c.DrainGrace, 0),
		owner.Check(c.DiscardOnDrain || c.DrainGrace == 0, "DrainGrace", c.DrainGrace, "0 unless DiscardOnDrain is set"),
		owner.Check(!c.WithdrawOnDrain || !c.DiscardOnDrain, "WithdrawOnDrain", c.WithdrawOnDrain, "false if DiscardOnDrain is set"),
		owner.Recorder(c.Metrics),
	)
}

func (c Config[T]) withDefaults() Config[T] {
	option.Default(&c.MaxDemand, 1000)
	option.Default(&c.MinDemand, c.MaxDemand/4)
	option.Default(&c.MaxWaiting, 10_000)
	if !c.DiscardAbsent {
		option.Default(&c.Grace, 5*time.Second)
	}
	if c.Payload == nil {
		c.Payload = func(event T) (any, error) { return event, nil }
	}
	option.Logger(&c.Logger)
	option.Default(&c.Metrics, metrics.Nop())
	return c
}
