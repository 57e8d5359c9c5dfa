package main

import (
	"context"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

var penstock = contestant{
	name:    "penstock",
	kind:    report.Ours,
	comment: "max demand 1000, min demand 500",
	runs: map[string]runner{
		"W1": func(n int) (time.Duration, []sum, error) {
			return runStages(n, dispatcher.NewDemand[int](), 0, 1, stage.SubscribeConfig{})
		},
		"W2": func(n int) (time.Duration, []sum, error) {
			return runStages(n, dispatcher.NewDemand[int](), hops, 1, stage.SubscribeConfig{})
		},
		"W3": func(n int) (time.Duration, []sum, error) {
			d, err := dispatcher.NewPartition(parts, func(v int) (int, bool) { return partOf(v), true }, dispatcher.PartitionConfig{})
			if err != nil {
				return 0, nil, err
			}
			return runStages(n, d, 0, parts, stage.SubscribeConfig{})
		},
		"W5": func(n int) (time.Duration, []sum, error) {
			return runStages(n, dispatcher.NewBroadcast[int](), 0, copies, stage.SubscribeConfig{})
		},
	},
}

// stageCounter is a producer that holds back until all subscribers are there.
type stageCounter struct {
	next, limit, missing int
	self                 *stage.ProducerStage[int]
}

func (c *stageCounter) HandleSubscribe(context.Context, stage.SubscriptionInfo) error {
	if c.missing--; c.missing == 0 {
		c.self.SetDemand(stage.Forward)
	}
	return nil
}

func (c *stageCounter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	slots := emit.Slots(min(n, c.limit-c.next))
	for i := range slots {
		slots[i] = c.next
		c.next++
	}
	if c.next == c.limit {
		return stage.ErrDone
	}
	return nil
}

// runStages runs a counter, stages that add one, and takers; the takers subscribe with cfg.
func runStages(n int, d dispatcher.Dispatcher[int], between, takers int, cfg stage.SubscribeConfig) (time.Duration, []sum, error) {
	counter := &stageCounter{limit: n, missing: takers}
	source := stage.Must(stage.NewProducer(counter, stage.ProducerConfig[int]{Dispatcher: d, Demand: stage.Accumulate}))
	counter.self = source
	stages := []stage.Stage{source}
	var last stage.Output[int] = source
	for range between {
		next := stage.Must(stage.NewProducerConsumer(stage.ProducerConsumerFunc[int, int](addOne), stage.ProducerConsumerConfig[int]{}))
		if _, err := next.Subscribe(last, stage.SubscribeConfig{}); err != nil {
			return 0, nil, err
		}
		last, stages = next, append(stages, next)
	}
	sums := make([]sum, takers)
	for i := range sums {
		end := stage.Must(stage.NewConsumer(&stageSummer{&sums[i]}, stage.ConsumerConfig{}))
		if _, parted := d.(*dispatcher.Partition[int]); parted {
			cfg.Partition = i
		}
		if _, err := end.Subscribe(last, cfg); err != nil {
			return 0, nil, err
		}
		stages = append(stages, end)
	}
	begin := time.Now()
	err := stage.Run(context.Background(), stages...)
	return time.Since(begin), sums, err
}

// stageSummer is a consumer that adds up.
type stageSummer struct{ sum *sum }

func (s *stageSummer) HandleEvents(_ context.Context, events []int) error {
	s.sum.addAll(events)
	return nil
}

func addOne(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	out := emit.Slots(len(events))
	for i, v := range events {
		out[i] = v + 1
	}
	return nil
}
