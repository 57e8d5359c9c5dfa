package stage_test

import (
	"context"
	"errors"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

func TestPipelineRunsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, c := producer(&source{counting: true, limit: 3}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribe(t, c, p, four)
		line := stage.NewPipeline(stage.PipelineConfig{}, p, c)
		if err := line.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := line.Run(t.Context()); !errors.Is(err, stage.ErrStarted) {
			t.Fatal(err)
		}
		equal(t, "snapshots", len(line.Snapshot(t.Context()).Stages), 2)
	})
}

func TestStoppedBeforeItIsRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, c := producer(&source{}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribe(t, c, p, four)
		line := stage.NewPipeline(stage.PipelineConfig{}, p, c)
		line.Stop(nil)
		if err := line.Run(t.Context()); !errors.Is(err, stage.ErrStopped) {
			t.Fatal(err)
		}
		if sub.Err() == nil {
			t.Fatal("the subscription waits for a stage that never ran")
		}
	})
}

// A start that fails stops what was started before.
func TestStartThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{})
		wrong := producer(&source{}, stage.ProducerConfig[int]{BufferSize: -7})
		c := consumer(newSink(), "C")
		subscribe(t, c, p, four)
		var option *stage.OptionError
		if err := stage.Run(t.Context(), p, wrong, c); !errors.As(err, &option) {
			t.Fatal(err)
		}
		died(t, p, nil)
		died(t, c, nil)
		died(t, wrong, option)
	})
}

// Who waits for a stage with a wrong option is told when it is started.
func TestSubscriberOfAWrongStage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		wrong := producer(&source{}, stage.ProducerConfig[int]{BufferSize: -7})
		c := consumer(newSink(), "C")
		sub := subscribe(t, c, wrong, four)
		start(t, c)
		var option *stage.OptionError
		if err := wrong.Start(t.Context()); !errors.As(err, &option) {
			t.Fatal(err)
		}
		<-sub.Done()
		if !errors.As(sub.Err(), &option) || option.Option != "BufferSize" {
			t.Errorf("the subscription ended with %v", sub.Err())
		}
		<-c.Stopped()
	})
}

func TestWrongSubscriptionFailsTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := consumer(newSink(), "C")
		if _, err := c.Subscribe(nil, four); err == nil {
			t.Fatal("subscribed to nothing")
		}
		var none *stage.ProducerStage[int]
		if _, err := c.Subscribe(none, four); err == nil {
			t.Fatal("subscribed to nothing")
		}
		var option *stage.OptionError
		if err := stage.Run(t.Context(), c); !errors.As(err, &option) || option.Option != "Subscribe" {
			t.Fatal(err)
		}
		for _, s := range []stage.Stage{
			stage.NewProducer[int](nil, stage.ProducerConfig[int]{}),
			stage.NewConsumer[int](nil, stage.ConsumerConfig{}),
			stage.NewProducerConsumer[int, int](nil, stage.ProducerConfig[int]{}),
			producer(&source{}, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewPartition[int](0, nil, dispatcher.PartitionConfig{})}),
		} {
			if err := s.Start(t.Context()); err == nil {
				t.Fatalf("%s has started", s.Name())
			}
		}
	})
}

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
