package middleware

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

var errOops = errors.New("oops")

func ok(context.Context) error     { return nil }
func fails(context.Context) error  { return errOops }
func panics(context.Context) error { panic("boom") }

// logTo returns a logger that writes to buf.
func logTo(buf *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(buf, nil)) }

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// caught returns the value of the panic of f.
func caught(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := must[Func[int]](t)(Log(LogConfig[int]{Name: "store", Slow: time.Second, Logger: logTo(&out), Event: func(v int) slog.Value { return slog.IntValue(v) }}))
		lines := func() (all []string) {
			for line := range strings.Lines(out.String()) {
				_, text, _ := strings.Cut(strings.TrimSpace(line), "msg=")
				all = append(all, text)
			}
			out.Reset()
			return all
		}
		for range 5 {
			if err := log(t.Context(), 7, fails); err != errOops {
				t.Fatal(err)
			}
		}
		for _, err := range []error{nil, stage.Discard(receipt.Expired), retry.Later(errOops, time.Second)} {
			if got := log(t.Context(), 8, func(context.Context) error { return err }); got != err {
				t.Fatal(got)
			}
		}
		if got := lines(); len(got) != 1 || got[0] != `"attempt failed" took=0s step=store event=7 error=oops` {
			t.Errorf("%q", got)
		}
		time.Sleep(time.Second)
		if v := caught(func() { _ = log(t.Context(), 9, panics) }); fmt.Sprint(v) != "panic: boom" {
			t.Errorf("panic %v", v)
		}
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], `event=9 error="panic: boom" stack=`) || !strings.HasSuffix(got[0], "left_out=4") {
			t.Errorf("%q", got)
		}
		_ = log(t.Context(), 10, func(context.Context) error { time.Sleep(2 * time.Second); return nil })
		if got := lines(); len(got) != 1 || got[0] != `"attempt was slow" took=2s step=store event=10` {
			t.Errorf("%q", got)
		}
	})
}

func TestTrace(t *testing.T) {
	type key struct{}
	var ended []error
	sampled := true
	trace := must[Func[int]](t)(Trace[int](TraceConfig{Name: "parse", Start: func(ctx context.Context, name string) (context.Context, func(error)) {
		if !sampled {
			return ctx, nil
		}
		return context.WithValue(ctx, key{}, name), func(err error) { ended = append(ended, err) }
	}}))
	seen := any(nil)
	err := trace(t.Context(), 1, func(ctx context.Context) error { seen = ctx.Value(key{}); return errOops })
	if err != errOops || seen != "parse" || len(ended) != 1 || ended[0] != errOops {
		t.Error(err, seen, ended)
	}
	caught(func() { _ = trace(t.Context(), 1, panics) })
	if len(ended) != 2 || ended[1].Error() != "panic: boom" {
		t.Error(ended)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		_ = trace(context.Background(), 1, func(context.Context) error { runtime.Goexit(); return nil })
	}()
	<-done
	if len(ended) != 3 || ended[2] != stage.ErrGoexit {
		t.Error(ended)
	}
	sampled = false
	if err := trace(t.Context(), 1, ok); err != nil || len(ended) != 3 {
		t.Error(err, ended)
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timeout := must[Func[int]](t)(Timeout[int](time.Minute))
		wait := func(d time.Duration) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				select {
				case <-time.After(d):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		if err := timeout(t.Context(), 1, wait(time.Second)); err != nil {
			t.Error(err)
		}
		if err := timeout(t.Context(), 1, wait(time.Hour)); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := timeout(gone, 1, wait(time.Hour)); err != context.Canceled {
			t.Error(err)
		}
	})
}

