package consumer_test

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// logged keeps lines that goroutines write while others read.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Workers that do not return are recorded and logged: those that have lost their event to
// a timeout, and without one those that have run for a minute. Lines are few, and others
// that come are seen at once. When they return, and at the end, the gauges are 0.
func TestWorkersThatDoNotReturnAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		timeout     time.Duration
		gauge, want string
	}{
		"with a timeout": {time.Second, "consumer.stuck_workers", "stuck=2 long=0 longest=0s"},
		"without":        {0, "consumer.long_workers", "stuck=0 long=2 longest=1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lines logged
				recorder, hold := metricstest.New(), make(chan struct{})
				log := slog.New(slog.NewTextHandler(&lines, nil))
				pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, v int) error {
					if v%5 == 0 {
						<-hold
					}
					return nil
				}, config{
					MaxDemand: 4, Timeout: c.timeout, Metrics: recorder, Logger: log, Retry: retry.Policy{MaxAttempts: 1},
				}))
				queue := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
				for v := range 9 {
					if err := queue.TryPush(v); err != nil {
						t.Fatal(err)
					}
				}
				src := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[int]{}))
				sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{Name: "pool"}))
				stage.Must(sink.Subscribe(src, stage.SubscribeConfig{}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- stage.Run(ctx, src, sink) }()
				gauge := func() float64 {
					v, _ := recorder.Value(c.gauge, metrics.Tag{Key: "stage", Value: "pool"})
					return v
				}
				count := func() int { return strings.Count(lines.String(), "workers do not return") }
				ages := func() []time.Duration { return pool.Snapshot().Ages }
				if len(ages()) > 0 {
					t.Errorf("ages before a look: %v", ages())
				}
				time.Sleep(50 * time.Second)
				synctest.Wait()
				if want := []time.Duration{49 * time.Second, 49 * time.Second}; c.timeout == 0 && !slices.Equal(ages(), want) || c.timeout > 0 && len(ages()) > 0 {
					t.Errorf("the ages are %v", ages())
				}
				if c.timeout == 0 && count() != 0 {
					t.Errorf("%d lines before a minute", count())
				}
				time.Sleep(15 * time.Second)
				synctest.Wait()
				if gauge() != 2 || count() < 1 || count() > 2 || !strings.Contains(lines.String(), c.want) {
					t.Errorf("%s is %v\n%s", c.gauge, gauge(), lines.String())
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if n := count(); n < 10 || n > 12 {
					t.Errorf("%d lines in eleven minutes", n)
				}
				close(hold)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if len(ages()) > 0 {
					t.Errorf("ages after the return: %v", ages())
				}
				if gauge() != 0 {
					t.Errorf("%s is %v after the return", c.gauge, gauge())
				}
				before := count()
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if count() != before {
					t.Errorf("logged without a reason: %s", lines.String())
				}
				cancel()
				<-done
			})
		})
	}
}

// A pause before another attempt is no worker that hangs, and each attempt has a minute
// of its own.
func TestPausesAreNotLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		log := slog.New(slog.NewTextHandler(&lines, nil))
		tries := 0
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error {
			time.Sleep(50 * time.Second)
			if tries++; tries < 3 {
				return context.DeadlineExceeded
			}
			return nil
		}, config{MaxDemand: 1, Logger: log, Retry: retry.Policy{
			MaxAttempts: 5, Backoff: 10 * time.Minute, MaxBackoff: 10 * time.Minute,
		}}))
		src := stage.Must(stage.NewProducer(&counter{limit: 1}, stage.ProducerConfig[int]{}))
		sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
		stage.Must(sink.Subscribe(src, stage.SubscribeConfig{}))
		if err := stage.Run(t.Context(), src, sink); err != nil || tries != 3 {
			t.Error(err, tries)
		}
		if strings.Contains(lines.String(), "do not return") {
			t.Error(lines.String())
		}
	})
}

// The age of an attempt counts from the first look that sees it, which comes at most a second
// after its begin.
func TestAgesCountFromALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error {
			<-hold
			return nil
		}, config{MaxDemand: 1}))
		queue := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
		src := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[int]{}))
		sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
		stage.Must(sink.Subscribe(src, stage.SubscribeConfig{}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- stage.Run(ctx, src, sink) }()
		time.Sleep(1300 * time.Millisecond) // 300 ms after a look
		if err := queue.TryPush(1); err != nil {
			t.Fatal(err)
		}
		for _, at := range []struct{ after, age time.Duration }{
			{600 * time.Millisecond, 0}, {200 * time.Millisecond, 100 * time.Millisecond}, {time.Second, 1100 * time.Millisecond},
		} {
			time.Sleep(at.after)
			synctest.Wait()
			ages := pool.Snapshot().Ages
			if at.age == 0 && len(ages) == 0 {
				continue
			}
			if !slices.Equal(ages, []time.Duration{at.age}) {
				t.Errorf("the ages are %v, want %v", ages, at.age)
			}
		}
		close(hold)
		cancel()
		<-done
	})
}

// A timeout without end is none: no worker loses its event to it.
func TestTheLongestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		}, config{Timeout: math.MaxInt64, Retry: retry.Policy{MaxAttempts: 1}}))
		src := stage.Must(stage.NewProducer(&counter{limit: 3}, stage.ProducerConfig[int]{}))
		sink := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
		stage.Must(sink.Subscribe(src, stage.SubscribeConfig{}))
		if err := stage.Run(t.Context(), src, sink); err != nil {
			t.Error(err)
		}
		if s := pool.Snapshot(); s.Failed != 0 {
			t.Errorf("%d events have failed", s.Failed)
		}
	})
}
