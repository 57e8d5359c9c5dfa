package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// A batch does not wait for events that do not come before it has given receipts: those
// of keys that have one event in flight at a time, and those that a queue keeps out,
// also through a stage in between. Without that these runs take a Timeout for each
// batch, or do not end.
func TestBatchDoesNotWaitForItsOwnReceipts(t *testing.T) {
	const n = 100
	userOf := func(users int) func(int) int { return func(v int) int { return v % users } }
	byUser := func(users, inFlight int) func() dispatcher.Dispatcher[int] {
		return func() dispatcher.Dispatcher[int] {
			return stage.Must(fair.New(userOf(users), fair.Config[int]{UnorderedInFlight: inFlight}))
		}
	}
	for name, tc := range map[string]struct {
		queue      producer.QueueConfig[int]
		dispatcher func() dispatcher.Dispatcher[int]
		between    bool // a stage that maps
		calls      int  // at most
	}{
		"fair, one user":           {dispatcher: byUser(1, 1), calls: 100},
		"fair, ten users":          {dispatcher: byUser(10, 1), calls: 10},
		"fair, four in flight":     {dispatcher: byUser(1, 4), calls: 25},
		"fair, a stage in between": {dispatcher: byUser(10, 1), between: true, calls: 10},
		"queue, a full key":        {queue: producer.QueueConfig[int]{Key: func(int) string { return "k" }, KeyMaxEvents: 10}, calls: 10},
		"queue, bytes":             {queue: producer.QueueConfig[int]{Size: func(int) int { return 1 }, MaxBytes: 10}, calls: 10},
		"queue, bytes, in between": {queue: producer.QueueConfig[int]{Size: func(int) int { return 1 }, MaxBytes: 10}, between: true, calls: 10},
		"nothing is stalled":       {queue: producer.QueueConfig[int]{}, calls: 0},
	} {
		for _, timeout := range []time.Duration{time.Second, consumer.NoTimeout} {
			t.Run(fmt.Sprint(name, timeout == consumer.NoTimeout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q := stage.Must(producer.NewQueue(tc.queue))
					var handled, calls atomic.Int64
					batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
						calls.Add(1)
						handled.Add(int64(len(events)))
						return nil
					}, batchConfig{Size: 10 * n, Timeout: timeout}))
					var cfg stage.ProducerConfig[int]
					if tc.dispatcher != nil {
						cfg.Dispatcher = tc.dispatcher()
					}
					source := stage.Must(stage.NewProducer(q, cfg))
					sink := stage.Must(stage.NewConsumer(batch, stage.ConsumerConfig{}))
					stages := []stage.Stage{source, sink}
					var above stage.Output[int] = source
					if tc.between {
						double := stage.Must(stage.NewProducerConsumer(stage.MapFunc[int, int](func(_ context.Context, v int) (int, error) { return 2 * v, nil }), stage.ProducerConsumerConfig[int]{}))
						stage.Must(double.Subscribe(source, stage.SubscribeConfig{}))
						above, stages = double, append(stages, double)
					}
					stage.Must(sink.Subscribe(above, stage.SubscribeConfig{}))
					for i := range n {
						go q.Push(t.Context(), i) // they wait, where the queue is bounded
					}
					synctest.Wait()
					begun := time.Now()
					for _, s := range stages {
						if err := s.Start(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
					if h := handled.Load(); h != n && tc.calls > 0 || time.Since(begun) != 0 || calls.Load() > int64(tc.calls) {
						t.Errorf("%d of %d handled in %d calls after %v", h, n, calls.Load(), time.Since(begun))
					}
					for _, s := range stages {
						s.Stop(nil)
						<-s.Stopped()
					}
				})
			})
		}
	}
}

// The receipts that a flooding key waits for do not make batches of one event of what the
// other keys send: what comes while the function runs is one batch.
func TestBatchGathersWhileAKeyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := stage.Must(producer.NewQueue(producer.QueueConfig[int]{}))
		var sizes []int
		batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
			time.Sleep(10 * time.Millisecond)
			sizes = append(sizes, len(events))
			return nil
		}, batchConfig{}))
		f := stage.Must(fair.New(func(v int) int { return v }, fair.Config[int]{}))
		r := startWith(t, q, stage.ProducerConfig[int]{Dispatcher: f}, batch, stage.SubscribeConfig{})
		for range 1000 {
			q.TryPush(0) // the key that floods
		}
		for i := range 1000 {
			q.TryPush(1 + i)
			time.Sleep(time.Millisecond)
		}
		r.stop()
		slices.Sort(sizes)
		if median := sizes[len(sizes)/2]; median < 8 {
			t.Errorf("batches of %v", sizes)
		}
	})
}

// counted is a source of n events that ends by itself.
type counted struct{ n, at int }

func (c *counted) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	for ; n > 0 && c.at < c.n; n-- {
		emit.Emit(c.at)
		c.at++
	}
	if n > 0 {
		return stage.ErrDone
	}
	return nil
}

func (c *counted) HandleReceipts(context.Context, []stage.Receipt) error { return nil }

