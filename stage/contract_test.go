package stage_test

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// Blocking: a consumer that does not return delays no other stage.
func TestBlockedConsumerHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{})
		slow, quick := pausing(1), newSink()
		a, b := consumer(slow, "A"), consumer(quick, "B")
		subscribe(t, a, p, stage.SubscribeConfig{MaxDemand: 2})
		subscribe(t, b, p, stage.SubscribeConfig{MaxDemand: 2})
		start(t, p, a, b)
		for i := range 100 {
			push(t, p, src, i)
		}
		if got := len(quick.events()); got < 98 {
			t.Fatalf("the quick consumer got %d", got)
		}
		equal(t, "buffered", snap(t, p).Buffered, 0)
		close(slow.gate)
		synctest.Wait()
		equal(t, "events", len(slow.events())+len(quick.events()), 100)
	})
}

// Blocking: a snapshot waits for the running handler, or for its context.
func TestSnapshotHeedsItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, _, p, cs, _ := pair(t, stage.Permanent)
		release := make(chan struct{})
		src.onInfo = func(any) error { <-release; return nil }
		src.self.Send("block")
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errOops)
		if _, err := p.Snapshot(ctx); !errors.Is(err, errOops) {
			t.Fatal(err)
		}
		if _, err := cs.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(release)
		snap(t, p)
		p.Stop(nil)
		synctest.Wait()
		snap(t, p)
	})
}

// Order: first in, first out through three stages, with many rounds.
func TestOrderThroughThreeStages(t *testing.T) {
	const n = 200_000
	dst := newSink()
	next := 0
	dst.onEvents = func(_ context.Context, events []int) error {
		dst.batches = dst.batches[:0]
		for _, v := range events {
			if v != next/2 {
				t.Errorf("got %d, want %d", v, next/2)
				return errOops
			}
			next++
		}
		return nil
	}
	pc := newPipe(2)
	pc.after = func([]int, *stage.Emitter[int]) error { pc.batches = pc.batches[:0]; return nil }
	p, m, c := producer(&source{counting: true, limit: n}, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{}), consumer(dst, "C")
	subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 64})
	subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 100, MinDemand: 7})
	if err := stage.Run(t.Context(), p, m, c); err != nil {
		t.Fatal(err)
	}
	equal(t, "events", next, 2*n)
}

// serialProbe counts in every handler without a lock: the race detector, and the
// flag, find handlers that overlap.
type serialProbe struct {
	source
	inside bool
	calls  int
	t      *testing.T
}

func (s *serialProbe) enter() {
	if s.inside {
		s.t.Error("handlers overlap")
	}
	s.inside = true
	s.calls++
	s.inside = false
}

func (s *serialProbe) HandleDemand(context.Context, int, *stage.Emitter[int]) error {
	s.enter()
	return nil
}
func (s *serialProbe) HandleWake(context.Context, *stage.Emitter[int]) error { s.enter(); return nil }
func (s *serialProbe) HandleInfo(context.Context, any) error                 { s.enter(); return nil }
func (s *serialProbe) HandleSubscribe(context.Context, stage.SubscriptionInfo) error {
	s.enter()
	return nil
}
func (s *serialProbe) HandleCancel(context.Context, stage.SubscriptionInfo, error) error {
	s.enter()
	return nil
}

// Serial: handlers never overlap, whatever comes from wherever.
func TestHandlersNeverOverlap(t *testing.T) {
	probe := &serialProbe{t: t}
	p := producer(probe, stage.ProducerConfig[int]{})
	c := consumer(newSink(), "C")
	for _, s := range []stage.Stage{p, c} {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				sub, err := c.Subscribe(p, stage.SubscribeConfig{Cancel: stage.Temporary})
				if err != nil {
					t.Error(err)
				}
				probe.self.Wake()
				probe.self.Send(1)
				p.Do(probe.enter)
				if _, err := p.Snapshot(t.Context()); err != nil {
					t.Error(err)
				}
				sub.Cancel(nil)
				sub.Cancel(nil)
			}
		})
	}
	wg.Wait()
	p.Stop(nil)
	<-p.Stopped()
	c.Stop(nil)
	<-c.Stopped()
	if probe.calls < 4*200*2 { // of Send and Do each, and some of the others
		t.Fatalf("%d calls", probe.calls)
	}
}

