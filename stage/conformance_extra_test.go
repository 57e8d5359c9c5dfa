package stage_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// The cases that end in a stage and are GenStage's dispatchers' or streams'.
var streamCases = []kase{
	{"G119_subscribed_by_reference", func(t *testing.T) {
		src, c, p, _, _ := pair(t, stage.Permanent)
		push(t, p, src, 1)
		equal(t, "events", c.events(), []int{1})
	}},
	{"G154_message_behind_a_partitions_queue", func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{}))})
		start(t, p)
		join(t, p, newSink(), stage.SubscribeConfig{Partition: 1})
		push(t, p, src, 2, 4)
		src.self.SendBehind("a")
		synctest.Wait()
		equal(t, "infos", len(src.infos), 0)
		join(t, p, newSink(), stage.SubscribeConfig{Partition: 0})
		equal(t, "infos", src.infos, []any{"a"})
	}},
}

// extraCases go beyond GenStage.
var extraCases = []kase{
	{"X1_every_ask_serves_the_buffer_first", func(t *testing.T) {
		src := &source{}
		dst := newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		sub := subscribe(t, c, p, stage.SubscribeConfig{Manual: true})
		start(t, p, c)
		push(t, p, src, upTo(0, 10)...)
		for i := range 10 {
			if err := sub.Ask(1); err != nil {
				t.Fatal(err)
			}
			push(t, p, src, 10+i)
		}
		equal(t, "events", dst.events(), upTo(0, 10))
		equal(t, "demands", len(src.demands), 0)
		equal(t, "buffered", snap(t, p).Buffered, 10)
	}},
	{"X2_no_partition_costs_no_demand", func(t *testing.T) {
		src, c := &source{counting: true, next: 1}, pausing(30)
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(1, func(v int) (int, bool) { return 0, v%10 == 0 }, dispatcher.PartitionConfig{}))})
		start(t, p)
		join(t, p, c, stage.SubscribeConfig{MaxDemand: 20, Partition: 0})
		got := c.events()
		equal(t, "events", got, tens(len(got)))
		if len(got) < 20 {
			t.Fatalf("silence after %d events", len(got))
		}
	}},
	{"X3_bad_subscriber_is_refused", func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(1, func(int) (int, bool) { return 0, true }, dispatcher.PartitionConfig{}))})
		start(t, p)
		good := newSink()
		join(t, p, good, stage.SubscribeConfig{Partition: 0})
		for _, bad := range []any{nil, 0, 1, "oops", []int{1}} {
			c := consumer(newSink(), "bad")
			subscribe(t, c, p, stage.SubscribeConfig{Partition: bad})
			start(t, c)
			var refused *dispatcher.OptionError
			if died(t, c, c.Err()); !errors.As(c.Err(), &refused) {
				t.Fatal(c.Err())
			}
		}
		push(t, p, src, 1)
		equal(t, "events", good.events(), []int{1})
	}},
	{"X4_buffer_none_drops_at_once", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{BufferSize: stage.None, Keep: stage.KeepLast}, []int{1, 2})
		equal(t, "discarded", len(src.discarded), 2)
		equal(t, "buffered", snap(t, p).Buffered, 0)
	}},
	{"X5_death_gives_back_what_was_not_receipted", func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{})
		start(t, p)
		_, dead := crashing(t, p, 1, stage.SubscribeConfig{MaxDemand: 4, MinDemand: 3, Redeliver: true})
		push(t, p, src, 1, 2, 3)
		died(t, dead, errOops)
		c := newSink()
		join(t, p, c, four)
		equal(t, "events", c.events(), []int{2, 3})
	}},
	{"X8_partition_outlives_its_subscriber", func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{}))})
		start(t, p)
		join(t, p, newSink(), stage.SubscribeConfig{Partition: 1})
		first := consumer(newSink(), "first")
		sub := subscribe(t, first, p, stage.SubscribeConfig{Partition: 0, Manual: true, Cancel: stage.Temporary})
		start(t, first)
		push(t, p, src, 2, 4, 6)
		sub.Cancel(nil)
		synctest.Wait()
		equal(t, "buffered", snap(t, p).Buffered, 3)
		c := newSink()
		join(t, p, c, stage.SubscribeConfig{Partition: 0})
		equal(t, "events", c.events(), []int{2, 4, 6})
	}},
	{"X9_no_empty_batches", func(t *testing.T) {
		src, c := &source{}, newSink()
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		start(t, p)
		join(t, p, c, stage.SubscribeConfig{MaxDemand: 4, Selector: func(v int) bool { return v == 7 }})
		for v := range 10 {
			push(t, p, src, v)
		}
		equal(t, "batches", c.batches, [][]int{{7}})
		equal(t, "demand", snap(t, p).Demand, 3)
	}},
	{"X10_wrong_subscription_fails_the_start", func(t *testing.T) {
		c := consumer(newSink(), "C")
		p := producer(&source{}, stage.ProducerConfig[int]{})
		if _, err := c.Subscribe(p, stage.SubscribeConfig{MaxDemand: -1}); err == nil {
			t.Fatal("accepted")
		}
		var option *stage.OptionError
		if err := c.Start(t.Context()); !errors.As(err, &option) || option.Option != "MaxDemand" {
			t.Fatal(err)
		}
	}},
	{"X11_emitting_from_handle_cancel_keeps_demand_exact", func(t *testing.T) { emitOnCancel(t) }},
}

