package stage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// pool is a consumer whose receipts the test gives.
type pool struct {
	sink
	deliveries []stage.Delivery[int]
}

func (p *pool) HandleDelivery(_ context.Context, d stage.Delivery[int]) error {
	d.Events = slices.Clone(d.Events)
	p.deliveries = append(p.deliveries, d)
	p.batches = append(p.batches, d.Events)
	return nil
}

// settle gives receipts for positions, with errs in turn if there are any.
func (p *pool) settle(sub *stage.Subscription[int], ask int, err error, at ...uint64) {
	var list []stage.Finished
	for _, position := range at {
		list = append(list, stage.Finished{Position: position, Err: err, Cost: time.Millisecond})
	}
	sub.Settle(ask, list...)
	synctest.Wait()
}

func ended(receipts []stage.Receipt) []string {
	var all []string
	for _, r := range receipts {
		for seq := range r.Seqs() {
			s := fmt.Sprint(seq, " ", r.Outcome)
			if r.Reason != "" {
				s += " " + string(r.Reason)
			}
			all = append(all, s)
		}
	}
	return all
}

func TestReturningIsTheReceipt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &acking{}, pausing(2)
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
		subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 4})
		start(t, p, cs)
		push(t, p, &src.source, 10, 11, 12, 13)
		equal(t, "in flight", snap(t, p).Subscriptions[0].InFlight, 2)
		equal(t, "receipts", ended(src.receipts), []string{"0 done", "1 done"})
		close(c.gate)
		synctest.Wait()
		equal(t, "receipts", ended(src.receipts), []string{"0 done", "1 done", "2 done", "3 done"})
	})
}

// pooled starts a source that wants receipts with a pool.
func pooled(t *testing.T, cfg stage.ProducerConfig[int]) (*acking, *pool, *stage.ProducerStage[int], *stage.ConsumerStage[int], *stage.Subscription[int]) {
	t.Helper()
	src, w := &acking{}, &pool{}
	p, cs := producer(src, cfg), consumer(w, "W")
	sub := subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 4, Cancel: stage.Temporary})
	start(t, p, cs)
	return src, w, p, cs, sub
}

func TestReceiptsInAnyOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, w, p, _, sub := pooled(t, stage.ProducerConfig[int]{})
		push(t, p, &src.source, 10, 11, 12, 13)
		equal(t, "first", w.deliveries[0].First, 0)
		w.settle(sub, 0, nil, 2)
		w.settle(sub, 0, errOops, 0)
		w.settle(sub, 0, nil, 2) // once more: it has no effect
		w.settle(sub, 0, fmt.Errorf("wrapped: %w", stage.Discard(receipt.Expired)), 3, 1)
		equal(t, "receipts", ended(src.receipts), []string{"2 done", "0 failed", "3 discarded expired", "1 discarded expired"})
		got := snap(t, p)
		equal(t, "in flight", got.Subscriptions[0].InFlight, 0)
		equal(t, "discarded", got.Discarded[receipt.Expired], 2)
		equal(t, "delivered", got.Delivered, 2)
		equal(t, "demands", src.demands, []int{4})
		w.settle(sub, 3, nil)
		equal(t, "demands", src.demands, []int{4, 3})
	})
}

// taking is a dispatcher that takes receipts, which wants their cost unless costed says no.
type taking struct{ dispatcher.Dispatcher[int] }

func (taking) Receipts(int64, []dispatcher.Receipt[int]) {}

type costed struct {
	taking
	wanted bool
}

func (c costed) Costs() bool { return c.wanted }

func TestCostIsWantedByDispatchersOnly(t *testing.T) {
	for name, test := range map[string]struct {
		disp dispatcher.Dispatcher[int]
		want bool
	}{
		"no receipts":   {dispatcher.NewDemand[int](), false},
		"receipts":      {taking{dispatcher.NewDemand[int]()}, true},
		"costs":         {costed{taking{dispatcher.NewDemand[int]()}, true}, true},
		"without costs": {costed{taking{dispatcher.NewDemand[int]()}, false}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, _, p, _, sub := pooled(t, stage.ProducerConfig[int]{Dispatcher: test.disp})
				push(t, p, &src.source, 10)
				equal(t, "costs", sub.Costs(), test.want)
			})
		})
	}
}

