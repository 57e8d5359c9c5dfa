package stage_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

type counter struct{ next, limit int }

func (c *counter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	n = min(n, c.limit-c.next)
	s := emit.Slots(n)
	for i := range s {
		s[i] = c.next
		c.next++
	}
	if c.next == c.limit {
		return stage.ErrDone
	}
	return nil
}

func TestSmoke(t *testing.T) {
	for _, d := range [][2]int{{10, 5}, {100, 50}, {1000, 500}} {
		const N = 20_000_000
		limit := N
		if d[0] == 10 {
			limit = 2_000_000
		}
		next := 0
		src := stage.NewProducer(&counter{limit: limit}, stage.ProducerConfig[int]{})
		sink := stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, ev []int) error {
			for _, v := range ev {
				if v != next {
					return fmt.Errorf("got %d want %d", v, next)
				}
				next++
			}
			return nil
		}), stage.ConsumerConfig{})
		sink.Subscribe(src, stage.SubscribeConfig{MaxDemand: d[0], MinDemand: d[1]})
		start := time.Now()
		if err := stage.Run(context.Background(), src, sink); err != nil {
			t.Fatal(err)
		}
		if next != limit {
			t.Fatal(next)
		}
		t.Logf("%v %.1f M/s", d, float64(limit)/time.Since(start).Seconds()/1e6)
	}
}
