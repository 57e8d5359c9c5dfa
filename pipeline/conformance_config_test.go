package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
)

// workers returns the number of workers of each step that has some, such as "step 2".
func workers(t *testing.T, p *pipeline.Pipeline) string {
	t.Helper()
	var list []string
	for _, s := range p.Snapshot(t.Context()).Stages {
		switch h := s.Handler.(type) {
		case pipeline.WorkSnapshot:
			list = append(list, fmt.Sprint(s.Name, " ", h.Workers))
		case pipeline.BatchSnapshot:
			list = append(list, fmt.Sprint(s.Name, " ", h.Workers))
		}
	}
	return strings.Join(list, ", ")
}

var configCases = []conformanceCase{
	{"B2_wrong options are refused before anything starts, with their path and what is allowed", func(t *testing.T) {
		const owner = `pipeline step "x"`
		for _, tc := range []struct {
			build          func(p *pipeline.Pipeline, in *pipeline.Flow[int])
			owner, option  string
			value, allowed string
		}{
			{func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
				pipeline.Each(pipeline.Map(in, same, stepConfig{Name: "x"}), none, stepConfig{Name: "x"})
			}, owner, "Name", "x", "a name that no other step has"},
			{func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
				pipeline.Each(in, none, stepConfig{Name: "x", Workers: -1})
			}, owner, "Workers", "-1", "0 to 2147483647"},
			{func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
				pipeline.Each(in, none, stepConfig{Name: "x", Workers: 3, Window: 2})
			}, owner, "Window", "2", "Workers or more, or 0 for the default"},
			{func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
				pipeline.Each(in, nil, stepConfig{Name: "x"})
			}, owner, "f", "<nil>", "a function"},
			{func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
				pipeline.EachBatch(in, newBatchLog().add, batchConfig{Name: "x", Size: -1})
			}, owner, "Size", "-1", "0 to 2147483647"},
			{func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
				pipeline.EachBatch(in, newBatchLog().add, batchConfig{Name: "x", Bytes: 10})
			}, owner, "SizeOf", "<nil>", "a function if Bytes is set"},
			{func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
				pipeline.EachBatch(in, newBatchLog().add, batchConfig{Name: "x", Timeout: -1})
			}, owner, "Timeout", "-1ns", "0s or more"},
			{func(p *pipeline.Pipeline, _ *pipeline.Flow[int]) {
				pipeline.Each(pipeline.From[int](p, nil, sourceConfig{Name: "x"}), none, stepConfig{})
			}, owner, "source", "<nil>", "a producer"},
		} {
			b := newBroadway(t)
			started := false
			in := pipeline.From(b.p, &starting{feed: newFeed(), start: func() error { started = true; return nil }}, sourceConfig{})
			pipeline.Each(b.in, none, stepConfig{})
			tc.build(b.p, in)
			if tc.option == "source" {
				pipeline.Each(in, none, stepConfig{})
			}
			for _, err := range []error{b.p.Err(), b.p.Run(t.Context())} {
				e, ok := errors.AsType[*pipeline.OptionError](err)
				if !ok {
					t.Errorf("%s: %v", tc.option, err)
					continue
				}
				if e.Owner != tc.owner || e.Option != tc.option || fmt.Sprint(e.Value) != tc.value || e.Allowed != tc.allowed {
					t.Errorf("%s %s %v %q, want %v", e.Owner, e.Option, e.Value, e.Allowed, tc)
				}
			}
			if started {
				t.Error("a stage was started")
			}
		}
	}},
	{"B3_defaults and settings of workers", func(t *testing.T) {
		for _, tc := range []struct{ sources, steps, odd, even int }{{1, 0, 0, 0}, {3, 13, 2, 3}} {
			b := newBroadway(t)
			flows := []*pipeline.Flow[int]{b.in}
			for range tc.sources - 1 {
				flows = append(flows, pipeline.From(b.p, newFeed(), sourceConfig{}))
			}
			// A step has what it closes over for a context.
			factors := map[string]int{"factor": 2}
			step := pipeline.Map(pipeline.Merge(flows...), func(_ context.Context, v int) (int, error) { return v * factors["factor"], nil }, stepConfig{Name: "step", Workers: tc.steps})
			routes := pipeline.Route(step, []string{"odd", "even"}, oddOrEven)
			batches := newBatchBook()
			pipeline.EachBatch(routes.Flow("odd"), batches.add, batchConfig{Name: "odd", Workers: tc.odd, Size: 1})
			pipeline.EachBatch(routes.Flow("even"), batches.add, batchConfig{Name: "even", Workers: tc.even, Size: 1})
			b.start()
			b.ends(b.source.bulk(1), "done")
			b.is("batches", batches.text(), "[2] size")
			b.is("workers", workers(t, b.p), fmt.Sprintf("step %d, route-%d 1, odd %d, even %d", max(tc.steps, 1), tc.sources+3, max(tc.odd, 1), max(tc.even, 1)))
			b.is("steps", len(b.p.Snapshot(t.Context()).Steps), fmt.Sprint(tc.sources+4))
			if !b.log.has("pipeline starts", "pipeline=broadway", fmt.Sprintf("steps=%d", tc.sources+4), "source > step", "step > odd") {
				t.Error("no line about the start")
			}
			b.p.Drain()
			b.run.Wait()
		}
	}},
	{"B31_the snapshot lists names and workers, and whether the pipeline runs", func(t *testing.T) {
		for _, tc := range []struct {
			build       func(in *pipeline.Flow[int])
			steps, want string
		}{
			{func(in *pipeline.Flow[int]) {
				pipeline.EachBatch(pipeline.Map(in, same, stepConfig{Name: "step", Workers: 2}), newBatchLog().add, batchConfig{Name: "batch", Workers: 3})
			}, "source from []; step map [source]; batch each-batch [step]", "step 2, batch 3"},
			{func(in *pipeline.Flow[int]) { pipeline.Each(in, none, stepConfig{Name: "step", Workers: 5}) },
				"source from []; step each [source]", "step 5"},
			{func(in *pipeline.Flow[int]) { batchers(in, batchConfig{Workers: 2}, batchConfig{}) },
				"source from []; step map [source]; route-3 route [step]; odd each-batch [step]; even each-batch [step]", "step 1, route-3 1, odd 2, even 1"},
		} {
			b := newBroadway(t)
			tc.build(b.in)
			states := func() string {
				var list []string
				for _, s := range b.p.Snapshot(t.Context()).Steps {
					list = append(list, s.State)
				}
				return strings.Join(slices.Compact(list), " ")
			}
			snapshot := b.p.Snapshot(t.Context())
			b.is("before", []any{snapshot.Name, snapshot.Running, states()}, "[broadway false new]")
			b.start()
			synctest.Wait()
			snapshot = b.p.Snapshot(t.Context())
			b.is("running", []any{snapshot.Running, states()}, "[true running]")
			var steps []string
			for _, s := range snapshot.Steps {
				steps = append(steps, fmt.Sprint(s.Name, " ", s.Kind, " ", s.Inputs))
			}
			b.is("steps", strings.Join(steps, "; "), tc.steps)
			b.is("workers", workers(t, b.p), tc.want)
			b.p.Stop(nil)
			if err := b.run.Wait(); err != nil {
				t.Error(err)
			}
			b.is("after", []any{b.p.Snapshot(t.Context()).Running, states()}, "[false stopped]")
		}
	}},
	{"B33_how a function has ended", func(t *testing.T) {
		b := newBroadway(t)
		pipeline.Each(b.in, func(_ context.Context, v int) error {
			if v == 9 {
				panic(errFailed)
			}
			return broken(v)
		}, stepConfig{Name: "step", Workers: 2})
		b.start()
		for v, want := range map[int]string{
			raises: "panic: oops", exits: "handler called runtime.Goexit", 9: "panic: failed", fails: "failed",
		} {
			before := len(b.letters.All())
			b.ends(b.source.bulk(v), "failed")
			b.is("reason", b.letters.All()[before].Error, want)
		}
	}},
	{"B33_a source without events, and a test batch", func(t *testing.T) {
		b, batches := newBroadway(t), newBatchBook()
		pipeline.EachBatch(b.in, batches.add, batchConfig{Size: 2})
		b.start()
		time.Sleep(time.Hour)
		b.is("batches", batches.text(), "")
		b.ends(b.source.bulk(1, 2), "done done")
		b.is("acks", b.source.acks(), "done [1 2]")
	}},
	{"B33_demand and names of the stages", func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Name: "named", Logger: quiet})
		in := pipeline.From(p, pipelinetest.NewSource[int](), sourceConfig{})
		steps := pipeline.Map(in, same, stepConfig{Window: 6})
		through := pipeline.Through(steps, passOn, pipeline.StageConfig{Name: "given", MaxDemand: 6, MinDemand: 3})
		pipeline.EachBatch(through, newBatchLog().add, batchConfig{Size: 123})
		pipelinetest.Run(t, p)
		synctest.Wait()
		s := p.Snapshot(t.Context())
		var stages, edges []string
		for _, st := range s.Stages {
			stages = append(stages, st.Name)
		}
		for _, e := range s.Edges {
			edges = append(edges, fmt.Sprintf("%s %d/%d", e.Consumer, e.MaxDemand, e.MinDemand))
		}
		is(t, "name", s.Name, "named")
		is(t, "stages", stages, "[from-1 map-2 given each-batch-4]")
		slices.Sort(edges)
		// One batch that is worked on and one that is gathered.
		is(t, "demand", edges, "[each-batch-4 246/123 given 6/3 map-2 6/0]")
	}},
}
