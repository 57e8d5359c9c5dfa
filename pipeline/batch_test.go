package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

type batchConfig = pipeline.BatchConfig[int]

// batchLog notes batches with the time since it was made.
type batchLog struct {
	begun time.Time
	mu    sync.Mutex
	list  []string
	sizes []int
	at    []time.Duration
}

func newBatchLog() *batchLog { return &batchLog{begun: time.Now()} }

// add is the function of an end of batches.
func (l *batchLog) add(_ context.Context, events []int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, fmt.Sprint(events))
	l.sizes = append(l.sizes, len(events))
	l.at = append(l.at, time.Since(l.begun))
	return nil
}

// text returns the batches in their order, such as "[1 2] [3]".
func (l *batchLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.list, " ")
}

// times returns the batches with their times, such as "1s [1 2] 2s [3]".
func (l *batchLog) times() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for i := range l.list {
		list = append(list, l.at[i].String(), l.list[i])
	}
	return strings.Join(list, " ")
}

type batchesConfig = pipeline.StepConfig[[]int]

// gathered runs a pipeline of a source, Batch and an end, and returns the batches.
func gathered(t *testing.T, source stage.Producer[int], cfg batchConfig) *batchLog {
	t.Helper()
	p := pipeline.New(pipeline.Config{Logger: quiet})
	l := newBatchLog()
	pipeline.Each(pipeline.Batch(pipeline.From(p, source, sourceConfig{}), cfg), l.add, batchesConfig{})
	if err := p.Run(t.Context()); err != nil {
		t.Error(err)
	}
	return l
}

func modulo(n int) func(int) string { return func(v int) string { return strconv.Itoa(v % n) } }

func TestBatchGathers(t *testing.T) {
	for name, tc := range map[string]struct {
		n    int
		cfg  batchConfig
		want string
	}{
		"size":              {8, batchConfig{Size: 4}, "[0 1 2 3] [4 5 6 7]"},
		"the rest":          {5, batchConfig{Size: 4, Timeout: pipeline.NoTimeout}, "[0 1 2 3] [4]"},
		"defaults":          {3, batchConfig{}, "[0 1 2]"},
		"bytes":             {6, batchConfig{Bytes: 5, SizeOf: func(v int) int { return v }}, "[0 1 2] [3] [4] [5]"},
		"cut":               {6, batchConfig{Cut: func(events []int) bool { return events[len(events)-1]%3 == 2 }}, "[0 1 2] [3 4 5]"},
		"keys":              {8, batchConfig{Size: 2, Key: modulo(2)}, "[0 2] [1 3] [4 6] [5 7]"},
		"most keys":         {6, batchConfig{Key: strconv.Itoa, MaxKeys: 3}, "[0] [1] [2] [3] [4] [5]"},
		"window below size": {7, batchConfig{Size: 100, Window: 3, Timeout: pipeline.NoTimeout}, "[0 1 2] [3 4 5] [6]"},
		"window of one":     {3, batchConfig{Size: 100, Window: 1, Timeout: pipeline.NoTimeout}, "[0] [1] [2]"},
		"window with keys":  {6, batchConfig{Size: 100, Window: 4, Key: modulo(3), Timeout: pipeline.NoTimeout}, "[0 3] [1 4] [2 5]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := gathered(t, numbers(tc.n), tc.cfg)
				if l.text() != tc.want {
					t.Errorf("%s, want %s", l.text(), tc.want)
				}
				if took := time.Since(l.begun); took > 0 {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// timed is a queue into which numbers are pushed, each after the pause before it.
func timed(t *testing.T, pauses ...time.Duration) *producer.Queue[int] {
	q := stage.Must(producer.NewQueue[int](producer.QueueConfig[int]{Logger: quiet}))
	go func() {
		for i, pause := range pauses {
			time.Sleep(pause)
			if err := q.Push(t.Context(), i); err != nil {
				t.Error(err)
			}
		}
		q.Drain()
	}()
	return q
}

// The age of a batch counts from its first event: events that keep coming do not put it
// off.
func TestBatchAgeCountsFromTheFirstEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := 400 * time.Millisecond
		l := gathered(t, timed(t, 0, pause, pause, pause, pause, 5*time.Second, 0), batchConfig{})
		if want := "1s [0 1 2] 2.2s [3 4] 6.6s [5 6]"; l.times() != want {
			t.Errorf("%s, want %s", l.times(), want)
		}
	})
}

func TestBatchAgeOfEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := 300 * time.Millisecond
		l := gathered(t, timed(t, 0, pause, pause, pause, 2*time.Second), batchConfig{Key: modulo(2)})
		if want := "1s [0 2] 1.3s [1 3] 2.9s [4]"; l.times() != want {
			t.Errorf("%s, want %s", l.times(), want)
		}
	})
}

