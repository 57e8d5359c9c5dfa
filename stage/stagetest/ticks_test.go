package stagetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/stagetest"
)

// pulse emits the time of its ticks and wakes.
type pulse struct {
	self  *stage.Handle
	emit  *stage.Emitter[int]
	began time.Time
}

func (p *pulse) HandleEmitter(emit *stage.Emitter[int]) { p.emit = emit }
func (p *pulse) HandleStart(_ context.Context, self *stage.Handle) error {
	p.began, p.self = time.Now(), self
	self.Tick(10 * time.Second)
	self.WakeAt(p.began.Add(15 * time.Second))
	return nil
}
func (p *pulse) HandleDemand(context.Context, int, *stage.Emitter[int]) error { return nil }
func (p *pulse) HandleStalled() bool                                          { return p.emit != nil }
func (p *pulse) HandleTick(context.Context) error {
	p.emit.Emit(int(time.Since(p.began) / time.Second))
	return nil
}
func (p *pulse) HandleWake(_ context.Context, emit *stage.Emitter[int]) error {
	emit.Emit(-int(time.Since(p.began) / time.Second))
	return nil
}

// Ticks and wakes come at their time; ticks that were missed are left out.
func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pulse{}
		k, err := stagetest.NewProducer[int](t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		next := func(want int) {
			t.Helper()
			got, err := k.Next(t.Context())
			equal(t, "emitted", got, []int{want})
			if err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "stalled before the start", k.Stalled(), false)
		next(10)
		equal(t, "stalled", k.Stalled(), true)
		next(-15)
		next(20)
		time.Sleep(25 * time.Second)
		next(45)
		next(50)
		p.self.Tick(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if got, err := k.Next(ctx); err != context.DeadlineExceeded {
			t.Error(got, err)
		}
	})
}
