package main

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/prometheus"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// alarms runs pipelines in which the things go wrong that the alert rules are about, each for
// as long as the program runs.
func alarms(ctx context.Context, r metrics.Recorder) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, f := range []func(context.Context, metrics.Recorder){lag, restarts, letters, waitingLetters, stuck, discards, refusals} {
		all.Go(func() { f(ctx, r) })
	}
}

// ticks returns a pipeline with a source of an event every 20 ms.
func ticks(r metrics.Recorder, cfg pipeline.Config, source string) (*pipeline.Pipeline, *pipeline.Flow[time.Time]) {
	cfg.Metrics, cfg.MetricsInterval, cfg.Logger = r, 200*time.Millisecond, quiet
	cfg.Retry = retry.Policy{MaxAttempts: 1}
	cfg.DrainTimeout, cfg.StopTimeout = 100*time.Millisecond, time.Second
	p := pipeline.New(cfg)
	ticker := stage.Must(producer.NewTicker(producer.TickerConfig{Every: 20 * time.Millisecond}))
	return p, pipeline.From(p, ticker, pipeline.SourceConfig[time.Time]{Name: source})
}

// run runs a pipeline until ctx is done; one that ends before that is a mistake of this program.
func run(ctx context.Context, p *pipeline.Pipeline) {
	if err := p.Run(ctx); ctx.Err() == nil {
		slog.Error("a pipeline has ended", "error", err)
	}
}

// lag writes more records than are read.
func lag(ctx context.Context, r metrics.Recorder) {
	const topic = "behind"
	broker := stage.Must(embeddedkafka.Start(embeddedkafka.Config{Topics: map[string]int32{topic: 1}}))
	defer broker.Close()
	writer := stage.Must(kafka.NewWriter(kafka.WriterConfig{Brokers: broker.Addrs(), Topic: topic}))
	go func() {
		for ctx.Err() == nil {
			for range 50 {
				_ = writer.Write(ctx, &kgo.Record{Value: []byte("x")})
			}
			time.Sleep(20 * time.Millisecond)
		}
		_ = writer.Close(context.Background())
	}()
	reader := stage.Must(kafka.NewProducer(kafka.Config[string]{
		Brokers: broker.Addrs(), Topics: []string{topic}, Group: "slow", Metrics: r, Logger: quiet,
		Decode: func(record *kgo.Record) (string, error) { return string(record.Value), nil },
	}))
	p := pipeline.New(pipeline.Config{Name: "lag", Metrics: r, MetricsInterval: 200 * time.Millisecond, Logger: quiet, DrainTimeout: 100 * time.Millisecond, StopTimeout: time.Second})
	in := pipeline.From(p, reader, pipeline.SourceConfig[string]{Name: "records"})
	pipeline.Each(in, func(context.Context, string) error {
		time.Sleep(50 * time.Millisecond)
		return nil
	}, pipeline.StepConfig[string]{Name: "read"})
	run(ctx, p)
}

// restarts has a step that dies over and over.
func restarts(ctx context.Context, r metrics.Recorder) {
	p, in := ticks(r, pipeline.Config{
		Name: "restarts", Restart: pipeline.Restart{MaxRestarts: math.MaxInt, Backoff: 50 * time.Millisecond, MaxBackoff: 100 * time.Millisecond},
	}, "beats")
	pipeline.To(in, func() (stage.Consumer[time.Time], error) {
		return stage.ConsumerFunc[time.Time](func(context.Context, []time.Time) error { panic(errJob) }), nil
	}, pipeline.StageConfig{Name: "mortal"})
	run(ctx, p)
}

// letters has dead letters.
func letters(ctx context.Context, r metrics.Recorder) {
	p, in := ticks(r, pipeline.Config{Name: "letters", DeadLetters: stage.Must(deadletter.NewMemory(deadletter.MemoryConfig{}))}, "mail")
	pipeline.Each(in, func(context.Context, time.Time) error { return errJob }, pipeline.StepConfig[time.Time]{Name: "stored"})
	run(ctx, p)
}

// stuck has a worker that does not return from its first event.
func stuck(ctx context.Context, r metrics.Recorder) {
	var first atomic.Bool
	p, in := ticks(r, pipeline.Config{Name: "stuck"}, "work")
	pipeline.To(in, func() (stage.Consumer[time.Time], error) {
		return consumer.NewSupervisor(func(context.Context, time.Time) error {
			if first.CompareAndSwap(false, true) {
				<-ctx.Done()
			}
			return nil
		}, consumer.SupervisorConfig[time.Time]{Timeout: 200 * time.Millisecond, Metrics: r, Logger: quiet})
	}, pipeline.StageConfig{Name: "hung"})
	run(ctx, p)
}

// waitingLetters has dead letters that cannot be stored.
func waitingLetters(ctx context.Context, r metrics.Recorder) {
	sink := deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error { return errJob })
	p, in := ticks(r, pipeline.Config{Name: "unstored", DeadLetters: sink}, "post")
	pipeline.Each(in, func(context.Context, time.Time) error { return errJob }, pipeline.StepConfig[time.Time]{Name: "lost"})
	run(ctx, p)
}

// discards has a branch that is behind and drops what its buffer has no room for.
func discards(ctx context.Context, r metrics.Recorder) {
	p, in := ticks(r, pipeline.Config{Name: "discards"}, "drops")
	branches := pipeline.Broadcast(in)
	quick := branches.Branch("quick", pipeline.BranchConfig{})
	behind := branches.Branch("behind", pipeline.BranchConfig{Buffer: 1, Overflow: pipeline.DropNewest})
	pipeline.Each(quick, func(context.Context, time.Time) error { return nil }, pipeline.StepConfig[time.Time]{Name: "all"})
	pipeline.Each(behind, func(context.Context, time.Time) error {
		time.Sleep(500 * time.Millisecond)
		return nil
	}, pipeline.StepConfig[time.Time]{Name: "some", Window: 1})
	run(ctx, p)
}

// refusals has a recorder without room for the series of the program, at a path of its own.
func refusals(ctx context.Context, _ metrics.Recorder) {
	full := stage.Must(prometheus.New(prometheus.Config{MaxSeries: 1, Logger: quiet}))
	http.Handle("GET /metrics/full", full.Handler())
	full.Counter("scraped.one").Add(1)
	for ctx.Err() == nil {
		full.Counter("scraped.two").Add(1)
		time.Sleep(100 * time.Millisecond)
	}
}