// bounded is a queue that has at most n unfinished events of a key, into which numbers are
// pushed as fast as it takes them.
func bounded(t *testing.T, n, count int, key func(int) string) *producer.Queue[int] {
	q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Key: key, KeyMaxEvents: n, Logger: quiet}))
	go func() {
		for i := range count {
			if err := q.Push(t.Context(), i); err != nil {
				t.Error(err)
			}
		}
		q.Drain()
	}()
	return q
}

// A source that has only so many unfinished events gets its receipts at once, although the
// batch is not full and never will be: no batch waits for its age.
func TestBatchDoesNotWaitForASourceThatWaits(t *testing.T) {
	all := func(int) string { return "all" }
	for name, tc := range map[string]struct {
		source func(t *testing.T) stage.Producer[int]
		cfg    batchConfig
		steps  func(in *pipeline.Flow[int]) *pipeline.Flow[int]
		most   int // batches
	}{
		"bound of a key": {source: func(t *testing.T) stage.Producer[int] { return bounded(t, 10, 100, all) }, most: 40},
		"bound of each key": {
			source: func(t *testing.T) stage.Producer[int] { return bounded(t, 5, 100, modulo(2)) },
			cfg:    batchConfig{Key: modulo(2)}, most: 40,
		},
		"behind other steps": {
			source: func(t *testing.T) stage.Producer[int] { return bounded(t, 10, 100, all) },
			steps: func(in *pipeline.Flow[int]) *pipeline.Flow[int] {
				return pipeline.Filter(pipeline.Map(in, same, stepConfig{}), func(_ context.Context, v int) (bool, error) { return v%5 > 0, nil }, stepConfig{})
			}, most: 30,
		},
		"behind another batch": {
			source: func(t *testing.T) stage.Producer[int] { return bounded(t, 10, 100, all) },
			steps: func(in *pipeline.Flow[int]) *pipeline.Flow[int] {
				return pipeline.FlatMap(pipeline.Batch(in, batchConfig{Timeout: pipeline.NoTimeout}), func(_ context.Context, events []int, emit func(int)) error {
					for _, v := range events {
						emit(v)
					}
					return nil
				}, batchesConfig{})
			}, most: 30,
		},
		"one at a time": {source: func(t *testing.T) stage.Producer[int] { return bounded(t, 1, 20, all) }, most: 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet})
				l := newBatchLog()
				in := pipeline.From(p, tc.source(t), sourceConfig{})
				if tc.steps != nil {
					in = tc.steps(in)
				}
				tc.cfg.Timeout = time.Hour
				pipeline.Each(pipeline.Batch(in, tc.cfg), l.add, batchesConfig{})
				if err := p.Run(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(l.begun); took > 0 || len(l.list) > tc.most {
					t.Errorf("%d batches, in %v: %s", len(l.list), took, l.times())
				}
			})
		})
	}
}

// Behind fair.Dispatcher, which has one event of a key under way, a batch has one event of
// each key, at once.
func TestBatchBehindFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := stage.Must(stage.NewProducer(numbers(40), stage.ProducerConfig[int]{
			Dispatcher: stage.Must(fair.New(modulo(4), fair.Config[int]{})), Logger: quiet,
		}))
		l := newBatchLog()
		batches := stage.Must(stage.NewProducerConsumer(pipeline.BatchHandler(batchConfig{Timeout: time.Hour}), stage.ProducerConsumerConfig[[]int]{Logger: quiet}))
		sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[[]int](func(ctx context.Context, list [][]int) error {
			for _, events := range list {
				l.add(ctx, events)
			}
			return nil
		}), stage.ConsumerConfig{Logger: quiet}))
		stage.Must(batches.Subscribe(source, stage.SubscribeConfig{}))
		stage.Must(sink.Subscribe(batches, stage.SubscribeConfig{}))
		if err := stage.Run(t.Context(), source, batches, sink); err != nil {
			t.Error(err)
		}
		if took := time.Since(l.begun); took > 0 || len(l.list) > 12 {
			t.Errorf("%d batches in %v: %s", len(l.list), took, l.times())
		}
	})
}

