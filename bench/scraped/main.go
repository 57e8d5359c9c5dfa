// Command scraped is a program in which the metrics of pipelines, workers, queues and
// middleware have values, and in which all goes wrong that the alert rules are about: what a
// check with a Prometheus server asks for, beside the push pipeline. It serves /metrics at the
// address of -addr until it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/prometheus"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/middleware"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// job is what the pipeline works on.
type job struct {
	User, ID int
}

var (
	quiet  = slog.New(slog.DiscardHandler)
	errJob = errors.New("the job fails")
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`host:port` of /metrics")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	// Tenants end every second: so do their series, after the next scrape.
	recorder := stage.Must(prometheus.New(prometheus.Config{Linger: time.Second}))
	http.Handle("GET /metrics", recorder.Handler())
	go func() { log.Fatal(http.ListenAndServe(*addr, nil)) }()
	var all sync.WaitGroup
	all.Go(func() { tenants(ctx, recorder) })
	all.Go(func() { alarms(ctx, recorder) })
	if err := work(ctx, recorder); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
	all.Wait()
}

// tenants runs pipelines that end, one after the other, each with a name of its own.
func tenants(ctx context.Context, r metrics.Recorder) {
	for i := 0; ctx.Err() == nil; i++ {
		p := pipeline.New(pipeline.Config{Metrics: r, MetricsInterval: 100 * time.Millisecond, Logger: quiet})
		ticks := pipeline.From(p, stage.Must(producer.NewTicker(producer.TickerConfig{Every: 50 * time.Millisecond})), pipeline.SourceConfig[time.Time]{Name: fmt.Sprint("clock-", i)})
		pipeline.Each(ticks, func(context.Context, time.Time) error { return nil }, pipeline.StepConfig[time.Time]{Name: fmt.Sprint("tenant-", i), Workers: 2})
		life, cancel := context.WithTimeout(ctx, time.Second)
		_ = p.Run(life) // it ends with its time
		cancel()
	}
}

// work runs one pipeline with retries, dead letters, restarts, and workers that hang.
func work(ctx context.Context, r metrics.Recorder) error {
	queue := stage.Must(producer.NewQueue(producer.QueueConfig[job]{Capacity: 50, Metrics: r, Logger: quiet}))
	go load(ctx, queue)
	breaker := stage.Must(middleware.NewBreaker(middleware.BreakerConfig{Failures: 20, Pause: 100 * time.Millisecond, Metrics: r, Logger: quiet}))
	known := stage.Must(middleware.NewDeduplicator(middleware.DeduplicatorConfig[job]{Key: func(j job) string { return fmt.Sprint(j.ID) }, Metrics: r, Logger: quiet}))
	online := stage.Must(middleware.Online(middleware.OnlineConfig[job]{Online: func(_ context.Context, j job) bool { return j.User != 3 }, Metrics: r}))

	p := pipeline.New(pipeline.Config{
		Name: "jobs", Metrics: r, MetricsInterval: 500 * time.Millisecond, Logger: quiet,
		Retry:       retry.Policy{MaxAttempts: 3, Backoff: 5 * time.Millisecond},
		DeadLetters: stage.Must(deadletter.NewMemory(deadletter.MemoryConfig{})),
	})
	in := pipeline.From(p, queue, pipeline.SourceConfig[job]{Name: "queue"})
	checked := pipeline.Map(in, func(_ context.Context, j job) (job, error) {
		time.Sleep(time.Millisecond)
		if j.ID%10 == 0 {
			return j, errJob
		}
		return j, nil
	}, pipeline.StepConfig[job]{Name: "check", Workers: 4, Use: []pipeline.Middleware[job]{pipeline.Middleware[job](online), known.Handle, pipeline.Middleware[job](middleware.Break[job](breaker))}})
	counted := pipeline.Reduce(checked, pipeline.ReduceConfig[job]{
		Name: "count", Key: func(j job) string { return fmt.Sprint(j.User) }, Totals: true, MaxKeys: 3, Every: 100 * time.Millisecond,
	}, func(n *int, _ job) error { *n++; return nil }, func(_ string, n *int) int { return *n })
	hangs := make(chan struct{})
	var once sync.Once
	pipeline.To(counted, func() (stage.Consumer[int], error) {
		return consumer.NewSupervisor(func(_ context.Context, n int) error {
			if n%5 == 0 {
				return errJob
			}
			once.Do(func() { <-hangs }) // a stuck worker
			return nil
		}, consumer.SupervisorConfig[int]{Timeout: 200 * time.Millisecond, Metrics: r, Logger: quiet, MaxRestarts: 1 << 20, ShutdownTimeout: 100 * time.Millisecond})
	}, pipeline.StageConfig{Name: "workers"})

	go func() {
		time.Sleep(2 * time.Second)
		if step, ok := p.Step("check"); ok {
			_ = step.Restart()
		}
		<-ctx.Done()
		close(hangs)
	}()
	return p.Run(ctx)
}

// load pushes jobs of ten users, some twice, and now and then more than the queue takes.
func load(ctx context.Context, queue *producer.Queue[job]) {
	for i := 0; ctx.Err() == nil; i++ {
		n := 1
		if i%100 == 0 {
			n = 100
		}
		for k := range n {
			_ = queue.TryPush(job{User: i % 10, ID: i*100 + k})
			_ = queue.TryPush(job{User: i % 10, ID: i*100 + k})
		}
		time.Sleep(5 * time.Millisecond)
	}
}
