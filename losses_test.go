package penstock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
	"github.com/penstock-go/penstock/stage"
)

// loss is what a way to lose events has to work with, and what it must leave behind.
type loss struct {
	t       *testing.T
	metrics *metricstest.Recorder
	log     *slog.Logger

	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *loss) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// lines returns the lines of the log that have all of the words.
func (l *loss) lines(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			found = append(found, line)
		}
	}
	return found
}

// source makes the stage of a producer, which must be a handler of integers.
func (l *loss) source(h stage.Producer[int], d dispatcher.Dispatcher[int], cfg stage.ProducerConfig[int]) *stage.ProducerStage[int] {
	cfg.Name, cfg.Dispatcher, cfg.Logger = "source", d, l.log
	return stage.Must(stage.NewProducer(h, cfg))
}

// sink makes the stage of a consumer.
func (l *loss) sink(h stage.Consumer[int]) *stage.ConsumerStage[int] {
	return stage.Must(stage.NewConsumer(h, stage.ConsumerConfig{Name: "sink", Logger: l.log}))
}

// run runs a pipeline for d, then drains it, or stops it at once if it is not to drain.
func (l *loss) run(d time.Duration, drain bool, cfg stage.PipelineConfig, stages ...stage.Stage) {
	l.t.Helper()
	cfg.Metrics = l.metrics
	line := stage.Must(stage.NewPipeline(cfg, stages...))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	timer := time.NewTimer(d)
	<-timer.C
	if drain {
		cancel()
	} else {
		line.Stop(nil)
	}
	<-ended
}

// holder is a consumer that takes events and never gives a receipt before it is stopped.
func holder() stage.Consumer[int] {
	return stage.ConsumerFunc[int](func(ctx context.Context, _ []int) error {
		<-ctx.Done()
		return ctx.Err()
	})
}

// counting emits the numbers from 0 to n-1 at once.
func counting(n int) stage.Producer[int] {
	return stage.ProducerFunc[int](func(_ context.Context, _ int, emit *stage.Emitter[int]) error {
		for v := range n {
			emit.Emit(v)
		}
		n = 0
		return nil
	})
}

// one takes one event at a time.
var one = stage.SubscribeConfig{MaxDemand: 1}

// reasonOf is the tag of a reason.
func reasonOf(reason string) metrics.Tag { return metrics.Tag{Key: "reason", Value: reason} }

