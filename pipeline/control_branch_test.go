package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func TestBranchesWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed(upTo(10)...)
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
		var x, y list
		pipeline.Each(b.Branch("x", pipeline.BranchConfig{}), x.add, stepConfig{})
		if err := b.Remove("x"); !errors.Is(err, pipeline.ErrStopped) {
			t.Error("before the run:", err)
		}
		done := started(t, p)
		synctest.Wait()
		add := func(l *list) error {
			return b.Add("y", pipeline.BranchConfig{}, func(branch *pipeline.Flow[int]) {
				doubled := pipeline.Map(branch, double, stepConfig{Name: "double"})
				pipeline.Each(doubled, func(ctx context.Context, v int) error {
					time.Sleep(time.Millisecond)
					return l.add(ctx, v)
				}, stepConfig{Name: "end"})
			})
		}
		for range 3 { // its names are free again
			y = list{}
			if err := add(&y); err != nil {
				t.Fatal(err)
			}
			if err := add(&y); err == nil || !strings.Contains(err.Error(), `"y": option Name`) {
				t.Error("added twice:", err)
			}
			synctest.Wait()
			f.push(1, 2, 3)
			synctest.Wait()
			if err := b.Remove("y"); err != nil {
				t.Error(err)
			}
			f.push(4)
			time.Sleep(time.Second)
			if got := y.all(); !slices.Equal(got, []int{2, 4, 6}) {
				t.Error(got)
			}
			if n := len(p.Snapshot(t.Context()).Steps); n != 3 {
				t.Errorf("%d steps", n)
			}
		}
		for name, want := range map[string]string{"y": "the name of a branch", "x": "not the last one"} {
			if err := b.Remove(name); err == nil || !strings.Contains(err.Error(), want) {
				t.Error(name, err)
			}
		}
		drained(t, p, done)
		if n := len(x.all()); n != 22 {
			t.Errorf("x has %d", n)
		}
		for v, end := range f.ends() {
			if end != receipt.Done {
				t.Error(v, end)
			}
		}
		if err := add(&y); !errors.Is(err, pipeline.ErrStopped) {
			t.Error("after the run:", err)
		}
	})
}

// TestBranchThatFailsWhileItIsRemoved: the others go on, and the source knows that its
// events were not finished everywhere.
func TestBranchThatFailsWhileItIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed(upTo(10)...)
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
		var x list
		pipeline.Each(b.Branch("x", pipeline.BranchConfig{}), x.add, stepConfig{})
		pipeline.To(b.Branch("y", pipeline.BranchConfig{}), func() (stage.Consumer[int], error) {
			return stage.ConsumerFunc[int](func(context.Context, []int) error {
				time.Sleep(time.Second)
				return errDead
			}), nil
		}, pipeline.StageConfig{Name: "end"})
		done := started(t, p)
		synctest.Wait()
		if err := b.Remove("y"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		f.push(10)
		time.Sleep(time.Minute)
		if s := p.Snapshot(t.Context()); len(s.Steps) != 3 {
			t.Errorf("%+v", s.Steps)
		}
		drained(t, p, done)
		x.has(t, 11)
		for v, end := range f.ends() {
			if (end == receipt.Done) != (v == 10) {
				t.Errorf("event %d is %v", v, end)
			}
		}
	})
}

// TestBranchThatFailsForGood ends the pipeline, and no event that it has not handled counts
// as done.
func TestBranchThatFailsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed(upTo(1000)...)
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
		var x, y list
		pipeline.Each(b.Branch("x", pipeline.BranchConfig{}), x.add, stepConfig{})
		m := &mortal{at: 600, deaths: 100}
		mapped := pipeline.Map(b.Branch("y", pipeline.BranchConfig{Buffer: 100}), same, stepConfig{})
		pipeline.To(mapped, m.to(&y), pipeline.StageConfig{Name: "end", Restart: pipeline.Restart{MaxRestarts: 1}})
		if err := <-started(t, p); !errors.Is(err, errDead) {
			t.Error(err)
		}
		handled := make(map[int]bool)
		for _, v := range y.all() {
			handled[v] = true
		}
		for v, end := range f.ends() {
			if end == receipt.Done && !handled[v] {
				t.Fatalf("event %d is done", v)
			}
		}
	})
}

// TestWrongBranchIsRefused: nothing of it is left, and the pipeline goes on.
func TestWrongBranchIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed(upTo(10)...)
		in := pipeline.From(p, f, sourceConfig{})
		b := pipeline.Broadcast(in)
		var l list
		pipeline.Each(b.Branch("x", pipeline.BranchConfig{}), l.add, stepConfig{})
		done := started(t, p)
		synctest.Wait()
		for want, build := range map[string]func(branch *pipeline.Flow[int]){
			"option Workers": func(branch *pipeline.Flow[int]) { pipeline.Each(branch, none, stepConfig{Workers: -1}) },
			"option flow":    func(branch *pipeline.Flow[int]) { pipeline.Map(branch, same, stepConfig{}) },
			"dead": func(branch *pipeline.Flow[int]) {
				pipeline.To(branch, func() (stage.Consumer[int], error) { return nil, errDead }, pipeline.StageConfig{})
			},
			"option flows[1]": func(branch *pipeline.Flow[int]) {
				pipeline.Each(pipeline.Merge(branch, in), none, stepConfig{})
			},
		} {
			if err := b.Add("y", pipeline.BranchConfig{}, build); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
		if err := b.Add("y", pipeline.BranchConfig{}, nil); err == nil {
			t.Error("a nil function was taken")
		}
		f.push(10)
		synctest.Wait()
		if s := p.Snapshot(t.Context()); len(s.Steps) != 3 || len(s.Stages) != 3 {
			t.Errorf("%+v", s.Steps)
		}
		drained(t, p, done)
		l.has(t, 11)
		f.allDone(t, 11)
	})
}
