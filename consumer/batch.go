package consumer

import (
	"context"
	"math"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// The defaults of a batch.
const (
	DefaultBatchSize    = 100
	DefaultBatchTimeout = time.Second
)

// OnFailure says what a batch that failed means to its stage.
type OnFailure uint8

const (
	// StopStage: the stage stops with a *BatchError, and the batch has no
	// receipt. It is the default.
	StopStage OnFailure = iota
	// FailBatch: all events of the batch have failed; the stage goes on.
	FailBatch
)

// BatchConfig configures [NewBatch]. The zero value is useful.
type BatchConfig[T any] struct {
	// Size is how many events make a batch, 1 or more. Default: 100.
	Size int
	// Timeout bounds how long the first event of a batch waits for others.
	// Default: 1 s; stage.None waits for as long as it takes.
	Timeout time.Duration
	// OnFailure says what follows when the function fails. Default: StopStage.
	OnFailure OnFailure
	// Failed, if set, is called for every batch that failed, on the stage's
	// goroutine. events is as for the function itself.
	Failed func(events []T, err error)
}

// Batch gathers events and passes them to a function, up to Size at a time, in
// the order in which they arrived, one call after the other.
//
// A batch is passed on when it is full, when its first event has waited for
// Timeout, when nothing more can arrive since the batch holds all that a
// subscription may have outstanding, and at once when a subscription with events
// in it has ended. Return from the function is the receipt for all of them.
type Batch[T any] struct {
	call func(ctx context.Context, events []T) error
	cfg  BatchConfig[T]
	self *stage.Handle

	// The rest belongs to the stage's goroutine.
	events   []T
	parts    []part[T]
	number   uint64 // of the batch that is being gathered
	timer    *time.Timer
	finished []stage.Finished
}

// part is what a batch has from one subscription: count events that came one
// after the other.
type part[T any] struct {
	sub   *stage.Subscription[T]
	first uint64
	count int
}

// overdue is sent to the stage when a batch's time is up.
type overdue uint64

// NewBatch makes a consumer that passes batches to call. The slice belongs to
// call only until it returns. An error of call that is a *stage.DiscardError
// means that the batch was dropped on purpose; it does not stop the stage. The
// error of NewBatch is an [*OptionError].
func NewBatch[T any](call func(ctx context.Context, events []T) error, cfg BatchConfig[T]) (*Batch[T], error) {
	option.Default(&cfg.Size, DefaultBatchSize)
	option.Default(&cfg.Timeout, DefaultBatchTimeout)
	owner := option.Owner("consumer.Batch")
	if err := option.First(
		owner.Needs("call", call, "a function"),
		option.Within(owner, "Size", cfg.Size, 1, math.MaxInt/2), // twice that is asked for
		owner.Check(cfg.Timeout >= stage.None, "Timeout", cfg.Timeout, "0 for the default, None, or above 0"),
		owner.Check(cfg.OnFailure <= FailBatch, "OnFailure", cfg.OnFailure, "StopStage or FailBatch"),
	); err != nil {
		return nil, err
	}
	return &Batch[T]{call: call, cfg: cfg}, nil
}

// HandleDefaultDemand implements stage.DefaultDemandHandler: while one batch is with the
// function another one gathers.
func (b *Batch[T]) HandleDefaultDemand() (maxDemand, minDemand int) {
	return 2 * b.cfg.Size, b.cfg.Size
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
		if len(b.events) < b.cfg.Size && held < d.Subscription.Info().MaxDemand {
			continue
		}
		if err := b.pass(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin starts the clock of a new batch.
func (b *Batch[T]) begin() {
	b.number++
	if b.cfg.Timeout > 0 {
		number := b.number
		b.timer = time.AfterFunc(b.cfg.Timeout, func() { b.self.Send(overdue(number)) })
	}
}

// add notes n events more of sub and answers how many of sub's the batch holds.
func (b *Batch[T]) add(sub *stage.Subscription[T], first uint64, n int) (held int) {
	for i := range b.parts {
		if p := &b.parts[i]; p.sub == sub {
			p.count += n
			return p.count
		}
	}
	b.parts = append(b.parts, part[T]{sub: sub, first: first, count: n})
	return n
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

func (b *Batch[T]) stopTimer() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}

// pass calls the function with what was gathered, and gives the receipts.
func (b *Batch[T]) pass(ctx context.Context) error {
	b.stopTimer()
	begun := time.Now()
	err := b.guarded(ctx)
	cost := time.Since(begun) / time.Duration(len(b.events))
	if err != nil && !discarded(err) {
		err = &BatchError{Stage: b.self.Name(), Size: len(b.events), Err: err}
		if ctx.Err() != nil {
			return err // the stage is being stopped: no receipt
		}
		if b.cfg.Failed != nil {
			b.cfg.Failed(b.events, err)
		}
		if b.cfg.OnFailure == StopStage {
			return err
		}
	}
	for _, p := range b.parts {
		b.finished = receipts(p.sub, p.first, p.count, b.finished)
		if p.sub.Tracked() {
			for i := range b.finished {
				b.finished[i].Err, b.finished[i].Cost = err, cost
			}
		}
		p.sub.Settle(p.count, b.finished...)
	}
	clear(b.events)
	clear(b.parts)
	b.events, b.parts = b.events[:0], b.parts[:0]
	return nil
}

// guarded calls the function; a panic is a failure like another where the stage
// is to go on.
func (b *Batch[T]) guarded(ctx context.Context) (err error) {
	if b.cfg.OnFailure == FailBatch {
		defer crash.Catch(&err)
	}
	return b.call(ctx, b.events)
}
