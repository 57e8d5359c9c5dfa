package pipeline

import (
	"context"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// Map adds a step that makes one event of each: f is called for each event, by Workers
// goroutines at once. An event for which f returns an error, or panics, is tried again by
// the policy, and then has failed alone; see [StepConfig].
func Map[In, Out any](from *Flow[In], f func(ctx context.Context, event In) (Out, error), cfg StepConfig[In]) *Flow[Out] {
	return transform(from, cfg.spec("map", f), func(n *node) (stage.ProducerConsumer[In, Out], error) {
		at, err := n.place(cfg.DeadLetters)
		return newMapStep(f, cfg.within(n.p), at), err
	})
}

// Filter adds a step that lets through the events for which keep returns true. Errors are
// as for [Map].
func Filter[T any](from *Flow[T], keep func(ctx context.Context, event T) (bool, error), cfg StepConfig[T]) *Flow[T] {
	return transform(from, cfg.spec("filter", keep), func(n *node) (stage.ProducerConsumer[T, T], error) {
		at, err := n.place(cfg.DeadLetters)
		return newFilterStep(keep, cfg.within(n.p), at), err
	})
}

// FlatMap adds a step that makes any number of events of each: those that f passes to
// emit. It must not be called after f has returned, which is logged and ignored, nor by two
// goroutines at once, which fails the event. Errors are as for [Map]; what was emitted in
// an attempt that fails is taken back.
func FlatMap[In, Out any](from *Flow[In], f func(ctx context.Context, event In, emit func(Out)) error, cfg StepConfig[In]) *Flow[Out] {
	return transform(from, cfg.spec("flat-map", f), func(n *node) (stage.ProducerConsumer[In, Out], error) {
		at, err := n.place(cfg.DeadLetters)
		return newFlatMapStep(f, cfg.within(n.p), at), err
	})
}

// Each adds an end: f is called for each event, by Workers goroutines at once, and its
// return is the receipt for the event. Errors are as for [Map]: others do not wait for an
// event that is tried again, unless they have its Key.
func Each[T any](from *Flow[T], f func(ctx context.Context, event T) error, cfg StepConfig[T]) {
	end(from, cfg.spec("each", f), func(n *node) (stage.Consumer[T], error) {
		at, err := n.place(cfg.DeadLetters)
		return newEachStep(f, cfg.within(n.p), at), err
	})
}

// spec describes the step to the graph. f is its function.
func (c StepConfig[In]) spec(kind string, f any) spec {
	return spec{kind: kind, name: c.Name, restart: c.Restart, check: func(owner option.Owner) error {
		return option.First(owner.Needs("f", f, "a function"), c.validate(owner))
	}}
}

// Through adds any stage. make makes its handler, when Run begins and anew when it has
// failed.
func Through[In, Out any](from *Flow[In], make func() (stage.ProducerConsumer[In, Out], error), cfg StageConfig) *Flow[Out] {
	return transform(from, cfg.spec("through", make), func(*node) (stage.ProducerConsumer[In, Out], error) { return make() })
}

// To adds any consumer as an end: a pool (consumer.Supervisor), a delivery to web
// clients, a Kafka writer. make makes it, when Run begins and anew when it has failed.
func To[T any](from *Flow[T], make func() (stage.Consumer[T], error), cfg StageConfig) {
	end(from, cfg.spec("to", make), func(*node) (stage.Consumer[T], error) { return make() })
}

// spec is as for StepConfig.
func (c StageConfig) spec(kind string, make any) spec {
	return spec{kind: kind, name: c.Name, restart: c.Restart, subscribe: c.demand(), check: func(owner option.Owner) error {
		return option.First(
			owner.Needs("make", make, "a function"),
			option.AtLeast(owner, "MaxDemand", c.MaxDemand, 0),
			option.AtLeast(owner, "MinDemand", c.MinDemand, stage.None),
			owner.Check(c.MinDemand <= 0 || c.MaxDemand == 0 || c.MinDemand < c.MaxDemand, "MinDemand", c.MinDemand, "below MaxDemand"),
			c.Restart.validate(owner),
		)
	}}
}