// discardedBy returns what a stage has discarded for a reason: in its last snapshot, and as
// the metric.
func (l *loss) discardedBy(s stage.Stage, reason receipt.Reason) (counted, recorded int64) {
	snap, err := s.Snapshot(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return snap.Discarded[reason], l.metrics.Count("pipeline.discarded", metrics.Tag{Key: "stage", Value: s.Name()}, reasonOf(string(reason)))
}

// TestNoLossIsSilent walks the ways in which events can be lost. Each is counted by its
// reason in a snapshot, recorded as a metric, and logged with reason and number, at most
// once a second. The ways of the sockets themselves are in the tests of sinks/websocket.
func TestNoLossIsSilent(t *testing.T) {
	for name, way := range map[string]func(l *loss) (counted, recorded int64, logged []string){
		"fair, full": func(l *loss) (int64, int64, []string) {
			return l.dispatched(fair.Config[int]{MaxEvents: 3, Overflow: fair.DropLongest}, receipt.QueueFull, false)
		},
		"fair, key full, oldest": func(l *loss) (int64, int64, []string) {
			return l.dispatched(fair.Config[int]{KeyMaxEvents: 2, KeyOverflow: fair.DropOldest}, receipt.KeyFull, false)
		},
		"fair, key full, newest": func(l *loss) (int64, int64, []string) {
			return l.dispatched(fair.Config[int]{KeyMaxEvents: 2, KeyOverflow: fair.DropNewest}, receipt.KeyFull, false)
		},
		"fair, conflated": func(l *loss) (int64, int64, []string) {
			return l.dispatched(fair.Config[int]{KeyOverflow: fair.Conflate, SubKey: func(int) string { return "" }}, receipt.Conflated, false)
		},
		"fair, expired": func(l *loss) (int64, int64, []string) {
			return l.dispatched(fair.Config[int]{TTLOf: func(v int) time.Duration { return time.Duration(v - 50) }}, receipt.Expired, false)
		},
		"fair, stopped": func(l *loss) (int64, int64, []string) {
			return l.dispatched(fair.Config[int]{}, receipt.Stopped, false)
		},
		"fair, past the drain's deadline": func(l *loss) (int64, int64, []string) {
			return l.dispatched(fair.Config[int]{}, receipt.Stopped, true)
		},
		"fair, parked in a drain": func(l *loss) (int64, int64, []string) {
			d := stage.Must(fair.New(func(v int) int { return v % 2 }, fair.Config[int]{}))
			s := l.source(counting(20), d, stage.ProducerConfig[int]{})
			c := l.sink(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }))
			s.Do(func() { d.Park(1) })
			stage.Must(c.Subscribe(s, one))
			l.run(time.Second, true, stage.PipelineConfig{}, s, c)
			return l.discarded(s, receipt.Parked)
		},
		"buffer, newest kept": func(l *loss) (int64, int64, []string) { return l.buffered(stage.KeepLast) },
		"buffer, oldest kept": func(l *loss) (int64, int64, []string) { return l.buffered(stage.KeepFirst) },
		"partition of none": func(l *loss) (int64, int64, []string) {
			d := stage.Must(dispatcher.NewPartition(1, func(v int) (int, bool) { return 0, v%2 == 0 }, dispatcher.PartitionConfig{}))
			return l.passed(d, stage.SubscribeConfig{Partition: 0}, "no_partition")
		},
		"selected by none": func(l *loss) (int64, int64, []string) {
			return l.passed(dispatcher.NewBroadcast[int](), stage.SubscribeConfig{Selector: func(v int) bool { return v%2 == 0 }}, "unselected")
		},
		"partition without a subscription in a drain": func(l *loss) (int64, int64, []string) {
			d := stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{}))
			return l.passed(d, stage.SubscribeConfig{Partition: 0}, receipt.Stopped)
		},
		"read from an iterator and not emitted": func(l *loss) (int64, int64, []string) {
			// The iterator yields its last event after the stop.
			q := stage.Must(producer.NewSeqFunc(func(ctx context.Context) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) {
					<-ctx.Done()
					yield(1, nil)
				}
			}, producer.SeqConfig[int]{}))
			s := l.source(q, nil, stage.ProducerConfig[int]{})
			c := l.sink(holder())
			stage.Must(c.Subscribe(s, one))
			l.run(time.Second, false, stage.PipelineConfig{}, s, c)
			return l.discarded(s, receipt.Stopped)
		},
		"received from a channel, with a consumer": func(l *loss) (int64, int64, []string) {
			ch := make(chan int, 5)
			for v := range 5 {
				ch <- v
			}
			s := l.source(stage.Must(producer.NewChan(ch, producer.ChanConfig[int]{})), nil, stage.ProducerConfig[int]{})
			return l.abandoned(s, l.sink(holder()))
		},
		"queue, oldest dropped": func(l *loss) (int64, int64, []string) {
			return l.queued(producer.QueueConfig[int]{Capacity: 2, Overflow: producer.DropOldest}, receipt.QueueFull)
		},
		"queue, newest dropped": func(l *loss) (int64, int64, []string) {
			return l.queued(producer.QueueConfig[int]{Capacity: 2, Overflow: producer.DropNewest}, receipt.QueueFull)
		},
		"queue, stopped": func(l *loss) (int64, int64, []string) {
			return l.queued(producer.QueueConfig[int]{}, receipt.Stopped)
		},
		"queue, refused": func(l *loss) (int64, int64, []string) {
			q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 2, Metrics: l.metrics, Logger: l.log}))
			for v := range 5 {
				_ = q.TryPush(v)
			}
			l.run(time.Second, false, stage.PipelineConfig{}, l.source(q, nil, stage.ProducerConfig[int]{}))
			if n := numbers(l.lines("pushes refused", "reason=full")); n != 3 {
				l.t.Errorf("%d refused pushes are in the log", n)
			}
			return q.Snapshot().Refused.Full, l.metrics.Count("queue.refused", reasonOf("full")), l.lines("pushes refused", "reason=full")
		},
		"pool, stopped": func(l *loss) (int64, int64, []string) {
			pool := stage.Must(consumer.NewSupervisor(func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }, consumer.SupervisorConfig[int]{}))
			return l.abandoned(l.source(counting(5), nil, stage.ProducerConfig[int]{}), l.sink(pool))
		},
		"batch, stopped": func(l *loss) (int64, int64, []string) {
			// Its last batch is tried if its source has ended first.
			batch := stage.Must(consumer.NewBatch(func(ctx context.Context, _ []int) error { <-ctx.Done(); return ctx.Err() }, consumer.BatchConfig[int]{Timeout: time.Hour}))
			return l.abandoned(l.source(counting(5), nil, stage.ProducerConfig[int]{}), l.sink(batch))
		},
		"batch, failed": func(l *loss) (int64, int64, []string) {
			batch := stage.Must(consumer.NewBatch(func(context.Context, []int) error { return errors.New("no") }, consumer.BatchConfig[int]{Metrics: l.metrics, Logger: l.log}))
			return l.failed(batch, func(x any) int64 { return x.(consumer.BatchSnapshot).Failed })
		},
		"pool, failed": func(l *loss) (int64, int64, []string) {
			pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { return errors.New("no") },
				consumer.SupervisorConfig[int]{Restart: consumer.Temporary, Metrics: l.metrics, Logger: l.log}))
			return l.failed(pool, func(x any) int64 { return x.(consumer.SupervisorSnapshot).Failed })
		},
		"dropped by a consumer on purpose": func(l *loss) (int64, int64, []string) {
			pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error { return stage.Discard("unwanted") }, consumer.SupervisorConfig[int]{}))
			s := l.source(counting(5), stage.Must(fair.New(func(v int) int { return v }, fair.Config[int]{})), stage.ProducerConfig[int]{})
			c := l.sink(pool)
			stage.Must(c.Subscribe(s, stage.SubscribeConfig{}))
			l.run(time.Second, true, stage.PipelineConfig{}, s, c)
			return l.discarded(s, "unwanted")
		},
		"delivery, nobody there": func(l *loss) (int64, int64, []string) {
			return l.undelivered(delivery.Config[int]{DiscardAbsent: true}, true, delivery.NoSubscriber)
		},
		"delivery, grace over": func(l *loss) (int64, int64, []string) {
			return l.undelivered(delivery.Config[int]{}, true, delivery.NoSubscriber)
		},
		"delivery, too late": func(l *loss) (int64, int64, []string) {
			return l.undelivered(delivery.Config[int]{Timeout: time.Second}, true, receipt.Expired)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &loss{t: t, metrics: metricstest.New()}
				l.log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
				counted, recorded, logged := way(l)
				if counted == 0 || recorded != counted {
					t.Errorf("%d are counted and %d recorded", counted, recorded)
				}
				if len(logged) == 0 {
					t.Errorf("nothing is logged but:\n%s", &l.buf)
				}
			})
		})
	}
}

