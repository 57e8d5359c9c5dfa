package pipeline_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
)

// failingAt returns inText, but for events that fail at once for good. Each batch takes 10 ms.
func failingAt(bad ...int) func(ctx context.Context, events []int) ([]string, error) {
	return func(ctx context.Context, events []int) ([]string, error) {
		time.Sleep(10 * time.Millisecond)
		list, _ := inText(ctx, events)
		failed := consumer.EventErrors{}
		for i, v := range events {
			if slices.Contains(bad, v) {
				failed[i] = retry.Never(errWrite)
			}
		}
		return list, failed
	}
}

// Results leave in order also while the letters of others of their batch cannot be stored.
func TestMapBatchKeepsTheOrderWhileLettersWait(t *testing.T) {
	for _, bad := range [][]int{{1}, {2}, {0, 4, 5}} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := time.Now().Add(time.Second)
				sink := deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error {
					if time.Now().Before(up) {
						return errWrite
					}
					return nil
				})
				source := newFeed(upTo(6)...)
				time.AfterFunc(100*time.Millisecond, func() { source.push(6, 7, 8, 9, 10, 11); source.HandleDrain(t.Context()) })
				got := mapped(t, source, failingAt(bad...), batchConfig{Size: 3, Retry: exact(3), DeadLetters: sink})
				var want []string
				for i := range 12 {
					if !slices.Contains(bad, i) {
						want = append(want, fmt.Sprint(i))
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
}

// A batch ends, and the next of its key has a failed event, while the stage is busy: the
// results of the first come first.
func TestMapBatchKeepsTheOrderOfAKeyWhileTheStageIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFeed(0, 1, 2, 3)
		cfg := batchConfig{Size: 2, Workers: 2, Window: 100, Timeout: time.Millisecond, Retry: once, Key: func(v int) string {
			if v == 100 {
				time.Sleep(time.Second)
				return "other"
			}
			return ""
		}}
		time.AfterFunc(5*time.Millisecond, func() { source.push(100) })
		time.AfterFunc(time.Minute, func() { source.HandleDrain(t.Context()); source.wake() })
		got := mapped(t, source, failingAt(3), cfg)
		if want := []string{"0", "1", "2", "100"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// Results leave in order if a function has ended its goroutine in the midst of a batch.
func TestMapBatchKeepsTheOrderAfterGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		f := func(ctx context.Context, events []int) ([]string, error) {
			if events[0] > 2 {
				return inText(ctx, events)
			}
			if tries++; tries == 1 {
				list, _ := inText(ctx, events)
				return list, consumer.EventErrors{1: retry.Later(errWrite, time.Millisecond)}
			}
			runtime.Goexit()
			return nil, nil
		}
		got := mapped(t, complete(6), f, batchConfig{Size: 3, Retry: once})
		if want := []string{"0", "2", "3", "4", "5"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// While letters cannot be stored other events are worked on, whatever the window.
func TestLettersThatWaitHoldUpNoOthers(t *testing.T) {
	for name, step := range map[string]func(in *pipeline.Flow[int], l *list, sink deadletter.Sink){
		"each": func(in *pipeline.Flow[int], l *list, sink deadletter.Sink) {
			pipeline.Each(in, l.but(0), stepConfig{Window: 1, DeadLetters: sink, Retry: once})
		},
		"each with workers": func(in *pipeline.Flow[int], l *list, sink deadletter.Sink) {
			pipeline.Each(in, l.but(0), stepConfig{Window: 2, Workers: 2, DeadLetters: sink, Retry: once})
		},
		"map": func(in *pipeline.Flow[int], l *list, sink deadletter.Sink) {
			out := pipeline.Map(in, func(ctx context.Context, v int) (int, error) { return v, l.but(0)(ctx, v) }, stepConfig{Window: 1, DeadLetters: sink, Retry: once})
			pipeline.Each(out, none, stepConfig{})
		},
		"each batch": func(in *pipeline.Flow[int], l *list, sink deadletter.Sink) {
			pipeline.EachBatch(in, l.batchBut(0), batchConfig{Size: 1, Window: 1, DeadLetters: sink, Retry: once})
		},
		"map batch": func(in *pipeline.Flow[int], l *list, sink deadletter.Sink) {
			out := pipeline.MapBatch(in, func(ctx context.Context, events []int) ([]int, error) { return events, l.batchBut(0)(ctx, events) }, batchConfig{Size: 2, DeadLetters: sink, Retry: once})
			pipeline.Each(out, none, stepConfig{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := time.Now().Add(time.Minute)
				sink := deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error {
					if time.Now().Before(up) {
						return errWrite
					}
					return nil
				})
				p := pipeline.New(pipeline.Config{Logger: quiet})
				var l list
				step(pipeline.From(p, complete(20), sourceConfig{}), &l, sink)
				done := started(t, p)
				time.Sleep(10 * time.Second)
				if got := len(l.all()); got < 18 {
					t.Errorf("%d events were handled in 10 s", got)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// but returns the function of a step that adds to the list, and fails over one number.
func (l *list) but(bad int) func(ctx context.Context, v int) error {
	return func(ctx context.Context, v int) error {
		time.Sleep(10 * time.Millisecond)
		if v == bad {
			return errWrite
		}
		return l.add(ctx, v)
	}
}

func (l *list) batchBut(bad int) func(ctx context.Context, events []int) error {
	return func(ctx context.Context, events []int) error {
		time.Sleep(10 * time.Millisecond)
		if slices.Contains(events, bad) {
			return errWrite
		}
		for _, v := range events {
			_ = l.add(ctx, v)
		}
		return nil
	}
}
