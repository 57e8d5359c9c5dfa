package pipeline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// Step.SetRate changes the rate of a step of batches while it runs.
func TestSetRateOfBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(100)...), newBatchLog()
		pipeline.EachBatch(pipeline.From(p, f, sourceConfig{}), l.add, batchConfig{Name: "write", Size: 1, Rate: pipeline.Rate{PerSecond: 1, Burst: 1}})
		done := started(t, p)
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		if n := len(l.seen()); n != 5 {
			t.Errorf("%d batches in 4.5 s at one a second", n)
		}
		if err := step(t, p, "write").SetRate(pipeline.Rate{PerSecond: 10, Burst: 1}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(l.seen()) - 5; n < 9 || n > 11 {
			t.Errorf("%d batches in 1 s at ten a second", n)
		}
		drained(t, p, done)
		f.allDone(t, 100)
	})
}

// starter is a consumer whose start takes a second.
type starter struct{ stage.Consumer[int] }

func (starter) HandleStart(context.Context, *stage.Handle) error {
	time.Sleep(time.Second)
	return nil
}

// Branches.Add waits for HandleStart of the branch's steps; the branch then has all events that
// come from then on.
func TestAddWaitsForTheStartOfTheBranch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(), &list{}
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
		pipeline.Each(b.Branch("first", pipeline.BranchConfig{}), none, stepConfig{})
		done := started(t, p)
		synctest.Wait()
		begun := time.Now()
		err := b.Add("late", pipeline.BranchConfig{}, func(in *pipeline.Flow[int]) {
			pipeline.To(in, func() (stage.Consumer[int], error) {
				return starter{stage.ConsumerFunc[int](func(ctx context.Context, events []int) error {
					for _, v := range events {
						_ = l.add(ctx, v)
					}
					return nil
				})}, nil
			}, pipeline.StageConfig{})
		})
		if err != nil || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		f.push(upTo(5)...)
		synctest.Wait()
		l.has(t, 5)
		drained(t, p, done)
		f.allDone(t, 5)
	})
}