// Serial: a handler may call its own stage, and its own subscriptions.
func TestHandlerMayCallItsOwnStage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &source{}, newSink()
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true, Cancel: stage.Temporary})
		did := false
		c.onEvents = func(context.Context, []int) error {
			_ = cs.Name()
			_ = cs.Err()
			_ = sub.Ask(3)
			sub.Cancel(nil)
			c.self.Send("to myself")
			c.self.Wake()
			cs.Do(func() { did = true })
			if _, err := cs.Subscribe(p, stage.SubscribeConfig{Cancel: stage.Temporary}); err != nil {
				return err
			}
			return nil
		}
		src.onDemand = func(int) error {
			p.SetDemand(stage.Forward)
			src.self.SendBehind("to myself")
			p.Do(func() {})
			return nil
		}
		src.onSub = func(stage.SubscriptionInfo) error { src.self.Wake(); return nil }
		start(t, p, cs)
		if err := sub.Ask(1); err != nil {
			t.Fatal(err)
		}
		push(t, p, src, 1)
		equal(t, "did", did, true)
		equal(t, "infos", c.infos, []any{"to myself"})
		src.onInfo = func(any) error { p.Drain(); p.Stop(nil); return nil }
		src.self.Send("end")
		synctest.Wait()
		died(t, p, nil)
		c.onInfo = func(any) error { cs.Stop(nil); return nil }
		c.self.Send("end")
		synctest.Wait()
		died(t, cs, nil)
	})
}

// Ownership: a slice of events is the stage's again when the handler has
// returned.
func TestSliceOfEventsIsReused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &source{}, newSink()
		var kept []int
		c.onEvents = func(_ context.Context, events []int) error { kept = events; return nil }
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
		subscribe(t, cs, p, stage.SubscribeConfig{})
		start(t, p, cs)
		mine := []int{1, 2, 3}
		push(t, p, src, mine...)
		equal(t, "kept", kept, []int{0, 0, 0})
		equal(t, "emitted slice", mine, []int{1, 2, 3})
		equal(t, "events", c.events(), []int{1, 2, 3})
	})
}

// Ownership: what a handler does to its slice concerns no other subscriber.
func TestHandlerMayChangeItsSlice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		start(t, p)
		sinks := []*sink{newSink(), newSink(), newSink()}
		for i, c := range sinks {
			c.onEvents = func(_ context.Context, events []int) error { clear(events); return nil }
			cs := consumer(c, string(rune('A'+i)))
			subscribe(t, cs, p, stage.SubscribeConfig{})
			start(t, cs)
		}
		push(t, p, src, 1, 2, 3)
		for _, c := range sinks {
			equal(t, "events", c.events(), []int{1, 2, 3})
		}
	})
}

// Loss: an event is dropped only by the policy that was chosen, and counted.
func TestBufferOfNoneDropsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{BufferSize: stage.None, Keep: stage.KeepLast}, []int{1, 2})
		equal(t, "discarded", src.discarded, []string{"1 buffer_full", "2 buffer_full"})
		c := newSink()
		join(t, p, c, four)
		push(t, p, src, upTo(3, 9)...)
		equal(t, "events", c.events(), []int{3, 4, 5, 6})
		got := snap(t, p)
		equal(t, "discarded", got.Discarded[receipt.BufferFull], 4)
	})
}

// Loss: what a stage still has when it is stopped is discarded and counted.
func TestStopDiscardsWhatIsBuffered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, d := range []dispatcher.Dispatcher[int]{dispatcher.NewDemand[int](), stage.Must(dispatcher.NewPartition(1, func(int) (int, bool) { return 0, true }, dispatcher.PartitionConfig{}))} {
			src, p, _ := filled(t, stage.ProducerConfig[int]{Dispatcher: d}, []int{1, 2})
			p.Do(func() { src.emit.Emit(3); p.Stop(nil) })
			synctest.Wait()
			equal(t, "discarded", snap(t, p).Discarded[receipt.Stopped], 3)
			slices.Sort(src.discarded)
			equal(t, "discarded", src.discarded, []string{"1 stopped", "2 stopped", "3 stopped"})
		}
	})
}

// Loss: deliveries that die with an untracked consumer are counted.
func TestDeathOfAConsumerIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		c := newSink()
		c.onEvents = func(_ context.Context, events []int) error {
			if events[0] == 5 {
				return errOops
			}
			return nil
		}
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
		subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 10})
		start(t, p, cs)
		push(t, p, src, upTo(0, 10)...) // handled in two chunks, of which the second fails
		died(t, cs, errOops)
		got := snap(t, p)
		equal(t, "abandoned", got.Abandoned, 5)
		equal(t, "delivered", got.Delivered, 10)
	})
}

// Cost: a program with stages alone does not compile the drivers.
func TestStageDependsOnNoDriver(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, driver := range []string{"kafka", "kgo", "franz", "websocket", "nats", "redis", "jwt", "net/http"} {
			if strings.Contains(dep, driver) {
				t.Errorf("stage depends on %s", dep)
			}
		}
	}
}
