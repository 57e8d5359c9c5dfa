package middleware

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

var silent = slog.New(slog.DiscardHandler)

// pauseOf returns the pause that a policy makes after an error that postpones its event.
func pauseOf(t *testing.T, err error) time.Duration {
	t.Helper()
	pause, again, counts := retry.Policy{Jitter: retry.NoJitter, Backoff: retry.LeastPause}.WithDefaults().Next(1, err)
	if !again || counts {
		t.Errorf("%v: comes again %v, counts as an attempt %v", err, again, counts)
	}
	return pause
}

// By default five failures one after the other open a breaker for 5 s; the pause doubles while
// attempts fail, up to a minute.
func TestBreakerDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := must[*Breaker](t)(NewBreaker(BreakerConfig{Logger: silent}))
		guard := Break[int](b)
		for range 4 {
			_ = guard(t.Context(), 1, fails)
		}
		_ = guard(t.Context(), 1, ok) // the row begins anew
		for range 4 {
			_ = guard(t.Context(), 1, fails)
		}
		if s := b.Snapshot(); s.State != BreakerClosed || s.Row != 4 {
			t.Errorf("after four: %+v", s)
		}
		for _, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
			_ = guard(t.Context(), 1, fails)
			if got := time.Until(b.Snapshot().Until); got != want*time.Second {
				t.Errorf("open for %v, want %v", got, want*time.Second)
			}
			time.Sleep(want * time.Second)
		}
	})
}

// Failure decides which errors count, also about those marked with retry.Never. It is not
// asked about discarded and postponed events, nor about attempts that were cancelled.
func TestBreakerAsksFailure(t *testing.T) {
	var asked []error
	b := must[*Breaker](t)(NewBreaker(BreakerConfig{Failures: 1, Logger: silent, Failure: func(err error) bool {
		asked = append(asked, err)
		return !errors.Is(err, errOops)
	}}))
	guard := Break[int](b)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_ = guard(gone, 1, func(context.Context) error { return errors.New("other") })
	for _, err := range []error{nil, stage.Discard(receipt.Expired), retry.Later(errOops, 0), errOops} {
		_ = guard(t.Context(), 1, func(context.Context) error { return err })
	}
	if s := b.Snapshot(); s.State != BreakerClosed || len(asked) != 1 {
		t.Errorf("%s, asked about %v", s.State, asked)
	}
	_ = guard(t.Context(), 1, func(context.Context) error { return retry.Never(errors.New("other")) })
	if s := b.Snapshot(); s.State != BreakerOpen {
		t.Errorf("%+v", s)
	}
}

// By default a key is remembered for 10 min, and an event that comes while the first one with
// its key is being handled comes again after 100 ms.
func TestDeduplicatorDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := must[*Deduplicator[string]](t)(NewDeduplicator(DeduplicatorConfig[string]{Key: func(s string) string { return s }, Logger: silent}))
		var inner error
		_ = d.Handle(t.Context(), "a", func(ctx context.Context) error { inner = d.Handle(ctx, "a", ok); return nil })
		if pause := pauseOf(t, inner); !errors.Is(inner, ErrRunning) || pause != 100*time.Millisecond {
			t.Errorf("%v, after %v", inner, pause)
		}
		time.Sleep(10*time.Minute - time.Nanosecond)
		if err := d.Handle(t.Context(), "a", ok); !errors.Is(err, errDuplicate) {
			t.Errorf("just before 10 min: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := d.Handle(t.Context(), "a", ok); err != nil {
			t.Errorf("after 10 min: %v", err)
		}
	})
}

// A key counts as handled when the function has succeeded, not when it has discarded or
// postponed the event.
func TestDeduplicatorForgetsWhatWasNotHandled(t *testing.T) {
	d := must[*Deduplicator[string]](t)(NewDeduplicator(DeduplicatorConfig[string]{Key: func(s string) string { return s }, Logger: silent}))
	for _, err := range []error{errOops, stage.Discard(receipt.Expired), retry.Later(errOops, time.Second), nil} {
		called := false
		if got := d.Handle(t.Context(), "a", func(context.Context) error { called = true; return err }); got != err || !called {
			t.Errorf("%v: called %v, returns %v", err, called, got)
		}
	}
	if err := d.Handle(t.Context(), "a", ok); !errors.Is(err, errDuplicate) {
		t.Error(err)
	}
}

// Failures and slow attempts have at most one line a second each; a line says how many were
// left out. An event is not described without Event.
func TestLogLimitsFailuresAndSlowAttemptsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := must[Func[string]](t)(Log(LogConfig[string]{Slow: time.Millisecond, Logger: logTo(&out)}))
		slow := func(context.Context) error { time.Sleep(time.Millisecond); return nil }
		for range 10 {
			_ = log(t.Context(), "secret", fails)
			_ = log(t.Context(), "secret", slow)
		}
		if text := out.String(); strings.Count(text, "attempt failed") != 1 || strings.Count(text, "attempt was slow") != 1 || strings.Contains(text, "secret") {
			t.Error(text)
		}
		out.Reset()
		time.Sleep(time.Second)
		_ = log(t.Context(), "secret", slow)
		if text := out.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "left_out=9") {
			t.Error(text)
		}
	})
}

// An attempt that does not look at its context is not ended, and its error stays as it is.
func TestTimeoutEndsTheContextOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timeout := must[Func[int]](t)(Timeout[int](time.Second))
		for _, want := range []error{nil, errOops} {
			begun, cause := time.Now(), error(nil)
			err := timeout(t.Context(), 1, func(ctx context.Context) error {
				time.Sleep(time.Minute)
				cause = context.Cause(ctx)
				return want
			})
			if err != want || time.Since(begun) != time.Minute || cause != ErrTimeout {
				t.Errorf("%v after %v, cause %v", err, time.Since(begun), cause)
			}
		}
	})
}

// No middleware starts a goroutine, or holds a lock while next runs: it may be entered again by
// then, and asked for its state.
func TestMiddlewareHoldsNoLockAndStartsNoGoroutine(t *testing.T) {
	d := must[*Deduplicator[int]](t)(NewDeduplicator(DeduplicatorConfig[int]{Key: func(v int) string { return strings.Repeat("k", v) }, Logger: silent}))
	b := must[*Breaker](t)(NewBreaker(BreakerConfig{Logger: silent}))
	for name, f := range map[string]Func[int]{
		"log":         must[Func[int]](t)(Log(LogConfig[int]{Slow: 1, Logger: silent})),
		"trace":       must[Func[int]](t)(Trace[int](TraceConfig{Start: func(ctx context.Context, _ string) (context.Context, func(error)) { return ctx, func(error) {} }})),
		"timeout":     must[Func[int]](t)(Timeout[int](time.Hour)),
		"recover":     Recover[int](),
		"online":      must[Func[int]](t)(Online(OnlineConfig[int]{Online: func(context.Context, int) bool { return true }})),
		"breaker":     Break[int](b),
		"deduplicate": d.Handle,
	} {
		before, inside, called := runtime.NumGoroutine(), 0, false
		err := f(t.Context(), 1, func(ctx context.Context) error {
			inside = runtime.NumGoroutine()
			d.Snapshot()
			b.Snapshot()
			return f(ctx, 2, func(context.Context) error { called = true; return nil })
		})
		if err != nil || !called || inside > before {
			t.Errorf("%s: %v, called %v, %d goroutines, %d before", name, err, called, inside, before)
		}
	}
}