func TestRecover(t *testing.T) {
	err := Recover[int]()(t.Context(), 1, panics)
	var p *PanicError
	if !errors.As(err, &p) || p.Value != "boom" || !strings.Contains(string(p.Stack), "panics") {
		t.Error(err)
	}
	// Panics that others have passed on keep the stack of the first.
	log := must[Func[int]](t)(Log(LogConfig[int]{Logger: slog.New(slog.DiscardHandler)}))
	err = Recover[int]()(t.Context(), 1, func(ctx context.Context) error { return log(ctx, 1, panics) })
	if !errors.As(err, &p) || p.Error() != "panic: panic: boom" || !strings.Contains(string(p.Value.(*PanicError).Stack), "panics") {
		t.Error(err)
	}
}

func TestOnline(t *testing.T) {
	recorder := metricstest.New()
	online := func(_ context.Context, user string) bool { return user == "ann" }
	for _, c := range []struct {
		cfg     OnlineConfig[string]
		user    string
		called  bool
		offline bool
		reason  receipt.Reason
	}{
		{OnlineConfig[string]{}, "ann", true, false, ""},
		{OnlineConfig[string]{}, "bob", false, false, receipt.Offline},
		{OnlineConfig[string]{Reason: "away"}, "bob", false, false, "away"},
		{OnlineConfig[string]{PassOn: true}, "bob", true, true, ""},
		{OnlineConfig[string]{PassOn: true}, "ann", true, false, ""},
	} {
		c.cfg.Online, c.cfg.Metrics = online, recorder
		called, offline := false, false
		err := must[Func[string]](t)(Online(c.cfg))(t.Context(), c.user, func(ctx context.Context) error {
			called, offline = true, IsOffline(ctx)
			return nil
		})
		var discard *stage.DiscardError
		reason := receipt.Reason("")
		if errors.As(err, &discard) {
			reason = discard.Reason
		}
		if called != c.called || offline != c.offline || reason != c.reason {
			t.Errorf("%s: called %v, offline %v, reason %q", c.user, called, offline, reason)
		}
	}
	if n := recorder.Total("middleware.offline"); n != 3 {
		t.Error(n)
	}
}

