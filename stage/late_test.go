package stage_test

import (
	"context"
	"errors"
	"testing"

	"github.com/penstock-go/penstock/stage"
)

// Who subscribes to a stage that has failed already hears of the failure, and
// with a permanent subscription fails for it.
func TestSubscribingToAFailedStage(t *testing.T) {
	cause := errors.New("no more disk")
	for name, fail := range map[string]func(p *stage.ProducerStage[int]){
		"in a handler":          func(p *stage.ProducerStage[int]) {},
		"stopped with a reason": func(p *stage.ProducerStage[int]) { p.Stop(cause) },
	} {
		t.Run(name, func(t *testing.T) {
			p := stage.NewProducer(stage.ProducerFunc[int](func(context.Context, int, *stage.Emitter[int]) error { return cause }), stage.ProducerConfig[int]{})
			probe := stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{})
			if _, err := probe.Subscribe(p, stage.SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
			fail(p)
			_ = p.Start(t.Context())
			_ = probe.Start(t.Context())
			<-p.Stopped()
			<-probe.Stopped()
			late := stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{})
			sub, err := late.Subscribe(p, stage.SubscribeConfig{})
			if err != nil {
				t.Fatal(err)
			}
			_ = late.Start(t.Context())
			<-sub.Done()
			if !errors.Is(sub.Err(), cause) {
				t.Errorf("the subscription ended with %v, want %v", sub.Err(), cause)
			}
			<-late.Stopped()
			if !errors.Is(late.Err(), cause) {
				t.Errorf("the consumer ended with %v, want %v", late.Err(), cause)
			}
		})
	}
}
