package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
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

// haveFailed fails the test unless these events have failed and all others of n are done.
func (f *feed) haveFailed(t *testing.T, n int, failed ...int) {
	t.Helper()
	ends := f.ends()
	for i := range n {
		want := receipt.Done
		if slices.Contains(failed, i) {
			want = receipt.Failed
		}
		if got, ok := ends[i]; !ok || got != want {
			t.Errorf("event %d: %v, receipt %v, want %v", i, got, ok, want)
		}
	}
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

func TestEachBatchFailures(t *testing.T) {
	has := func(events []int, v int) bool { return slices.Contains(events, v) }
	for name, tc := range map[string]struct {
		f      func(events []int) error
		cfg    batchConfig
		want   string // the attempts
		failed []int
		took   time.Duration
	}{
		"a batch": {func(events []int) error {
			if has(events, 1) {
				return errWrite
			}
			return nil
		}, batchConfig{Retry: exact(2)}, "0s [0 1 2] 100ms [0 1 2] 100ms [3 4 5]", []int{0, 1, 2}, 100 * time.Millisecond},
		"a panic": {func(events []int) error {
			if has(events, 1) {
				panic("oops")
			}
			return nil
		}, batchConfig{Retry: once}, "0s [0 1 2] 0s [3 4 5]", []int{0, 1, 2}, 0},
		"Goexit": {func(events []int) error {
			if has(events, 1) {
				runtime.Goexit()
			}
			return nil
		}, batchConfig{Retry: once}, "0s [0 1 2] 0s [3 4 5]", []int{0, 1, 2}, 0},
		"single events": {func(events []int) error {
			failed := consumer.EventErrors{}
			for i, v := range events {
				if v%4 == 1 {
					failed[i] = errWrite
				}
			}
			return failed
		}, batchConfig{Retry: exact(2)}, "0s [0 1 2] 100ms [1] 100ms [3 4 5] 200ms [5]", []int{1, 5}, 200 * time.Millisecond},
		"single events for good": {func(events []int) error {
			failed := consumer.EventErrors{}
			for i, v := range events {
				if v%4 == 1 {
					failed[i] = retry.Never(errWrite)
				}
			}
			return failed
		}, batchConfig{}, "0s [0 1 2] 0s [3 4 5]", []int{1, 5}, 0},
		"halves": {func(events []int) error {
			if has(events, 1) {
				return errWrite
			}
			return nil
		}, batchConfig{Size: 4, Split: true, Retry: once}, "0s [0 1 2 3] 100ms [0 1] 200ms [0] 200ms [1] 300ms [2 3] 300ms [4 5]", []int{1}, 300 * time.Millisecond},
		"a bad key": {func(events []int) error { return nil }, batchConfig{Key: func(v int) string {
			if v == 4 {
				panic("oops")
			}
			return ""
		}}, "0s [0 1 2] 0s [3 5]", []int{4}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, source := newBatchLog(), complete(6)
				if tc.cfg.Size == 0 {
					tc.cfg.Size = 3
				}
				err := write(t, source, func(ctx context.Context, events []int) error {
					l.add(ctx, events)
					defer slices.Reverse(events) // it may do with the slice what it likes
					return tc.f(events)
				}, tc.cfg)
				if err != nil {
					t.Error(err)
				}
				if l.times() != tc.want {
					t.Errorf("%s, want %s", l.times(), tc.want)
				}
				source.haveFailed(t, 6, tc.failed...)
			})
		})
	}
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

// Batches of a key are in order, also if one is tried again; other keys do not wait for
// them, and neither does the window.
func TestEachBatchRetryHoldsUpItsKeyOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, keys = 3000, 3
		source := complete(n)
		var mu sync.Mutex
		byKey, late := make(map[int][]int), make(map[int]time.Duration)
		begun, tries := time.Now(), 0
		err := write(t, source, func(_ context.Context, events []int) error {
			mu.Lock()
			defer mu.Unlock()
			k := events[0] % keys
			if k == 0 && tries < 1 {
				tries++
				return retry.After(errWrite, time.Hour)
			}
			byKey[k] = append(byKey[k], events...)
			late[k] = time.Since(begun)
			return nil
		}, batchConfig{Key: modulo(keys), Size: 10, Window: 50, Workers: 2, Retry: exact(2)})
		if err != nil {
			t.Error(err)
		}
		for k := range keys {
			if len(byKey[k]) != n/keys || !slices.IsSorted(byKey[k]) {
				t.Errorf("key %d: %d events, %v", k, len(byKey[k]), byKey[k])
			}
		}
		if late[0] < time.Hour || late[1] > time.Second || late[2] > time.Second {
			t.Errorf("%v", late)
		}
		source.allDone(t, n)
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

func TestEachBatchStopsOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := complete(6)
		err := write(t, source, func(_ context.Context, events []int) error {
			if i := slices.Index(events, 1); i >= 0 {
				return consumer.EventErrors{i: errWrite}
			}
			return nil
		}, batchConfig{Size: 3, Retry: once, OnFailure: pipeline.StopOnFailure})
		if !errors.Is(err, errWrite) {
			t.Errorf("%v", err)
		}
		ends := source.ends()
		if end, ok := ends[1]; ok && end != receipt.Abandoned {
			t.Errorf("the event that has failed has the receipt %v", end)
		}
		if ends[0] != receipt.Done || ends[2] != receipt.Done {
			t.Errorf("%v", ends)
		}
	})
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

// Each event that has failed for good has a letter, and its receipt when that is stored.
func TestEachBatchDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		writes := 0
		sink := deadletter.SinkFunc(func(_ context.Context, letters []deadletter.Letter) error {
			mu.Lock()
			defer mu.Unlock()
			if writes++; writes == 1 {
				return errWrite
			}
			for _, l := range letters {
				got = append(got, fmt.Sprintf("%s %s %d %s", l.Event, l.Key, l.Attempts, l.Error))
			}
			return nil
		})
		source := complete(6)
		p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: sink})
		pipeline.EachBatch(pipeline.From(p, source, sourceConfig{}), func(_ context.Context, events []int) error {
			failed := consumer.EventErrors{}
			for i, v := range events {
				if v > 3 {
					failed[i] = errWrite
				}
			}
			return failed
		}, batchConfig{Retry: exact(2), Key: modulo(1)})
		done := started(t, p)
		time.Sleep(100*time.Millisecond + time.Microsecond)
		if ends := source.ends(); len(ends) != 4 {
			t.Errorf("before the letters are stored: %v", ends)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if want := []string{"4 0 2 write", "5 0 2 write"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		source.haveFailed(t, 6, 4, 5)
	})
}

// Goexit of a function fails its events with their letters as well.
func TestEachBatchGoexitHasLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := stage.Must(deadletter.NewMemory(deadletter.MemoryConfig{}))
		source := complete(3)
		p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: sink, Retry: once})
		pipeline.EachBatch(pipeline.From(p, source, sourceConfig{}), func(context.Context, []int) error {
			runtime.Goexit()
			return nil
		}, batchConfig{})
		if err := p.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(sink.Letters()); n != 3 {
			t.Errorf("%d letters", n)
		}
		source.haveFailed(t, 3, 0, 1, 2)
	})
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

// An event of a batch that is dropped on purpose, or not to be tried again, does not keep
// another one of the batch from being tried again.
func TestEachBatchRetriesBesideOtherEnds(t *testing.T) {
	for name, other := range map[string]error{
		"discarded": stage.Discard(receipt.Unselected), "never": retry.Never(errWrite), "not counted": retry.Later(errWrite, time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := complete(5)
				tries, again := 0, 0
				var letters []deadletter.Letter
				sink := deadletter.SinkFunc(func(_ context.Context, some []deadletter.Letter) error {
					letters = append(letters, some...)
					return nil
				})
				err := write(t, f, func(_ context.Context, events []int) error {
					failed := consumer.EventErrors{}
					for i, v := range events {
						switch {
						case v == 1:
							if tries++; tries < 3 {
								failed[i] = errWrite
							}
						case v == 2:
							failed[i] = errWrite
						case v == 3:
							if again++; again < 2 {
								failed[i] = other
							}
						}
					}
					return failed
				}, batchConfig{Size: 5, Retry: exact(3), DeadLetters: sink})
				if err != nil {
					t.Fatal(err)
				}
				ends := f.ends()
				if tries != 3 || ends[1] != receipt.Done || ends[2] != receipt.Failed || len(ends) != 5 {
					t.Errorf("%d attempts, %v", tries, ends)
				}
				if !slices.ContainsFunc(letters, func(l deadletter.Letter) bool { return string(l.Event) == "2" && l.Attempts == 3 }) {
					t.Errorf("%+v", letters)
				}
			})
		})
	}
}