// A source that has emitted its last event does not end its subscriptions while one may
// come back, to be delivered again. What batches hold of its events, also of those that
// a stage in between has made of them, is passed on: else neither would end.
func TestBatchDoesNotWaitForTheEndOfASourceThatWaitsForReceipts(t *testing.T) {
	byKey := func() dispatcher.Dispatcher[int] {
		return stage.Must(fair.New(func(v int) int { return v }, fair.Config[int]{}))
	}
	for name, tc := range map[string]struct {
		dispatcher func() dispatcher.Dispatcher[int]
		redeliver  bool
		between    int // stages that make two events of one
		batches    int
	}{
		"redelivery":                {redeliver: true, batches: 1},
		"redelivery, three batches": {redeliver: true, batches: 3},
		"redelivery, in between":    {redeliver: true, between: 2, batches: 3},
		"fair":                      {dispatcher: byKey, batches: 1},
		"fair, in between":          {dispatcher: byKey, between: 2, batches: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 14
				var cfg stage.ProducerConfig[int]
				if tc.dispatcher != nil {
					cfg.Dispatcher = tc.dispatcher()
				}
				sub := stage.SubscribeConfig{Redeliver: tc.redeliver}
				source := stage.Must(stage.NewProducer(&counted{n: n}, cfg))
				stages := []stage.Stage{source}
				var above stage.Output[int] = source
				for range tc.between {
					twice := stage.Must(stage.NewProducerConsumer(stage.FlatMapFunc[int, int](func(_ context.Context, v int, emit func(int)) error {
						emit(v)
						emit(v)
						return nil
					}), stage.ProducerConsumerConfig[int]{}))
					stage.Must(twice.Subscribe(above, sub))
					above, stages = twice, append(stages, twice)
				}
				var handled atomic.Int64
				for range tc.batches {
					batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
						handled.Add(int64(len(events)))
						return nil
					}, batchConfig{Timeout: consumer.NoTimeout}))
					sink := stage.Must(stage.NewConsumer(batch, stage.ConsumerConfig{}))
					stage.Must(sink.Subscribe(above, sub))
					stages = append(stages, sink)
				}
				for _, s := range stages {
					if err := s.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if h := handled.Load(); h != n<<tc.between {
					t.Errorf("%d of %d handled", h, n<<tc.between)
				}
				for _, s := range stages {
					select {
					case <-s.Stopped():
					default:
						t.Errorf("%s has not ended", s.Name())
						s.Stop(nil)
						<-s.Stopped()
					}
				}
			})
		})
	}
}

// later is a stage that holds its inputs for a while, and has no HandleFlush.
type later struct {
	emit *stage.Emitter[int]
	self *stage.Handle
}

func (l *later) HandleEmitter(emit *stage.Emitter[int]) { l.emit = emit }

func (l *later) HandleStart(_ context.Context, self *stage.Handle) error {
	l.self = self
	return nil
}

func (l *later) HandleEvents(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	for i := range events {
		held := emit.Hold(i)
		time.AfterFunc(time.Duration(events[i]+1)*time.Millisecond, func() { l.self.Send(held) })
	}
	return nil
}

func (l *later) HandleInfo(_ context.Context, msg any) error {
	l.emit.For(msg.(stage.Held))
	l.emit.Emit(0)
	return nil
}

// What a stage in between still has when its producer begins to wait for receipts, in its
// buffer or as held inputs, reaches the batch later. It is not left there.
func TestBatchDoesNotKeepWhatComesAfterItsSourceStalled(t *testing.T) {
	slow := stage.MapFunc[int, int](func(_ context.Context, v int) (int, error) {
		time.Sleep(time.Millisecond)
		return v, nil
	})
	fast := stage.MapFunc[int, int](func(_ context.Context, v int) (int, error) { return v, nil })
	for name, between := range map[string][2]stage.ProducerConsumer[int, int]{"buffered": {fast, slow}, "held": {&later{}, fast}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var handled int
				batch := stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
					handled += len(events)
					return nil
				}, batchConfig{Timeout: consumer.NoTimeout}))
				source := stage.Must(stage.NewProducer(&counted{n: 5}, stage.ProducerConfig[int]{}))
				first := stage.Must(stage.NewProducerConsumer(between[0], stage.ProducerConsumerConfig[int]{}))
				second := stage.Must(stage.NewProducerConsumer(between[1], stage.ProducerConsumerConfig[int]{}))
				sink := stage.Must(stage.NewConsumer(batch, stage.ConsumerConfig{}))
				stage.Must(first.Subscribe(source, stage.SubscribeConfig{Redeliver: true}))
				stage.Must(second.Subscribe(first, stage.SubscribeConfig{MaxDemand: 1}))
				stage.Must(sink.Subscribe(second, stage.SubscribeConfig{}))
				stages := []stage.Stage{source, first, second, sink}
				for _, s := range stages {
					if err := s.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				for _, s := range stages {
					select {
					case <-s.Stopped():
					default:
						t.Errorf("%s has not ended", s.Name())
						s.Stop(nil)
						<-s.Stopped()
					}
				}
				if handled != 5 {
					t.Errorf("%d of 5 handled", handled)
				}
			})
		})
	}
}