// numbers adds up what lines stand for.
func numbers(lines []string) (sum int) {
	for _, line := range lines {
		for _, word := range strings.Fields(line) {
			var n int
			if _, err := fmt.Sscanf(word, "count=%d", &n); err == nil {
				sum += n
			}
		}
	}
	return sum
}

// discarded returns what there is of a reason at a stage.
func (l *loss) discarded(s stage.Stage, reason receipt.Reason) (counted, recorded int64, logged []string) {
	counted, recorded = l.discardedBy(s, reason)
	return counted, recorded, l.lines("events discarded", "stage="+s.Name(), "reason="+string(reason))
}

// dispatched sends 100 events of a key through fair to a consumer that never ends.
func (l *loss) dispatched(cfg fair.Config[int], reason receipt.Reason, drain bool) (counted, recorded int64, logged []string) {
	d := stage.Must(fair.New(func(int) int { return 0 }, cfg))
	s := l.source(counting(100), d, stage.ProducerConfig[int]{})
	c := l.sink(stage.ConsumerFunc[int](func(ctx context.Context, _ []int) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Hour):
		}
		return nil
	}))
	if reason == receipt.Expired {
		c = l.sink(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }))
	}
	stage.Must(c.Subscribe(s, one))
	l.run(time.Minute, drain, stage.PipelineConfig{DrainTimeout: time.Second}, s, c)
	return l.discarded(s, reason)
}

// buffered overflows the buffer of a stage.
func (l *loss) buffered(keep stage.Keep) (counted, recorded int64, logged []string) {
	s := l.source(counting(100), nil, stage.ProducerConfig[int]{BufferSize: 10, Keep: keep})
	c := l.sink(holder())
	stage.Must(c.Subscribe(s, one))
	l.run(time.Second, false, stage.PipelineConfig{}, s, c)
	return l.discarded(s, receipt.BufferFull)
}

