package producer_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// A rate with a burst of one event is reached within a percent by a whole pipeline, on a
// stage's goroutine and by workers, by one key and by two of the same rate.
func TestARateIsReached(t *testing.T) {
	for _, rate := range []int{10, 1000, 10_000, 100_000} {
		for _, end := range []string{"for each", "supervisor"} {
			for _, keys := range []int{1, 2} {
				t.Run(fmt.Sprint(rate, " a second, ", end, ", keys ", keys), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { reach(t, rate, end, keys) })
				})
			}
		}
	}
}

func reach(t *testing.T, rate int, end string, keys int) {
	// Two hundred intervals or more: the first event, which needs none, is less than a
	// percent.
	length := max(20*time.Second/time.Duration(rate/10), 200*time.Millisecond)
	want := keys * int(length.Seconds()*float64(rate))
	queue := stage.Must(producer.NewQueue(producer.QueueConfig[int]{Capacity: 2 * want}))
	for i := range 2 * want {
		if err := queue.TryPush(i); err != nil {
			t.Fatal(err)
		}
	}
	limited := stage.Must(fair.New(func(v int) int { return v % keys }, fair.Config[int]{
		Rate: fair.Rate{PerSecond: float64(rate), Burst: 1}, Intake: 1000,
	}))
	got := make(chan struct{}, 2*want)
	work := func(context.Context, int) error { got <- struct{}{}; return nil }
	var handler stage.Consumer[int] = stage.Must(consumer.NewForEach(work, consumer.ForEachConfig[int]{}))
	if end == "supervisor" {
		handler = stage.Must(consumer.NewSupervisor(work, consumer.SupervisorConfig[int]{}))
	}
	src := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[int]{Dispatcher: limited}))
	sink := stage.Must(stage.NewConsumer(handler, stage.ConsumerConfig{}))
	stage.Must(sink.Subscribe(src, stage.SubscribeConfig{}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- stage.Run(ctx, src, sink) }()
	time.Sleep(length)
	synctest.Wait()
	if n := len(got); n < want-want/100 || n > want+want/100+keys {
		t.Errorf("%d events in %v, want %d", n, length, want)
	}
	src.Stop(nil)
	cancel()
	<-done
}
