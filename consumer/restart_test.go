package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// Events that fail whatever is done fail alone: the pool goes on with the others.
func TestSupervisorPoisonousEvents(t *testing.T) {
	for _, restart := range []consumer.Restart{consumer.Transient, consumer.Temporary} {
		synctest.Test(t, func(t *testing.T) {
			const n = 1000
			var failed, attempts log
			bad := func(v int) bool { return v%100 == 3 }
			pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
				if bad(v) {
					attempts.add(v)
					return errOops
				}
				time.Sleep(10 * time.Millisecond)
				return nil
			}, config{Restart: restart, Failed: func(v int, _ error) { failed.add(v) }}))
			src := &tracked{counter{limit: n}}
			if err := run(t, src, pool, stage.SubscribeConfig{Redeliver: true}); err != nil {
				t.Fatal(err)
			}
			for v, got := range src.outcomes(t) {
				if bad(v) != (got == receipt.Failed) || !bad(v) && got != receipt.Done {
					t.Errorf("event %d is %v", v, got)
				}
			}
			tries := map[consumer.Restart]int{consumer.Transient: retry.DefaultMaxAttempts, consumer.Temporary: 1}[restart]
			if len(src.outcomes(t)) != n || len(failed.all()) != n/100 || len(attempts.all()) != n/100*tries {
				t.Errorf("%d receipts, %d failed after %d attempts", len(src.outcomes(t)), len(failed.all()), len(attempts.all()))
			}
		})
	}
}

// The pause before an attempt begins with Backoff and doubles up to MaxBackoff.
func TestSupervisorPausesBetweenAttempts(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		backoff, most time.Duration
		want          []time.Duration
	}{
		{0, 0, []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms}},
		{time.Second, 3 * time.Second, []time.Duration{0, 1000 * ms, 3000 * ms, 6000 * ms, 9000 * ms, 12000 * ms}},
		{time.Minute, 0, []time.Duration{0, 60000 * ms, 120000 * ms, 180000 * ms, 240000 * ms, 300000 * ms}},
		{retry.NoPause, 0, make([]time.Duration, 6)},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			var at []time.Duration
			pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error {
				at = append(at, time.Since(begun))
				return errOops
			}, config{Retry: retry.Policy{MaxAttempts: 6, Backoff: tc.backoff, MaxBackoff: tc.most, Jitter: retry.NoJitter}}))
			if err := run(t, &counter{limit: 1}, pool, stage.SubscribeConfig{}); err != nil || !slices.Equal(at, tc.want) {
				t.Error(err, at)
			}
		})
	}
}

// A stop does not wait for a pause, and the event has no receipt.
func TestSupervisorStopEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &tracked{counter{limit: 1}}
		var attempts atomic.Int64
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { attempts.Add(1); return errOops },
			config{Retry: retry.Policy{Backoff: time.Hour}, Failed: func(int, error) { t.Error("failed") }}))
		r := start(t, src, pool, stage.SubscribeConfig{})
		synctest.Wait()
		if s := pool.Snapshot(); s.Busy != 0 || s.Pausing != 1 || s.Restarts != 1 {
			t.Errorf("%+v", s)
		}
		begun := time.Now()
		r.stop()
		if err := r.sink.Err(); err != nil || time.Since(begun) != 0 || attempts.Load() != 1 || src.outcomes(t)[0] != receipt.Abandoned {
			t.Error(err, time.Since(begun), attempts.Load(), src.outcomes(t))
		}
	})
}

// Workers that take long do not keep the other slots empty, although those never
// make up a group.
func TestSupervisorLongWorkersLeaveTheOtherSlots(t *testing.T) {
	for _, tracks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src := &tracked{counter{limit: 102}}
			var p stage.Producer[int] = src
			if !tracks {
				p = &src.counter
			}
			var done atomic.Int64
			pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
				if v < 2 {
					select {
					case <-time.After(time.Hour):
					case <-ctx.Done():
					}
				}
				done.Add(1)
				return nil
			}, config{MaxDemand: 10, MinDemand: 9}))
			r := start(t, p, pool, stage.SubscribeConfig{})
			<-time.After(500 * time.Millisecond)
			if n := done.Load(); n != 100 {
				t.Errorf("%d of 100 short jobs were done, %+v", n, pool.Snapshot())
			}
			r.stop()
		})
	}
}

// A worker that fails often does not fill the log.
func TestSupervisorLogsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines strings.Builder
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { <-time.After(time.Second / 100); return errOops },
			config{MaxDemand: 1, Retry: retry.Policy{MaxAttempts: 2, Backoff: retry.NoPause}, Logger: textLog(&lines)}))
		if err := run(t, &counter{limit: 500}, pool, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		// 1,000 attempts in ten seconds, half of which are an event's last.
		if n := strings.Count(lines.String(), "\n"); n < 18 || n > 22 {
			t.Errorf("%d lines", n)
		}
		if got := lines.String(); !strings.Contains(got, "again=true failures=1 ") || !strings.Contains(got, "again=false failures=50 ") {
			t.Error(got)
		}
		if s := pool.Snapshot(); s.Failed != 500 || s.Restarts != 500 {
			t.Errorf("%+v", s)
		}
	})
}

// The reason of a supervisor that stops after too many restarts has the failure.
func TestSupervisorTooManyRestartsNamesTheFailure(t *testing.T) {
	err := run(t, &counter{limit: 1}, stage.Must(consumer.NewSupervisor(func(context.Context, int) error { return errOops },
		config{MaxRestarts: stage.None})), stage.SubscribeConfig{})
	failed, ok := errors.AsType[*consumer.WorkerError](err)
	if !ok || failed.Attempt != 1 || !errors.Is(err, errOops) || !errors.Is(err, consumer.ErrTooManyRestarts) {
		t.Error(err)
	}
}
