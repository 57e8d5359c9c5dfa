package stage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	sources "github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// lines is a log whose lines a test reads while stages write.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// with returns the lines that contain all of the words.
func (l *lines) with(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// tally notes which events were handled, and in which order for each key.
type tally struct {
	mu   sync.Mutex
	keys int
	seen map[int][]int
	n    int
}

func (l *tally) handle(events []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range events {
		l.seen[v%l.keys] = append(l.seen[v%l.keys], v)
		l.n++
	}
}

// lossless is a pipeline with the defaults: 5,000 events of a number of users, a
// consumer that takes a millisecond for each.
func lossless(t *testing.T, keys int, source func(events []int, d dispatcher.Dispatcher[int], log *slog.Logger) []stage.Stage, cfg fair.Config[int]) {
	t.Helper()
	const n = 5000
	var log lines
	got := &tally{keys: keys, seen: map[int][]int{}}
	users := stage.Must(fair.New(func(v int) int { return v % keys }, cfg))
	stages := source(upTo(0, n), users, log.logger())
	c := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		time.Sleep(time.Duration(len(events)) * time.Millisecond)
		got.handle(events)
		return nil
	}), stage.ConsumerConfig{Name: "C", Logger: log.logger()}))
	last := stages[len(stages)-1].(stage.Output[int])
	stage.Must(c.Subscribe(last, stage.SubscribeConfig{}))
	if err := stage.Run(t.Context(), append(stages, c)...); err != nil {
		t.Fatal(err)
	}
	equal(t, "handled", got.n, n)
	for key, events := range got.seen {
		if !slices.IsSorted(events) || len(slices.Compact(events)) != len(events) {
			t.Fatalf("events of user %d: %v", key, events)
		}
	}
	for _, s := range stages {
		snapshot := snap(t, s)
		if len(snapshot.Discarded) > 0 || snapshot.Abandoned > 0 {
			t.Errorf("%s: discarded %v, abandoned %d", s.Name(), snapshot.Discarded, snapshot.Abandoned)
		}
	}
	if lost := log.with("discarded"); len(lost) > 0 {
		t.Errorf("log: %v", lost)
	}
}

// With the defaults no event is lost behind fair.Dispatcher, whatever the source and
// however its events come: the bounds pause the source.
func TestNothingIsLostByDefault(t *testing.T) {
	kinds := map[string]func(events []int, d dispatcher.Dispatcher[int], log *slog.Logger) []stage.Stage{
		"queue": func(events []int, d dispatcher.Dispatcher[int], log *slog.Logger) []stage.Stage {
			q := stage.Must(sources.NewQueue(sources.QueueConfig[int]{}))
			go func() {
				for _, v := range events {
					if err := q.Push(context.Background(), v); err != nil {
						panic(err)
					}
				}
				q.Drain()
			}()
			return []stage.Stage{stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{Dispatcher: d, Logger: log}))}
		},
		"seq": func(events []int, d dispatcher.Dispatcher[int], log *slog.Logger) []stage.Stage {
			s := stage.Must(sources.NewSeq(slices.Values(events), sources.SeqConfig[int]{}))
			return []stage.Stage{stage.Must(stage.NewProducer(s, stage.ProducerConfig[int]{Dispatcher: d, Logger: log}))}
		},
		"chan": func(events []int, d dispatcher.Dispatcher[int], log *slog.Logger) []stage.Stage {
			ch := make(chan int)
			go func() {
				for _, v := range events {
					ch <- v
				}
				close(ch)
			}()
			s := stage.Must(sources.NewChan(ch, sources.ChanConfig[int]{}))
			return []stage.Stage{stage.Must(stage.NewProducer(s, stage.ProducerConfig[int]{Dispatcher: d, Logger: log}))}
		},
		// All at once, without demand.
		"burst": func(events []int, d dispatcher.Dispatcher[int], log *slog.Logger) []stage.Stage {
			src := &source{}
			src.onDemand = func(int) error {
				src.emit.EmitAll(events)
				return stage.ErrDone
			}
			return []stage.Stage{producer(src, stage.ProducerConfig[int]{Dispatcher: d, Logger: log})}
		},
		// A stage before the dispatcher that makes many events of one.
		"producer-consumer": func(events []int, d dispatcher.Dispatcher[int], log *slog.Logger) []stage.Stage {
			s := stage.Must(sources.NewSeq(slices.Values(upTo(0, len(events)/100)), sources.SeqConfig[int]{}))
			first := stage.Must(stage.NewProducer(s, stage.ProducerConfig[int]{Logger: log}))
			pc := stage.Must(stage.NewProducerConsumer(stage.ProducerConsumerFunc[int, int](func(_ context.Context, in []int, emit *stage.Emitter[int]) error {
				for _, v := range in {
					emit.EmitAll(events[v*100 : v*100+100])
				}
				return nil
			}), stage.ProducerConfig[int]{Dispatcher: d, Logger: log}))
			stage.Must(pc.Subscribe(first, stage.SubscribeConfig{}))
			return []stage.Stage{first, pc}
		},
	}
	for name, source := range kinds {
		for _, keys := range []int{1, 7, 5000} {
			for what, cfg := range map[string]fair.Config[int]{
				"defaults":       {},
				"small":          {MaxEvents: 10},
				"small in bytes": {MaxBytes: 100},
				"key":            {KeyMaxEvents: 3},
				"measured":       {MaxEvents: 10, MeasuredCost: true},
			} {
				t.Run(fmt.Sprintf("%s/%d users/%s", name, keys, what), func(t *testing.T) {
					bubble(t, func(t *testing.T) { lossless(t, keys, source, cfg) })
				})
			}
		}
	}
}

