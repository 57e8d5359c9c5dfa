package consumer

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// NoTimeout is the Timeout of a batch that waits for other events as long as it
// takes.
const NoTimeout time.Duration = math.MaxInt64

// The defaults of a batch.
const (
	DefaultBatchSize    = 100
	DefaultBatchTimeout = time.Second
)

// BatchConfig configures [NewBatch]. The zero value is useful.
type BatchConfig[T any] struct {
	// Size is the number of events in a full batch, 1 or more. Default: 100.
	Size int
	// Timeout bounds how long the first event of a batch waits for others.
	// Default: 1 s; NoTimeout waits for as long as it takes.
	Timeout time.Duration
	// Retry bounds how often the function is called for a batch that fails as a
	// whole: it returns an error other than EventErrors, or panics. During the pauses
	// the events that arrive wait, within MaxDemand, so that the order is kept.
	Retry retry.Policy
	// Split halves a batch that has failed in its last attempt, and passes the halves
	// on, each after a pause of Backoff, down to single events: one event that cannot
	// be handled does not fail the others. It is for a function that undoes what it
	// has done of a batch that fails, such as a transaction. If all of n events fail,
	// it is called 2n-1 times. Default: all events of the batch have failed.
	Split bool
	// OnFailure decides what follows when a batch has failed as a whole in its last
	// attempt. Default: FailEvents.
	OnFailure OnFailure
	// DeadLetters, if set, gets a letter for each event that has failed for good, and
	// the event gets its receipt when the letter is stored. Until then it counts as one
	// that was asked for, so that MaxDemand bounds how many wait. With StopStage only
	// the events that EventErrors name have letters: the others are left to their source.
	// Default: the receipt is given at once.
	DeadLetters deadletter.Sink
	// Encode makes the bytes of a letter of an event. Default: its JSON.
	Encode func(event T) ([]byte, error)
	// Failed, if set, is called for every batch that has failed for good, and for
	// each event that EventErrors name, alone. It runs on the stage's goroutine, and a
	// panic stops the stage. The slice belongs to it only until it returns. err is a
	// *BatchError.
	Failed func(events []T, err error)
	// Metrics gets the counters consumer.retries and consumer.failures. nil records
	// nothing.
	Metrics metrics.Recorder
	// Logger gets a line for a failed attempt that is repeated, and one for events
	// that have failed for good, each at most once a second with the number of
	// failures that it stands for. Default: slog.Default.
	Logger *slog.Logger
}

// Batch gathers events and passes them to a function, up to Size at a time, in
// the order in which they arrived, one call after the other.
//
// A batch is passed on when it is full, when its first event has waited for Timeout, when
// nothing more can arrive because the batch holds all that a subscription may have
// outstanding, when a producer sends nothing more before it has receipts, such as
// fair.Dispatcher for keys that have events in the batch, and at once when a subscription
// with events in it has ended. Each event gets its own receipt when the function returns:
// it was handled, or it has failed or was discarded as [EventErrors] say.
type Batch[T any] struct {
	call func(ctx context.Context, events []T) error
	cfg  BatchConfig[T]
	self *stage.Handle

	// The rest belongs to the stage's goroutine.
	// The slices are used again for the next batch.
	events   []T
	lent     []T       // a copy that the function may change
	ends     []end     // of the events, while the batch is passed on
	parts    []part[T] // in the order of the events
	number   uint64    // of the batch that is being gathered
	attempts attempts
	buried   buried[T]
	timer    *time.Timer
	finished []stage.Finished

	todo      []span    // of the batch that is passed on, the next one last
	late      []T       // have arrived during a pause
	lateParts []part[T] // of late
	lateSince time.Time // when the first of them has arrived
	flushed   bool      // late must not wait for more events after the pause
}

// part is a run of events in a batch that came on one subscription. They have consecutive
// positions there.
type part[T any] struct {
	sub   *stage.Subscription[T] // nil once its receipts were given
	first uint64                 // position of the first event on sub
	at    int                    // its index in the batch
	count int
}

// overdue is sent to the stage when a batch's time is up. It is the batch's number: a
// timer may fire just as its batch is passed on, and must not pass on the next one.
type overdue uint64

