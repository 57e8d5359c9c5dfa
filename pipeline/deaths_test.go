package pipeline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

// A step that dies again over the same events gets them each time: none is left to a source
// that may have ended.
func TestEventsOverWhichAStepDiesTwiceAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed(upTo(50)...)
		m := &mortal{at: 7, deaths: 3}
		var l list
		pipeline.To(pipeline.From(p, f, sourceConfig{}), m.to(&l), pipeline.StageConfig{Name: "mortal"})
		done := started(t, p)
		time.Sleep(10 * time.Second)
		p.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.has(t, 50)
		f.allDone(t, 50)
	})
}

// A branch that is added while the pipeline runs may share its events out among branches of
// its own.
func TestABranchThatIsAddedHasBranches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed()
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
		var x, y, z list
		pipeline.Each(b.Branch("x", pipeline.BranchConfig{}), x.add, stepConfig{})
		done := started(t, p)
		synctest.Wait()
		err := b.Add("late", pipeline.BranchConfig{}, func(flow *pipeline.Flow[int]) {
			inner := pipeline.Broadcast(pipeline.Map(flow, func(_ context.Context, v int) (int, error) { return v, nil }, stepConfig{}))
			pipeline.Each(inner.Branch("y", pipeline.BranchConfig{}), y.add, stepConfig{})
			pipeline.Each(inner.Branch("z", pipeline.BranchConfig{}), z.add, stepConfig{})
		})
		if err != nil {
			t.Fatal(err)
		}
		f.push(upTo(20)...)
		time.Sleep(time.Second)
		p.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		x.has(t, 20)
		y.has(t, 20)
		z.has(t, 20)
		f.allDone(t, 20)
	})
}
