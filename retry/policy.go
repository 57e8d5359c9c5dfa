package retry

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

const (
	// NoPause is the Backoff that repeats a failed attempt at once.
	NoPause time.Duration = 1
	// NoJitter is the Jitter that makes every pause exactly as long as computed.
	NoJitter = -1
	// Unlimited is the MaxAttempts that sets no bound.
	Unlimited = math.MaxInt
)

// The defaults of Policy.
const (
	DefaultMaxAttempts = 3
	DefaultBackoff     = 100 * time.Millisecond
	DefaultMaxBackoff  = 10 * time.Second
	DefaultFactor      = 2
	DefaultJitter      = 0.2
)

// Policy says how often, when and for which errors an attempt is repeated. The zero
// value is useful. A Policy has no state: any number of goroutines may use it.
type Policy struct {
	// MaxAttempts bounds how often an event or a batch is tried, the first attempt
	// included. Default: 3; Unlimited sets no bound.
	MaxAttempts int
	// Backoff is the pause before the second attempt. Default: 100 ms, or MaxBackoff
	// if that is less; NoPause makes no pause, which leaves only MaxAttempts to bound
	// a hot loop.
	Backoff time.Duration
	// MaxBackoff bounds the pauses. Default: 10 s, or Backoff if that is more.
	MaxBackoff time.Duration
	// Factor is by how much each pause is longer than the one before it, 1 or more.
	// Default: 2.
	Factor float64
	// Jitter is the part of a pause that is random, from 0 to 1: with 0.2 a pause of
	// 100 ms takes 80 to 100 ms, so that what has failed together is not repeated
	// together. What [After] and [Later] ask for becomes longer by that part, and not
	// shorter. Default: 0.2; NoJitter makes pauses exact.
	Jitter float64
	// Retryable reports whether an attempt that has failed with err is to be
	// repeated. It may be called from several goroutines at once. An error marked
	// with Never is not repeated, whatever Retryable reports. Default: all errors
	// are repeated.
	Retryable func(err error) bool
}

// WithDefaults returns p with its zero fields filled in.
func (p Policy) WithDefaults() Policy {
	option.Default(&p.MaxAttempts, DefaultMaxAttempts)
	if p.Backoff == 0 {
		p.Backoff = DefaultBackoff
		if p.MaxBackoff > 0 {
			p.Backoff = min(p.Backoff, p.MaxBackoff)
		}
	}
	option.Default(&p.MaxBackoff, max(DefaultMaxBackoff, p.Backoff))
	option.Default(&p.Factor, DefaultFactor)
	option.Default(&p.Jitter, DefaultJitter)
	return p
}

// Validate returns an *[OptionError] for the first wrong field, or nil. owner names what
// the policy is a part of, such as "consumer.Batch"; the option is the field behind
// "Retry.", since configs call their policy so. Zero fields are valid.
func (p Policy) Validate(owner string) error {
	o := option.Owner(owner)
	return option.First(
		o.Check(p.MaxAttempts >= 0, "Retry.MaxAttempts", p.MaxAttempts, "1 or more, Unlimited, or 0 for the default"),
		o.Check(p.Backoff >= 0, "Retry.Backoff", p.Backoff, "NoPause or above, or 0 for the default"),
		o.Check(p.MaxBackoff == 0 || p.MaxBackoff >= max(p.Backoff, 0), "Retry.MaxBackoff", p.MaxBackoff, "Backoff or above, or 0 for the default"),
		o.Check(p.Factor == 0 || p.Factor >= 1 && p.Factor <= math.MaxFloat64, "Retry.Factor", p.Factor, "1 or more, or 0 for the default"),
		o.Check(p.Jitter == NoJitter || p.Jitter >= 0 && p.Jitter <= 1, "Retry.Jitter", p.Jitter, "0 to 1, or NoJitter"),
	)
}

// Next decides what follows when the given attempt, counted from 1, has failed with
// err: whether there is another one, and the pause before it. counts reports whether
// this attempt counts towards MaxAttempts: one that failed with [Later] does not. err may
// be nil if nothing is known but the failure. A panic of Retryable passes through.
func (p Policy) Next(attempt int, err error) (pause time.Duration, again, counts bool) {
	p = p.WithDefaults()
	kind, asked := read(err)
	switch {
	case kind == markedLater:
		return p.longer(max(asked, LeastPause)), true, false
	case kind == markedNever, attempt >= p.MaxAttempts, p.Retryable != nil && !p.Retryable(err):
		return 0, false, true
	}
	return max(p.shorter(p.Pause(attempt)), p.longer(asked)), true, true
}

// Pause returns the pause that follows a failed attempt, counted from 1, without its
// random part.
func (p Policy) Pause(attempt int) time.Duration {
	p = p.WithDefaults()
	if p.Backoff <= NoPause {
		return 0
	}
	d := float64(p.Backoff) * math.Pow(p.Factor, float64(max(attempt, 1)-1))
	if !(d < float64(p.MaxBackoff)) { // also if it is infinite
		return p.MaxBackoff
	}
	return time.Duration(d)
}

// shorter takes a random part of up to Jitter off a pause.
func (p Policy) shorter(d time.Duration) time.Duration { return d - p.part(d) }

// longer adds a random part of up to Jitter to a pause, and never wraps.
func (p Policy) longer(d time.Duration) time.Duration {
	return d + min(p.part(d), math.MaxInt64-d)
}

// part returns a random part of d, from 0 to Jitter of it.
func (p Policy) part(d time.Duration) time.Duration {
	if p.Jitter <= 0 {
		return 0
	}
	return min(d, time.Duration(p.Jitter*rand.Float64()*float64(d)))
}
