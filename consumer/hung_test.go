package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// A pool whose workers do not return and the pipeline around it have the same patience by
// default. Whichever deadline is seen first, Run reports the hung workers.
func TestRunReportsHungWorkersWhoeverIsFirst(t *testing.T) {
	for round := range 100 {
		for name, end := range map[string]func(p *stage.Pipeline, cancel func()){
			"stop":  func(p *stage.Pipeline, _ func()) { p.Stop(nil) },
			"drain": func(p *stage.Pipeline, _ func()) { p.Drain() },
		} {
			synctest.Test(t, func(t *testing.T) {
				hold := make(chan struct{})
				pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { <-hold; return nil }, config{MaxDemand: 3}))
				src := stage.Must(stage.NewProducer(&counter{limit: 10}, stage.ProducerConfig[int]{}))
				sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
				stage.Must(sink.Subscribe(src, stage.SubscribeConfig{}))
				line := stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: time.Second}, src, sink))
				done := make(chan error, 1)
				go func() { done <- line.Run(t.Context()) }()
				synctest.Wait()
				end(line, nil)
				if err := <-done; !errors.Is(err, stage.ErrHung) {
					t.Errorf("round %d, %s: %v", round, name, err)
				}
				if s := pool.Snapshot(); s.Busy != 3 || s.Goroutines != 3 {
					t.Errorf("round %d, %s: %+v", round, name, s)
				}
				close(hold)
				<-sink.Stopped()
			})
		}
	}
}

// runtime.Goexit in a function on the stage's goroutine ends the stage: it is reported as
// what it is, and its events are not lost.
func TestGoexitOnTheStagesGoroutine(t *testing.T) {
	for _, name := range []string{"batch", "for each"} {
		t.Run(name, func(t *testing.T) {
			src := &tracked{counter{limit: 5}}
			var lines bytes.Buffer
			err := run(t, src, onStage(&lines, func(v int) error {
				if v == 2 {
					return fails["exit"].do()
				}
				return nil
			})[name], stage.SubscribeConfig{MaxDemand: 5})
			got := src.outcomes(t)
			if !errors.Is(err, stage.ErrGoexit) || got[0] != receipt.Done || got[1] != receipt.Done || got[2] != receipt.Abandoned {
				t.Error(err, got)
			}
		})
	}
}

// A worker that hangs beyond its timeout is logged, counted and recorded.
func TestHungWorkerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var lines bytes.Buffer
		var rec metricstest.Recorder
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { <-hold; return nil },
			config{Timeout: time.Second, Retry: retry.Policy{MaxAttempts: 2}, Logger: textLog(&lines), Metrics: &rec}))
		r := start(t, &tracked{counter{limit: 1}}, pool, stage.SubscribeConfig{Cancel: stage.Temporary})
		time.Sleep(10 * time.Second)
		if s := pool.Snapshot(); s.Stuck != 2 || s.Failed != 1 || s.Restarts != 1 || s.Busy != 0 {
			t.Errorf("%+v", s)
		}
		if retries, failures := rec.Count("consumer.retries"), rec.Count("consumer.failures"); retries != 1 || failures != 1 {
			t.Errorf("recorded %d retries and %d failures", retries, failures)
		}
		close(hold)
		synctest.Wait()
		r.stop()
		if log := lines.String(); strings.Count(log, "attempt took too long") != 2 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// What is recorded adds up, from the door to the last receipt.
func TestFiguresAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec metricstest.Recorder
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{
			Capacity: 50, Key: func(v int) string { return fmt.Sprint(v % 3) }, KeyMaxEvents: 40, Metrics: &rec,
		}))
		src := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{Name: "source"}))
		var mu sync.Mutex
		good, attempts := int64(0), int64(0)
		pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			attempts++
			if v%7 == 0 {
				return errOops
			}
			good++
			return nil
		}, config{MaxDemand: 10, Metrics: &rec}))
		sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{Name: "sink"}))
		stage.Must(sink.Subscribe(src, stage.SubscribeConfig{}))
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Metrics: &rec}, src, sink))
		done := make(chan error, 1)
		go func() { done <- line.Run(context.Background()) }()
		const pushes = 5000
		accepted := int64(0)
		for i := range pushes {
			if q.TryPush(i) == nil {
				accepted++
			}
			if i%5 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		q.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		tag := func(name string) metrics.Tag { return metrics.Tag{Key: "stage", Value: name} }
		refused := rec.Count("queue.refused", metrics.Tag{Key: "reason", Value: "full"}) +
			rec.Count("queue.refused", metrics.Tag{Key: "reason", Value: "key_full"})
		retries, failures := rec.Count("consumer.retries"), rec.Count("consumer.failures")
		for name, sum := range map[string][2]int64{
			"pushes = refused + emitted":           {pushes, refused + rec.Count("stage.events", tag("source"))},
			"accepted = emitted":                   {accepted, rec.Count("stage.events", tag("source"))},
			"emitted = handled":                    {accepted, rec.Count("stage.events", tag("sink"))},
			"handled = good + failed":              {accepted, good + failures},
			"attempts = handled + retries":         {attempts, accepted + retries},
			"attempts = observations of the timer": {attempts, int64(len(rec.Durations("pipeline.worker.process_time")))},
			"unfinished":                           {0, int64(q.Snapshot().Unfinished)},
		} {
			if sum[0] != sum[1] {
				t.Errorf("%s: %d and %d", name, sum[0], sum[1])
			}
		}
		if refused == 0 || failures == 0 {
			t.Errorf("%d refused, %d failed: the test shows nothing", refused, failures)
		}
	})
}