func TestDiscardIsAReceipt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{BufferSize: 2, Keep: stage.KeepLast})
		start(t, p)
		push(t, p, &src.source, 1, 2, 3)
		equal(t, "receipts", ended(src.receipts), []string{"0 discarded buffer_full"})
	})
}

func TestDeadConsumersEventsAreAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, w, p, cs, sub := pooled(t, stage.ProducerConfig[int]{})
		push(t, p, &src.source, 10, 11, 12)
		w.settle(sub, 0, nil, 1)
		cs.Stop(errOops)
		synctest.Wait()
		equal(t, "receipts", ended(src.receipts), []string{"1 done", "0 abandoned", "2 abandoned"})
		equal(t, "abandoned", snap(t, p).Abandoned, 2)
	})
}

// A source hears nothing of what was left when it was stopped: it is not done.
func TestNoReceiptForWhatAStopLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, _, p, _, _ := pooled(t, stage.ProducerConfig[int]{})
		push(t, p, &src.source, 10, 11)
		p.Stop(nil)
		synctest.Wait()
		equal(t, "receipts", len(src.receipts), 0)
	})
}

// Receipts that were given before the stage stopped are heard.
func TestReceiptsThatCameInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, w, p, cs, sub := pooled(t, stage.ProducerConfig[int]{})
		push(t, p, &src.source, 10, 11)
		src.onInfo = func(any) error {
			sub.Settle(0, stage.Finished{Position: 0}, stage.Finished{Position: 1})
			return errOops
		}
		src.self.Send("fail")
		synctest.Wait()
		died(t, p, errOops)
		lives(t, cs)
		equal(t, "receipts", ended(src.receipts), []string{"0 done", "1 done"})
		_ = w
	})
}

func TestDrainWaitsForReceipts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, w, p, cs, sub := pooled(t, stage.ProducerConfig[int]{})
		push(t, p, &src.source, 10, 11)
		p.Drain()
		cs.Drain()
		w.settle(sub, 0, nil, 1)
		lives(t, p, cs)
		w.settle(sub, 0, nil, 0)
		died(t, p, nil)
		died(t, cs, nil)
		equal(t, "receipts", ended(src.receipts), []string{"1 done", "0 done"})
	})
}

// One event, several subscribers: the source gets one receipt, behind the last
// of them, with the worst outcome.
func TestBroadcastGivesOneReceipt(t *testing.T) {
	discard := stage.Discard(receipt.Expired)
	dies := errors.New("dies")
	for _, c := range []struct {
		ends []error
		want string
	}{
		{[]error{nil, nil, nil}, "0 done"},
		{[]error{nil, discard, nil}, "0 discarded expired"},
		{[]error{discard, errOops, nil}, "0 failed"},
		{[]error{errOops, discard, nil}, "0 failed"},
		{[]error{dies, errOops, discard}, "0 abandoned"},
		{[]error{nil, nil, dies}, "0 abandoned"},
	} {
		bubble(t, func(t *testing.T) {
			src := &acking{}
			p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
			start(t, p)
			var pools []*pool
			var subs []*stage.Subscription[int]
			var stages []*stage.ConsumerStage[int]
			for i := range c.ends {
				w := &pool{}
				cs := consumer(w, fmt.Sprint("W", i))
				subs = append(subs, subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 4, Redeliver: i == 0}))
				start(t, cs)
				pools, stages = append(pools, w), append(stages, cs)
			}
			push(t, p, &src.source, 10, 11)
			for i, err := range c.ends {
				equal(t, "receipts so far", len(src.receipts), 0)
				if err == dies {
					stages[i].Stop(nil)
					synctest.Wait()
				} else {
					pools[i].settle(subs[i], 0, err, 0)
				}
			}
			equal(t, "receipts", ended(src.receipts)[0], c.want)
			got := snap(t, p)
			equal(t, "buffered", got.Buffered, 0)
			equal(t, "deliveries", got.Deliveries, 6)
		})
	}
}

func TestSelectorsShareReceipts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		start(t, p)
		for _, m := range []int{2, 3} {
			cs := consumer(newSink(), fmt.Sprint("C", m))
			subscribe(t, cs, p, stage.SubscribeConfig{Selector: func(v int) bool { return v%m == 0 }})
			start(t, cs)
		}
		push(t, p, &src.source, 1, 2, 3, 4, 5, 6)
		got := ended(src.receipts)
		slices.Sort(got)
		equal(t, "receipts", got, []string{"0 discarded unselected", "1 done", "2 done", "3 done", "4 discarded unselected", "5 done"})
		snapped := snap(t, p)
		equal(t, "delivered", snapped.Delivered, 4)
		equal(t, "deliveries", snapped.Deliveries, 5)
	})
}

