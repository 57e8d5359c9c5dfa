package retry_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/penstock-go/penstock/retry"
)

var errOops = errors.New("oops")

const ms = time.Millisecond

// The pauses grow by the factor, up to the largest, and never wrap.
func TestPauses(t *testing.T) {
	for name, tc := range map[string]struct {
		policy retry.Policy
		want   []time.Duration // after attempts 1, 2, ...
		far    time.Duration   // after a million attempts and the greatest number of them
	}{
		"the default":        {retry.Policy{}, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10_000 * ms}, 10 * time.Second},
		"a factor":           {retry.Policy{Backoff: 8 * ms, Factor: 1.5}, []time.Duration{8 * ms, 12 * ms, 18 * ms, 27 * ms}, 10 * time.Second},
		"always the same":    {retry.Policy{Backoff: 8 * ms, Factor: 1}, []time.Duration{8 * ms, 8 * ms, 8 * ms}, 8 * ms},
		"no pause":           {retry.Policy{Backoff: retry.NoPause}, []time.Duration{0, 0, 0}, 0},
		"a long first":       {retry.Policy{Backoff: time.Minute}, []time.Duration{time.Minute, time.Minute}, time.Minute},
		"a short largest":    {retry.Policy{MaxBackoff: 50 * ms}, []time.Duration{50 * ms, 50 * ms}, 50 * ms},
		"without a bound":    {retry.Policy{MaxBackoff: math.MaxInt64}, []time.Duration{100 * ms, 200 * ms}, math.MaxInt64},
		"the largest factor": {retry.Policy{Factor: math.MaxFloat64}, []time.Duration{100 * ms, 10 * time.Second}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(tc.policy.Validate("x"), tc.policy.WithDefaults().Validate("x")); err != nil {
				t.Fatal(err)
			}
			for i, want := range tc.want {
				if got := tc.policy.Pause(i + 1); got != want {
					t.Errorf("after attempt %d: %v, want %v", i+1, got, want)
				}
			}
			for _, attempt := range []int{1_000_000, math.MaxInt} {
				if got := tc.policy.Pause(attempt); got != tc.far {
					t.Errorf("after attempt %d: %v, want %v", attempt, got, tc.far)
				}
			}
			if got := tc.policy.Pause(0); got != tc.want[0] {
				t.Errorf("after attempt 0: %v", got)
			}
		})
	}
}

// The random part stays within its bounds, and uses all of them.
func TestJitter(t *testing.T) {
	for _, tc := range []struct {
		jitter      float64
		err         error
		least, most time.Duration
	}{
		{0, errOops, 80 * ms, 100 * ms},
		{0.5, errOops, 50 * ms, 100 * ms},
		{1, errOops, 0, 100 * ms},
		{retry.NoJitter, errOops, 100 * ms, 100 * ms},
		{0, retry.After(errOops, time.Second), time.Second, 1200 * ms},
		{1, retry.After(errOops, time.Second), time.Second, 2 * time.Second},
		{retry.NoJitter, retry.After(errOops, time.Second), time.Second, time.Second},
		{0, retry.After(errOops, 10*ms), 80 * ms, 100 * ms},
		{0, retry.Later(errOops, time.Second), time.Second, 1200 * ms},
		{1, retry.Later(errOops, math.MaxInt64-5), math.MaxInt64 - 5, math.MaxInt64},
	} {
		var least, most time.Duration = math.MaxInt64, 0
		for range 20_000 {
			d, again, _ := retry.Policy{Jitter: tc.jitter}.Next(1, tc.err)
			if !again {
				t.Fatal("no other attempt")
			}
			least, most = min(least, d), max(most, d)
		}
		if least < tc.least || most > tc.most {
			t.Errorf("jitter %v, %v: %v to %v, want %v to %v", tc.jitter, tc.err, least, most, tc.least, tc.most)
		}
		if spread := tc.most - tc.least; spread > time.Microsecond && most-least < spread*9/10 {
			t.Errorf("jitter %v, %v: only %v to %v", tc.jitter, tc.err, least, most)
		}
	}
}

