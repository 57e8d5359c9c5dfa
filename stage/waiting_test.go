package stage_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

// Demand: a subscription asks for 1000 at its beginning, and MinDemand is half of
// MaxDemand, unless its config says otherwise.
func TestDefaultDemand(t *testing.T) {
	for maxDemand, want := range map[int][2]int{0: {1000, 500}, 5: {5, 2}, 1: {1, 0}} {
		bubble(t, func(t *testing.T) {
			src := &source{}
			p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
			sub := subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: maxDemand})
			start(t, p, cs)
			equal(t, "demands", src.demands, []int{want[0]})
			equal(t, "info", [2]int{sub.Info().MaxDemand, sub.Info().MinDemand}, want)
		})
	}
}

// Blocking: while the handlers of a producer and of a consumer do not return, only
// Run, Start and Snapshot wait for them. A call that waited would leave no
// goroutine of the bubble able to run, which fails the test.
func TestOnlyTheNamedCallsWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		release := make(chan struct{})
		block := func(any) error { <-release; return nil }
		src.onInfo, dst.onInfo = block, block
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Cancel: stage.Temporary, Manual: true})
		start(t, p, cs)
		src.self.Send("block")
		dst.self.Send("block")
		synctest.Wait()

		other := subscribe(t, cs, p, stage.SubscribeConfig{Cancel: stage.Temporary})
		if _, err := cs.Resubscribe(other, errOops, p, stage.SubscribeConfig{Cancel: stage.Temporary}); err != nil {
			t.Error(err)
		}
		if err := sub.Ask(1); err != nil {
			t.Error(err)
		}
		sub.Settle(0)
		sub.Cancel(nil)
		for _, s := range []stage.Stage{p, cs} {
			_, _ = s.Name(), s.Err()
			done, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := s.Snapshot(done); err == nil {
				t.Error("a snapshot of a stage whose handler has not returned")
			}
		}
		for _, h := range []*stage.Handle{src.self, dst.self} {
			h.Wake()
			if !h.Send("later") || !h.SendBehind("later") {
				t.Error("not sent")
			}
		}
		var ran atomic.Int32 // two stages run the functions
		if !p.Do(func() { ran.Add(1) }) || !cs.Do(func() { ran.Add(1) }) || !p.SetDemand(stage.Accumulate) || !p.SetDemand(stage.Forward) {
			t.Error("not accepted")
		}
		p.Drain()
		cs.Drain()
		p.Stop(nil)
		cs.Stop(nil)
		lives(t, p, cs)
		equal(t, "functions run", ran.Load(), 0)
		close(release)
		synctest.Wait()
		died(t, p, nil)
		died(t, cs, nil)
		equal(t, "functions run", ran.Load(), 2)
	})
}

// filler emits what it fills in place, and remembers where.
type filler struct{ at *int }

func (f *filler) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	slots := emit.Slots(n)
	f.at = &slots[0]
	return stage.ErrDone
}

// Cost: when a whole emission goes to one subscriber, nothing is copied.
func TestWholeEmissionIsHandedOver(t *testing.T) {
	src := &filler{}
	var at *int
	p := producer(src, stage.ProducerConfig[int]{})
	cs := consumer(&sink{onEvents: func(_ context.Context, events []int) error { at = &events[0]; return nil }}, "C")
	subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 64, MinDemand: stage.None})
	if err := stage.Run(t.Context(), p, cs); err != nil {
		t.Fatal(err)
	}
	if at == nil || at != src.at {
		t.Fatalf("filled at %p, handled at %p", src.at, at)
	}
}

// lastWord is a source that has nothing more when it is drained.
type lastWord struct{ source }

func (s *lastWord) HandleDrain(context.Context) error {
	s.drained++
	return stage.ErrDone
}

// Shutdown: Drain and Stop may come before the start, and any number of times.
func TestDrainBeforeTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &lastWord{}, newSink()
		src.onDemand = func(int) error { src.emit.EmitAll([]int{1, 2, 3}); return nil }
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{})
		pipeline := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c))
		pipeline.Drain()
		pipeline.Drain()
		if err := pipeline.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), []int{1, 2, 3})
		if src.drained > 1 { // none if the source has ended by then
			t.Fatalf("HandleDrain was called %d times", src.drained)
		}
		pipeline.Drain()
		pipeline.Stop(nil)
		pipeline.Stop(errOops)
	})
}
