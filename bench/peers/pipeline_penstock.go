package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

var penstockPipeline = contestant{
	name:    "penstock pipeline",
	kind:    report.Ours,
	comment: "four workers, results in order; an event of the source has its receipt when its letter is stored",
	runs: map[string]runner{
		"P1": func(n int) (time.Duration, []sum, error) {
			sums := make([]sum, 2)
			took, err := runPipeline(n, &sums[0], pipeline.StepConfig[int]{
				Workers: 4, Retry: retry.Policy{MaxAttempts: attempts, Backoff: retry.NoPause},
				DeadLetters: deadletter.SinkFunc(func(_ context.Context, letters []deadletter.Letter) error {
					for _, l := range letters {
						var v int
						if err := json.Unmarshal(l.Event, &v); err != nil {
							return err
						}
						sums[1].add(v)
					}
					return nil
				}),
			}, task(n))
			return took, sums, err
		},
		"P2": func(n int) (time.Duration, []sum, error) { return ratedPipeline(n, slowRate) },
		"P3": func(n int) (time.Duration, []sum, error) { return ratedPipeline(n, fastRate) },
	},
}

// ratedPipeline sends n events through a step with a rate.
func ratedPipeline(n int, rate float64) (time.Duration, []sum, error) {
	sums := make([]sum, 1)
	took, err := runPipeline(n, &sums[0], pipeline.StepConfig[int]{Workers: 4, Rate: pipeline.Rate{PerSecond: rate}},
		func(v int) (int, error) { return v + 1, nil })
	return took, sums, err
}

// runPipeline sends n events through one step, and adds up what comes out of it.
func runPipeline(n int, to *sum, cfg pipeline.StepConfig[int], f func(int) (int, error)) (time.Duration, error) {
	p := pipeline.New(pipeline.Config{Logger: slog.New(slog.DiscardHandler)})
	source := &numbers{limit: n}
	in := pipeline.From(p, source, pipeline.SourceConfig[int]{})
	out := pipeline.Map(in, func(_ context.Context, v int) (int, error) { return f(v) }, cfg)
	pipeline.To(out, func() (stage.Consumer[int], error) {
		return stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
			to.addAll(events)
			return nil
		}), nil
	}, pipeline.StageConfig{})
	begin := time.Now()
	err := p.Run(context.Background())
	took := time.Since(begin)
	if err == nil && source.ended != n {
		err = fmt.Errorf("%d of %d receipts", source.ended, n)
	}
	return took, err
}

// numbers is a source that has a receipt for each event.
type numbers struct{ next, limit, ended int }

func (s *numbers) HandleDemand(_ context.Context, demand int, emit *stage.Emitter[int]) error {
	slots := emit.Slots(min(demand, s.limit-s.next))
	for i := range slots {
		slots[i] = s.next
		s.next++
	}
	if s.next == s.limit {
		return stage.ErrDone
	}
	return nil
}

func (s *numbers) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	for _, r := range receipts {
		s.ended += r.Count
	}
	return nil
}
