package consumer

import (
	"context"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// NoPause is the Backoff that repeats a failed attempt at once.
const NoPause time.Duration = 1

// The defaults of Retry.
const (
	DefaultMaxAttempts = 3
	DefaultBackoff     = 100 * time.Millisecond
	DefaultMaxBackoff  = 10 * time.Second
)

// Retry says how often a failed attempt is repeated, and after which pauses. It is the
// same for all consumers of this package. The zero value is useful.
type Retry struct {
	// MaxAttempts bounds how often a function is called for an event or a batch.
	// Default: 3; stage.Unlimited sets no bound.
	MaxAttempts int
	// Backoff is the pause before the second attempt. It doubles with each further
	// attempt, up to MaxBackoff. Default: 100 ms; NoPause makes no pause.
	Backoff time.Duration
	// MaxBackoff bounds the pause. Default: 10 s, or Backoff if that is more.
	MaxBackoff time.Duration
}

// withDefaults returns r with its zero fields filled in.
func (r Retry) withDefaults() Retry {
	option.Default(&r.MaxAttempts, DefaultMaxAttempts)
	option.Default(&r.Backoff, DefaultBackoff)
	option.Default(&r.MaxBackoff, max(DefaultMaxBackoff, r.Backoff))
	return r
}

// validate is called with the defaults filled in.
func (r Retry) validate(owner option.Owner) error {
	return option.First(
		owner.Check(r.MaxAttempts >= 0, "MaxAttempts", r.MaxAttempts, "1 or more, Unlimited, or 0 for the default"),
		owner.Check(r.Backoff >= 0, "Backoff", r.Backoff, "NoPause or above, or 0 for the default"),
		owner.Check(r.MaxBackoff >= r.Backoff, "MaxBackoff", r.MaxBackoff, "Backoff or above, or 0 for the default"),
	)
}

// pause returns how long to wait after the given attempt, from 1 on: Backoff, doubled
// with each attempt, up to MaxBackoff. The halving keeps the doubling from overflowing.
func (r Retry) pause(attempt int) time.Duration {
	d := r.Backoff
	if d <= NoPause {
		return 0
	}
	for ; attempt > 1 && d < r.MaxBackoff/2; attempt-- {
		d *= 2
	}
	if attempt > 1 {
		d = r.MaxBackoff
	}
	return min(d, r.MaxBackoff)
}

// wait waits for d, or until ctx is done. It reports whether ctx is not.
func wait(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// OnFailure decides what follows when an event or a batch has failed in its last attempt.
type OnFailure uint8

const (
	// FailEvents gives the events the receipt Failed, and the stage goes on. It is
	// the default.
	FailEvents OnFailure = iota
	// StopStage stops the stage with the error. The events get no receipt: with
	// Redeliver another consumer has them, and their source has them again.
	StopStage
)

// validate refuses unknown values.
func (o OnFailure) validate(owner option.Owner) error {
	return owner.Check(o <= StopStage, "OnFailure", o, "FailEvents or StopStage")
}