func TestDeduplicator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		recorder := metricstest.New()
		d := must[*Deduplicator[string]](t)(NewDeduplicator(DeduplicatorConfig[string]{
			Key: func(s string) string { return s }, Window: time.Minute, MaxKeys: 2, Metrics: recorder, Logger: logTo(&out),
		}))
		isDuplicate := func(key string) bool {
			called := false
			err := d.Handle(t.Context(), key, func(context.Context) error { called = true; return nil })
			var discard *stage.DiscardError
			if errors.As(err, &discard) && discard.Reason == receipt.Duplicate && !called {
				return true
			}
			if err != nil || !called {
				t.Errorf("%s: %v, called %v", key, err, called)
			}
			return false
		}
		// While the first one is being handled others are postponed; after a failure or a
		// panic the next one is handled.
		gate := make(chan error)
		result := make(chan error)
		first := func() { result <- d.Handle(t.Context(), "a", func(context.Context) error { return <-gate }) }
		for _, end := range []error{errOops, nil} {
			go first()
			synctest.Wait()
			err := d.Handle(t.Context(), "a", ok)
			if !errors.Is(err, ErrRunning) || !retry.IsLater(err) {
				t.Error(err)
			}
			gate <- end
			if err := <-result; err != end {
				t.Error(err)
			}
		}
		caught(func() { _ = d.Handle(t.Context(), "b", panics) })
		for _, step := range []struct {
			key  string
			want bool
		}{{"a", true}, {"b", false}, {"b", true}, {"c", false}, {"b", true}, {"c", true}} {
			if got := isDuplicate(step.key); got != step.want {
				t.Errorf("%s: duplicate %v", step.key, got)
			}
		}
		want := DeduplicatorSnapshot{Keys: 2, Duplicates: 4, Waited: 2, Forgotten: 1}
		if got := d.Snapshot(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if !strings.Contains(out.String(), "MaxKeys is reached") || strings.Count(out.String(), "\n") != 1 {
			t.Error(out.String())
		}
		tag := metrics.Tag{Key: "name", Value: "deduplicate"}
		for name, want := range map[string]int64{"middleware.duplicates": 4, "middleware.duplicates_waited": 2, "middleware.keys_forgotten": 1} {
			if got := recorder.Count(name, tag); got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
		}
		time.Sleep(time.Minute)
		if d.Snapshot().Keys != 0 || isDuplicate("c") {
			t.Error("a key is remembered for longer than Window")
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		recorder := metricstest.New()
		b := must[*Breaker](t)(NewBreaker(BreakerConfig{Name: "billing", Failures: 3, Pause: 10 * time.Second, Metrics: recorder, Logger: logTo(&out)}))
		rows, words := Break[int](b), Break[string](b)
		tag := metrics.Tag{Key: "name", Value: "billing"}
		open := func() float64 { v, _ := recorder.Value("middleware.breaker_open", tag); return v }
		// Errors about the event, discards and cancelled attempts do not count.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 5 {
			_ = rows(t.Context(), 1, func(context.Context) error { return retry.Never(errOops) })
			_ = rows(t.Context(), 1, func(context.Context) error { return stage.Discard(receipt.Expired) })
			_ = rows(t.Context(), 1, func(context.Context) error { return retry.Later(errOops, 0) })
			_ = rows(gone, 1, fails)
		}
		_ = rows(t.Context(), 1, fails)
		_ = words(t.Context(), "", fails)
		if s := b.Snapshot(); s.State != BreakerClosed || s.Row != 2 {
			t.Fatalf("%+v", s)
		}
		caught(func() { _ = words(t.Context(), "", panics) })
		if s := b.Snapshot(); s.State != BreakerOpen || s.Until != time.Now().Add(10*time.Second) || s.Opened != 1 || open() != 1 {
			t.Fatalf("%+v", s)
		}
		// Nothing is tried for the whole pause.
		err := rows(t.Context(), 1, panics)
		if !errors.Is(err, ErrOpen) || !retry.IsLater(err) {
			t.Fatal(err)
		}
		pause, again, counts := retry.Policy{}.WithDefaults().Next(1, err)
		if !again || counts || pause < 10*time.Second || pause > 12*time.Second {
			t.Errorf("comes again %v, counts %v, after %v", again, counts, pause)
		}
		time.Sleep(10 * time.Second)
		// One probe, and others wait meanwhile.
		gate := make(chan error)
		result := make(chan error)
		go func() { result <- rows(t.Context(), 1, func(context.Context) error { return <-gate }) }()
		synctest.Wait()
		if err := words(t.Context(), "", panics); !errors.Is(err, ErrOpen) || b.Snapshot().State != BreakerHalfOpen {
			t.Fatal(err, b.Snapshot())
		}
		gate <- nil
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		if err := words(t.Context(), "", ok); err != nil {
			t.Fatal(err)
		}
		if s := b.Snapshot(); s.State != BreakerClosed || s.Postponed != 2 || open() != 0 {
			t.Errorf("%+v", s)
		}
		if log := out.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, `level=WARN msg="circuit breaker has opened" breaker=billing pause=10s`) ||
			!strings.Contains(log, `level=INFO msg="circuit breaker has closed" breaker=billing`) {
			t.Error(log)
		}
		if recorder.Count("middleware.breaker_opened", tag) != 1 || recorder.Count("middleware.breaker_postponed", tag) != 2 {
			t.Error(recorder)
		}
	})
}

