package retry_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/penstock-go/penstock/retry"
)

// What an error has been marked with is found through any wrapping, and the last word counts.
func TestIsNeverAndIsLater(t *testing.T) {
	wrap := func(err error) error { return errors.Join(errors.New("other"), fmt.Errorf("wrapped: %w", err)) }
	for name, c := range map[string]struct {
		err          error
		never, later bool
	}{
		"nil":            {nil, false, false},
		"unmarked":       {errOops, false, false},
		"after":          {wrap(retry.After(errOops, 1)), false, false},
		"never":          {wrap(retry.Never(errOops)), true, false},
		"later":          {wrap(retry.Later(errOops, 1)), false, true},
		"later of never": {retry.Later(wrap(retry.Never(errOops)), 1), false, true},
		"never of later": {retry.Never(wrap(retry.Later(errOops, 1))), true, false},
	} {
		if never, later := retry.IsNever(c.err), retry.IsLater(c.err); never != c.never || later != c.later {
			t.Errorf("%s: never %v, later %v", name, never, later)
		}
	}
}

// A panic of Retryable passes through Next, to the code that knows whose event it is.
func TestRetryableThatPanics(t *testing.T) {
	defer func() {
		if v := recover(); v != "retryable" {
			t.Errorf("recovered %v", v)
		}
	}()
	p := retry.Policy{Retryable: func(error) bool { panic("retryable") }}
	pause, again, _ := p.Next(1, errOops)
	t.Errorf("returned %v, %v", pause, again)
}
