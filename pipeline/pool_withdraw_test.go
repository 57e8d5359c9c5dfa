package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// What a source asks back leaves the pools of steps as well: only what workers have begun
// is waited for, and a pipeline that drains after that ends at once. New events are handled.
func TestWithdrawFromSteps(t *testing.T) {
	type flow = pipeline.Flow[int]
	type config = pipeline.StepConfig[int]
	key := func(v int) string { return fmt.Sprint(v % 10) }
	pass := func(_ context.Context, v int) (int, error) { return v, nil }
	nothing := func(context.Context, int) error { return nil }
	slowly := func(work func(context.Context, int) error) func(context.Context, int) (int, error) {
		return func(ctx context.Context, v int) (int, error) { return v, work(ctx, v) }
	}
	for name, build := range map[string]func(in *flow, work func(context.Context, int) error){
		"each": func(in *flow, work func(context.Context, int) error) {
			pipeline.Each(in, work, config{Workers: 4})
		},
		"each by key": func(in *flow, work func(context.Context, int) error) {
			pipeline.Each(in, work, config{Workers: 4, Key: key})
		},
		"each with a rate": func(in *flow, work func(context.Context, int) error) {
			pipeline.Each(in, work, config{Workers: 4, Key: key, KeyRate: pipeline.Rate{PerSecond: 1}})
		},
		"a map": func(in *flow, work func(context.Context, int) error) {
			pipeline.Each(pipeline.Map(in, slowly(work), config{Workers: 4}), nothing, config{})
		},
		"a map without order": func(in *flow, work func(context.Context, int) error) {
			pipeline.Each(pipeline.Map(in, slowly(work), config{Workers: 4, Unordered: true}), nothing, config{})
		},
		"behind a map": func(in *flow, work func(context.Context, int) error) {
			pipeline.Each(pipeline.Map(in, pass, config{Workers: 2, Key: key}), work, config{Workers: 4})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 500
				src := newFeed(upTo(n)...)
				var mu sync.Mutex
				completed := map[int]int{}
				attempts := map[int]int{}
				work := func(_ context.Context, v int) error {
					mu.Lock()
					attempts[v]++
					first := attempts[v] == 1
					mu.Unlock()
					time.Sleep(100 * time.Millisecond)
					if first && v < n && v%7 == 3 {
						return errors.New("not yet")
					}
					mu.Lock()
					completed[v]++
					mu.Unlock()
					return nil
				}
				p := pipeline.New(pipeline.Config{Retry: retry.Policy{MaxAttempts: 3, Backoff: time.Hour}})
				build(pipeline.From(p, src, pipeline.SourceConfig[int]{}), work)
				over := make(chan error, 1)
				go func() { over <- p.Run(context.Background()) }()
				time.Sleep(1050 * time.Millisecond)
				synctest.Wait()
				src.self.Withdraw(stage.Span{First: 0, Count: n})
				time.Sleep(150 * time.Millisecond)
				synctest.Wait()
				ends, back := src.ends(), 0
				for v := range n {
					o, ended := ends[v]
					switch {
					case !ended && attempts[v] == 1 && v%7 == 3:
						// It has failed since, and pauses.
					case o == receipt.Withdrawn && completed[v] == 0:
						back++
					case !ended, o != receipt.Done, completed[v] != 1:
						t.Errorf("event %d: ended %v, %v, completed %d times", v, ended, o, completed[v])
					}
				}
				if back < 300 {
					t.Errorf("%d came back", back)
				}
				for v := n; v < n+20; v++ {
					src.push(v)
				}
				time.Sleep(3 * time.Hour) // one that was being worked on may pause in front of them
				synctest.Wait()
				for v := n; v < n+20; v++ {
					if completed[v] != 1 {
						t.Errorf("event %d, which came later, was completed %d times", v, completed[v])
					}
				}
				p.Stop(nil)
				<-over
			})
		})
	}
}
