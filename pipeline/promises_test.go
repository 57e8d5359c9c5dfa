package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/receipt"
)

// Directly below a source of From, which cannot be made anew, a function of Route, Partition
// or Fair that ends its goroutine ends the pipeline with an error, and the event is not done.
func TestFunctionOfASourceThatEndsItsGoroutine(t *testing.T) {
	hit := func(v int) {
		if v == 7 {
			runtime.Goexit()
		}
	}
	none := func(context.Context, int) error { return nil }
	for name, build := range map[string]func(in *pipeline.Flow[int]){
		"route": func(in *pipeline.Flow[int]) {
			r := pipeline.Route(in, []string{"a"}, func(v int) string { hit(v); return "a" })
			pipeline.Each(r.Flow("a"), none, pipeline.StepConfig[int]{})
		},
		"partition": func(in *pipeline.Flow[int]) {
			r := pipeline.Partition(in, 1, func(v int) uint64 { hit(v); return 0 })
			pipeline.Each(r[0], none, pipeline.StepConfig[int]{})
		},
		"fair": func(in *pipeline.Flow[int]) {
			f := pipeline.Fair(in, func(v int) int { hit(v); return v }, fair.Config[int]{})
			pipeline.Each(f, none, pipeline.StepConfig[int]{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet})
				source := pipelinetest.NewSource[int]()
				build(pipeline.From(p, source, pipeline.SourceConfig[int]{Name: "source"}))
				begun, done := time.Now(), make(chan error, 1)
				go func() { done <- p.Run(t.Context()) }()
				all := source.PushAll(5, 6, 7, 8)
				if err := <-done; err == nil {
					t.Error("the pipeline ends without an error")
				}
				if d := time.Since(begun); d > 40*time.Second {
					t.Errorf("after %v", d)
				}
				for _, r := range all {
					if r.Finished() && r.Event == 7 && r.Outcome() == receipt.Done {
						t.Error("the event is done")
					}
				}
			})
		})
	}
}

// A middleware may call next again after an error. Once the event is handled another call
// returns an error, and the function is not called again.
func TestMiddlewareThatCallsNextAgain(t *testing.T) {
	for _, workers := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			calls, results, last := make([]int, 3), make([][]bool, 3), error(nil)
			again := func(ctx context.Context, v int, next func(context.Context) error) error {
				for range 4 {
					err := next(ctx)
					results[v] = append(results[v], err == nil)
					last = err
				}
				return nil
			}
			pipeline.Each(pipeline.From(p, complete(3), sourceConfig{}), func(_ context.Context, v int) error {
				if calls[v]++; calls[v] <= v {
					return errors.New("not yet")
				}
				return nil
			}, pipeline.StepConfig[int]{Workers: workers, Window: 3, Key: func(int) string { return "k" }, Use: []pipeline.Middleware[int]{again}})
			run(t, p)
			if got := fmt.Sprint(calls, results); got != "[1 2 3] [[true false false false] [false true false false] [false false true false]]" {
				t.Errorf("%d workers: %s, %v", workers, got, last)
			}
		})
	}
}

// Restart of a step directly below one that drains returns ErrStopped: nothing would be
// delivered to it again. One further below is made anew.
func TestRestartOfWhatDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f, other, l := newFeed(upTo(3)...), newFeed(10), &list{}
		slow := pipeline.Map(pipeline.From(p, f, sourceConfig{Name: "source"}), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Second)
			return v, nil
		}, stepConfig{Name: "slow"})
		pipeline.Each(slow, l.add, stepConfig{Name: "end"})
		pipeline.Each(pipeline.From(p, other, sourceConfig{Name: "other"}), none, stepConfig{Name: "beside"})
		done := started(t, p)
		synctest.Wait()
		if err := step(t, p, "source").Drain(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := step(t, p, "slow").Restart(); !errors.Is(err, pipeline.ErrStopped) {
			t.Error("slow:", err)
		}
		for _, name := range []string{"end", "beside"} {
			if err := step(t, p, name).Restart(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		drained(t, p, done)
		if got := l.all(); !slices.Equal(got, upTo(3)) {
			t.Error(got)
		}
		f.allDone(t, 3)
	})
}
