package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkPipelineW1 is W1 through the builder: with the same consumer, and with Each
// beside a consumer that calls a function for each event; then also beside stages by hand
// whose subscriptions deliver again what a dead consumer had, as those of a pipeline do.
func BenchmarkPipelineW1(b *testing.B) {
	b.Run("stages", func(b *testing.B) {
		beside(b, func(n int) time.Duration { return pipelineW1(b, n) },
			func(n int) time.Duration { return runW1(b, n, widest) })
	})
	b.Run("steps", func(b *testing.B) {
		beside(b, func(n int) time.Duration { return pipelineW1Each(b, n) },
			func(n int) time.Duration { return handW1Each(b, n, widest) })
	})
	b.Run("stages_that_redeliver", func(b *testing.B) {
		beside(b, func(n int) time.Duration { return pipelineW1(b, n) },
			func(n int) time.Duration { return runW1(b, n, redelivering) })
	})
	b.Run("steps_that_redeliver", func(b *testing.B) {
		beside(b, func(n int) time.Duration { return pipelineW1Each(b, n) },
			func(n int) time.Duration { return handW1Each(b, n, redelivering) })
	})
}

// BenchmarkPipelineW2 is W2 through the builder, in the same ways.
func BenchmarkPipelineW2(b *testing.B) {
	b.Run("stages", func(b *testing.B) {
		beside(b, func(n int) time.Duration { return pipelineW2(b, n) },
			func(n int) time.Duration { return runW2(b, n, widest) })
	})
	b.Run("steps", func(b *testing.B) {
		beside(b, func(n int) time.Duration { return pipelineW2Map(b, n) },
			func(n int) time.Duration { return handW2Map(b, n) })
	})
	b.Run("stages_that_redeliver", func(b *testing.B) {
		beside(b, func(n int) time.Duration { return pipelineW2(b, n) },
			func(n int) time.Duration { return runW2(b, n, redelivering) })
	})
}

// BenchmarkPipelineW4 is W4 through the builder: Each with workers beside a pool.
func BenchmarkPipelineW4(b *testing.B) {
	for _, workers := range []int{100, 1000} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			beside(b, func(n int) time.Duration { return pipelineW4(b, n, workers) },
				func(n int) time.Duration { return runW4(b, n, workers) })
		})
	}
}

// BenchmarkPipelineWorkers is a step with 4 workers whose function does nothing, beside
// the same step with one.
func BenchmarkPipelineWorkers(b *testing.B) {
	for _, unordered := range []bool{false, true} {
		b.Run(fmt.Sprintf("unordered=%v", unordered), func(b *testing.B) {
			beside(b, func(n int) time.Duration { return pipelineWorkers(b, n, 4, unordered) },
				func(n int) time.Duration { return pipelineWorkers(b, n, 1, unordered) })
		})
	}
}

// redelivering is the widest demand with the promise that each subscription of a pipeline
// makes: what a dead consumer had is delivered again.
var redelivering = demand{max: widest.max, min: widest.min, redeliver: true}

// beside runs ours and that by hand in turns, b.N events in all for each, and reports the
// rate and the share, also in processor time, which other work on the machine changes less.
func beside(b *testing.B, ours, byHand func(n int) time.Duration) {
	b.ReportAllocs()
	const turns = 4
	share := max(1, b.N/turns)
	ours(min(b.N, 100_000)) // what is allocated once is not the steady state's
	var mine, theirs, mineBusy, theirsBusy time.Duration
	b.ResetTimer()
	for range turns {
		begin := processorTime()
		mine += ours(share)
		between := processorTime()
		b.StopTimer()
		theirs += byHand(share)
		mineBusy, theirsBusy = mineBusy+between-begin, theirsBusy+processorTime()-between
		b.StartTimer()
	}
	b.ReportMetric(float64(turns*share)/mine.Seconds(), "events/s")
	b.ReportMetric(theirs.Seconds()/mine.Seconds(), "of-hand")
	if mineBusy > 0 {
		b.ReportMetric(theirsBusy.Seconds()/mineBusy.Seconds(), "of-hand-cpu")
	}
}

