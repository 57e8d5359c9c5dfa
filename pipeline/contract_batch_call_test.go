package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// dropped is the error of what is dropped on purpose.
var dropped = stage.Discard(receipt.Unselected)

// A middleware of batches may call next again after an error. Once the events are handled
// another call returns an error, and the function is not called again.
func TestBatchMiddlewareThatCallsNextAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, results := 0, []bool(nil)
		f := complete(3)
		got := mapped(t, f, func(ctx context.Context, events []int) ([]string, error) {
			if calls++; calls == 1 {
				return nil, errWrite
			}
			return inText(ctx, events)
		}, batchConfig{Size: 3, Use: []pipeline.Middleware[[]int]{
			func(ctx context.Context, _ []int, next func(context.Context) error) error {
				for range 3 {
					results = append(results, next(ctx) == nil)
				}
				return nil
			},
		}})
		if calls != 2 || fmt.Sprint(results, got) != "[false true false] [0 1 2]" {
			t.Errorf("%d calls, %v, %v", calls, results, got)
		}
		f.allDone(t, 3)
	})
}

// Results beside an error are not used, also if a middleware returns nil in its place.
func TestResultsOfABatchThatFailedAreNotUsed(t *testing.T) {
	for name, err := range map[string]error{"failed": errWrite, "dropped": dropped} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := complete(3)
				got := mapped(t, f, func(context.Context, []int) ([]string, error) { return []string{"?"}, err }, batchConfig{
					Size: 3, Use: []pipeline.Middleware[[]int]{
						func(ctx context.Context, _ []int, next func(context.Context) error) error { _ = next(ctx); return nil },
					},
				})
				if len(got) > 0 {
					t.Errorf("results %q", got)
				}
				f.allDone(t, 3)
			})
		})
	}
}

// The first middleware of Use sees the error that all others have made of that of the
// function, and each attempt has the description of its batch.
func TestFirstBatchMiddlewareSeesTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		outer := func(ctx context.Context, events []int, next func(context.Context) error) error {
			err := next(ctx)
			info, _ := pipeline.BatchInfoOf(ctx)
			got = append(got, fmt.Sprint(events, " of ", info.Size, ", attempt ", info.Attempt, ": ", err))
			return err
		}
		inner := func(ctx context.Context, events []int, next func(context.Context) error) error {
			if err := next(ctx); err != nil {
				return consumer.EventErrors{1: err}
			}
			return nil
		}
		calls, f := 0, complete(3)
		err := write(t, f, func(context.Context, []int) error {
			if calls++; calls == 1 {
				return errWrite
			}
			return nil
		}, batchConfig{Size: 3, Use: []pipeline.Middleware[[]int]{outer, inner}, Retry: exact(2)})
		if want := []string{"[0 1 2] of 3, attempt 1: event 1: write", "[1] of 3, attempt 2: <nil>"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %q", err, got)
		}
		f.allDone(t, 3)
	})
}

// If all of n events fail, Split makes 2n-1 attempts, the last one of the whole batch
// included.
func TestSplitIsCalledTwiceAsOftenAsThereAreEvents(t *testing.T) {
	for _, n := range []int{1, 2, 7, 10} {
		for _, attempts := range []int{1, 3} {
			synctest.Test(t, func(t *testing.T) {
				calls, f := 0, complete(n)
				err := write(t, f, func(context.Context, []int) error { calls++; return errWrite }, batchConfig{Size: n, Split: true, Retry: exact(attempts)})
				if want := attempts - 1 + 2*n - 1; err != nil || calls != want {
					t.Errorf("%d events, %d attempts: %v, %d calls, want %d", n, attempts, err, calls, want)
				}
				f.haveFailed(t, n, upTo(n)...)
			})
		}
	}
}

// Another number of results fails the batch for good: it is not tried again.
func TestAnotherNumberOfResultsIsNotTriedAgain(t *testing.T) {
	for _, n := range []int{0, 2, 4} {
		synctest.Test(t, func(t *testing.T) {
			calls, f := 0, complete(3)
			got := mapped(t, f, func(context.Context, []int) ([]string, error) { calls++; return make([]string, n), nil }, batchConfig{Size: 3, Retry: exact(5)})
			if calls != 1 || len(got) > 0 {
				t.Errorf("%d results: %d calls, %q", n, calls, got)
			}
			f.haveFailed(t, 3, 0, 1, 2)
		})
	}
}

// With one worker and no Key the results of a batch leave together and in order, also if some
// of its events are tried again. Otherwise the result of such an event comes after the others.
func TestResultsOfEventsThatAreTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  batchConfig
		want string
	}{
		"ordered": {batchConfig{}, "1m0s 0, 1m0s 1, 1m0s 2, "},
		"workers": {batchConfig{Workers: 2}, "0s 0, 0s 2, 1m0s 1, "},
		"key":     {batchConfig{Key: modulo(1)}, "0s 0, 0s 2, 1m0s 1, "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun, got, tried := time.Now(), "", false
				p := pipeline.New(pipeline.Config{Logger: quiet})
				out := pipeline.MapBatch(pipeline.From(p, complete(3), sourceConfig{}), func(_ context.Context, events []int) ([]int, error) {
					if !tried {
						tried = true
						return events, consumer.EventErrors{1: retry.After(errWrite, time.Minute)}
					}
					return events, nil
				}, c.cfg)
				pipeline.Each(out, func(_ context.Context, v int) error {
					got += fmt.Sprintf("%v %d, ", time.Since(begun).Truncate(time.Minute), v)
					return nil
				}, stepConfig{})
				run(t, p)
				if got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			})
		})
	}
}
