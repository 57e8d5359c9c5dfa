package pipeline

import (
	"log/slog"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// Flow is a place where events of type T come out of a step. Exactly one step takes
// them: see [Broadcast] for several.
type Flow[T any] struct {
	s     *scope // nil for the flow of a step without a pipeline
	ports []port[T]
	use   *use
}

// port is one output of a step. A flow that was merged has several.
type port[T any] struct {
	n         *node
	out       *outlet[T]
	partition any // for the dispatcher, as in stage.SubscribeConfig
}

// outlet is the emitting side of a step, over the lives of its stage.
type outlet[T any] struct {
	stage stage.Output[T] // now; written by build
	// dispatcher makes the dispatcher of each stage; nil is the default one.
	dispatcher func() (dispatcher.Dispatcher[T], error)
	cfg        stage.ProducerConfig[T] // Keep, BufferSize and Eager
}

// config returns the config of the next stage of the step.
func (o *outlet[T]) config(n *node) (stage.ProducerConfig[T], error) {
	cfg := o.cfg
	cfg.Name, cfg.Logger = n.name, n.log
	if n.fan == copies && n.born {
		cfg.Demand = stage.Accumulate // until all branches are subscribed again
	}
	if o.dispatcher == nil {
		return cfg, nil
	}
	d, err := o.dispatcher()
	cfg.Dispatcher = d
	return cfg, err
}

// inlet is the side of a step that takes events.
type inlet[T any] struct {
	subscribe func(to stage.Output[T], cfg stage.SubscribeConfig) (*stage.Subscription[T], error) // written by build
}

// flowOf returns the flow of a new step.
func flowOf[T any](s *scope, n *node, out *outlet[T]) *Flow[T] {
	return &Flow[T]{s: s, ports: []port[T]{{n: n, out: out}}, use: s.open(n.owner(), `the events of "`+n.name+`"`)}
}

// nowhere returns the flow of a step whose own flow is nil, and logs it: there is no
// pipeline whose Run could return the error.
func nowhere[T any](kind string) *Flow[T] {
	slog.Default().Error("a step without a pipeline", "error", option.Owner("pipeline."+kind).Refuse("flow", nil, "a flow of a step"))
	return &Flow[T]{}
}

// valid reports whether the flow belongs to a pipeline.
func (f *Flow[T]) valid() bool { return f != nil && f.s != nil }

// join subscribes n to the flow: at the start, and each time that one of the two stages
// is made anew.
func join[T any](n *node, in *inlet[T], from *Flow[T], cfg stage.SubscribeConfig) {
	from.s.take(from.use, n.name)
	// A stage that is made anew must not end those that are subscribed to it. They end by
	// the pipeline, which hears of the end of each.
	cfg.Cancel = stage.Temporary
	// A step that is made anew has its events again, those over which it has died too. Over
	// these it may die again: with a sink they are dead letters then, see givenUp. Without
	// one they are lost at a source that has no receipts, so they come back until Restart
	// ends the pipeline.
	p := n.p
	cfg.Redeliver = true
	if p.cfg.DeadLetters == nil {
		cfg.Redeliveries = stage.Unlimited
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range from.ports {
		c := cfg
		c.Partition = at.partition
		e := &edge{up: at.n, down: n, connect: func() (subscription, error) { return in.subscribe(at.out.stage, c) }}
		n.ins = append(n.ins, e)
		at.n.outs = append(at.n.outs, e)
	}
}

// transform adds a step that takes one flow and returns another. make makes its handler,
// once for each life of the stage.
func transform[In, Out any](from *Flow[In], sp spec, make func(n *node) (stage.ProducerConsumer[In, Out], error)) *Flow[Out] {
	if !from.valid() {
		return nowhere[Out](sp.kind)
	}
	n := from.s.add(sp)
	in, out := &inlet[In]{}, &outlet[Out]{}
	n.build = func() (made, error) {
		h, err := make(n)
		if err != nil {
			return made{}, err
		}
		cfg, err := out.config(n)
		if err != nil {
			return made{}, err
		}
		s, err := stage.NewProducerConsumer(h, cfg)
		if err != nil {
			return made{}, err
		}
		in.subscribe, out.stage = s.Subscribe, s
		return made{s, h, s.SetDemand}, nil
	}
	join(n, in, from, sp.subscribe)
	return flowOf(from.s, n, out)
}

// end adds a step that takes a flow and returns none. make is as in transform.
func end[T any](from *Flow[T], sp spec, make func(n *node) (stage.Consumer[T], error)) {
	if !from.valid() {
		nowhere[T](sp.kind)
		return
	}
	n := from.s.add(sp)
	in := &inlet[T]{}
	n.build = func() (made, error) {
		h, err := make(n)
		if err != nil {
			return made{}, err
		}
		s, err := stage.NewConsumer(h, stage.ConsumerConfig{Name: n.name, Logger: n.log})
		if err != nil {
			return made{}, err
		}
		in.subscribe = s.Subscribe
		return made{stage: s, handler: h}, nil
	}
	join(n, in, from, sp.subscribe)
}
