package stage_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// TestReactiveStreams checks the rules of the Reactive Streams specification
// 1.0.3 that have a counterpart here: a publisher is a producer, request is Ask,
// onError and onComplete are the end of a subscription. The names follow the
// specification's own test kit: required cases are proved, stochastic ones only
// tried, and what is untested says why.
func TestReactiveStreams(t *testing.T) {
	for _, c := range reactiveCases {
		t.Run(c.name, func(t *testing.T) { bubble(t, c.run) })
	}
}

var reactiveCases = []kase{
	{"required_spec101_never_more_than_requested", func(t *testing.T) {
		for name, d := range map[string]dispatcher.Dispatcher[int]{
			"demand": nil, "broadcast": dispatcher.NewBroadcast[int](),
			"partition": stage.Must(dispatcher.NewPartition(1, func(int) (int, bool) { return 0, true }, dispatcher.PartitionConfig{})),
		} {
			src, c := &source{}, newSink()
			p, cs := producer(src, stage.ProducerConfig[int]{Dispatcher: d}), consumer(c, name)
			cfg := stage.SubscribeConfig{Manual: true}
			if name == "partition" {
				cfg.Partition = 0
			}
			sub := subscribe(t, cs, p, cfg)
			start(t, p, cs)
			push(t, p, src, upTo(0, 10)...)
			for n := range 5 {
				equal(t, name, len(c.events()), n)
				if err := sub.Ask(1); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
		}
	}},
	{"required_spec102_fewer_than_requested", func(t *testing.T) {
		src, c, p, _, _ := pair(t, stage.Permanent)
		push(t, p, src, 1)
		equal(t, "events", c.events(), []int{1})
	}},
	{"required_spec104_one_error", func(t *testing.T) {
		src, c, p, _, _ := pair(t, stage.Permanent)
		p.Stop(errOops)
		p.Stop(errOops)
		synctest.Wait()
		equal(t, "ends", c.cancels, []string{"oops"})
		_ = src
	}},
	{"required_spec105_one_complete", func(t *testing.T) {
		c := newSink()
		p := producer(&source{counting: true, limit: 3}, stage.ProducerConfig[int]{})
		start(t, p)
		join(t, p, c, stage.SubscribeConfig{})
		equal(t, "events", c.events(), []int{0, 1, 2})
		equal(t, "ends", c.cancels, []string{stage.ErrDone.Error()})
	}},
	{"required_spec107_nothing_after_the_end", func(t *testing.T) {
		src, c, p, _, sub := pair(t, stage.Temporary)
		sub.Cancel(nil)
		synctest.Wait()
		push(t, p, src, 1, 2)
		sub.Cancel(nil)
		p.Stop(errOops)
		synctest.Wait()
		equal(t, "events", len(c.events()), 0)
		equal(t, "ends", len(c.cancels), 1)
	}},
	{"required_spec108_at_most_what_was_asked_before_the_cancel", func(t *testing.T) {
		c := pausing(1)
		p, cs := producer(&source{counting: true}, stage.ProducerConfig[int]{}), consumer(c, "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 10, Cancel: stage.Temporary})
		start(t, p, cs)
		sub.Cancel(nil)
		synctest.Wait()
		close(c.gate)
		synctest.Wait()
		equal(t, "events", c.events(), upTo(0, 10)) // late ones are tolerated, and handled
		if sub.Err() == nil {
			t.Fatal("no end")
		}
	}},
	{"required_spec109_subscribed_before_anything_else", func(t *testing.T) {
		c := newSink()
		var order []string
		c.onSub = func(stage.SubscriptionInfo) error { order = append(order, "subscribe"); return nil }
		c.onEvents = func(context.Context, []int) error { order = append(order, "events"); return nil }
		p := producer(&source{counting: true, limit: 1}, stage.ProducerConfig[int]{})
		start(t, p)
		join(t, p, c, stage.SubscribeConfig{})
		equal(t, "order", order, []string{"subscribe", "events"})
	}},
	{"required_spec109_nil_is_an_error", func(t *testing.T) {
		if _, err := consumer(newSink(), "C").Subscribe(nil, stage.SubscribeConfig{}); err == nil {
			t.Fatal("no error")
		}
	}},
	{"required_spec111_many_subscribers", func(t *testing.T) {
		src, a, b := &source{}, newSink(), newSink()
		p := producer(src, stage.ProducerConfig[int]{})
		start(t, p)
		join(t, p, a, four)
		join(t, p, b, four)
		push(t, p, src, upTo(0, 8)...)
		equal(t, "events", len(a.events())+len(b.events()), 8) // unicast, by default
	}},
	{"required_spec205_second_subscription_leaves_the_first", func(t *testing.T) {
		src, c := &source{}, newSink()
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		start(t, p)
		cs := join(t, p, c, four)
		second := subscribe(t, cs, p, four)
		push(t, p, src, 1)
		equal(t, "events", c.events(), []int{1})
		if second.Err() == nil {
			t.Fatal("accepted")
		}
	}},
	{"required_spec209_end_without_a_request", func(t *testing.T) {
		c := newSink()
		src := &source{}
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
		subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		start(t, p, cs)
		src.onInfo = func(any) error { return stage.ErrDone }
		src.self.Send("done")
		synctest.Wait()
		equal(t, "ends", c.cancels, []string{stage.ErrDone.Error()})
		died(t, cs, nil)
	}},
	{"required_spec210_failure_without_a_request", func(t *testing.T) {
		c := newSink()
		p, cs := producer(&source{}, stage.ProducerConfig[int]{}), consumer(c, "C")
		subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		start(t, p, cs)
		p.Stop(errOops)
		synctest.Wait()
		died(t, cs, errOops)
	}},
	{"required_spec213_panicking_consumer_is_cancelled", func(t *testing.T) {
		src, c, p, cs, _ := pair(t, stage.Permanent)
		c.onEvents = func(context.Context, []int) error { panic("subscriber") }
		push(t, p, src, 1)
		lives(t, p)
		equal(t, "cancels", len(src.cancels), 1)
		if cs.Err() == nil {
			t.Fatal("no error")
		}
	}},
	{"required_spec303_ask_from_within_a_handler_a_million_times", func(t *testing.T) {
		const n = 1_000_000
		p := producer(&source{counting: true, limit: n}, stage.ProducerConfig[int]{})
		var sub *stage.Subscription[int]
		got, deepest := 0, 0
		cs := consumer(stage.ConsumerFunc[int](func(context.Context, []int) error {
			if got++; got%100_000 == 0 {
				deepest = max(deepest, strings.Count(string(stackOf()), "\n"))
			}
			return sub.Ask(1)
		}), "C")
		sub = subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		if err := sub.Ask(1); err != nil {
			t.Fatal(err)
		}
		start(t, p, cs)
		equal(t, "events", got, n)
		if deepest > 60 {
			t.Fatalf("%d lines of stack", deepest)
		}
	}},
	{"required_spec304_ask_does_not_block", func(t *testing.T) {
		src := &source{}
		release := make(chan struct{})
		src.onInfo = func(any) error { <-release; return nil }
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		start(t, p, cs)
		src.self.Send("block")
		synctest.Wait()
		for range 1000 {
			if err := sub.Ask(1); err != nil { // the producer hears none of it yet
				t.Fatal(err)
			}
		}
		sub.Cancel(nil)
		close(release)
		synctest.Wait()
	}},
	{"required_spec305_cancel_is_idempotent_and_quick", func(t *testing.T) {
		src, c, p, _, sub := pair(t, stage.Temporary)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { sub.Cancel(errOops) })
		}
		wg.Wait()
		synctest.Wait()
		equal(t, "ends", []int{len(c.cancels), len(src.cancels)}, []int{1, 1})
		lives(t, p)
	}},
	{"required_spec306_ask_after_cancel_does_nothing", func(t *testing.T) {
		src := &source{}
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true, Cancel: stage.Temporary})
		start(t, p, cs)
		sub.Cancel(nil)
		if err := sub.Ask(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "demands", len(src.demands), 0)
	}},
	{"required_spec308_requests_add_up", func(t *testing.T) {
		src := &source{}
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		start(t, p, cs)
		for _, n := range []int{1, 2, 3} {
			if err := sub.Ask(n); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		equal(t, "outstanding", snap(t, p).Subscriptions[0].Outstanding, 6)
	}},
	{"required_spec309_not_positive_is_an_error", func(t *testing.T) {
		p, cs := producer(&source{}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		for _, n := range []int{0, -1, math.MinInt} {
			var wrong *stage.OptionError
			if err := sub.Ask(n); !errors.As(err, &wrong) {
				t.Fatal(err)
			}
		}
	}},
	{"required_spec313_references_are_dropped", func(t *testing.T) { dropped(t) }},
	{"required_spec317_demand_saturates", func(t *testing.T) {
		src := &source{}
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		start(t, p, cs)
		for range 3 {
			if err := sub.Ask(math.MaxInt); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		equal(t, "outstanding", snap(t, p).Subscriptions[0].Outstanding, math.MaxInt)
	}},
	{"required_spec402_failures_travel_both_ways", func(t *testing.T) {
		src, pc, p, m, _, down, cs := trio(t, stage.Permanent)
		pc.after = func([]int, *stage.Emitter[int]) error { return errOops }
		push(t, p, src, 1)
		died(t, m, errOops)
		equal(t, "upstream", len(src.cancels), 1)
		if !errors.Is(down.Err(), errOops) {
			t.Fatal(down.Err())
		}
		lives(t, cs)
	}},
	{"stochastic_spec103_signals_are_serial", func(t *testing.T) {
		c := newSink()
		inside := 0 // the race detector watches it
		c.onEvents = func(context.Context, []int) error { inside++; defer func() { inside-- }(); return nil }
		c.onInfo = func(any) error { inside++; defer func() { inside-- }(); return nil }
		p, cs := producer(&source{counting: true, limit: 5000}, stage.ProducerConfig[int]{}), consumer(c, "C")
		subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 10})
		start(t, cs)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 100 {
					c.self.Send(1)
				}
			})
		}
		start(t, p)
		wg.Wait()
		equal(t, "inside", inside, 0)
	}},
	{"stochastic_spec207_ask_and_cancel_from_anywhere", func(t *testing.T) {
		src, c := &source{counting: true}, newSink()
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true, Cancel: stage.Temporary})
		start(t, p, cs)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 100 {
					if err := sub.Ask(1); err != nil {
						t.Error(err)
					}
				}
				if i == 7 {
					sub.Cancel(nil)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		got := c.events()
		equal(t, "events", got, upTo(0, len(got)))
		if len(got) > 800 {
			t.Fatalf("%d events", len(got))
		}
	}},
	{"stochastic_spec211_signals_happen_before", func(t *testing.T) {
		type box struct{ v int }
		n := 0
		p := stage.Must(stage.NewProducer(stage.ProducerFunc[*box](func(_ context.Context, n int, emit *stage.Emitter[*box]) error {
			for i := range n {
				b := &box{}
				b.v = i + 1 // seen by the consumer without a lock
				emit.Emit(b)
			}
			return stage.ErrDone
		}), stage.ProducerConfig[*box]{}))
		cs := stage.Must(stage.NewConsumer(stage.ConsumerFunc[*box](func(_ context.Context, events []*box) error {
			for _, b := range events {
				if b.v == 0 {
					return fmt.Errorf("event %d is empty", n)
				}
				n++
			}
			return nil
		}), stage.ConsumerConfig{}))
		if _, err := cs.Subscribe(p, stage.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		if err := stage.Run(t.Context(), p, cs); err != nil {
			t.Fatal(err)
		}
		equal(t, "events", n, 1000)
	}},
	{"untested_spec110_no_subscription_is_used_twice", func(t *testing.T) {
		t.Log("a subscription is made by Subscribe, which sends it: it cannot be sent again")
	}},
	{"untested_spec202_asynchronous_boundaries", func(t *testing.T) {
		t.Log("every subscription is one: handlers of two stages share no goroutine")
	}},
	{"untested_spec310_spec311_spec314_permissions", func(t *testing.T) {
		t.Log("the rules say may, there is nothing to hold to")
	}},
}

func stackOf() []byte {
	buf := make([]byte, 64<<10)
	return buf[:runtime.Stack(buf, false)]
}

// dropped checks that a producer lets go of a consumer that has left.
func dropped(t *testing.T) {
	t.Helper()
	src := &source{}
	p := producer(src, stage.ProducerConfig[int]{})
	start(t, p)
	leave := func() (weak.Pointer[sink], weak.Pointer[stage.Subscription[int]]) {
		c := newSink()
		cs := consumer(c, "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 10, Cancel: stage.Temporary})
		ctx, cancel := context.WithCancel(context.Background())
		if err := cs.Start(ctx); err != nil {
			t.Fatal(err)
		}
		push(t, p, src, upTo(0, 10)...)
		sub.Cancel(nil)
		synctest.Wait()
		cs.Stop(nil)
		synctest.Wait()
		cancel()
		return weak.Make(c), weak.Make(sub)
	}
	handler, sub := leave()
	for range 20 {
		p.Do(func() {})
		synctest.Wait()
		runtime.GC()
		if handler.Value() == nil && sub.Value() == nil {
			return
		}
	}
	t.Fatalf("still referenced: handler %v, subscription %v", handler.Value() != nil, sub.Value() != nil)
}
