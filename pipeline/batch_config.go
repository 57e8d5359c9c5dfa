package pipeline

import (
	"math"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// The defaults of BatchConfig.
const (
	DefaultBatchSize    = 100
	DefaultBatchTimeout = time.Second
	DefaultMaxKeys      = 10_000
	DefaultKeyedWindow  = 10_000
)

// NoTimeout is the Timeout of a batch that waits for other events as long as it takes.
const NoTimeout time.Duration = math.MaxInt64

// BatchConfig configures a step that gathers events into batches: [Batch], [MapBatch] and
// [EachBatch]. The zero value is useful: batches of 100 events, or of what has come within
// a second of the first.
//
// A batch is passed on when it is full, when it is old enough, and at once when nothing
// more can come for it: the source waits for receipts, the window is full, or the pipeline
// drains.
type BatchConfig[T any] struct {
	// Name names the step in errors, logs, metrics, snapshots and dead letters, and for
	// [Pipeline.Step]. Default: made from the kind and the place, such as "batch-2".
	Name string
	// Size is the number of events in a full batch, 1 or more. Default: 100.
	Size int
	// Bytes bounds the bytes of a batch, as measured by SizeOf: an event that does not fit
	// begins the next batch, and one larger than Bytes is a batch of its own. 0 is no
	// bound.
	Bytes int
	// SizeOf returns the bytes of an event; below 0 counts as 0. It needs Bytes.
	SizeOf func(event T) int
	// Cut, if set, is called with the events of a batch each time that one has been
	// added, and reports whether the batch is complete. It must not keep or change the
	// slice.
	Cut func(events []T) bool
	// Timeout is the age at which a batch is passed on, counted from its first event.
	// Default: 1 s; NoTimeout waits for as long as it takes.
	Timeout time.Duration
	// Key names the batch that an event belongs to: each key has its own. nil is one batch
	// for all.
	Key func(event T) string
	// MaxKeys bounds the open batches: with one more, the oldest is passed on. It needs
	// Key. Default: 10,000.
	MaxKeys int
	// Window bounds the events that were taken and are in no batch that is finished (for
	// Batch: that was passed on), 1 or more. When it is full the oldest batches are passed
	// on, so a Window below Size makes smaller batches. Default: enough for one batch
	// more than there are workers; with Key 10,000 if that is more.
	Window int

	// Workers is the number of batches that are worked on at once. Batches of one Key are
	// worked on one at a time and in order, also when one is tried again, and so are all
	// batches if there is one worker and no Key. Otherwise there is no order. Default: 1.
	// It and all that follows, but for Restart, is for MapBatch and EachBatch.
	Workers int
	// MaxHeld bounds, beyond Window, the events that wait for a retry or behind one.
	// Default: 100,000.
	MaxHeld int
	// Retry is how often, and after which pauses, a batch that has failed is tried again,
	// or those of its events that [consumer.EventErrors] name. The zero value is the
	// pipeline's.
	Retry retry.Policy
	// Split halves a batch that has failed in its last attempt, and tries the halves, one
	// attempt each, down to single events: one that cannot be handled does not fail the
	// others. It is for a function that undoes what it has done of a batch that fails, such
	// as a transaction. If all of n events fail it is called 2n-1 times, from that last
	// attempt on. Default: all events of the batch have failed.
	Split bool
	// OnFailure selects what follows when an event has failed for good. Default:
	// ContinueOnFailure.
	OnFailure OnFailure
	// DeadLetters gets the events that have failed for good, one letter for each. Default:
	// the pipeline's.
	DeadLetters deadletter.Sink
	// Encode encodes an event for its letter. Default: as JSON.
	Encode func(event T) ([]byte, error)
	// Use is run around each attempt at a batch, the first one outermost.
	Use []Middleware[[]T]
	// Rate limits the attempts, in batches a second; [Step.SetRate] changes it. The zero
	// value is no limit.
	Rate Rate

	// Restart is what follows when the step itself dies. Default: the pipeline's.
	Restart Restart
}

// withDefaults returns c with its zero fields filled in, but for those that the pipeline
// has too.
func (c BatchConfig[T]) withDefaults() BatchConfig[T] {
	option.Default(&c.Size, DefaultBatchSize)
	option.Default(&c.Timeout, DefaultBatchTimeout)
	option.Default(&c.Workers, 1)
	option.Default(&c.MaxHeld, DefaultMaxHeld)
	if c.Key != nil {
		option.Default(&c.MaxKeys, DefaultMaxKeys)
	}
	// In floats, since the product of two large numbers is refused later.
	window := int(min(float64(c.Size)*float64(c.Workers+1), maxWindow))
	if c.Key != nil {
		window = max(window, DefaultKeyedWindow)
	}
	option.Default(&c.Window, window)
	return c
}

// within returns c with all its zero fields filled in, for a step of p.
func (c BatchConfig[T]) within(p *Pipeline) BatchConfig[T] {
	c = c.withDefaults()
	c.Retry = retryOr(c.Retry, p.cfg.Retry)
	return c
}

// maxWindow bounds Window, so that sums of several do not overflow.
const maxWindow = math.MaxInt32

// validate returns the error for the first refused option, or nil.
func (c BatchConfig[T]) validate(owner option.Owner) error {
	return option.First(
		checkUse(owner, c.Use),
		option.Within(owner, "Size", c.Size, 0, maxWindow),
		option.AtLeast(owner, "Bytes", c.Bytes, 0),
		owner.Check(c.Bytes == 0 || c.SizeOf != nil, "SizeOf", c.SizeOf, "a function if Bytes is set"),
		owner.Check(c.SizeOf == nil || c.Bytes > 0, "Bytes", c.Bytes, "1 or more if SizeOf is set"),
		option.AtLeast(owner, "Timeout", c.Timeout, 0),
		option.AtLeast(owner, "MaxKeys", c.MaxKeys, 0),
		owner.Check(c.MaxKeys == 0 || c.Key != nil, "MaxKeys", c.MaxKeys, "0 unless Key is set"),
		option.Within(owner, "Window", c.Window, 0, maxWindow),
		option.Within(owner, "Workers", c.Workers, 0, math.MaxInt32),
		option.AtLeast(owner, "MaxHeld", c.MaxHeld, 0),
		c.Retry.Validate(string(owner)),
		owner.Check(c.OnFailure <= StopOnFailure, "OnFailure", c.OnFailure, "ContinueOnFailure or StopOnFailure"),
		owner.Optional("DeadLetters", c.DeadLetters, "a sink"),
		checkRate(owner, "Rate", c.Rate),
		c.Restart.validate(owner),
	)
}

// validateGathering is validate for Batch, which calls no function with a batch.
func (c BatchConfig[T]) validateGathering(owner option.Owner) error {
	const none = "unset, since Batch calls no function: it is for MapBatch and EachBatch"
	return option.First(
		owner.Check(c.Workers == 0, "Workers", c.Workers, none),
		owner.Check(c.MaxHeld == 0, "MaxHeld", c.MaxHeld, none),
		owner.Check(unset(c.Retry), "Retry", c.Retry, none),
		owner.Check(!c.Split, "Split", c.Split, none),
		owner.Check(c.OnFailure == 0, "OnFailure", c.OnFailure, none),
		owner.Check(c.DeadLetters == nil, "DeadLetters", c.DeadLetters, none),
		owner.Check(c.Encode == nil, "Encode", c.Encode, none),
		owner.Check(len(c.Use) == 0, "Use", c.Use, none),
		owner.Check(c.Rate == Rate{}, "Rate", c.Rate, none),
		c.validate(owner),
	)
}

// rule returns what makes a batch full.
func (c BatchConfig[T]) rule() batchRule[T] {
	return batchRule[T]{
		size: c.Size, bytes: c.Bytes, sizeOf: c.SizeOf, cut: c.Cut, key: c.Key, maxKeys: max(c.MaxKeys, 1), timeout: c.Timeout,
	}
}

// warily returns c with functions that cannot end the goroutine of the stage.
func (c BatchConfig[T]) warily() BatchConfig[T] {
	c.Key, c.SizeOf, c.Cut = wary1(c.Key), wary1(c.SizeOf), wary1(c.Cut)
	return c
}

// spec describes the step to the graph.
func (c BatchConfig[T]) spec(kind string, check func(owner option.Owner) error) spec {
	return spec{
		kind: kind, name: c.Name, restart: c.Restart, check: check,
		subscribe: stage.SubscribeConfig{MaxDemand: c.withDefaults().Window},
	}
}
