package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// The tests of this file hold, on Apache Kafka, what ends pipelines, loses records or stalls
// when defaults are wrong: a bad record, a backlog behind a fair dispatcher, a batch that is
// larger than the window.

// build runs a pipeline whose source is a member of the group, until stop is called.
func (w *world) build(cfg Config[string], steps func(*pipeline.Flow[string])) (stop func()) {
	w.t.Helper()
	p := pipeline.New(pipeline.Config{Retry: retry.Policy{MaxAttempts: 3, Backoff: 10 * time.Millisecond}})
	steps(pipeline.From(p, stage.Must(NewProducer(cfg)), pipeline.SourceConfig[string]{Name: "source"}))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	return func() {
		w.t.Helper()
		p.Drain()
		if err := <-ended; err != nil {
			w.t.Errorf("the pipeline ended with %v", err)
		}
	}
}

var errBad = errors.New("a bad record")

// badRecord is the one that cannot be handled.
const badRecord = "0/700"

// TestRealOneBadRecord: one record in the middle of 2,000 always fails. All others are
// handled, the group is committed to the end, and the bad one is a dead letter where there is
// a sink.
func TestRealOneBadRecord(t *testing.T) {
	handle := func(w *world) func(context.Context, string) error {
		return func(_ context.Context, e string) error {
			if e == badRecord {
				return errBad
			}
			w.done(e, e)
			return nil
		}
	}
	handleAll := func(w *world) func(context.Context, []string) error {
		return func(_ context.Context, events []string) error {
			var failed consumer.EventErrors
			for i, e := range events {
				if e != badRecord {
					w.done(e, e)
					continue
				}
				if failed == nil {
					failed = consumer.EventErrors{}
				}
				failed[i] = errBad
			}
			if failed != nil {
				return failed
			}
			return nil
		}
	}
	letters := func(*testing.T) *deadletter.Memory {
		return stage.Must(deadletter.NewMemory(deadletter.MemoryConfig{}))
	}
	run := func(name string, start func(*testing.T, *world) (stop func(), letters int, sink *deadletter.Memory)) {
		t.Run(name, func(t *testing.T) {
			w := realWorld(t, 1)
			w.produce(2000, 0)
			w.finish(badRecord) // it may be committed
			stop, want, sink := start(t, w)
			w.wait("the good ones", func() bool { return len(w.handled) == 1999 })
			w.wait("the last commit", func() bool { return w.commits["0"] == 2000 })
			stop()
			w.mu.Lock()
			w.handled[badRecord] = 1
			w.mu.Unlock()
			if repeated := w.check(); repeated != 0 {
				t.Errorf("%d were handled twice", repeated)
			}
			if sink != nil && len(sink.Letters()) != want {
				t.Errorf("%d letters, want %d", len(sink.Letters()), want)
			}
		})
	}
	run("Each", func(t *testing.T, w *world) (func(), int, *deadletter.Memory) {
		sink := letters(t)
		return w.build(w.config(), func(f *pipeline.Flow[string]) {
			pipeline.Each(f, handle(w), pipeline.StepConfig[string]{Workers: 8, DeadLetters: sink})
		}), 1, sink
	})
	run("EachBatch", func(t *testing.T, w *world) (func(), int, *deadletter.Memory) {
		sink := letters(t)
		return w.build(w.config(), func(f *pipeline.Flow[string]) {
			pipeline.EachBatch(f, handleAll(w), pipeline.BatchConfig[string]{Size: 500, Timeout: 100 * time.Millisecond, DeadLetters: sink})
		}), 1, sink
	})
	run("Supervisor, defaults", func(_ *testing.T, w *world) (func(), int, *deadletter.Memory) {
		pool := stage.Must(consumer.NewSupervisor(handle(w), consumer.SupervisorConfig[string]{}))
		return w.join(w.config(), pool, stage.SubscribeConfig{}).leave, 0, nil
	})
	run("Batch, defaults", func(_ *testing.T, w *world) (func(), int, *deadletter.Memory) {
		batch := stage.Must(consumer.NewBatch(handleAll(w), consumer.BatchConfig[string]{Size: 500}))
		return w.join(w.config(), batch, stage.SubscribeConfig{}).leave, 0, nil
	})
}

// finish notes that nothing more is to come of a record.
func (w *world) finish(event string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished[event] = true
}