// All of them are used by many goroutines at once; each key succeeds exactly once, and no
// duplicate is dropped before that.
func TestManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		d := must[*Deduplicator[int]](t)(NewDeduplicator(DeduplicatorConfig[int]{Key: func(v int) string { return fmt.Sprint(v) }, Logger: quiet}))
		b := must[*Breaker](t)(NewBreaker(BreakerConfig{Failures: NoFailures, Ratio: 0.9, Window: 20, Logger: quiet}))
		chain := []Func[int]{must[Func[int]](t)(Log(LogConfig[int]{Logger: quiet})), Recover[int](), d.Handle, Break[int](b)}
		var mu sync.Mutex
		done := make(map[int]int)
		tries := 0
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for v := range 100 {
					work := func(context.Context) error {
						time.Sleep(time.Millisecond)
						mu.Lock()
						defer mu.Unlock()
						if tries++; tries%3 == 0 {
							return errOops
						}
						done[v]++
						return nil
					}
					for {
						next := work
						for i := len(chain) - 1; i >= 0; i-- {
							inner, f := next, chain[i]
							next = func(ctx context.Context) error { return f(ctx, v, inner) }
						}
						err := next(context.Background())
						var discard *stage.DiscardError
						if errors.As(err, &discard) {
							mu.Lock()
							if done[v] != 1 {
								t.Errorf("%d was dropped before it was handled", v)
							}
							mu.Unlock()
							break
						}
						if err == nil {
							break
						}
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		for v := range 100 {
			if done[v] != 1 {
				t.Errorf("%d was handled %d times", v, done[v])
			}
		}
		if s := d.Snapshot(); s.Keys != 100 || s.Running != 0 || s.Duplicates != 700 {
			t.Errorf("%+v", s)
		}
	})
}

// An attempt that succeeds costs no allocation.
func TestNothingIsAllocated(t *testing.T) {
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
	}
	at := 0
	d := must[*Deduplicator[int]](t)(NewDeduplicator(DeduplicatorConfig[int]{
		Key: func(int) string { at++; return keys[at%len(keys)] }, MaxKeys: 16, Logger: slog.New(slog.DiscardHandler), Window: time.Hour,
	}))
	d.full.Log(slog.New(slog.DiscardHandler), slog.LevelWarn, "the line of this second")
	b := must[*Breaker](t)(NewBreaker(BreakerConfig{}))
	online := func(context.Context, int) bool { return true }
	for name, f := range map[string]Func[int]{
		"log":         must[Func[int]](t)(Log(LogConfig[int]{Slow: time.Hour})),
		"trace":       must[Func[int]](t)(Trace[int](TraceConfig{Start: func(ctx context.Context, _ string) (context.Context, func(error)) { return ctx, nil }})),
		"recover":     Recover[int](),
		"online":      must[Func[int]](t)(Online(OnlineConfig[int]{Online: online})),
		"breaker":     Break[int](b),
		"deduplicate": d.Handle,
	} {
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() { _ = f(ctx, 1, ok) }); n > 0 && name != "deduplicate" || n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	var nilRecorder *metricstest.Recorder
	for name, f := range map[string]func() error{
		"log":     func() error { _, err := Log(LogConfig[int]{Slow: -1}); return err },
		"trace":   func() error { _, err := Trace[int](TraceConfig{}); return err },
		"timeout": func() error { _, err := Timeout[int](0); return err },
		"online":  func() error { _, err := Online(OnlineConfig[int]{}); return err },
		"online reason": func() error {
			_, err := Online(OnlineConfig[int]{Online: func(context.Context, int) bool { return true }, PassOn: true, Reason: "x"})
			return err
		},
		"key":   func() error { _, err := NewDeduplicator(DeduplicatorConfig[int]{}); return err },
		"pause": func() error { _, err := NewBreaker(BreakerConfig{Pause: time.Millisecond}); return err },
		"max pause": func() error {
			_, err := NewBreaker(BreakerConfig{Pause: time.Minute, MaxPause: time.Second})
			return err
		},
		"nothing opens it": func() error { _, err := NewBreaker(BreakerConfig{Failures: NoFailures}); return err },
		"recorder":         func() error { _, err := NewBreaker(BreakerConfig{Metrics: nilRecorder}); return err },
	} {
		var refused *OptionError
		if err := f(); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
