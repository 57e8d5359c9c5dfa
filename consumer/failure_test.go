package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
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

// fails are the ways in which a worker can fail on its own account.
var fails = map[string]struct {
	do func() error
	is func(error) bool
}{
	"error": {func() error { return errOops }, func(err error) bool { return errors.Is(err, errOops) }},
	"panic": {func() error { panic(errOops) }, func(err error) bool {
		p, ok := errors.AsType[*stage.PanicError](err)
		return ok && errors.Is(err, errOops) && strings.Contains(string(p.Stack), "failure_test.go")
	}},
	"exit": {func() error { runtime.Goexit(); return nil }, func(err error) bool { return errors.Is(err, stage.ErrGoexit) }},
}

// A transient worker is started again with the same event and keeps its slot,
// until it succeeds or MaxAttempts is reached; a temporary one is not.
func TestSupervisorRestarts(t *testing.T) {
	for name, fail := range fails {
		for _, tc := range []struct {
			restart     consumer.Restart
			maxAttempts int
			goodAfter   int // attempts that fail
			attempts    int
			failed      bool
		}{
			{consumer.Transient, 0, 2, 3, false}, // the default is 3
			{consumer.Transient, 0, 5, 3, true},
			{consumer.Transient, stage.Unlimited, 9, 10, false},
			{consumer.Transient, 3, 2, 3, false},
			{consumer.Transient, 2, 5, 2, true},
			{consumer.Transient, 1, 5, 1, true},
			{consumer.Temporary, 0, 5, 1, true},
			{consumer.Temporary, 9, 5, 1, true},
		} {
			t.Run(fmt.Sprint(name, tc), func(t *testing.T) {
				var attempts, next log
				var failure error
				cfg := config{
					MaxDemand: 1, Restart: tc.restart, Retry: retry.Policy{MaxAttempts: tc.maxAttempts, Backoff: retry.NoPause},
					Failed: func(v int, err error) {
						if v != 0 || failure != nil {
							t.Error(v, failure)
						}
						failure = err
					},
				}
				src := &tracked{counter{limit: 2}}
				err := run(t, src, stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
					if v == 1 {
						next.add(len(attempts.all()))
						return nil
					}
					attempts.add(v)
					if len(attempts.all()) <= tc.goodAfter {
						return fail.do()
					}
					return nil
				}, cfg)), stage.SubscribeConfig{})
				if err != nil {
					t.Fatal(err)
				}
				if n := len(attempts.all()); n != tc.attempts {
					t.Errorf("%d attempts, want %d", n, tc.attempts)
				}
				if got := next.all(); !slices.Equal(got, []int{tc.attempts}) {
					t.Error("the slot was not kept:", got)
				}
				want := receipt.Done
				if tc.failed {
					want = receipt.Failed
					worker, ok := errors.AsType[*consumer.WorkerError](failure)
					if !ok || worker.Attempt != tc.attempts || worker.Stage != "sink" || !fail.is(failure) {
						t.Error(failure)
					}
				}
				if tc.failed != (failure != nil) || src.outcomes(t)[0] != want {
					t.Error(failure, src.outcomes(t))
				}
			})
		}
	}
}

// One restart more than MaxRestarts within RestartWindow stops the supervisor;
// the same number spread over a longer time does not.
func TestSupervisorTooManyRestarts(t *testing.T) {
	for _, tc := range []struct {
		max      int
		every    time.Duration // a worker fails this often
		attempts int           // before the supervisor stops; 0: it does not
	}{
		{3, time.Second, 4}, // within 5 s
		{3, 5 * time.Second / 3, 4},
		{3, 5*time.Second/3 + 1, 0},
		{0, 0, 0}, // the default
		{stage.None, time.Hour, 1},
		{1, time.Second, 2},
		{10, time.Millisecond, 11},
		{stage.Unlimited, 0, 0},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				src := &tracked{counter{limit: 1}}
				err := run(t, src, stage.Must(consumer.NewSupervisor(func(context.Context, int) error {
					<-time.After(tc.every)
					if attempts++; attempts == 100 {
						return nil
					}
					return errOops
				}, config{MaxRestarts: tc.max, Retry: retry.Policy{MaxAttempts: retry.Unlimited, Backoff: retry.NoPause}})), stage.SubscribeConfig{})
				if tc.attempts == 0 {
					if err != nil || attempts != 100 {
						t.Error(err, attempts)
					}
					return
				}
				if !errors.Is(err, consumer.ErrTooManyRestarts) || !errors.Is(err, errOops) || attempts != tc.attempts {
					t.Error(err, attempts)
				}
				if got := src.outcomes(t); got[0] != receipt.Abandoned {
					t.Error(got)
				}
			})
		})
	}
}