// TestRealFairKeepsABacklog: a fair dispatcher with its defaults in front of a pool loses
// nothing of a backlog that is larger than what it holds, and one that drops says so at the
// start.
func TestRealFairKeepsABacklog(t *testing.T) {
	key := func(e string) int64 { return offsetOf(e) % 1000 }
	pool := func(w *world) stage.Consumer[string] {
		return stage.Must(consumer.NewSupervisor(func(_ context.Context, e string) error {
			w.done(e, e)
			return nil
		}, consumer.SupervisorConfig[string]{MaxDemand: 64}))
	}
	start := func(w *world, cfg fair.Config[string], log *slog.Logger) *member {
		return w.joinWith(w.config(), func(m *member) []stage.Stage {
			source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{
				Name: "source", Dispatcher: dispatcher.Dispatcher[string](stage.Must(fair.New(key, cfg))), Logger: log,
			}))
			end := stage.Must(stage.NewConsumer(pool(w), stage.ConsumerConfig{}))
			subscribe(w.t, end, source, stage.SubscribeConfig{})
			return []stage.Stage{source, end}
		})
	}
	t.Run("default", func(t *testing.T) {
		w := realWorld(t, 4)
		n := 10_000
		if long {
			n = 50_000
		}
		w.produce(n, 0, 1, 2, 3)
		m := start(w, fair.Config[string]{MaxEvents: 20_000}, nil)
		w.waitAll()
		m.leave()
		if repeated := w.check(); repeated != 0 {
			t.Errorf("%d were handled twice", repeated)
		}
		if c := w.committed(); len(c) != 4 || c["0"] != int64(n) {
			t.Errorf("committed: %v", c)
		}
	})
	t.Run("a policy that drops is in the log", func(t *testing.T) {
		w := realWorld(t, 1)
		w.produce(10, 0)
		var log lines
		m := start(w, fair.Config[string]{Overflow: fair.DropLongest}, slog.New(slog.NewTextHandler(&log, nil)))
		w.waitAll()
		m.leave()
		if !strings.Contains(log.String(), "Overflow: DropLongest") {
			t.Errorf("log: %s", log.String())
		}
	})
}

// lines is a log that several goroutines write.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestRealBatchBeyondTheWindow: a batch without a timeout that is larger than the window is
// passed on when nothing more can come, by both kinds of batch, and behind a fair dispatcher
// with one user as well. It does not take a second for each event.
func TestRealBatchBeyondTheWindow(t *testing.T) {
	const window, records = 60, 500
	try := func(name string, start func(*world, Config[string]) (stop func())) {
		t.Run(name, func(t *testing.T) {
			w := realWorld(t, 1)
			w.produce(records, 0)
			cfg := w.config()
			cfg.Window, cfg.CommitInterval = window, 20*time.Millisecond
			clock := w.clock()
			begun := clock()
			stop := start(w, cfg)
			w.wait("what the windows hold", func() bool { return len(w.handled) > records-window })
			took := clock() - begun
			stop() // the rest waits in the batch, or is left for the next member
			if c := w.committed()["0"]; c != int64(len(w.handled)) {
				t.Errorf("%d handled, %d committed", len(w.handled), c)
			}
			for _, s := range w.wrong {
				t.Error(s)
			}
			t.Logf("%d records in batches of at most %d took %v", records, window, took.Round(time.Millisecond))
			if took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	write := func(w *world) func(context.Context, []string) error {
		return func(_ context.Context, events []string) error {
			w.done("batch", events...)
			return nil
		}
	}
	try("EachBatch", func(w *world, cfg Config[string]) func() {
		return w.build(cfg, func(f *pipeline.Flow[string]) {
			pipeline.EachBatch(f, write(w), pipeline.BatchConfig[string]{Size: 1000, Timeout: pipeline.NoTimeout})
		})
	})
	try("EachBatch behind Fair with one user", func(w *world, cfg Config[string]) func() {
		return w.build(cfg, func(f *pipeline.Flow[string]) {
			one := pipeline.Fair(f, func(string) int { return 1 }, fair.Config[string]{})
			pipeline.EachBatch(one, write(w), pipeline.BatchConfig[string]{Size: 1000, Timeout: pipeline.NoTimeout})
		})
	})
	try("Batch behind a transform", func(w *world, cfg Config[string]) func() {
		return w.joinWith(cfg, func(m *member) []stage.Stage {
			source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{Name: "source"}))
			middle := stage.Must(stage.NewProducerConsumer(stage.MapFunc[string, string](func(_ context.Context, e string) (string, error) {
				return fmt.Sprint(e), nil
			}), stage.ProducerConsumerConfig[string]{Name: "middle"}))
			end := stage.Must(stage.NewConsumer(stage.Must(consumer.NewBatch(write(w), consumer.BatchConfig[string]{Size: 1000, Timeout: time.Hour})), stage.ConsumerConfig{}))
			subscribe(w.t, middle, source, stage.SubscribeConfig{})
			subscribe(w.t, end, middle, stage.SubscribeConfig{})
			return []stage.Stage{source, middle, end}
		}).leave
	})
}