// built runs a pipeline from a counter.
func built(tb testing.TB, n int, build func(in *pipeline.Flow[int])) time.Duration {
	tb.Helper()
	p := pipeline.New(pipeline.Config{})
	build(pipeline.From[int](p, &counter{limit: n}, pipeline.SourceConfig[int]{}))
	begin := time.Now()
	if err := p.Run(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return time.Since(begin)
}

// stageConfig has the widest demand.
var stageConfig = pipeline.StageConfig{MaxDemand: widest.max, MinDemand: widest.min}

func pipelineW1(tb testing.TB, n int) time.Duration {
	sum := new(summer)
	took := built(tb, n, func(in *pipeline.Flow[int]) {
		pipeline.To(in, func() (stage.Consumer[int], error) { return sum, nil }, stageConfig)
	})
	sum.check(tb, n)
	return took
}

// add is the function of an end.
func (s *summer) add(_ context.Context, v int) error {
	s.total += v
	s.count++
	return nil
}

func pipelineW1Each(tb testing.TB, n int) time.Duration {
	sum := new(summer)
	took := built(tb, n, func(in *pipeline.Flow[int]) { pipeline.Each(in, sum.add, pipeline.StepConfig[int]{}) })
	sum.check(tb, n)
	return took
}

// handW1Each is a consumer that calls a function for each event.
func handW1Each(tb testing.TB, n int, d demand) time.Duration {
	sum := new(summer)
	source := stage.Must(stage.NewProducer(&counter{limit: n}, stage.ProducerConfig[int]{}))
	end := stage.Must(stage.NewConsumer(each(sum.add), stage.ConsumerConfig{}))
	subscribe(tb, source, end, d.config())
	took := run(tb, source, end)
	sum.check(tb, n)
	return took
}

// each calls f for each event.
func each(f func(context.Context, int) error) stage.ConsumerFunc[int] {
	return func(ctx context.Context, events []int) error {
		for _, v := range events {
			if err := f(ctx, v); err != nil {
				return err
			}
		}
		return nil
	}
}

func pipelineW2(tb testing.TB, n int) time.Duration {
	sum := new(summer)
	plus := func() (stage.ProducerConsumer[int, int], error) {
		return stage.ProducerConsumerFunc[int, int](increment), nil
	}
	took := built(tb, n, func(in *pipeline.Flow[int]) {
		for range w2Between {
			in = pipeline.Through(in, plus, stageConfig)
		}
		pipeline.To(in, func() (stage.Consumer[int], error) { return sum, nil }, stageConfig)
	})
	checkHops(tb, sum, w2Between, n)
	return took
}

func plusOne(_ context.Context, v int) (int, error) { return v + 1, nil }

func pipelineW2Map(tb testing.TB, n int) time.Duration {
	sum := new(summer)
	took := built(tb, n, func(in *pipeline.Flow[int]) {
		for range w2Between {
			in = pipeline.Map(in, plusOne, pipeline.StepConfig[int]{})
		}
		pipeline.Each(in, sum.add, pipeline.StepConfig[int]{})
	})
	checkHops(tb, sum, w2Between, n)
	return took
}

// handW2Map has producer-consumers and a consumer that call a function for each event.
func handW2Map(tb testing.TB, n int) time.Duration {
	source := stage.Must(stage.NewProducer(&counter{limit: n}, stage.ProducerConfig[int]{}))
	stages := []stage.Stage{source}
	var last stage.Output[int] = source
	for range w2Between {
		next := stage.Must(stage.NewProducerConsumer(stage.MapFunc[int, int](plusOne), stage.ProducerConsumerConfig[int]{}))
		subscribe(tb, last, next, widest.config())
		stages, last = append(stages, next), next
	}
	sum := new(summer)
	end := stage.Must(stage.NewConsumer(each(sum.add), stage.ConsumerConfig{}))
	subscribe(tb, last, end, widest.config())
	took := run(tb, append(stages, end)...)
	checkHops(tb, sum, w2Between, n)
	return took
}

func pipelineW4(tb testing.TB, n, workers int) time.Duration {
	var count atomic.Int64
	took := built(tb, n, func(in *pipeline.Flow[int]) {
		pipeline.Each(in, func(context.Context, int) error {
			count.Add(1)
			return nil
		}, pipeline.StepConfig[int]{Workers: workers, Window: workers})
	})
	if count.Load() != int64(n) {
		tb.Fatalf("%d events of %d were worked on", count.Load(), n)
	}
	return took
}

// pipelineWorkers is a step whose function does nothing, and an end.
func pipelineWorkers(tb testing.TB, n, workers int, unordered bool) time.Duration {
	sum := new(summer)
	took := built(tb, n, func(in *pipeline.Flow[int]) {
		same := func(_ context.Context, v int) (int, error) { return v, nil }
		out := pipeline.Map(in, same, pipeline.StepConfig[int]{Workers: workers, Unordered: unordered})
		pipeline.To(out, func() (stage.Consumer[int], error) { return sum, nil }, stageConfig)
	})
	sum.check(tb, n)
	return took
}

// Every benchmark of the builder arrives complete.
func TestPipelineWorkIsComplete(t *testing.T) {
	for _, n := range []int{1, 7, 1000, 54_321} {
		pipelineW1(t, n)
		pipelineW1Each(t, n)
		handW1Each(t, n, widest)
		pipelineW2(t, n)
		pipelineW2Map(t, n)
		handW2Map(t, n)
		pipelineW4(t, n, 100)
		pipelineWorkers(t, n, 4, false)
		pipelineWorkers(t, n, 4, true)
	}
}
