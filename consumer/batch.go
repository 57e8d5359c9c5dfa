package consumer

import (
	"context"
	"math"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
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

// OnFailure decides what a batch that has failed as a whole means to its stage.
type OnFailure uint8

const (
	// StopStage stops the stage with a *BatchError. The events of the batch get
	// no receipt. It is the default.
	StopStage OnFailure = iota
	// FailBatch fails all events of the batch. The stage goes on.
	FailBatch
)

// BatchConfig configures [NewBatch]. The zero value is useful.
type BatchConfig[T any] struct {
	// Size is the number of events in a full batch, 1 or more. Default: 100.
	Size int
	// Timeout bounds how long the first event of a batch waits for others.
	// Default: 1 s; NoTimeout waits for as long as it takes.
	Timeout time.Duration
	// OnFailure decides what follows when a batch fails as a whole: the function
	// returns an error other than EventErrors. Default: StopStage.
	OnFailure OnFailure
	// Failed, if set, is called for every batch that has failed, and for each
	// event that EventErrors name, alone. It runs on the stage's goroutine. The
	// slice belongs to it only until it returns. err is a *BatchError.
	Failed func(events []T, err error)
}

// Batch gathers events and passes them to a function, up to Size at a time, in
// the order in which they arrived, one call after the other.
//
// A batch is passed on when it is full, when its first event has waited for
// Timeout, when nothing more can arrive because the batch holds all that a
// subscription may have outstanding, when a producer sends nothing more before it has
// receipts, such as fair.Dispatcher for keys that have events in the batch, and at once
// when a subscription with events in it has ended. Each event gets its own receipt when the function returns: it
// was handled, or it has failed or was discarded as [EventErrors] say.
type Batch[T any] struct {
	call func(ctx context.Context, events []T) error
	cfg  BatchConfig[T]
	self *stage.Handle

	// The rest belongs to the stage's goroutine.
	// events, parts and finished are used again for the next batch.
	events   []T
	parts    []part[T] // in the order of the events
	number   uint64    // of the batch that is being gathered
	failed   int64     // events, since the start
	timer    *time.Timer
	finished []stage.Finished
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
// batch was dropped on purpose, and any other error that it has failed as a whole.
// The error of NewBatch is an [*OptionError].
func NewBatch[T any](call func(ctx context.Context, events []T) error, cfg BatchConfig[T]) (*Batch[T], error) {
	option.Default(&cfg.Size, DefaultBatchSize)
	option.Default(&cfg.Timeout, DefaultBatchTimeout)
	owner := option.Owner("consumer.Batch")
	if err := option.First(
		owner.Needs("call", call, "a function"),
		option.Within(owner, "Size", cfg.Size, 1, math.MaxInt/2), // twice that is asked for
		option.AtLeast(owner, "Timeout", cfg.Timeout, 0),
		owner.Check(cfg.OnFailure <= FailBatch, "OnFailure", cfg.OnFailure, "StopStage or FailBatch"),
	); err != nil {
		return nil, err
	}
	return &Batch[T]{call: call, cfg: cfg}, nil
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
func (b *Batch[T]) HandleStart(_ context.Context, self *stage.Handle) error {
	b.self = self
	return nil
}

// HandleEvents implements stage.Consumer; a Batch is given deliveries instead.
func (b *Batch[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler.
func (b *Batch[T]) HandleDelivery(ctx context.Context, d stage.Delivery[T]) error {
	events, first := d.Events, d.First
	for len(events) > 0 {
		if len(b.events) == 0 {
			b.begin()
		}
		n := min(len(events), b.cfg.Size-len(b.events))
		b.events = append(b.events, events[:n]...)
		held := b.add(d.Subscription, first, n)
		events, first = events[n:], first+uint64(n)
		// Nothing more can come from this subscription while the batch holds all its
		// events.
		if len(b.events) < b.cfg.Size && held < d.Subscription.Info().MaxDemand {
			continue
		}
		if err := b.pass(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin gives a new batch its number and starts its clock.
func (b *Batch[T]) begin() {
	b.number++
	if b.cfg.Timeout != NoTimeout {
		number := b.number
		b.timer = time.AfterFunc(b.cfg.Timeout, func() { b.self.Send(overdue(number)) })
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

// HandleInfo implements stage.InfoHandler: it is how a batch's time is up.
func (b *Batch[T]) HandleInfo(ctx context.Context, msg any) error {
	if number, ok := msg.(overdue); ok && uint64(number) == b.number && len(b.events) > 0 {
		return b.pass(ctx)
	}
	return nil
}

// HandleFlush implements stage.FlushHandler.
func (b *Batch[T]) HandleFlush(ctx context.Context) error {
	if len(b.events) == 0 {
		return nil
	}
	return b.pass(ctx)
}

// HandleTerminate implements stage.TerminateHandler.
func (b *Batch[T]) HandleTerminate(context.Context, error) error {
	b.stopTimer()
	b.events, b.parts = nil, nil
	return nil
}

// stopTimer stops the clock of the batch, if it has one.
func (b *Batch[T]) stopTimer() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}

// pass calls the function with the events that were gathered, of which there must be some,
// and gives their receipts. If it returns an error, the batch stays as it is and has no
// receipts: the stage stops for that error.
func (b *Batch[T]) pass(ctx context.Context) error {
	b.stopTimer()
	begun := time.Now()
	v := verdictOf(b.guarded(ctx), len(b.events))
	cost := time.Since(begun) / time.Duration(len(b.events))
	all := v.dropped // the error of every event that has none of its own
	if v.failed != nil {
		err := &BatchError{Stage: b.self.Name(), Size: len(b.events), Err: v.failed}
		// The failure may be due to the cancellation.
		if ctx.Err() != nil {
			return err // the stage is being stopped: no receipt
		}
		b.failed += int64(len(b.events))
		if b.cfg.Failed != nil {
			b.cfg.Failed(b.events, err)
		}
		if b.cfg.OnFailure == StopStage {
			return err
		}
		all = err
	}
	cancelled := len(v.some) > 0 && ctx.Err() != nil
	if !cancelled {
		b.failEach(v.some)
	}
	for i := range b.parts {
		if sub := b.parts[i].sub; sub != nil {
			b.settle(sub, b.parts[i:], v.some, stage.Finished{Err: all, Cost: cost}, cancelled)
		}
	}
	clear(b.events)
	clear(b.parts)
	b.events, b.parts = b.events[:0], b.parts[:0]
	if cancelled {
		return ctx.Err()
	}
	return nil
}

// failEach counts the events that have failed alone and calls Failed for each.
func (b *Batch[T]) failEach(some EventErrors) {
	for _, i := range some.indexes() {
		if discarded(some[i]) {
			continue
		}
		b.failed++
		if b.cfg.Failed != nil {
			b.cfg.Failed(b.events[i:i+1:i+1], &BatchError{Stage: b.self.Name(), Size: 1, Err: some[i]})
		}
	}
}

// settle gives the receipts for the events of sub in parts, and asks for as many.
// f is the receipt of an event that some does not name. If the stage is being
// stopped an event may have failed because of that, and gets no receipt.
func (b *Batch[T]) settle(sub *stage.Subscription[T], parts []part[T], some EventErrors, f stage.Finished, cancelled bool) {
	b.finished = b.finished[:0]
	count := 0
	for i := range parts {
		p := &parts[i]
		if p.sub != sub {
			continue
		}
		// pass sees that this subscription is done with.
		p.sub = nil
		count += p.count
		for k := range p.count {
			own := f
			own.Position = p.first + uint64(k)
			if e := some[p.at+k]; e != nil {
				if cancelled && !discarded(e) {
					continue
				}
				own.Err = e
			}
			b.finished = append(b.finished, own)
		}
	}
	sub.Settle(count, b.finished...)
}

// guarded calls the function. A panic is a failure of the batch if the stage is to
// go on.
func (b *Batch[T]) guarded(ctx context.Context) (err error) {
	if b.cfg.OnFailure == FailBatch {
		defer crash.Catch(&err)
	}
	return b.call(ctx, b.events)
}