// NewBatch returns a consumer that passes batches to call. The slice belongs to
// call only until it returns. If call returns EventErrors the events named there
// have failed and all others were handled. A *stage.DiscardError means that the
// batch was dropped on purpose, stage.ErrDone that it was handled and the stage is to
// end in good order, and any other error or a panic that it has failed as a whole.
// runtime.Goexit ends the stage's goroutine: the stage stops with stage.ErrGoexit.
// The error of NewBatch is an [*OptionError].
func NewBatch[T any](call func(ctx context.Context, events []T) error, cfg BatchConfig[T]) (*Batch[T], error) {
	option.Default(&cfg.Size, DefaultBatchSize)
	option.Default(&cfg.Timeout, DefaultBatchTimeout)
	cfg.Retry = cfg.Retry.WithDefaults()
	option.Logger(&cfg.Logger)
	owner := option.Owner("consumer.Batch")
	if err := option.First(
		owner.Needs("call", call, "a function"),
		option.Within(owner, "Size", cfg.Size, 1, math.MaxInt/2), // twice that is asked for
		option.AtLeast(owner, "Timeout", cfg.Timeout, 0),
		cfg.Retry.Validate(string(owner)),
		cfg.OnFailure.validate(owner),
		owner.Recorder(cfg.Metrics),
		checkSink(owner, cfg.DeadLetters),
	); err != nil {
		return nil, err
	}
	return &Batch[T]{call: call, cfg: cfg, buried: buried[T]{letters: newLetters(cfg.DeadLetters, cfg.Encode)}, attempts: attempts{retry: cfg.Retry, log: cfg.Logger, what: "batch", meters: newMeters(cfg.Metrics), final: settled}}, nil
}

// HandleDefaultDemand implements stage.DefaultDemandHandler: another batch gathers
// while one is with the function.
func (b *Batch[T]) HandleDefaultDemand() (maxDemand, minDemand int) {
	return 2 * b.cfg.Size, b.cfg.Size
}

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: Manual is refused.
func (b *Batch[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	return refuseManual("consumer.Batch", cfg)
}

// HandleStart implements stage.StartHandler.
func (b *Batch[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	b.self = self
	b.attempts.start(ctx, self)
	return b.buried.begin(ctx, self, b.cfg.Metrics, b.cfg.Logger)
}

// HandleEvents implements stage.Consumer; a Batch is given deliveries instead.
func (b *Batch[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler.
func (b *Batch[T]) HandleDelivery(ctx context.Context, d stage.Delivery[T]) error {
	return b.gather(ctx, d.Subscription, d.First, d.Events, b.cfg.Timeout)
}

// gather adds events of sub to the batch, and passes it on each time that it is full. The
// first event of a batch that is not waits for others up to timeout. During a pause the
// events are kept for later.
func (b *Batch[T]) gather(ctx context.Context, sub *stage.Subscription[T], first uint64, events []T, timeout time.Duration) error {
	for len(events) > 0 {
		if b.attempts.resting {
			b.keep(sub, first, events)
			return nil
		}
		if len(b.events) == 0 {
			b.begin(timeout)
		}
		n := min(len(events), b.cfg.Size-len(b.events))
		b.events = append(b.events, events[:n]...)
		held := b.add(sub, first, n)
		events, first = events[n:], first+uint64(n)
		// Nothing more can come from this subscription while the batch holds all its
		// events, but for those that wait for their letter.
		if len(b.events) < b.cfg.Size && held+b.buried.waiting[sub] < sub.Info().MaxDemand {
			continue
		}
		if err := b.pass(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin gives a new batch its number and starts its clock.
func (b *Batch[T]) begin(timeout time.Duration) {
	b.number++
	if timeout != NoTimeout {
		number := b.number
		b.timer = time.AfterFunc(timeout, func() { b.self.Send(overdue(number)) })
	}
}

// add notes n more events of sub, which were appended to events before, and returns how
// many of sub's the batch holds. If that is MaxDemand nothing more can come from sub.
func (b *Batch[T]) add(sub *stage.Subscription[T], first uint64, n int) (held int) {
	at := len(b.events) - n
	if last := len(b.parts) - 1; last >= 0 && b.parts[last].sub == sub {
		b.parts[last].count += n
	} else {
		b.parts = append(b.parts, part[T]{sub: sub, first: first, at: at, count: n})
	}
	for i := range b.parts {
		if b.parts[i].sub == sub {
			held += b.parts[i].count
		}
	}
	return held
}

// HandleInfo implements stage.InfoHandler: it is how a batch's time is up, or a pause, and
// how letters are stored.
func (b *Batch[T]) HandleInfo(ctx context.Context, msg any) error {
	if _, ok := msg.(stored); ok {
		b.buried.settle()
		return nil
	}
	if b.attempts.over(msg) {
		return b.goOn(ctx)
	}
	if number, ok := msg.(overdue); ok && uint64(number) == b.number && len(b.events) > 0 && !b.attempts.resting {
		return b.pass(ctx)
	}
	return nil
}

// HandleFlush implements stage.FlushHandler.
func (b *Batch[T]) HandleFlush(ctx context.Context) error {
	switch {
	case b.attempts.resting:
		b.flushed = len(b.late) > 0
		return nil
	case len(b.events) == 0:
		return nil
	}
	return b.pass(ctx)
}

// HandleTerminate implements stage.TerminateHandler.
func (b *Batch[T]) HandleTerminate(context.Context, error) error {
	b.stopTimer()
	b.attempts.end()
	b.events, b.lent, b.parts, b.late, b.lateParts = nil, nil, nil, nil, nil
	return b.buried.end()
}

// stopTimer stops the clock of the batch, if it has one.
func (b *Batch[T]) stopTimer() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}
