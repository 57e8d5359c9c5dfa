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
	"github.com/penstock-go/penstock/retry"
)

// mapped runs a pipeline of a source, MapBatch and an end, and returns what has come out.
func mapped(t *testing.T, source *feed, f func(ctx context.Context, events []int) ([]string, error), cfg batchConfig) []string {
	t.Helper()
	var got []string
	p := pipeline.New(pipeline.Config{Logger: quiet})
	out := pipeline.MapBatch(pipeline.From(p, source, sourceConfig{}), f, cfg)
	pipeline.Each(out, func(_ context.Context, v string) error { got = append(got, v); return nil }, pipeline.StepConfig[string]{})
	if err := p.Run(t.Context()); err != nil {
		t.Error(err)
	}
	return got
}

// inText returns the numbers as inText.
func inText(_ context.Context, events []int) (list []string, err error) {
	for _, v := range events {
		list = append(list, fmt.Sprint(v))
	}
	return list, nil
}

func TestMapBatch(t *testing.T) {
	for _, workers := range []int{1, 4} {
		for _, window := range []int{0, 3} {
			t.Run(fmt.Sprintf("workers %d, window %d", workers, window), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const n = 1000
					source, begun := complete(n), time.Now()
					got := mapped(t, source, inText, batchConfig{Size: 7, Workers: workers, Window: window, Timeout: time.Hour})
					want, _ := inText(t.Context(), upTo(n))
					if workers > 1 {
						slices.Sort(got)
						slices.Sort(want)
					}
					if !slices.Equal(got, want) {
						t.Errorf("%d results: %v", len(got), got)
					}
					source.allDone(t, n)
					if took := time.Since(begun); took > 0 {
						t.Errorf("it took %v", took)
					}
				})
			})
		}
	}
}

// Each result belongs to its event, also if some fail, and if batches are halved.
func TestMapBatchFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		f      func(ctx context.Context, events []int) ([]string, error)
		cfg    batchConfig
		want   []string
		failed []int
	}{
		"single events": {func(ctx context.Context, events []int) ([]string, error) {
			list, _ := inText(ctx, events)
			failed := consumer.EventErrors{}
			for i, v := range events {
				if v == 1 || v == 4 {
					failed[i] = errWrite
				}
			}
			return list, failed
		}, batchConfig{Retry: exact(2)}, []string{"0", "2", "3", "5"}, []int{1, 4}},
		"halves": {func(ctx context.Context, events []int) ([]string, error) {
			if slices.Contains(events, 4) {
				return nil, errWrite
			}
			return inText(ctx, events)
		}, batchConfig{Split: true, Retry: once}, []string{"0", "1", "2", "3", "5"}, []int{4}},
		"too few results": {func(ctx context.Context, events []int) ([]string, error) {
			list, _ := inText(ctx, events)
			if events[0] == 0 {
				list = list[1:]
			}
			return list, nil
		}, batchConfig{}, []string{"3", "4", "5"}, []int{0, 1, 2}},
		"later": {func() func(ctx context.Context, events []int) ([]string, error) {
			calls := 0
			return func(ctx context.Context, events []int) ([]string, error) {
				if calls++; calls <= 5 {
					return nil, retry.Later(errWrite, time.Second)
				}
				return inText(ctx, events)
			}
		}(), batchConfig{Retry: once}, []string{"0", "1", "2", "3", "4", "5"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := complete(6)
				tc.cfg.Size = 3
				if got := mapped(t, source, tc.f, tc.cfg); !slices.Equal(got, tc.want) {
					t.Errorf("%v, want %v", got, tc.want)
				}
				source.haveFailed(t, 6, tc.failed...)
			})
		})
	}
}

// A middleware that does not call the function lets its events end without a result.
func TestMapBatchMiddlewareThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := complete(6)
		got := mapped(t, source, inText, batchConfig{Size: 3, Use: []pipeline.Middleware[[]int]{
			func(ctx context.Context, events []int, next func(context.Context) error) error {
				if events[0] == 0 {
					return nil
				}
				return next(ctx)
			},
		}})
		if want := []string{"3", "4", "5"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		source.allDone(t, 6)
	})
}

// The step ends only when its workers have, and passes on what grew meanwhile.
func TestMapBatchIsBusyAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFeed(upTo(25)...)
		p := pipeline.New(pipeline.Config{Logger: quiet})
		l := &list{}
		out := pipeline.MapBatch(pipeline.From(p, source, sourceConfig{}), func(_ context.Context, events []int) ([]int, error) {
			time.Sleep(time.Second)
			return slices.Clone(events), nil
		}, batchConfig{Size: 10, Timeout: time.Hour})
		pipeline.Each(out, l.add, stepConfig{})
		done := started(t, p)
		time.Sleep(time.Millisecond)
		p.Drain()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := l.all(); !slices.Equal(got, upTo(25)) {
			t.Errorf("%v", got)
		}
		source.allDone(t, 25)
	})
}

// A function may return the slice of events that it was given.
func TestMapBatchReturnsItsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		p := pipeline.New(pipeline.Config{Logger: quiet})
		same := func(_ context.Context, events []int) ([]int, error) { return events, nil }
		out := pipeline.MapBatch(pipeline.From(p, complete(100), sourceConfig{}), same, batchConfig{Size: 7, Timeout: time.Hour})
		pipeline.Each(out, func(_ context.Context, v int) error { got = append(got, v); return nil }, stepConfig{})
		if err := p.Run(t.Context()); err != nil || !slices.Equal(got, upTo(100)) {
			t.Errorf("%v: %v", err, got)
		}
	})
}