// crashing starts a consumer that handles good events and then fails, in one
// batch.
func crashing(t *testing.T, p stage.Output[int], good int, cfg stage.SubscribeConfig) (*sink, *stage.ConsumerStage[int]) {
	t.Helper()
	c := newSink()
	handled := 0
	c.onEvents = func(_ context.Context, events []int) error {
		if handled += len(events); handled > good {
			return errOops
		}
		return nil
	}
	cs := consumer(c, "crashing")
	subscribe(t, cs, p, cfg)
	start(t, cs)
	return c, cs
}

func TestRedeliverGoesToTheFrontInOrderOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{})
		start(t, p)
		_, dead := crashing(t, p, 4, stage.SubscribeConfig{MaxDemand: 10, MinDemand: 8, Redeliver: true})
		push(t, p, src, upTo(0, 12)...) // two a chunk; 0 to 3 are handled; 10 and 11 wait
		died(t, dead, errOops)
		equal(t, "buffered", snap(t, p).Buffered, 8)
		c := newSink()
		join(t, p, c, stage.SubscribeConfig{MaxDemand: 6, MinDemand: stage.None, Redeliver: true})
		push(t, p, src, 12, 13)
		equal(t, "events", c.events(), upTo(4, 14))
		equal(t, "abandoned", snap(t, p).Abandoned, 0)
	})
}

func TestRedeliverWhatWasOnTheWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{})
		start(t, p)
		c1, c2 := pausing(1), newSink()
		first := consumer(c1, "first")
		subscribe(t, first, p, stage.SubscribeConfig{MaxDemand: 4, MinDemand: stage.None, Redeliver: true})
		start(t, first)
		push(t, p, &src.source, 0, 1) // being handled
		push(t, p, &src.source, 2, 3) // in the mailbox
		push(t, p, &src.source, 4, 5) // buffered
		first.Stop(nil)
		synctest.Wait()
		equal(t, "receipts", len(src.receipts), 0)
		join(t, p, c2, stage.SubscribeConfig{MaxDemand: 10})
		equal(t, "events", c2.events(), upTo(0, 6))
		equal(t, "receipts", ended(src.receipts), []string{"0 done", "1 done", "2 done", "3 done", "4 done", "5 done"})
	})
}

func TestRedeliverOfAPoolOnlyWhatIsUnfinished(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, w := &source{}, &pool{}
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(w, "W")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 4, Redeliver: true})
		start(t, p, cs)
		push(t, p, src, 0, 1, 2, 3)
		w.settle(sub, 0, nil, 2, 0)
		cs.Stop(nil)
		synctest.Wait()
		c := newSink()
		join(t, p, c, four)
		equal(t, "events", c.events(), []int{1, 3})
	})
}

func TestRedeliverWithinAPartition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{
			Dispatcher: stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{})),
		})
		start(t, p)
		other := newSink()
		join(t, p, other, stage.SubscribeConfig{Partition: 1})
		_, dead := crashing(t, p, 2, stage.SubscribeConfig{MaxDemand: 4, MinDemand: 2, Redeliver: true, Partition: 0})
		push(t, p, src, upTo(0, 16)...)
		died(t, dead, errOops)
		c := newSink()
		join(t, p, c, stage.SubscribeConfig{Partition: 0})
		equal(t, "even", c.events(), []int{4, 6, 8, 10, 12, 14})
		equal(t, "odd", other.events(), []int{1, 3, 5, 7, 9, 11, 13, 15})
		equal(t, "buffered", snap(t, p).Buffered, 0)
	})
}

// An end in good order waits for what could still come back.
func TestDoneWaitsForRedelivery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{counting: true, limit: 4}
		p := producer(src, stage.ProducerConfig[int]{})
		c := pausing(1)
		first := consumer(c, "first")
		subscribe(t, first, p, stage.SubscribeConfig{Redeliver: true})
		start(t, p, first)
		lives(t, p)
		first.Stop(nil)
		synctest.Wait()
		second := newSink()
		cs := join(t, p, second, stage.SubscribeConfig{Redeliver: true})
		equal(t, "events", second.events(), upTo(0, 4))
		died(t, p, nil)
		died(t, cs, nil)
	})
}
