package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// strict is a ForEach that ends with the first failure.
func strict(f func(context.Context, int) error) (stage.Consumer[int], error) {
	return consumer.NewForEach(f, consumer.ForEachConfig[int]{Retry: retry.Policy{MaxAttempts: 1}, OnFailure: consumer.StopStage})
}

// Whatever ends a ForEach in the middle of a delivery, the events that it has
// handled have their receipts, and with Redeliver nothing else is given to the
// next consumer.
func TestForEachEndsBetweenEvents(t *testing.T) {
	ends := map[string]func(*rig) error{
		"done": func(*rig) error { return stage.ErrDone },
		"stop": func(r *rig) error { r.sink.Stop(nil); return context.Canceled },
	}
	for name, fail := range fails {
		ends[name] = func(*rig) error { return fail.do() }
	}
	for name, end := range ends {
		for _, last := range []int{0, 1, 7, 29} {
			for _, redeliver := range []bool{false, true} {
				t.Run(fmt.Sprint(name, last, redeliver), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var handled, again log
						var r *rig
						src := &tracked{counter{limit: 50}}
						r = start(t, src, stage.Must(strict(func(_ context.Context, v int) error {
							if v == last {
								synctest.Wait() // until r is set
								return end(r)
							}
							handled.add(v)
							return nil
						})), stage.SubscribeConfig{MaxDemand: 30, MinDemand: stage.None, Redeliver: redeliver})
						<-r.sink.Stopped()
						synctest.Wait()
						second := stage.Must(stage.NewConsumer(stage.Must(consumer.ForEach(func(_ context.Context, v int) error {
							again.add(v)
							return nil
						})), stage.ConsumerConfig{}))
						if _, err := second.Subscribe(r.src, stage.SubscribeConfig{}); err != nil {
							t.Fatal(err)
						}
						if err := second.Start(t.Context()); err != nil {
							t.Fatal(err)
						}
						<-second.Stopped()
						r.stop()
						got := src.outcomes(t)
						for _, v := range handled.all() {
							if got[v] != receipt.Done {
								t.Errorf("event %d was handled and is %v", v, got[v])
							}
						}
						first := len(handled.all())
						if name == "done" {
							first++ // the last was handled as well
						}
						want := ints(first, 50)
						if !redeliver {
							want = ints(30, 50)
						}
						if !slices.Equal(again.all(), want) {
							t.Errorf("handled %d, then again %v, want %v", first, again.all(), want)
						}
						if fail, ok := fails[name]; ok && !fail.is(r.sink.Err()) {
							t.Error(r.sink.Err())
						} else if err := r.sink.Err(); !ok && err != nil {
							t.Error(err)
						}
					})
				})
			}
		}
	}
}

// A poisonous event is redelivered once, and those that only waited for it as
// often as needed.
func TestForEachPoisonousEvent(t *testing.T) {
	src := &tracked{counter{limit: 20}}
	producer := stage.Must(stage.NewProducer(src, stage.ProducerConfig[int]{}))
	if err := producer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var handled log
	deaths := 0
	for {
		sink := stage.Must(stage.NewConsumer(stage.Must(strict(func(_ context.Context, v int) error {
			if v == 5 || v == 11 {
				return errOops
			}
			handled.add(v)
			return nil
		})), stage.ConsumerConfig{}))
		if _, err := sink.Subscribe(producer, stage.SubscribeConfig{Redeliver: true}); err != nil {
			t.Fatal(err)
		}
		if err := sink.Start(t.Context()); err != nil && !errors.Is(err, stage.ErrStopped) {
			t.Fatal(err)
		}
		<-sink.Stopped()
		if sink.Err() == nil {
			break
		}
		if deaths++; deaths > 10 {
			t.Fatal("it kills one consumer after the other")
		}
	}
	<-producer.Stopped()
	if deaths != 4 {
		t.Errorf("%d consumers died, want two for each of the two events", deaths)
	}
	got := src.outcomes(t)
	for v := range 20 {
		want := receipt.Done
		if v == 5 || v == 11 {
			want = receipt.Abandoned
		}
		if got[v] != want {
			t.Errorf("event %d is %v, want %v", v, got[v], want)
		}
	}
	if !slices.Equal(handled.all(), slices.DeleteFunc(ints(0, 20), func(v int) bool { return v == 5 || v == 11 })) {
		t.Error(handled.all())
	}
}
