package consumer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// A subscription may carry events without receipts first and with receipts later:
// a source that wants them joins the stage before. Each of its events gets its
// own, and none of the events before takes one away.
func TestReceiptsAreWantedLater(t *testing.T) {
	const before, after = 5000, 5000
	bad := func(v int) bool { return v%7 == 3 }
	handle := func(_ context.Context, v int) error {
		if bad(v) {
			return errOops
		}
		return nil
	}
	for name, end := range map[string]stage.Consumer[int]{
		"supervisor":    stage.Must(consumer.NewSupervisor(handle, config{Restart: consumer.Temporary})),
		"few at a time": stage.Must(consumer.NewSupervisor(handle, config{Restart: consumer.Temporary, MaxDemand: 3, MinDemand: 2})),
		"batch": stage.Must(consumer.NewBatch(func(_ context.Context, events []int) error {
			failed := consumer.EventErrors{}
			for i, v := range events {
				if bad(v) {
					failed[i] = errOops
				}
			}
			return failed
		}, batchConfig{Size: 64})),
	} {
		t.Run(name, func(t *testing.T) {
			plain, wants := &counter{limit: before}, &tracked{counter{limit: after}}
			one := stage.Must(stage.NewProducer(plain, stage.ProducerConfig[int]{}))
			two := stage.Must(stage.NewProducer(wants, stage.ProducerConfig[int]{}))
			middle := stage.Must(stage.NewProducerConsumer[int, int](stage.MapFunc[int, int](func(_ context.Context, v int) (int, error) { return v, nil }), stage.ProducerConsumerConfig[int]{}))
			sink := stage.Must(stage.NewConsumer(end, stage.ConsumerConfig{}))
			_, err1 := middle.Subscribe(one, stage.SubscribeConfig{})
			_, err2 := middle.Subscribe(two, stage.SubscribeConfig{})
			_, err3 := sink.Subscribe(middle, stage.SubscribeConfig{})
			if err := errors.Join(err1, err2, err3, sink.Start(t.Context()), middle.Start(t.Context()), one.Start(t.Context())); err != nil {
				t.Fatal(err)
			}
			<-one.Stopped()
			if err := two.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-sink.Stopped()
			<-two.Stopped()
			got := wants.outcomes(t)
			for v := range after {
				want := receipt.Done
				if bad(v) {
					want = receipt.Failed
				}
				if o, ok := got[v]; !ok || o != want {
					t.Fatalf("event %d: %v %v, want %v", v, o, ok, want)
				}
			}
		})
	}
}
