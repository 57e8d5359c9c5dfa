package pipeline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

// A step that takes all branches of a broadcast, or all partitions, ends with what feeds them:
// nothing that was accepted is lost.
func TestDrainOfAStepBehindAllBranches(t *testing.T) {
	slow := func(_ context.Context, v int) (int, error) {
		time.Sleep(10 * time.Millisecond)
		return v, nil
	}
	for name, fan := range map[string]func(in *pipeline.Flow[int]) []*pipeline.Flow[int]{
		"broadcast": func(in *pipeline.Flow[int]) []*pipeline.Flow[int] {
			b := pipeline.Broadcast(in)
			return []*pipeline.Flow[int]{b.Branch("a", pipeline.BranchConfig{Buffer: 5}), pipeline.Map(b.Branch("b", pipeline.BranchConfig{Buffer: 5}), slow, stepConfig{})}
		},
		"partition": func(in *pipeline.Flow[int]) []*pipeline.Flow[int] {
			flows := pipeline.Partition(in, 2, func(v int) uint64 { return uint64(v) })
			return []*pipeline.Flow[int]{flows[0], pipeline.Map(flows[1], slow, stepConfig{})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet})
				f := newFeed(upTo(200)...)
				var l list
				in := pipeline.Map(pipeline.From(p, f, sourceConfig{}), same, stepConfig{Window: 20})
				pipeline.Each(pipeline.Merge(fan(in)...), func(ctx context.Context, v int) error {
					time.Sleep(time.Millisecond)
					return l.add(ctx, v)
				}, stepConfig{Name: "end"})
				done := started(t, p)
				time.Sleep(50 * time.Millisecond)
				if err := step(t, p, "end").Drain(); err != nil {
					t.Error(err)
					p.Drain()
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				l.has(t, len(f.emitted))
				f.allDone(t, len(f.emitted))
			})
		})
	}
}

// A drain of the source ends the pause after which the step below is made anew, also one that
// begins later.
func TestDrainOfAStepEndsPauses(t *testing.T) {
	for name, at := range map[string]time.Duration{"before": 500 * time.Millisecond, "after": 100 * time.Millisecond} {
		t.Run("it dies "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet, Restart: pipeline.Restart{Backoff: time.Hour, MaxBackoff: time.Hour}})
				f := newFeed(upTo(20)...)
				m := &mortal{at: 7, deaths: 1}
				var l list
				out := pipeline.Map(pipeline.From(p, f, sourceConfig{Name: "source"}), func(_ context.Context, v int) (int, error) {
					time.Sleep(30 * time.Millisecond) // 7 is there after 240 ms
					return v, nil
				}, stepConfig{})
				pipeline.To(out, m.to(&l), pipeline.StageConfig{})
				done := started(t, p)
				time.Sleep(at)
				begun := time.Now()
				if err := step(t, p, "source").Drain(); err != nil {
					t.Error(err)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > time.Second {
					t.Errorf("the drain took %v", took)
				}
				l.has(t, 20)
				f.allDone(t, 20)
			})
		})
	}
}
