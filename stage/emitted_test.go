package stage_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// counting checks in every handler that Emitted is what it has emitted so far, and that
// receipts count events by it.
type counting struct {
	t        *testing.T
	emit     *stage.Emitter[int]
	n, ended int
}

func (c *counting) HandleEmitter(emit *stage.Emitter[int]) { c.emit = emit }

func (c *counting) add(n int) {
	for range n {
		if got := c.emit.Emitted(); got != uint64(c.n) {
			c.t.Fatalf("Emitted is %d after %d events", got, c.n)
		}
		c.emit.Emit(c.n)
		c.n++
	}
}

func (c *counting) HandleDemand(_ context.Context, n int, _ *stage.Emitter[int]) error {
	c.add(n + n/2) // some without demand
	if c.n > 1000 {
		return stage.ErrDone
	}
	return nil
}

func (c *counting) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	for _, r := range receipts {
		if r.First != uint64(c.ended) {
			c.t.Errorf("a receipt for %d, want %d", r.First, c.ended)
		}
		c.ended += r.Count
	}
	c.add(1)
	return nil
}

func TestEmitted(t *testing.T) {
	for name, d := range map[string]dispatcher.Dispatcher[int]{
		"demand": dispatcher.NewDemand[int](), "broadcast": dispatcher.NewBroadcast[int](),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &counting{t: t}
				source := stage.Must(stage.NewProducer(c, stage.ProducerConfig[int]{Dispatcher: d}))
				end := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(context.Context, []int) error { return nil }), stage.ConsumerConfig{}))
				stage.Must(end.Subscribe(source, stage.SubscribeConfig{MaxDemand: 20}))
				if err := stage.Run(t.Context(), source, end); err != nil {
					t.Fatal(err)
				}
				if c.ended == 0 || c.n < 1000 {
					t.Error(c.n, c.ended)
				}
			})
		})
	}
}
