package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
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
