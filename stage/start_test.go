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
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c))
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
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c))
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
		wrong := producer(failsToStart(), stage.ProducerConfig[int]{Name: "wrong"})
		c := consumer(newSink(), "C")
		subscribe(t, c, p, four)
		if err := stage.Run(t.Context(), p, wrong, c); !errors.Is(err, errOops) {
			t.Fatal(err)
		}
		died(t, p, nil)
		died(t, c, nil)
		died(t, wrong, errOops)
	})
}

func failsToStart() *source {
	return &source{onStart: func(context.Context) error { return errOops }}
}

// A subscription to a stage that cannot start ends with the reason.
func TestSubscriberOfAStageThatFailsToStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		wrong := producer(failsToStart(), stage.ProducerConfig[int]{})
		c := consumer(newSink(), "C")
		sub := subscribe(t, c, wrong, four)
		start(t, c)
		if err := wrong.Start(t.Context()); !errors.Is(err, errOops) {
			t.Fatal(err)
		}
		<-sub.Done()
		if !errors.Is(sub.Err(), errOops) {
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
	})
}

// nilDispatcher is a typed nil.
var nilDispatcher *dispatcher.Demand[int]

func TestConstructorsRefuse(t *testing.T) {
	var noSource *source
	var noStage *stage.ConsumerStage[int]
	for _, tc := range []struct {
		option string
		err    error
	}{
		{"handler", refusal(stage.NewProducer[int](nil, stage.ProducerConfig[int]{}))},
		{"handler", refusal(stage.NewProducer[int](noSource, stage.ProducerConfig[int]{}))},
		{"handler", refusal(stage.NewConsumer[int](nil, stage.ConsumerConfig{}))},
		{"handler", refusal(stage.NewConsumer[int](stage.ConsumerFunc[int](nil), stage.ConsumerConfig{}))},
		{"handler", refusal(stage.NewProducerConsumer[int, int](nil, stage.ProducerConfig[int]{}))},
		{"handler", refusal(stage.NewProducerConsumer[int, int](stage.ProducerConsumerFunc[int, int](nil), stage.ProducerConfig[int]{}))},
		{"Dispatcher", refusal(stage.NewProducer(&source{}, stage.ProducerConfig[int]{Dispatcher: nilDispatcher}))},
		{"stages[0]", refusal(stage.NewPipeline(stage.PipelineConfig{}, nil))},
		{"stages[1]", refusal(stage.NewPipeline(stage.PipelineConfig{}, consumer(newSink(), "C"), noStage))},
		{"stages[0]", stage.Run(t.Context(), nil)},
		{"DrainTimeout", refusal(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: -1}))},
		{"StopTimeout", refusal(stage.NewPipeline(stage.PipelineConfig{StopTimeout: -1}))},
		{"MetricsInterval", refusal(stage.NewPipeline(stage.PipelineConfig{MetricsInterval: -1}))},
	} {
		var refused *stage.OptionError
		if !errors.As(tc.err, &refused) || refused.Option != tc.option {
			t.Errorf("%s: %v", tc.option, tc.err)
		}
	}
}

func TestMustPanicsWithTheRefusal(t *testing.T) {
	defer func() {
		if _, ok := recover().(*stage.OptionError); !ok {
			t.Error("no refusal")
		}
	}()
	stage.Must(stage.NewConsumer[int](nil, stage.ConsumerConfig{}))
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
			p := stage.Must(stage.NewProducer(stage.ProducerFunc[int](func(context.Context, int, *stage.Emitter[int]) error { return cause }), stage.ProducerConfig[int]{}))
			probe := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{}))
			if _, err := probe.Subscribe(p, stage.SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
			fail(p)
			_ = p.Start(t.Context())
			_ = probe.Start(t.Context())
			<-p.Stopped()
			<-probe.Stopped()
			late := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{}))
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

// Two stages of a pipeline have different names; those that the package makes are
// always different.
func TestStageNamesAreUnique(t *testing.T) {
	p, c := producer(&source{}, stage.ProducerConfig[int]{Name: "same"}), consumer(newSink(), "same")
	_, err := stage.NewPipeline(stage.PipelineConfig{}, p, c)
	var refused *stage.OptionError
	if !errors.As(err, &refused) || refused.Option != "stages[1]" || refused.Value != "same" {
		t.Fatal(err)
	}
	if err := stage.Run(t.Context(), p, p); !errors.As(err, &refused) {
		t.Fatal(err)
	}
	var all []stage.Stage
	for range 100 {
		all = append(all, stage.Must(stage.NewConsumer(newSink(), stage.ConsumerConfig{})))
	}
	if _, err := stage.NewPipeline(stage.PipelineConfig{}, all...); err != nil {
		t.Fatal(err)
	}
}
