package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

// A branch without a name has one of its place. Before the run Add is as Branch.
func TestBranchNamesAndAddBeforeTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(3)...), &list{}
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{Name: "source"}))
		pipeline.Each(b.Branch("", pipeline.BranchConfig{}), none, stepConfig{Name: "x"})
		if err := b.Add("late", pipeline.BranchConfig{}, func(in *pipeline.Flow[int]) { pipeline.Each(in, l.add, stepConfig{Name: "y"}) }); err != nil {
			t.Error(err)
		}
		done := started(t, p)
		synctest.Wait()
		if got := stepNames(t, p); got != "source branch-3 x late y" {
			t.Error(got)
		}
		drained(t, p, done)
		l.has(t, 3)
	})
}

// Remove returns at once, although the branch's function has not; what it has received is
// finished. A second call returns ErrStopped.
func TestRemoveReturnsAtOnceAndFinishesWhatWasReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(3)...), &list{}
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
		pipeline.Each(b.Branch("stays", pipeline.BranchConfig{}), none, stepConfig{})
		pipeline.Each(b.Branch("goes", pipeline.BranchConfig{}), func(ctx context.Context, v int) error {
			time.Sleep(time.Second)
			return l.add(ctx, v)
		}, stepConfig{})
		done, begun := started(t, p), time.Now()
		synctest.Wait()
		if err := b.Remove("goes"); err != nil || time.Since(begun) > 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if err := b.Remove("goes"); !errors.Is(err, pipeline.ErrStopped) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		l.has(t, 3)
		drained(t, p, done)
		f.allDone(t, 3)
	})
}
