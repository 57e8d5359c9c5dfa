package stage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/penstock-go/penstock/stage"
)

// counter emits the next numbers on demand, up to a limit.
type counter struct{ next, limit int }

func (c *counter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	for ; n > 0 && c.next < c.limit; n-- {
		emit.Emit(c.next)
		c.next++
	}
	if c.next == c.limit {
		return stage.ErrDone
	}
	return nil
}

func show(_ context.Context, events []int) error {
	fmt.Println(events)
	return nil
}

// A consumer with 4 and 2 gets two events at a time and never has more than
// four in flight.
func ExampleRun() {
	source := stage.Must(stage.NewProducer(&counter{limit: 5}, stage.ProducerConfig[int]{}))
	printer := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](show), stage.ConsumerConfig{}))
	if _, err := printer.Subscribe(source, stage.SubscribeConfig{MaxDemand: 4, MinDemand: 2}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(stage.Run(context.Background(), source, printer))
	// Output:
	// [0 1]
	// [2 3]
	// [4]
	// <nil>
}

// A producer is asked for a number of events, and returns ErrDone after the last.
func ExampleNewProducer() {
	lines := strings.Fields("a producer emits what is asked for")
	source := stage.Must(stage.NewProducer(stage.ProducerFunc[string](func(_ context.Context, n int, emit *stage.Emitter[string]) error {
		fmt.Println("asked for", n)
		n = min(n, len(lines))
		emit.EmitAll(lines[:n])
		if lines = lines[n:]; len(lines) == 0 {
			return stage.ErrDone
		}
		return nil
	}), stage.ProducerConfig[string]{Name: "lines"}))
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		fmt.Println(strings.Join(events, " "))
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{MaxDemand: 100}); err != nil {
		fmt.Println(err)
	}
	if err := stage.Run(context.Background(), source, sink); err != nil {
		fmt.Println(err)
	}
	// Output:
	// asked for 100
	// a producer emits what is asked for
}

// A producer-consumer may emit more or fewer events than it gets, and of another
// type.
func ExampleNewProducerConsumer() {
	source := stage.Must(stage.NewProducer(&counter{limit: 6}, stage.ProducerConfig[int]{}))
	odd := stage.Must(stage.NewProducerConsumer(stage.ProducerConsumerFunc[int, string](func(_ context.Context, events []int, emit *stage.Emitter[string]) error {
		for _, v := range events {
			if v%2 == 1 {
				emit.Emit(fmt.Sprintf("<%d>", v))
			}
		}
		return nil
	}), stage.ProducerConsumerConfig[string]{}))
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		fmt.Println(events)
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := odd.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
	}
	if _, err := sink.Subscribe(odd, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
	}
	if err := stage.Run(context.Background(), source, odd, sink); err != nil {
		fmt.Println(err)
	}
	// Output: [<1> <3> <5>]
}

// A handler that fails stops its stage; the error names both.
func ExampleNewConsumer() {
	source := stage.Must(stage.NewProducer(&counter{limit: 5}, stage.ProducerConfig[int]{}))
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		return fmt.Errorf("no room for %d events", len(events))
	}), stage.ConsumerConfig{Name: "store"}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		fmt.Println(err)
	}
	err := stage.Run(context.Background(), source, sink)
	fmt.Println(err)
	var failure *stage.Error
	fmt.Println(errors.As(err, &failure) && failure.Stage == "store")
	// Output:
	// stage "store": HandleEvents: no room for 5 events
	// true
}