// What follows from a failed attempt, with what its error says through any wrapping.
func TestNext(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("wrapped: %w", err) }
	not := func(err error) bool { return !errors.Is(err, errOops) }
	for name, tc := range map[string]struct {
		policy  retry.Policy
		attempt int
		err     error
		pause   time.Duration // -1: no other attempt
		later   bool
	}{
		"the first":            {retry.Policy{}, 1, errOops, 100 * ms, false},
		"the second":           {retry.Policy{}, 2, errOops, 200 * ms, false},
		"the last":             {retry.Policy{}, 3, errOops, -1, false},
		"only one":             {retry.Policy{MaxAttempts: 1}, 1, errOops, -1, false},
		"without a bound":      {retry.Policy{MaxAttempts: retry.Unlimited}, 1_000_000, errOops, 10 * time.Second, false},
		"no error is known":    {retry.Policy{}, 1, nil, 100 * ms, false},
		"never":                {retry.Policy{}, 1, retry.Never(errOops), -1, false},
		"never, wrapped":       {retry.Policy{}, 1, wrap(wrap(retry.Never(errOops))), -1, false},
		"never, joined":        {retry.Policy{}, 1, errors.Join(errors.New("other"), retry.After(errOops, 1), wrap(retry.Never(errOops))), -1, false},
		"never within after":   {retry.Policy{}, 1, retry.After(wrap(retry.Never(errOops)), time.Hour), -1, false},
		"after within never":   {retry.Policy{}, 1, retry.Never(retry.After(errOops, time.Hour)), -1, false},
		"after":                {retry.Policy{}, 1, wrap(retry.After(errOops, 300*ms)), 300 * ms, false},
		"after a short time":   {retry.Policy{}, 1, retry.After(errOops, ms), 100 * ms, false},
		"after a negative":     {retry.Policy{}, 1, retry.After(errOops, -time.Hour), 100 * ms, false},
		"after beyond the max": {retry.Policy{}, 1, retry.After(errOops, time.Minute), time.Minute, false},
		"after, twice":         {retry.Policy{}, 1, errors.Join(retry.After(errOops, 300*ms), retry.After(errOops, 500*ms)), 500 * ms, false},
		"after, the last":      {retry.Policy{}, 3, retry.After(errOops, ms), -1, false},
		"after, no pause":      {retry.Policy{Backoff: retry.NoPause}, 1, retry.After(errOops, ms), ms, false},
		"later":                {retry.Policy{}, 1, wrap(retry.Later(errOops, 30*ms)), 30 * ms, true},
		"later, the last":      {retry.Policy{MaxAttempts: 1}, 1, retry.Later(errOops, time.Second), time.Second, true},
		"later, at once":       {retry.Policy{Backoff: retry.NoPause}, 1, retry.Later(errOops, 0), retry.LeastPause, true},
		"later, a negative":    {retry.Policy{}, 1, retry.Later(errOops, -1), retry.LeastPause, true},
		"later, not retryable": {retry.Policy{Retryable: not}, 1, retry.Later(errOops, time.Second), time.Second, true},
		"later of never":       {retry.Policy{}, 1, retry.Later(retry.Never(errOops), time.Second), time.Second, true},
		"never of later":       {retry.Policy{}, 1, retry.Never(retry.Later(errOops, time.Second)), -1, false},
		"not retryable":        {retry.Policy{Retryable: not}, 1, wrap(errOops), -1, false},
		"retryable":            {retry.Policy{Retryable: not}, 1, errors.New("other"), 100 * ms, false},
		"never is not asked":   {retry.Policy{Retryable: func(error) bool { return true }}, 1, retry.Never(errOops), -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			tc.policy.Jitter = retry.NoJitter
			pause, again, counts := tc.policy.Next(tc.attempt, tc.err)
			if !again {
				pause = -1
			}
			if pause != tc.pause || counts == tc.later {
				t.Errorf("%v, again %v, counts %v", pause, again, counts)
			}
		})
	}
}

// A mark changes nothing about its error but the retry, and nil stays nil.
func TestMarks(t *testing.T) {
	for name, mark := range map[string]func(error) error{
		"never": retry.Never,
		"after": func(err error) error { return retry.After(err, 1) },
		"later": func(err error) error { return retry.Later(err, 1) },
	} {
		if mark(nil) != nil {
			t.Errorf("%s of nil is an error", name)
		}
		if err := mark(errOops); err.Error() != "oops" || !errors.Is(err, errOops) || retry.IsNever(err) != (name == "never") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if retry.IsNever(nil) || retry.IsNever(errOops) {
		t.Error("an error without a mark ends the attempts")
	}
}

func TestRefusedPolicies(t *testing.T) {
	for option, p := range map[string]retry.Policy{
		"MaxAttempts": {MaxAttempts: -1},
		"Backoff":     {Backoff: -1},
		"MaxBackoff":  {Backoff: 2, MaxBackoff: 1},
		"Factor":      {Factor: 0.9},
		"Jitter":      {Jitter: 1.1},
	} {
		refused, ok := errors.AsType[*retry.OptionError](p.Validate("x"))
		if !ok || refused.Owner != "x" || refused.Option != "Retry."+option {
			t.Errorf("%s: %+v", option, refused)
		}
	}
	for _, p := range []retry.Policy{{Factor: math.NaN()}, {Factor: math.Inf(1)}, {Jitter: math.NaN()}, {Jitter: -2}, {MaxBackoff: -1}} {
		if p.Validate("x") == nil {
			t.Errorf("%+v is valid", p)
		}
	}
}
