package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

var errWrite = errors.New("write")

// complete is a feed that ends after n numbers.
func complete(n int) *feed {
	f := newFeed(upTo(n)...)
	f.drained = true
	return f
}

// once is a policy of one attempt, and exact one of n with pauses of 100 ms, 200 ms and
// so on.
var once = retry.Policy{MaxAttempts: 1, Jitter: retry.NoJitter}

func exact(n int) retry.Policy { return retry.Policy{MaxAttempts: n, Jitter: retry.NoJitter} }

// write runs a pipeline of a source and EachBatch.
func write(t *testing.T, source stage.Producer[int], f func(ctx context.Context, events []int) error, cfg batchConfig) error {
	t.Helper()
	p := pipeline.New(pipeline.Config{Logger: quiet})
	pipeline.EachBatch(pipeline.From(p, source, sourceConfig{}), f, cfg)
	return p.Run(t.Context())
}

func TestEachBatchGathers(t *testing.T) {
	for name, tc := range map[string]struct {
		n    int
		cfg  batchConfig
		want string
	}{
		"size":              {8, batchConfig{Size: 4}, "[0 1 2 3] [4 5 6 7]"},
		"the rest":          {5, batchConfig{Size: 4, Timeout: pipeline.NoTimeout}, "[0 1 2 3] [4]"},
		"defaults":          {3, batchConfig{}, "[0 1 2]"},
		"window below size": {7, batchConfig{Size: 100, Window: 3, Timeout: pipeline.NoTimeout}, "[0 1 2] [3 4 5] [6]"},
		"window of one":     {3, batchConfig{Size: 100, Window: 1, Timeout: pipeline.NoTimeout}, "[0] [1] [2]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, source := newBatchLog(), complete(tc.n)
				if err := write(t, source, l.add, tc.cfg); err != nil {
					t.Error(err)
				}
				if l.text() != tc.want {
					t.Errorf("%s, want %s", l.text(), tc.want)
				}
				if took := time.Since(l.begun); took > 0 {
					t.Errorf("it took %v", took)
				}
				source.allDone(t, tc.n)
			})
		})
	}
}

func TestEachBatchAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause, l := 400*time.Millisecond, newBatchLog()
		if err := write(t, timed(t, 0, pause, pause, pause, pause, 5*time.Second, 0), l.add, batchConfig{}); err != nil {
			t.Error(err)
		}
		if want := "1s [0 1 2] 2.2s [3 4] 6.6s [5 6]"; l.times() != want {
			t.Errorf("%s, want %s", l.times(), want)
		}
	})
}

func TestEachBatchDoesNotWaitForASourceThatWaits(t *testing.T) {
	for _, workers := range []int{1, 4} {
		for _, keys := range []int{1, 3} {
			t.Run(fmt.Sprintf("workers %d, keys %d", workers, keys), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newBatchLog()
					if err := write(t, bounded(t, 10, 120, modulo(keys)), l.add, batchConfig{Timeout: time.Hour, Workers: workers}); err != nil {
						t.Error(err)
					}
					if took := time.Since(l.begun); took > 0 || len(l.list) > 60 {
						t.Errorf("%d batches in %v: %s", len(l.list), took, l.times())
					}
				})
			})
		}
	}
}

// Batches grow while all workers are busy, rather than wait as small ones.
func TestEachBatchGrowsWhileWorkersAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBatchLog()
		var pauses []time.Duration
		for range 30 {
			pauses = append(pauses, 100*time.Millisecond)
		}
		err := write(t, timed(t, pauses...), func(ctx context.Context, events []int) error {
			time.Sleep(time.Second)
			return l.add(ctx, events)
		}, batchConfig{Timeout: 50 * time.Millisecond})
		if err != nil || len(l.list) > 5 {
			t.Errorf("%v: %s", err, l.times())
		}
	})
}

// An event that has failed alone does not keep the receipts of the others back.
func TestEachBatchGivesReceiptsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := complete(4)
		p := pipeline.New(pipeline.Config{Logger: quiet})
		pipeline.EachBatch(pipeline.From(p, source, sourceConfig{}), func(_ context.Context, events []int) error {
			if i := slices.Index(events, 2); i >= 0 {
				return consumer.EventErrors{i: retry.After(errWrite, time.Hour)}
			}
			return nil
		}, batchConfig{})
		done := started(t, p)
		synctest.Wait()
		if ends := source.ends(); len(ends) != 3 {
			t.Errorf("%v", ends)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		source.haveFailed(t, 4, 2)
	})
}

// With one worker the order is that of arrival; with several, batches run at once.
func TestEachBatchWorkers(t *testing.T) {
	for _, workers := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			var running, most atomic.Int64
			l, source := newBatchLog(), complete(60)
			err := write(t, source, func(ctx context.Context, events []int) error {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Second)
				running.Add(-1)
				return l.add(ctx, events)
			}, batchConfig{Size: 10, Workers: workers})
			if err != nil {
				t.Error(err)
			}
			if want := 6 / time.Duration(workers) * time.Second; time.Since(l.begun) != want || most.Load() != int64(workers) {
				t.Errorf("workers %d: it took %v, %d at once", workers, time.Since(l.begun), most.Load())
			}
			source.allDone(t, 60)
		})
	}
}

func TestEachBatchErrDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFeed(upTo(6)...)
		p := pipeline.New(pipeline.Config{Logger: quiet})
		pipeline.EachBatch(pipeline.From(p, source, sourceConfig{}), func(_ context.Context, events []int) error {
			return stage.ErrDone
		}, batchConfig{Size: 3})
		done := started(t, p)
		time.Sleep(time.Minute)
		if ends := source.ends(); ends[0] != receipt.Done || ends[2] != receipt.Done {
			t.Errorf("%v", ends)
		}
		p.Drain()
		<-done
	})
}

// The function learns what batch it is called for.
func TestBatchInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		source := complete(5)
		err := write(t, source, func(ctx context.Context, events []int) error {
			info, ok := pipeline.BatchInfoOf(ctx)
			got = append(got, fmt.Sprintf("%s %d %v %d %v", info.Key, info.Size, info.Trigger, info.Attempt, ok))
			if info.Attempt == 1 && info.Key == "1" {
				return errWrite
			}
			return nil
		}, batchConfig{Size: 3, Key: modulo(2), Retry: retry.Policy{Backoff: retry.NoPause}})
		if want := []string{"0 3 size 1 true", "1 2 flush 1 true", "1 2 flush 2 true"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %q", err, got)
		}
		if _, ok := pipeline.BatchInfoOf(t.Context()); ok {
			t.Error("another context has a batch")
		}
	})
}

// Middleware is around each attempt, the first one outermost.
func TestEachBatchMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		around := func(name string) pipeline.Middleware[[]int] {
			return func(ctx context.Context, events []int, next func(context.Context) error) error {
				got = append(got, fmt.Sprint(name, events))
				return next(ctx)
			}
		}
		source := complete(2)
		err := write(t, source, func(ctx context.Context, events []int) error {
			got = append(got, fmt.Sprint(events))
			return nil
		}, batchConfig{Use: []pipeline.Middleware[[]int]{around("a"), around("b")}})
		if want := []string{"a[0 1]", "b[0 1]", "[0 1]"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %q", err, got)
		}
	})
}

// A rate is in batches.
func TestEachBatchRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBatchLog()
		if err := write(t, complete(40), l.add, batchConfig{Size: 10, Workers: 4, Rate: pipeline.Rate{PerSecond: 2}}); err != nil {
			t.Error(err)
		}
		if took := time.Since(l.begun); len(l.list) != 4 || took < 1450*time.Millisecond || took > 1550*time.Millisecond {
			t.Errorf("%s", l.times())
		}
	})
}

// In random runs with functions that fail in all ways each event has one receipt, nothing
// waits for its age, and no key is out of order.
func TestEachBatchModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	for run := range 60 {
		synctest.Test(t, func(t *testing.T) {
			n, keys := 1+rnd.IntN(500), 1+rnd.IntN(4)
			cfg := batchConfig{
				Size: 1 + rnd.IntN(20), Workers: 1 + rnd.IntN(3), Window: 1 + rnd.IntN(60), MaxHeld: 1 + rnd.IntN(100), Timeout: time.Hour,
				Retry: exact(1 + rnd.IntN(3)), Split: rnd.IntN(2) == 0,
			}
			if rnd.IntN(2) == 0 {
				cfg.Key = modulo(keys)
			}
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, uint64(run)))
			handled := make(map[int]bool)
			source := complete(n)
			begun := time.Now()
			err := write(t, source, func(_ context.Context, events []int) error {
				mu.Lock()
				pause := time.Duration(random.IntN(3)) * time.Millisecond
				mu.Unlock()
				time.Sleep(pause)
				mu.Lock()
				defer mu.Unlock()
				failed := consumer.EventErrors{}
				switch random.IntN(6) {
				case 0:
					return errWrite
				case 1:
					panic("oops")
				case 2:
					i := random.IntN(len(events))
					failed[i] = errWrite
				}
				for i, v := range events {
					if failed[i] == nil {
						handled[v] = true
					}
				}
				return failed
			}, cfg)
			if err != nil {
				t.Error(err)
			}
			ends := source.ends()
			for i := range n {
				end, ok := ends[i]
				if !ok || end == receipt.Done != handled[i] {
					t.Fatalf("run %d: event %d: receipt %v %v, handled %v", run, i, ok, end, handled[i])
				}
			}
			if took := time.Since(begun); took > 50*time.Minute {
				t.Errorf("run %d took %v with %+v", run, took, cfg)
			}
		})
	}
}

// The controls of a step work while it runs, and its snapshot has the batches.
func TestEachBatchControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		source := complete(100)
		p := pipeline.New(pipeline.Config{Logger: quiet})
		pipeline.EachBatch(pipeline.From(p, source, sourceConfig{}), func(context.Context, []int) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return nil
		}, batchConfig{Name: "write", Size: 10, Window: 100})
		step, ok := p.Step("write")
		if !ok {
			t.Fatal("no step")
		}
		done := started(t, p)
		time.Sleep(500 * time.Millisecond)
		if err := step.Resize(4); err != nil {
			t.Error(err)
		}
		if err := step.SetRate(pipeline.Rate{PerSecond: 1000}); err != nil {
			t.Error(err)
		}
		if step.Resize(0) == nil {
			t.Error("no worker is not refused")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if most.Load() != 4 {
			t.Errorf("%d at once", most.Load())
		}
		source.allDone(t, 100)
	})
}