// A pipeline can be drained from anywhere: here by its own consumer, when it needs
// no more of an endless source.
func ExampleNewPipeline() {
	endless := stage.ProducerFunc[int](func(_ context.Context, n int, emit *stage.Emitter[int]) error {
		clear(emit.Slots(n))
		return nil
	})
	source := stage.Must(stage.NewProducer(endless, stage.ProducerConfig[int]{}))
	var pipeline *stage.Pipeline
	seen := 0
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		if seen += len(events); seen >= 1000 {
			pipeline.Drain()
		}
		return nil
	}), stage.ConsumerConfig{}))
	if _, err := sink.Subscribe(source, stage.SubscribeConfig{MaxDemand: 10}); err != nil {
		fmt.Println(err)
	}
	pipeline = stage.Must(stage.NewPipeline(stage.PipelineConfig{}, source, sink))
	err := pipeline.Run(context.Background())
	left := pipeline.Snapshot(context.Background()).Stages[0]
	fmt.Println(err, seen >= 1000, left.Emitted == left.Delivered, left.Buffered)
	// Output: <nil> true true 0
}

// With manual demand only Ask asks for events.
func ExampleConsumerStage_Subscribe() {
	source := stage.Must(stage.NewProducer(&counter{limit: 3}, stage.ProducerConfig[int]{}))
	var sub *stage.Subscription[int]
	sink := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		fmt.Println(events)
		return sub.Ask(1)
	}), stage.ConsumerConfig{}))
	sub, err := sink.Subscribe(source, stage.SubscribeConfig{Manual: true})
	if err != nil {
		fmt.Println(err)
	}
	if err := sub.Ask(2); err != nil {
		fmt.Println(err)
	}
	if err := stage.Run(context.Background(), source, sink); err != nil {
		fmt.Println(err)
	}
	// Output:
	// [0 1]
	// [2]
}

// With Redeliver, events that a consumer had not handled when it died go to the
// next one.
func ExampleSubscribeConfig_redeliver() {
	source := stage.Must(stage.NewProducer(&counter{limit: 6}, stage.ProducerConfig[int]{}))
	clumsy := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		if events[0] >= 2 {
			panic("oops")
		}
		fmt.Println("first:", events)
		return nil
	}), stage.ConsumerConfig{}))
	second := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
		for _, v := range events {
			fmt.Println("second:", v)
		}
		return nil
	}), stage.ConsumerConfig{}))
	ctx := context.Background()
	if _, err := clumsy.Subscribe(source, stage.SubscribeConfig{MaxDemand: 4, MinDemand: 2, Redeliver: true}); err != nil {
		fmt.Println(err)
	}
	if err := errors.Join(source.Start(ctx), clumsy.Start(ctx)); err != nil {
		fmt.Println(err)
	}
	<-clumsy.Stopped()
	if _, err := second.Subscribe(source, stage.SubscribeConfig{MaxDemand: 4, MinDemand: stage.None}); err != nil {
		fmt.Println(err)
	}
	if err := second.Start(ctx); err != nil {
		fmt.Println(err)
	}
	<-second.Stopped()
	<-source.Stopped()
	// Output:
	// first: [0 1]
	// second: 2
	// second: 3
	// second: 4
	// second: 5
}

// A consumer that fails is made anew, and handles what the one before has left.
func ExamplePipeline_Add() {
	source := stage.Must(stage.NewProducer(&counter{limit: 4}, stage.ProducerConfig[int]{}))
	lives := 0
	printer := func() stage.Stage {
		lives++
		life := lives
		c := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
			if life == 1 {
				return errors.New("no connection")
			}
			fmt.Println(events)
			return nil
		}), stage.ConsumerConfig{Name: "printer"}))
		if _, err := c.Subscribe(source, stage.SubscribeConfig{Redeliver: true}); err != nil {
			fmt.Println(err)
		}
		return c
	}
	var pipeline *stage.Pipeline
	pipeline = stage.Must(stage.NewPipeline(stage.PipelineConfig{
		Failed: func(s stage.Stage, err error) bool {
			fmt.Println(err)
			return pipeline.Add(printer()) == nil
		},
		Logger: slog.New(slog.DiscardHandler),
	}, source, printer()))
	fmt.Println(pipeline.Run(context.Background()))
	// Output:
	// stage "printer": HandleEvents: no connection
	// [0]
	// [1]
	// [2]
	// [3]
	// <nil>
}
