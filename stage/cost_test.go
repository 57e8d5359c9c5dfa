//go:build !race

package stage_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// quietCounter counts up without end.
type quietCounter struct{ next int }

func (c *quietCounter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	slots := emit.Slots(n)
	for i := range slots {
		slots[i] = c.next
		c.next++
	}
	return nil
}

// quietAcker wants receipts as well.
type quietAcker struct{ quietCounter }

func (c *quietAcker) HandleReceipts(context.Context, []stage.Receipt) error { return nil }

// quietCrew holds each event of a delivery and emits for it when it is woken.
type quietCrew struct {
	self *stage.Handle
	sub  *stage.Subscription[int]
	held []stage.Held
}

func (c *quietCrew) HandleEvents(context.Context, []int, *stage.Emitter[int]) error { return nil }
func (c *quietCrew) HandleStart(_ context.Context, self *stage.Handle) error {
	c.self = self
	return nil
}
func (c *quietCrew) HandleDelivery(_ context.Context, d stage.Delivery[int], emit *stage.Emitter[int]) error {
	c.sub = d.Subscription
	for i := range d.Events {
		c.held = append(c.held, emit.Hold(i))
	}
	c.self.Wake()
	return nil
}
func (c *quietCrew) HandleWake(_ context.Context, emit *stage.Emitter[int]) error {
	for i, h := range c.held {
		emit.For(h)
		emit.Emit(i)
	}
	n := len(c.held)
	c.held = c.held[:0]
	return c.sub.Ask(n)
}

// Cost: in steady state no event costs an allocation.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	const warm, measured = 300_000, 1_000_000
	half := func(v int) (int, bool) { return v & 1, true }
	for name, c := range map[string]struct {
		source    stage.Producer[int]
		d         dispatcher.Dispatcher[int]
		consumers int
		through   bool
		crew      bool
		cfg       stage.SubscribeConfig
	}{
		"direct":            {source: &quietCounter{}, consumers: 1},
		"small batches":     {source: &quietCounter{}, consumers: 1, cfg: stage.SubscribeConfig{MaxDemand: 10}},
		"two consumers":     {source: &quietCounter{}, consumers: 2},
		"producer-consumer": {source: &quietCounter{}, consumers: 1, through: true},
		"broadcast":         {source: &quietCounter{}, d: dispatcher.NewBroadcast[int](), consumers: 2},
		"partition":         {source: &quietCounter{}, d: stage.Must(dispatcher.NewPartition(2, half, dispatcher.PartitionConfig{})), consumers: 2},
		"deliveries":        {source: &quietCounter{}, consumers: 1, through: true, crew: true},
		"held deliveries":   {source: &quietAcker{}, consumers: 1, through: true, crew: true},
		"receipts":          {source: &quietAcker{}, consumers: 2},
		"shared receipts":   {source: &quietAcker{}, d: dispatcher.NewBroadcast[int](), consumers: 2},
		"redeliver":         {source: &quietCounter{}, consumers: 1, cfg: stage.SubscribeConfig{Redeliver: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			p := stage.Must(stage.NewProducer(c.source, stage.ProducerConfig[int]{Dispatcher: c.d}))
			var from stage.Output[int] = p
			stages := []stage.Stage{p}
			if c.through {
				var h stage.ProducerConsumer[int, int] = stage.ProducerConsumerFunc[int, int](func(_ context.Context, events []int, emit *stage.Emitter[int]) error {
					emit.EmitAll(events)
					return nil
				})
				if c.crew {
					h = new(quietCrew)
				}
				m := stage.Must(stage.NewProducerConsumer(h, stage.ProducerConfig[int]{}))
				if _, err := m.Subscribe(from, stage.SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
				from, stages = m, append(stages, m)
			}
			for i := range c.consumers {
				seen := 0
				cfg := c.cfg
				if _, parts := c.d.(*dispatcher.Partition[int]); parts {
					cfg.Partition = i
				}
				s := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
					was := seen
					seen += len(events)
					switch {
					case i > 0:
					case was < warm && seen >= warm:
						runtime.ReadMemStats(&before)
					case seen >= warm+measured:
						runtime.ReadMemStats(&after)
						return errOops
					}
					return nil
				}), stage.ConsumerConfig{}))
				if _, err := s.Subscribe(from, cfg); err != nil {
					t.Fatal(err)
				}
				stages = append(stages, s)
			}
			if err := stage.Run(context.Background(), stages...); !errors.Is(err, errOops) {
				t.Fatalf("it has not come to its end: %v", err)
			}
			if n := after.Mallocs - before.Mallocs; n > measured/1000 {
				t.Fatalf("%d allocations for %d events", n, measured)
			} else {
				t.Logf("%d allocations for %d events", n, measured)
			}
		})
	}
}
