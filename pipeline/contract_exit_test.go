package pipeline_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// exiting are steps whose function ends its goroutine over event 3.
var exiting = map[string]func(in *pipeline.Flow[int], l *list){
	"Route": func(in *pipeline.Flow[int], l *list) {
		pipeline.Each(pipeline.Route(in, []string{"a"}, func(v int) string { exit(v); return "a" }).Flow("a"), l.add, stepConfig{})
	},
	"Partition": func(in *pipeline.Flow[int], l *list) {
		pipeline.Each(pipeline.Partition(in, 1, func(v int) uint64 { exit(v); return 0 })[0], l.add, stepConfig{})
	},
	"Fair": func(in *pipeline.Flow[int], l *list) {
		pipeline.Each(pipeline.Fair(in, func(v int) int { exit(v); return v }, fair.Config[int]{}), l.add, stepConfig{})
	},
}

func exit(v int) {
	if v == 3 {
		runtime.Goexit()
	}
}

// Directly below a source or a branch, which cannot be made anew, Goexit in the function of Route, Partition
// or Fair ends the pipeline: the error of Run names that step and Goexit, and the event is
// not done.
func TestGoexitBelowASourceOrABranchEndsThePipeline(t *testing.T) {
	for name, build := range exiting {
		for kind, from := range map[string]func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int]{
			"From": func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int] {
				return pipeline.From(p, f, sourceConfig{Name: "source"})
			},
			"FromSeq": func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int] {
				return pipeline.FromSeq(p, slices.Values(f.queue), sourceConfig{Name: "source"})
			},
			"FromRead": func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int] {
				v := -1
				return pipeline.FromRead(p, func() (int, error) { v++; return v, nil }, sourceConfig{Name: "source"})
			},
			"Branch": func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int] {
				return pipeline.Broadcast(pipeline.From(p, f, sourceConfig{})).Branch("source", pipeline.BranchConfig{})
			},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), newFeed(upTo(6)...), &list{}
					build(from(p, f), l)
					err := p.Run(t.Context())
					where, ok := errors.AsType[*stage.Error](err)
					if !errors.Is(err, stage.ErrGoexit) || !ok || where.Stage != "source" || !strings.Contains(err.Error(), "runtime.Goexit") {
						t.Errorf("the error of Run: %v", err)
					}
					if end, ended := f.ends()[3]; ended && end == receipt.Done || slices.Contains(l.all(), 3) {
						t.Error("the event is done")
					}
				})
			})
		}
	}
}

// Below a step, which is made anew, Goexit fails the event alone, and with Fair it has the zero
// key; so it is below FromFunc if the new source emits its events again.
func TestGoexitBelowAStepOrFromFuncIsOneEvent(t *testing.T) {
	for name, build := range exiting {
		for kind, from := range map[string]func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int]{
			"Map": func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int] {
				return pipeline.Map(pipeline.From(p, f, sourceConfig{}), same, stepConfig{})
			},
			"Through": func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int] {
				return pipeline.Through(pipeline.From(p, f, sourceConfig{}), func() (stage.ProducerConsumer[int, int], error) {
					return stage.MapFunc[int, int](same), nil
				}, pipeline.StageConfig{})
			},
			"FromFunc": func(p *pipeline.Pipeline, f *feed) *pipeline.Flow[int] {
				return pipeline.FromFunc(p, func() (stage.Producer[int], error) {
					f.queue, f.emitted, f.demand = upTo(6), nil, 0
					f.drained = true
					return f, nil
				}, sourceConfig{})
			},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, f, l := pipeline.New(pipeline.Config{Logger: quiet}), complete(6), &list{}
					build(from(p, f), l)
					if err := p.Run(context.Background()); err != nil {
						t.Fatal(err)
					}
					got := slices.Compact(slices.Sorted(slices.Values(l.all())))
					if name == "Fair" {
						f.allDone(t, 6)
						l.has(t, 6)
						return
					}
					f.haveFailed(t, 6, 3)
					if !slices.Equal(got, []int{0, 1, 2, 4, 5}) {
						t.Error(got)
					}
				})
			})
		}
	}
}