// Events of parked keys fill the dispatcher; they and the others wait for Unpark.
func TestParkedKeysLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		q := stage.Must(sources.NewQueue(sources.QueueConfig[int]{Capacity: 10}))
		users := stage.Must(fair.New(func(v int) int { return v % 10 }, fair.Config[int]{MaxEvents: 50}))
		p := stage.Must(stage.NewProducer(q, stage.ProducerConfig[int]{Name: "P", Dispatcher: users, Logger: log.logger()}))
		c := newSink()
		start(t, p)
		p.Do(func() { users.Park(3); users.Park(4) })
		join(t, p, c, stage.SubscribeConfig{MaxDemand: 5})
		go func() {
			for v := range 1000 {
				_ = q.Push(context.Background(), v)
			}
			q.Drain()
		}()
		synctest.Wait()
		lives(t, p)
		p.Do(func() { users.Unpark(3); users.Unpark(4) })
		synctest.Wait()
		died(t, p, nil)
		got := c.events()
		slices.Sort(got)
		equal(t, "events", got, upTo(0, 1000))
		equal(t, "log", log.with("discarded"), []string(nil))
	})
}

// Events that come back from a consumer that has died are kept beyond the bounds.
func TestRedeliveredEventsAreKeptBeyondTheBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{counting: true, limit: 500}
		users := stage.Must(fair.New(func(v int) int { return v % 100 }, fair.Config[int]{MaxEvents: 10}))
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: users, Logger: log.logger()})
		got := &tally{keys: 100, seen: map[int][]int{}}
		var stages []stage.Stage
		for i := range 3 {
			handled := 0
			c := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
				if handled += len(events); i < 2 && handled > 60 {
					return errors.New("dies")
				}
				time.Sleep(time.Millisecond)
				got.handle(events)
				return nil
			}), stage.ConsumerConfig{Name: fmt.Sprint("C", i), Logger: log.logger()}))
			stage.Must(c.Subscribe(p, stage.SubscribeConfig{MaxDemand: 40, Redeliver: true}))
			stages = append(stages, c)
		}
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{KeepRunning: true}, append(stages, p)...))
		if err := line.Run(t.Context()); err == nil {
			t.Fatal("no consumer has died")
		}
		equal(t, "handled", got.n, 500)
		for key, events := range got.seen {
			equal(t, fmt.Sprint("events of user ", key), len(slices.Compact(slices.Sorted(slices.Values(events)))), 5)
		}
		equal(t, "discarded", len(snap(t, p).Discarded), 0)
		equal(t, "log", log.with("discarded"), []string(nil))
	})
}

// Conflation leaves the latest event of each thing, and counts the older ones under a
// reason of their own; they are no loss, and the log does not warn of them.
func TestConflatedIsNoLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{counting: true, limit: 1000}
		users := stage.Must(fair.New(func(v int) int { return v % 2 }, fair.Config[int]{
			KeyOverflow: fair.Conflate, SubKey: func(v int) string { return fmt.Sprint(v % 10) },
			Merge: func(_, newer int) int { return newer },
		}))
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: users, Logger: log.logger()})
		c := pausing(1)
		start(t, p)
		join(t, p, c, stage.SubscribeConfig{MaxDemand: 1})
		synctest.Wait()
		close(c.gate)
		synctest.Wait()
		last := map[int]int{}
		for _, v := range c.events() {
			last[v%10] = v
		}
		for thing, v := range last {
			equal(t, fmt.Sprint("last of ", thing), v, 990+thing)
		}
		s := snap(t, p)
		equal(t, "conflated", int(s.Discarded[receipt.Conflated]), 1000-len(c.events()))
		equal(t, "reasons", len(s.Discarded), 1)
		equal(t, "warnings", log.with("level=WARN", "discarded"), []string(nil))
		if len(log.with("level=DEBUG", "reason=conflated")) == 0 {
			t.Error("not in the log")
		}
	})
}

// A bound in bytes pauses the source too: it is not asked for a hundred thousand large
// events, which would wait in the stage's buffer.
func TestBytesPauseTheSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{counting: true, limit: 1000}
		users := stage.Must(fair.New(func(v int) int { return v % 100 }, fair.Config[int]{
			MaxBytes: 1 << 20, Size: func(int) int { return 100 << 10 },
		}))
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: users, Logger: log.logger()})
		start(t, p)
		synctest.Wait()
		if n := snap(t, p).Buffered; n < 10 || n > 16 {
			t.Errorf("%d events of 100 KiB wait, with a bound of 1 MiB", n)
		}
		c := newSink()
		join(t, p, c, four)
		synctest.Wait()
		equal(t, "events", len(c.events()), 1000)
		equal(t, "log", log.with("discarded"), []string(nil))
	})
}
