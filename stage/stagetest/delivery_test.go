package stagetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/stagetest"
)

// worker is a producer-consumer that emits twice each number from a goroutine of its own.
type worker struct {
	self    *stage.Handle
	results chan int
	held    []stage.Held
	sub     *stage.Subscription[int]
}

func (w *worker) HandleStart(_ context.Context, self *stage.Handle) error {
	w.self, w.results = self, make(chan int, 10)
	return nil
}

func (w *worker) HandleEvents(context.Context, []int, *stage.Emitter[int]) error {
	return errors.New("not called")
}

func (w *worker) HandleDelivery(_ context.Context, d stage.Delivery[int], emit *stage.Emitter[int]) error {
	w.sub = d.Subscription
	for i, v := range d.Events {
		w.held = append(w.held, emit.Hold(i))
		go func() {
			time.Sleep(time.Minute)
			w.results <- 2 * v
			w.self.Wake()
		}()
	}
	return nil
}

func (w *worker) HandleWake(_ context.Context, emit *stage.Emitter[int]) error {
	for len(w.results) > 0 {
		emit.For(w.held[0])
		emit.Emit(<-w.results)
		w.held = w.held[1:]
	}
	return w.sub.Ask(1)
}

func (w *worker) HandleBusy() bool { return len(w.held) > 0 }

// A producer-consumer that works outside of its functions is waited for.
func TestTransformDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := stagetest.NewProducerConsumer[int, int](t.Context(), &worker{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := k.Events(5)
		equal(t, "held", r.Held, []int{0})
		equal(t, "busy", k.Busy(), true)
		if err != nil {
			t.Fatal(err)
		}
		r, err = k.Next(t.Context())
		equal(t, "emitted", r.Emitted, []stagetest.Emitted[int]{{10, []int{0}}})
		equal(t, "busy", k.Busy(), false)
		equal(t, "asked", k.Asked(), 1)
		if err != nil {
			t.Fatal(err)
		}
	})
}
