package main

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/penstock-go/penstock/dashboard"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// program is a pipeline of many stages, each of which has something to do in each second: a
// source of events at a rate, a fair dispatcher for many keys, and as many ends as there
// are stages.
type program struct {
	pipeline *pipeline.Pipeline
	handled  atomic.Int64
}

// event has a key and a number.
type event struct {
	key string
	n   uint64
}

func newProgram(o options) *program {
	p := &program{pipeline: pipeline.New(pipeline.Config{
		Name: "measured", Rate: pipeline.Rate{PerSecond: float64(o.rate), Burst: max(1, o.rate/100)},
	})}
	keys := make([]string, o.keys)
	for i := range keys {
		keys[i] = "user-" + strconv.Itoa(i)
	}
	var next uint64
	source := stage.ProducerFunc[event](func(_ context.Context, demand int, emit *stage.Emitter[event]) error {
		for range demand {
			emit.Emit(event{keys[next%uint64(len(keys))], next})
			next++
		}
		return nil
	})
	in := pipeline.From(p.pipeline, source, pipeline.SourceConfig[event]{Name: "source"})
	turns := pipeline.Fair(in, func(e event) string { return e.key }, fair.Config[event]{})
	ends := pipeline.Partition(turns, max(1, o.stages-2), func(e event) uint64 { return e.n })
	for i, end := range ends {
		pipeline.Each(end, func(context.Context, event) error {
			p.handled.Add(1)
			return nil
		}, pipeline.StepConfig[event]{Name: "end-" + strconv.Itoa(i)})
	}
	return p
}

func (p *program) dashboard(o options) (*dashboard.Dashboard, error) {
	return dashboard.New(dashboard.Config{Interval: o.interval}, dashboard.Pipeline(p.pipeline))
}
