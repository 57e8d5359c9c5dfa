package pipeline_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
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

// One event in 1,000 over which a stage dies is the only one that suffers: the others are
// handled, and it alone has a letter, after two deaths.
func TestOneDeadlyEventHasALetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &taker{}
		p := pipeline.New(pipeline.Config{Name: "p", Logger: quiet, DeadLetters: sink})
		f := complete(1000)
		var l list
		var deaths int
		pipeline.To(pipeline.From(p, f, sourceConfig{Name: "source"}), deadly(&l, &deaths, 613), pipeline.StageConfig{Name: "end"})
		run(t, p)
		if got := l.all(); len(got) != 999 || slices.Contains(got, 613) {
			t.Errorf("%d handled", len(got))
		}
		if deaths != 2 || len(sink.got) != 1 || !strings.HasPrefix(sink.got[0], "p/source 613 after 2: ") {
			t.Errorf("%d deaths, %q", deaths, sink.got)
		}
	})
}

// Without a sink it comes back until Restart ends the pipeline, alone: what came before it is
// handled, and nothing else than it and what follows is left without a receipt.
func TestOneDeadlyEventEndsThePipelineWithoutASink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Name: "p", Logger: quiet})
		f := complete(1000)
		var l list
		var deaths int
		pipeline.To(pipeline.From(p, f, sourceConfig{Name: "source"}), deadly(&l, &deaths, 613), pipeline.StageConfig{Name: "end"})
		err := p.Run(t.Context())
		if _, ok := errors.AsType[*pipeline.RestartError](err); !ok || deaths != 4 {
			t.Errorf("%d deaths, %v", deaths, err)
		}
		ends := f.ends()
		for i := range 613 {
			if ends[i] != receipt.Done {
				t.Fatalf("event %d: %v", i, ends[i])
			}
		}
	})
}

// deadly makes consumers that die of one event, after others of the same call.
func deadly(l *list, deaths *int, of int) func() (stage.Consumer[int], error) {
	return func() (stage.Consumer[int], error) {
		return stage.ConsumerFunc[int](func(ctx context.Context, events []int) error {
			if slices.Contains(events, of) {
				if *deaths++; *deaths%2 == 0 {
					runtime.Goexit()
				}
				panic("deadly")
			}
			for _, v := range events {
				_ = l.add(ctx, v)
			}
			return nil
		}), nil
	}
}

// However many steps are between the source and the one that dies, an event ends it twice.
func TestDeadlyEventBehindSeveralSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &taker{}
		p := pipeline.New(pipeline.Config{Name: "p", Logger: quiet, DeadLetters: sink})
		f := complete(100)
		var l list
		var deaths int
		flow := pipeline.From(p, f, sourceConfig{Name: "source"})
		for range 3 {
			flow = pipeline.Map(flow, same, stepConfig{})
		}
		pipeline.To(flow, deadly(&l, &deaths, 61), pipeline.StageConfig{Name: "end"})
		run(t, p)
		if got := l.all(); len(got) != 99 || slices.Contains(got, 61) {
			t.Errorf("%d handled", len(got))
		}
		if deaths != 2 || len(sink.got) != 1 || !strings.HasPrefix(sink.got[0], "p/source 61 after 2: ") {
			t.Errorf("%d deaths, %q", deaths, sink.got)
		}
	})
}
