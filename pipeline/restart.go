package pipeline

import (
	"math"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// NoRestart is the MaxRestarts with which a step is never made anew.
const NoRestart = -1

// The defaults of Restart.
const (
	DefaultMaxRestarts       = 3
	DefaultRestartWindow     = 5 * time.Second
	DefaultRestartBackoff    = 100 * time.Millisecond
	DefaultRestartMaxBackoff = 10 * time.Second
)

// Restart is what follows when a step dies: an error of its stage or a panic outside of
// the handling of an event, not an event that has failed. The zero value is useful.
type Restart struct {
	// MaxRestarts bounds how often the step is made anew within Window. Then the pipeline
	// ends with a [*RestartError]. Default: 3; NoRestart never makes it anew, and
	// math.MaxInt sets no bound.
	MaxRestarts int
	// Window is the period in which restarts are counted. Default: 5 s.
	Window time.Duration
	// Backoff is the pause before the first restart of a period; each of the next ones is
	// twice as long. Default: 100 ms.
	Backoff time.Duration
	// MaxBackoff bounds the pauses. Default: 10 s, or Backoff if that is more.
	MaxBackoff time.Duration
	// Below makes all steps below anew as well, for steps that have a state in common. By
	// default they live on.
	Below bool
}

// validate returns the error for the first refused field, or nil.
func (r Restart) validate(owner option.Owner) error {
	return option.First(
		option.AtLeast(owner, "Restart.MaxRestarts", r.MaxRestarts, NoRestart),
		option.AtLeast(owner, "Restart.Window", r.Window, 0),
		option.AtLeast(owner, "Restart.Backoff", r.Backoff, 0),
		owner.Check(r.MaxBackoff == 0 || r.MaxBackoff >= r.Backoff, "Restart.MaxBackoff", r.MaxBackoff, "Backoff or above, or 0 for the default"),
	)
}

// or returns r, or byDefault if r is zero, with its zero fields filled in.
func (r Restart) or(byDefault Restart) Restart {
	if r == (Restart{}) {
		r = byDefault
	}
	option.Default(&r.MaxRestarts, DefaultMaxRestarts)
	option.Default(&r.Window, DefaultRestartWindow)
	option.Default(&r.Backoff, DefaultRestartBackoff)
	option.Default(&r.MaxBackoff, max(DefaultRestartMaxBackoff, r.Backoff))
	return r
}

// intensity decides whether a step is made anew once more, and after which pause. It has
// no clock of its own.
type intensity struct {
	policy Restart     // with its defaults
	times  []time.Time // of the restarts within the last Window
}

// next takes note of a death at now. ok is false if there were too many.
func (i *intensity) next(now time.Time) (pause time.Duration, ok bool) {
	old := 0
	for old < len(i.times) && now.Sub(i.times[old]) >= i.policy.Window {
		old++
	}
	i.times = append(i.times[:0], i.times[old:]...)
	if i.policy.MaxRestarts == NoRestart || len(i.times) >= i.policy.MaxRestarts {
		return 0, false
	}
	i.times = append(i.times, now)
	// Without a bound of restarts only as many times are kept as make a difference.
	if most := 64; len(i.times) > most && i.policy.MaxRestarts > most {
		i.times = append(i.times[:0], i.times[len(i.times)-most:]...)
	}
	d := float64(i.policy.Backoff) * math.Pow(2, float64(len(i.times)-1))
	if d >= float64(i.policy.MaxBackoff) {
		return i.policy.MaxBackoff, true
	}
	return time.Duration(d), true
}