// passed sends 20 events through a dispatcher to a consumer that takes them at once.
func (l *loss) passed(d dispatcher.Dispatcher[int], cfg stage.SubscribeConfig, reason receipt.Reason) (counted, recorded int64, logged []string) {
	s := l.source(counting(20), d, stage.ProducerConfig[int]{})
	c := l.sink(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }))
	stage.Must(c.Subscribe(s, cfg))
	l.run(time.Second, true, stage.PipelineConfig{}, s, c)
	return l.discarded(s, reason)
}

// queued pushes 5 events to a queue whose stage has no consumer, and stops it.
func (l *loss) queued(cfg producer.QueueConfig[int], reason receipt.Reason) (counted, recorded int64, logged []string) {
	cfg.Metrics, cfg.Logger = l.metrics, l.log
	q := stage.Must(producer.NewQueue(cfg))
	for v := range 5 {
		if err := q.TryPush(v); err != nil {
			l.t.Fatal(err)
		}
	}
	before := q.Snapshot().Discarded // by the policy, not by the stop
	l.run(time.Second, false, stage.PipelineConfig{}, l.source(q, nil, stage.ProducerConfig[int]{}))
	counted = before
	if reason == receipt.Stopped {
		counted = q.Snapshot().Discarded - before
	}
	logged = l.lines("events dropped from the queue", "reason="+string(reason))
	if n := numbers(logged); int64(n) != counted {
		l.t.Errorf("%d of %d are in the log", n, counted)
	}
	return counted, l.metrics.Count("queue.discarded", reasonOf(string(reason))), logged
}

// abandoned stops a pipeline whose consumer holds events. Who counts them depends on which
// stage has ended first.
func (l *loss) abandoned(s *stage.ProducerStage[int], c *stage.ConsumerStage[int]) (counted, recorded int64, logged []string) {
	stage.Must(c.Subscribe(s, stage.SubscribeConfig{MaxDemand: 10, MinDemand: 9}))
	l.run(time.Second, false, stage.PipelineConfig{}, s, c)
	for _, x := range []stage.Stage{s, c} {
		snap, err := x.Snapshot(context.Background())
		if err != nil {
			l.t.Fatal(err)
		}
		counted += snap.Abandoned + snap.Unhandled
	}
	if counted != 5 {
		l.t.Errorf("%d of 5 are counted", counted)
	}
	return counted, l.metrics.Total("stage.abandoned"), append(l.lines("events abandoned"), l.lines("events were not handled")...)
}

// failed passes 5 events to a consumer that fails them.
func (l *loss) failed(h stage.Consumer[int], of func(any) int64) (counted, recorded int64, logged []string) {
	s, c := l.source(counting(5), nil, stage.ProducerConfig[int]{}), l.sink(h)
	stage.Must(c.Subscribe(s, stage.SubscribeConfig{}))
	l.run(time.Minute, true, stage.PipelineConfig{}, s, c)
	snap, err := c.Snapshot(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return of(snap.Handler), l.metrics.Count("consumer.failures"), l.lines("failed", "again=false")
}

// undelivered passes 5 events to users who are not there.
func (l *loss) undelivered(cfg delivery.Config[int], drain bool, reason receipt.Reason) (counted, recorded int64, logged []string) {
	endpoint := stage.Must(websocket.NewEndpoint(websocket.EndpointConfig{}))
	cfg.Topic, cfg.Event = func(int) string { return "user:1" }, "push"
	cfg.Payload = func(v int) (any, error) { return map[string]int{"n": v}, nil }
	cfg.Metrics, cfg.Logger = l.metrics, l.log
	d := stage.Must(delivery.New(endpoint, cfg))
	s, c := l.source(counting(5), nil, stage.ProducerConfig[int]{}), l.sink(d)
	stage.Must(c.Subscribe(s, stage.SubscribeConfig{}))
	l.run(time.Minute, drain, stage.PipelineConfig{}, s, c)
	if err := endpoint.Close(context.Background()); err != nil {
		l.t.Error(err)
	}
	logged = l.lines("events discarded", "reason="+string(reason))
	sum := 0
	for _, line := range logged {
		var n int
		if _, after, ok := strings.Cut(line, "events="); ok {
			_, _ = fmt.Sscan(after, &n)
			sum += n
		}
	}
	if sum != 5 {
		l.t.Errorf("%d of 5 are in the log: %q", sum, logged)
	}
	return d.Snapshot().Discarded[reason], l.metrics.Count("delivery.discarded", reasonOf(string(reason))), logged
}