func tens(n int) []int {
	var all []int
	for i := range n {
		all = append(all, (i+1)*10)
	}
	return all
}

// emitOnCancel has a producer-consumer emit while it hears that its producer
// has ended, with a batch and that end waiting for demand.
func emitOnCancel(t *testing.T) {
	t.Helper()
	pc, dst := newPipe(1), newSink()
	pc.onCancel = func(i stage.SubscriptionInfo, _ error) error {
		pc.emit.EmitAll([]int{101, 102})
		return nil
	}
	src, next := &source{}, &source{}
	p, q := producer(src, stage.ProducerConfig[int]{}), producer(next, stage.ProducerConfig[int]{Name: "Q"})
	m, c := between(pc, stage.ProducerConfig[int]{}), consumer(dst, "C")
	subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 4, MinDemand: stage.None, Cancel: stage.Temporary})
	sub := subscribe(t, c, m, stage.SubscribeConfig{Manual: true})
	start(t, p, m, c)
	push(t, p, src, 1, 2, 3)
	p.Stop(nil)
	synctest.Wait()
	subscribePC(t, m, q, stage.SubscribeConfig{MaxDemand: 4, MinDemand: stage.None})
	start(t, q)
	push(t, q, next, 4)
	push(t, q, next, 5)
	equal(t, "handled", len(pc.batches), 0)
	equal(t, "cancels", len(pc.cancels), 0) // waits its turn
	if err := sub.Ask(5); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	equal(t, "events", dst.events(), []int{1, 2, 3, 101, 102})
	got := snap(t, m)
	equal(t, "demand, buffered, queued", []int{got.Demand, got.Buffered, got.Queued}, []int{0, 0, 2})
	if err := sub.Ask(5); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	equal(t, "events", dst.events(), []int{1, 2, 3, 101, 102, 4, 5})
	equal(t, "demand", snap(t, m).Demand, 3)
}

