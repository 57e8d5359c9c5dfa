package producer

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/penstock-go/penstock/internal/feed"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// OnCancel selects what an iterator's stage does when its last consumer has left.
type OnCancel uint8

const (
	// Continue: the stage waits for another consumer, which continues where the
	// last one has stopped. It is the default.
	Continue OnCancel = iota
	// End: the stage ends, as if the iterator had ended.
	End
)

// SeqConfig configures [NewSeq] and its siblings. The zero value is useful.
type SeqConfig[T any] struct {
	// OnCancel selects what happens when the last consumer has left. Default:
	// Continue.
	OnCancel OnCancel
	// Patience bounds how long a drain waits for the next value of an iterator
	// that is running, and a stop for the iterator's return. Default: 1 s.
	Patience time.Duration
	// Discarded, if set, is called with receipt.Stopped for every value that
	// the iterator has yielded and that was not emitted before the stage
	// stopped. It must not block.
	// The stage discards and counts these values too, and passes them to its own
	// Discarded; one that comes more than Patience after the stop is only passed on
	// here.
	Discarded func(event T, reason receipt.Reason)
}

// DefaultPatience is how long the end of a stage waits for an iterator by default.
const DefaultPatience = feed.DefaultPatience

// source makes the embedded field of the sources unexported.
type source[T any] = feed.Stage[T]

// Seq is an iterator as a source. It implements stage.Producer.
//
// The iterator runs in a goroutine of its own, which begins with the first
// demand, and is held inside its yield until there is demand for another value:
// it never runs ahead. When the stage drains or stops, yield returns false. An
// iterator that does not return then is left behind after Patience: it is the
// only goroutine that can outlive the stage.
type Seq[T any] struct {
	*source[T]
	cfg       SeqConfig[T]
	consumers int
}

// NewSeq makes a source of an iterator, which is run once. The stage ends with
// the iterator. If the iterator panics, the stage stops with a
// *stage.PanicError. An error is an [*OptionError].
func NewSeq[T any](seq iter.Seq[T], cfg SeqConfig[T]) (*Seq[T], error) {
	return newSeq(seq == nil, cfg, func(r *feed.Reader[T]) error {
		if r.Permit() > 0 {
			seq(r.Put)
		}
		return nil
	})
}

// NewSeq2 is as [NewSeq] for an iterator that can fail: a value with an error
// stops the stage with that error, after the values before it.
func NewSeq2[T any](seq iter.Seq2[T, error], cfg SeqConfig[T]) (*Seq[T], error) {
	return newSeq(seq == nil, cfg, func(r *feed.Reader[T]) error {
		return pull(r, func(context.Context) iter.Seq2[T, error] { return seq })
	})
}

// NewSeqFunc is [NewSeq2] for an iterator that waits for something outside: iterate
// makes it, and its context is cancelled when the stage drains or stops, so that
// the iterator can return at once.
func NewSeqFunc[T any](iterate func(ctx context.Context) iter.Seq2[T, error], cfg SeqConfig[T]) (*Seq[T], error) {
	return newSeq(iterate == nil, cfg, func(r *feed.Reader[T]) error { return pull(r, iterate) })
}

// newSeq checks the options; missing reports that there is no iterator.
func newSeq[T any](missing bool, cfg SeqConfig[T], read func(*feed.Reader[T]) error) (*Seq[T], error) {
	owner := option.Owner("producer.Seq")
	if err := option.First(
		owner.Check(!missing, "seq", nil, "an iterator"),
		owner.Check(cfg.OnCancel <= End, "OnCancel", cfg.OnCancel, "Continue or End"),
		option.AtLeast(owner, "Patience", cfg.Patience, 0),
	); err != nil {
		return nil, err
	}
	return &Seq[T]{
		source: feed.New(feed.Config[T]{Patience: cfg.Patience, Discarded: cfg.Discarded}, read),
		cfg:    cfg,
	}, nil
}

// pull runs an iterator that can fail.
func pull[T any](r *feed.Reader[T], iterate func(ctx context.Context) iter.Seq2[T, error]) error {
	if r.Permit() == 0 {
		return nil
	}
	ctx := r.Context()
	for event, err := range iterate(ctx) {
		switch {
		case err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))):
			return nil // the stage has cancelled its context
		case err != nil:
			return err
		case !r.Put(event):
			return nil
		}
	}
	return nil
}

// HandleSubscribe implements stage.SubscribeHandler.
func (s *Seq[T]) HandleSubscribe(context.Context, stage.SubscriptionInfo) error {
	s.consumers++
	return nil
}

// HandleCancel implements stage.CancelHandler.
func (s *Seq[T]) HandleCancel(context.Context, stage.SubscriptionInfo, error) error {
	if s.consumers--; s.consumers == 0 && s.cfg.OnCancel == End {
		return stage.ErrDone
	}
	return nil
}
