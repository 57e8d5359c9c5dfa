package consumer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

func TestSmoke(t *testing.T) {
	for _, workers := range []int{100, 1000} {
		const N = 2_000_000
		var n, in atomic.Int64
		src := stage.NewProducer(stage.ProducerFunc[int](func(_ context.Context, k int, emit *stage.Emitter[int]) error {
			for range k {
				if in.Load() == N {
					return stage.ErrDone
				}
				emit.Emit(int(in.Add(1)))
			}
			return nil
		}), stage.ProducerConfig[int]{})
		pool := consumer.NewSupervisor(func(ctx context.Context, v int) error { n.Add(1); return nil }, consumer.SupervisorConfig[int]{MaxDemand: workers, MinDemand: workers / 2})
		sink := stage.NewConsumer(pool, stage.ConsumerConfig{})
		sink.Subscribe(src, stage.SubscribeConfig{})
		start := time.Now()
		if err := stage.Run(context.Background(), src, sink); err != nil {
			t.Fatal(err)
		}
		if n.Load() != N {
			t.Fatal(n.Load())
		}
		t.Logf("%d workers: %.2f M/s", workers, N/time.Since(start).Seconds()/1e6)
	}
}

func TestQueueSmoke(t *testing.T) {
	q := producer.NewQueue[int](producer.QueueConfig[int]{})
	src := stage.NewProducer(q, stage.ProducerConfig[int]{})
	n := 0
	sink := stage.NewConsumer(consumer.ForEach(func(_ context.Context, v int) error { n++; return nil }), stage.ConsumerConfig{})
	sink.Subscribe(src, stage.SubscribeConfig{})
	start := time.Now()
	const N = 5_000_000
	go func() {
		for i := range N {
			if err := q.Push(context.Background(), i); err != nil {
				t.Error(err)
			}
		}
		q.Close()
	}()
	if err := stage.Run(context.Background(), src, sink); err != nil {
		t.Fatal(err)
	}
	if n != N {
		t.Fatal(n)
	}
	t.Logf("%.2f M/s", N/time.Since(start).Seconds()/1e6)
}
