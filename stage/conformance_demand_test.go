package stage_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// flow starts a counter and a consumer that pauses before its nth call.
func flow(t *testing.T, n int, cfg stage.SubscribeConfig) *sink {
	t.Helper()
	c := pausing(n)
	p, cs := producer(&source{counting: true}, stage.ProducerConfig[int]{}), consumer(c, "C")
	subscribe(t, cs, p, cfg)
	start(t, p, cs)
	return c
}

// broadcast starts a producer that broadcasts to two consumers with max demand
// 10 and 20, which pause before their nth call, and to one that never asks if
// silent is set.
func broadcast(t *testing.T, src *source, n int, silent bool) (c1, c2 *sink, third *stage.Subscription[int]) {
	t.Helper()
	c1, c2 = pausing(n), pausing(n)
	p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
	s1, s2, s3 := consumer(c1, "C1"), consumer(c2, "C2"), consumer(newSink(), "C3")
	if silent {
		third = subscribe(t, s3, p, stage.SubscribeConfig{Manual: true, Cancel: stage.Temporary})
	}
	subscribe(t, s1, p, stage.SubscribeConfig{MaxDemand: 10, MinDemand: stage.None})
	subscribe(t, s2, p, stage.SubscribeConfig{MaxDemand: 20, MinDemand: stage.None})
	start(t, s1, s2, s3, p)
	return c1, c2, third
}

func has(t *testing.T, s *sink, batch []int) {
	t.Helper()
	if !slices.ContainsFunc(s.batches, func(b []int) bool { return slices.Equal(b, batch) }) {
		t.Fatalf("no batch %v among %d batches, of sizes %v", batch, len(s.batches), s.sizes(20))
	}
}

var demandCases = []kase{
	{"G2_default_chunks_are_500", func(t *testing.T) {
		c := flow(t, 3, stage.SubscribeConfig{})
		equal(t, "batches", c.batches, [][]int{upTo(0, 500), upTo(500, 1000)})
	}},
	{"G3_max_100_min_80_chunks_are_20", func(t *testing.T) {
		c := flow(t, 52, stage.SubscribeConfig{MaxDemand: 100, MinDemand: 80})
		for i, b := range c.batches {
			equal(t, "batch", b, upTo(i*20, i*20+20))
		}
		has(t, c, upTo(1000, 1020))
	}},
	{"G5_max_1_min_0_one_by_one", func(t *testing.T) {
		c := flow(t, 4, stage.SubscribeConfig{MaxDemand: 1, MinDemand: stage.None})
		equal(t, "batches", c.batches, [][]int{{0}, {1}, {2}})
	}},
	{"G6_broadcast_moves_by_the_smaller_demand", func(t *testing.T) {
		c1, c2, _ := broadcast(t, &source{counting: true}, 103, false)
		has(t, c1, upTo(1000, 1010))
		has(t, c2, upTo(1000, 1010))
	}},
	{"G7_broadcast_waits_for_who_does_not_ask", func(t *testing.T) {
		c1, c2, third := broadcast(t, &source{counting: true}, 103, true)
		equal(t, "batches", len(c1.batches)+len(c2.batches), 0)
		third.Cancel(nil)
		synctest.Wait()
		has(t, c1, upTo(1000, 1010))
		has(t, c2, upTo(1000, 1010))
	}},
	{"G8_broadcast_asks_the_producer_once", func(t *testing.T) {
		src := &source{}
		broadcast(t, src, 1, false)
		equal(t, "demands", src.demands, []int{10})
	}},
}

var pipeCases = []kase{
	{"G9_producer_consumer_chunks", func(t *testing.T) { doubling(t, 0) }},
	{"G11_consumer_subscribes_first", func(t *testing.T) { doubling(t, 1) }},
	{"G12_late_subscription", func(t *testing.T) { doubling(t, 2) }},
	{"G14_producer_consumer_that_drops_everything_is_fed", func(t *testing.T) {
		pc := newPipe(0)
		pc.pause = 52
		p := producer(&source{counting: true}, stage.ProducerConfig[int]{})
		m, cs := between(pc, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 100, MinDemand: 80})
		subscribe(t, cs, m, stage.SubscribeConfig{MaxDemand: 100, MinDemand: 50})
		start(t, p, m, cs)
		has(t, &pc.sink, upTo(0, 20))
		has(t, &pc.sink, upTo(100, 120))
		has(t, &pc.sink, upTo(1000, 1020))
	}},
	{"G15_producer_consumer_broadcasts", func(t *testing.T) {
		c1, c2, _ := pipeBroadcast(t, false, stage.SubscribeConfig{MaxDemand: 10})
		has(t, c1, doubled(200, 205))
		has(t, c2, doubled(200, 205))
	}},
	{"G16_producer_consumer_broadcast_waits", func(t *testing.T) {
		c1, c2, third := pipeBroadcast(t, true, stage.SubscribeConfig{})
		equal(t, "batches", len(c1.batches)+len(c2.batches), 0)
		third.Cancel(nil)
		synctest.Wait()
		has(t, c1, doubled(200, 205))
		has(t, c2, doubled(200, 205))
	}},
}

// doubling checks a producer-consumer with 100/80 that doubles events for a
// consumer with 100/50, however late the subscriptions come.
func doubling(t *testing.T, order int) {
	pc, c := newPipe(2), pausing(60)
	p := producer(&source{counting: true}, stage.ProducerConfig[int]{})
	m, cs := between(pc, stage.ProducerConfig[int]{}), consumer(c, "C")
	up := func() { subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 100, MinDemand: 80}) }
	down := func() { subscribe(t, cs, m, stage.SubscribeConfig{MaxDemand: 100, MinDemand: 50}) }
	switch order {
	case 0:
		up()
		down()
		start(t, p, m, cs)
	case 1:
		down()
		start(t, cs, m)
		up()
		start(t, p)
	case 2:
		start(t, p, m, cs)
		up()
		synctest.Wait()
		down()
		synctest.Wait()
	}
	for i, b := range pc.batches {
		equal(t, "batch of the producer-consumer", b, upTo(i*20, i*20+20))
	}
	equal(t, "first batch", c.batches[0], doubled(0, 20))
	equal(t, "second batch", c.batches[1], doubled(20, 40))
	has(t, &pc.sink, upTo(100, 120))
	got := c.events()
	equal(t, "events", got, doubled(0, len(got)/2+1)[:len(got)])
	for _, b := range c.batches {
		if len(b) > 50 {
			t.Fatalf("a batch of %d, more than max less min", len(b))
		}
	}
	if len(got) < 1000 {
		t.Fatalf("only %d events", len(got))
	}
}

func pipeBroadcast(t *testing.T, silent bool, up stage.SubscribeConfig) (c1, c2 *sink, third *stage.Subscription[int]) {
	t.Helper()
	c1, c2 = pausing(60), pausing(60)
	p := producer(&source{counting: true}, stage.ProducerConfig[int]{})
	m := between(newPipe(2), stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
	s1, s2, s3 := consumer(c1, "C1"), consumer(c2, "C2"), consumer(newSink(), "C3")
	if silent {
		third = subscribe(t, s3, m, stage.SubscribeConfig{Manual: true, Cancel: stage.Temporary})
	}
	subscribe(t, s1, m, stage.SubscribeConfig{MaxDemand: 10, MinDemand: stage.None})
	subscribe(t, s2, m, stage.SubscribeConfig{MaxDemand: 20, MinDemand: stage.None})
	subscribePC(t, m, p, up)
	start(t, s1, s2, s3, m, p)
	return c1, c2, third
}
