package pipeline

import (
	"log/slog"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// From adds a source: any producer of package producer or gostreams, Kafka, or one of the
// program's own. It is never made anew: when it fails the pipeline ends with its error.
func From[T any](p *Pipeline, source stage.Producer[T], cfg SourceConfig[T]) *Flow[T] {
	cfg.Restart = Restart{MaxRestarts: NoRestart}
	return from(p, true, cfg, func(owner option.Owner) error { return owner.Needs("source", source, "a producer") },
		func() (stage.Producer[T], error) { return source, nil })
}

// FromFunc adds a source that make makes: when Run begins, and anew when it has failed. What
// the source that failed had emitted and not finished is delivered again only if the new
// one emits it, such as a Kafka consumer that goes on from its offsets.
func FromFunc[T any](p *Pipeline, make func() (stage.Producer[T], error), cfg SourceConfig[T]) *Flow[T] {
	return from(p, false, cfg, func(owner option.Owner) error { return owner.Needs("make", make, "a function") }, make)
}

// from adds a source. once is set if its handler exists only once, so that its stage cannot
// be made anew. The valve with its rate outlives the stage.
func from[T any](p *Pipeline, once bool, cfg SourceConfig[T], check func(option.Owner) error, make func() (stage.Producer[T], error)) *Flow[T] {
	if p == nil {
		slog.Default().Error("a step without a pipeline", "error", option.Owner("pipeline.From").Refuse("p", nil, "a pipeline"))
		return &Flow[T]{}
	}
	n := p.main.add(spec{kind: "from", name: cfg.Name, restart: cfg.Restart, check: func(owner option.Owner) error {
		return option.First(check(owner), checkRate(owner, "Rate", cfg.Rate), cfg.Restart.validate(owner))
	}})
	n.once = once
	v := p.sources.valve(cfg.Rate)
	out := &outlet[T]{}
	lost := &givenUp{n: n}
	out.cfg.Abandoned = func(event T) { lost.take(deadletter.Of(event, nil)) }
	n.build = func() (made, error) {
		h, err := make()
		if err != nil {
			return made{}, err
		}
		scfg, err := out.config(n)
		if err != nil {
			return made{}, err
		}
		s, err := stage.NewProducer(limitSource(v, h, n.log), scfg)
		if err != nil {
			return made{}, err
		}
		out.stage = s
		return made{s, v, s.SetDemand}, nil
	}
	return flowOf(p.main, n, out)
}