// failing is an event for which a function of a test panics.
const failing = 3

func TestBatchFunctionsThatPanic(t *testing.T) {
	bad := func(v int) int {
		if v == failing {
			panic("oops")
		}
		return v
	}
	for name, cfg := range map[string]batchConfig{
		"Key":    {Key: func(v int) string { return strconv.Itoa(bad(v) * 0) }},
		"SizeOf": {SizeOf: bad, Bytes: 100},
		"Cut":    {Cut: func(events []int) bool { return bad(events[len(events)-1]) < 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got, want := gathered(t, numbers(7), cfg).text(), "[0 1 2 4 5 6]"; got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		})
	}
}

// The events of a batch are finished with it, and not before.
func TestBatchReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		q := stage.Must(producer.NewQueue[int](producer.QueueConfig[int]{Key: modulo(1), KeyMaxEvents: 4, Logger: quiet}))
		p := pipeline.New(pipeline.Config{Logger: quiet})
		release := make(chan struct{})
		pipeline.Each(pipeline.Batch(pipeline.From(p, q, sourceConfig{}), batchConfig{Size: 4, Timeout: time.Hour}), func(ctx context.Context, events []int) error {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil
		}, batchesConfig{})
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		for i := range 4 {
			if err := q.Push(ctx, i); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := q.TryPush(5); !errors.Is(err, producer.ErrKeyFull) {
			t.Errorf("%v: the events of a batch that is worked on are finished", err)
		}
		release <- struct{}{}
		synctest.Wait()
		if err := q.TryPush(6); err != nil {
			t.Errorf("%v: the events of a batch that was worked on are not finished", err)
		}
		close(release)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := q.Snapshot().Unfinished; n != 0 {
			t.Errorf("%d events are unfinished", n)
		}
	})
}

// A step that takes no more bounds what is gathered before it.
func TestBatchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var taken atomic.Int64
		source := stage.Must(producer.NewSeq(func(yield func(int) bool) {
			for i := 0; i < 1_000_000 && yield(i); i++ {
				taken.Add(1)
			}
		}, producer.SeqConfig[int]{}))
		p := pipeline.New(pipeline.Config{Logger: quiet})
		batches := pipeline.Batch(pipeline.From(p, source, sourceConfig{}), batchConfig{Key: strconv.Itoa, Window: 1000, Timeout: time.Millisecond})
		pipeline.To(batches, func() (stage.Consumer[[]int], error) {
			return stage.ConsumerFunc[[]int](func(ctx context.Context, _ [][]int) error {
				<-ctx.Done()
				return nil
			}), nil
		}, pipeline.StageConfig{MaxDemand: 10})
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		if n := taken.Load(); n < 1000 || n > 4000 {
			t.Errorf("%d events were taken", n)
		}
		cancel()
		<-done
	})
}

func TestBatchRefusesOptions(t *testing.T) {
	for want, cfg := range map[string]batchConfig{
		"Size":    {Size: -1},
		"Bytes":   {Bytes: -1},
		"SizeOf":  {Bytes: 1},
		"Timeout": {Timeout: -1},
		"MaxKeys": {MaxKeys: 5},
		"Window":  {Window: -5},
		"Workers": {Workers: 2},
		"Split":   {Split: true},
		"Rate":    {Rate: pipeline.Rate{PerSecond: 5}},
		"Use":     {Use: []pipeline.Middleware[[]int]{nil}},
	} {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		pipeline.Batch(pipeline.From(p, numbers(1), sourceConfig{}), cfg)
		var refused *pipeline.OptionError
		if err := p.Err(); !errors.As(err, &refused) || refused.Option != want || refused.Owner != `pipeline step "batch-2"` {
			t.Errorf("%s: %v", want, err)
		}
	}
}