// faultCases are faults of GenStage's, which are not to be copied.
var faultCases = []kase{
	{"Q1_buffer_is_served_to_who_comes_next", func(t *testing.T) {
		src, _, p, _, a := pair(t, stage.Temporary)
		a.Cancel(nil)
		push(t, p, src, 1, 2, 3)
		b := newSink()
		join(t, p, b, stage.SubscribeConfig{MaxDemand: 5, MinDemand: stage.None})
		equal(t, "batches", b.batches, [][]int{{1, 2, 3}})
		push(t, p, src, 4)
		equal(t, "batches", b.batches, [][]int{{1, 2, 3}, {4}})
	}},
	{"Q2_the_same_with_broadcast", func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		start(t, p)
		a, b := newSink(), newSink()
		join(t, p, a, stage.SubscribeConfig{MaxDemand: 10, MinDemand: stage.None})
		cs := consumer(b, "B")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		start(t, cs)
		push(t, p, src, 1, 2, 3)
		equal(t, "batches", len(a.batches)+len(b.batches), 0)
		if err := sub.Ask(10); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "events of A", a.events(), []int{1, 2, 3})
		equal(t, "events of B", b.events(), []int{1, 2, 3})
		push(t, p, src, 4)
		equal(t, "events of A", a.events(), []int{1, 2, 3, 4})
	}},
	{"Q3_no_partition_leaks_no_demand", func(t *testing.T) {
		src, c := &source{counting: true, next: 1}, pausing(30)
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(1, func(v int) (int, bool) { return 0, v%10 == 0 }, dispatcher.PartitionConfig{}))})
		start(t, p)
		join(t, p, c, stage.SubscribeConfig{MaxDemand: 20, Partition: 0})
		if len(c.batches) < 29 {
			t.Fatalf("silence after %d batches", len(c.batches))
		}
	}},
	{"Q4_bad_options_concern_nobody_else", func(t *testing.T) {
		p := producer(&source{}, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		start(t, p)
		c := consumer(newSink(), "C")
		subscribe(t, c, p, stage.SubscribeConfig{Selector: "oops", Cancel: stage.Temporary})
		start(t, c)
		lives(t, p, c)
	}},
	{"Q5_no_buffer_and_modes_of_a_producer_consumer", func(t *testing.T) {
		start(t, producer(&source{}, stage.ProducerConfig[int]{BufferSize: stage.None, Keep: stage.KeepLast}))
		m := between(newPipe(1), stage.ProducerConfig[int]{})
		start(t, m)
		m.SetDemand(stage.Accumulate)
		synctest.Wait()
		equal(t, "accumulating", snap(t, m).Accumulating, true)
		lives(t, m)
	}},
	{"Q6_demand_stays_exact", func(t *testing.T) { emitOnCancel(t) }},
	{"Q8_cancelled_partition_keeps_its_events", func(t *testing.T) {
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{}))})
		start(t, p)
		join(t, p, newSink(), stage.SubscribeConfig{Partition: 1})
		push(t, p, &src.source, 2, 4)
		got := snap(t, p)
		equal(t, "buffered, discarded", []int{got.Buffered, len(got.Discarded)}, []int{2, 0})
		p.Stop(nil) // now they are reported
		synctest.Wait()
		equal(t, "discarded", snap(t, p).Discarded[receipt.Stopped], 2)
	}},
	{"Q9_no_empty_lists", func(t *testing.T) {
		src, c := &source{}, newSink()
		p, cs := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()}), consumer(c, "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true, Selector: func(int) bool { return false }})
		start(t, p, cs)
		if err := sub.Ask(3); err != nil {
			t.Fatal(err)
		}
		push(t, p, src, 1, 2, 3)
		equal(t, "batches", len(c.batches), 0)
		equal(t, "demand", snap(t, p).Demand, 3)
	}},
	{"Q10_wrong_options_are_answered", func(t *testing.T) {
		_, _, p, cs, _ := pair(t, stage.Permanent)
		if _, err := cs.Subscribe(p, stage.SubscribeConfig{MinDemand: -5}); err == nil {
			t.Fatal("accepted")
		}
		lives(t, p, cs)
	}},
	{"Q11_pushed_events_lower_the_demand", func(t *testing.T) {
		src, c := &source{}, newSink()
		p := producer(src, stage.ProducerConfig[int]{Demand: stage.Accumulate})
		start(t, p)
		join(t, p, c, four)
		push(t, p, src, 1, 2)
		p.SetDemand(stage.Forward)
		synctest.Wait()
		equal(t, "events", c.events(), []int{1, 2})
		equal(t, "demands", src.demands, []int{2})
	}},
	{"Q12_receipts", func(t *testing.T) {
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{})
		start(t, p)
		join(t, p, newSink(), four)
		push(t, p, &src.source, 1, 2)
		equal(t, "receipts", ended(src.receipts), []string{"0 done", "1 done"})
	}},
}