// A worker that listens is ended by its timeout; one that does not loses its
// slot within a tenth of it, and what it does later counts for nothing.
func TestSupervisorTimeout(t *testing.T) {
	for _, tc := range []struct {
		listens bool
		takes   time.Duration
	}{{true, 10 * time.Second}, {false, 11 * time.Second}} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hold := make(chan struct{})
				var failure error
				cfg := config{
					MaxDemand: 1, Timeout: 10 * time.Second, Restart: consumer.Temporary,
					Failed: func(_ int, err error) { failure = err },
				}
				begun := time.Now()
				var second time.Duration
				src := &tracked{counter{limit: 2}}
				pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
					if v == 1 {
						second = time.Since(begun)
						return nil
					}
					if context.Cause(ctx) != nil {
						t.Error(context.Cause(ctx))
					}
					if !tc.listens {
						<-hold
						if _, ok := consumer.Defer(ctx); ok {
							t.Error("a receipt was given twice")
						}
						panic("and now?")
					}
					<-ctx.Done()
					return ctx.Err()
				}, cfg))
				var end error // of the pipeline: it names a goroutine that is left
				stuck := consumer.SupervisorSnapshot{Failed: 1}
				if !tc.listens {
					end, stuck.Stuck = stage.ErrHung, 1
				}
				if err := run(t, src, pool, stage.SubscribeConfig{}); !errors.Is(err, end) {
					t.Error(err)
				}
				if s := pool.Snapshot(); !reflect.DeepEqual(s, stuck) {
					t.Errorf("%+v, want %+v", s, stuck)
				}
				if second != tc.takes || !errors.Is(failure, consumer.ErrTimeout) {
					t.Error(second, failure)
				}
				close(hold)
				synctest.Wait()
				if got := src.outcomes(t); got[0] != receipt.Failed || got[1] != receipt.Done {
					t.Error(got)
				}
				if s := pool.Snapshot(); !reflect.DeepEqual(s, (consumer.SupervisorSnapshot{Failed: 1})) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A timeout counts for its own attempt only.
func TestSupervisorTimeoutOfEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed atomic.Int64
		src := &tracked{counter{limit: 50}}
		pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, v int) error {
			// Just before, at, and in the grace after the deadline.
			<-time.After(10*time.Second + time.Duration(v%3-1)*time.Millisecond)
			return nil
		}, config{MaxDemand: 1, Timeout: 10 * time.Second, Failed: func(int, error) { failed.Add(1) }}))
		if err := run(t, src, pool, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		if failed.Load() != 0 || len(src.outcomes(t)) != 50 {
			t.Error(failed.Load(), len(src.outcomes(t)))
		}
	})
}

// With many hung workers all slots come back, and no other event is touched.
func TestSupervisorManyHungWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		const n = 200
		src := &tracked{counter{limit: n}}
		pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
			if v%10 == 3 {
				<-hold
			}
			return nil
		}, config{MaxDemand: 4, Timeout: 100 * time.Millisecond, Retry: retry.Policy{MaxAttempts: 1}}))
		begun := time.Now()
		err := run(t, src, pool, stage.SubscribeConfig{})
		if !errors.Is(err, stage.ErrHung) || !strings.Contains(err.Error(), "20 workers") {
			t.Error(err)
		}
		if d, most := time.Since(begun), 20*110*time.Millisecond+consumer.DefaultShutdownTimeout; d > most {
			t.Error(d)
		}
		for v, got := range src.outcomes(t) {
			if want := v%10 == 3; want != (got == receipt.Failed) {
				t.Error(v, got)
			}
		}
		if s := pool.Snapshot(); !reflect.DeepEqual(s, (consumer.SupervisorSnapshot{Stuck: n / 10, Failed: n / 10})) {
			t.Errorf("%+v", s)
		}
		close(hold)
		synctest.Wait()
		if s := pool.Snapshot(); !reflect.DeepEqual(s, (consumer.SupervisorSnapshot{Failed: n / 10})) {
			t.Errorf("%+v", s)
		}
	})
}

func TestSupervisorDiscards(t *testing.T) {
	src := &tracked{counter{limit: 1}}
	attempts := 0
	err := run(t, src, stage.Must(consumer.NewSupervisor(func(context.Context, int) error {
		attempts++
		return fmt.Errorf("too old: %w", stage.Discard(receipt.Expired))
	}, config{Failed: func(int, error) { t.Error("failed") }})), stage.SubscribeConfig{})
	if err != nil || attempts != 1 {
		t.Fatal(err, attempts)
	}
	if r := src.receipts[0]; r.Outcome != receipt.Discarded || r.Reason != receipt.Expired {
		t.Errorf("%+v", r)
	}
}

func TestSupervisorFailedMustReturn(t *testing.T) {
	for name, fail := range fails {
		if name == "error" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			err := run(t, &counter{limit: 1}, stage.Must(consumer.NewSupervisor(func(context.Context, int) error { return errOops },
				config{Retry: retry.Policy{MaxAttempts: 1}, Failed: func(int, error) { fail.do() }})), stage.SubscribeConfig{})
			if !fail.is(err) {
				t.Error(err)
			}
		})
	}
}
