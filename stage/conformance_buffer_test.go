package stage_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// four is max demand 4, min demand 0.
var four = stage.SubscribeConfig{MaxDemand: 4, MinDemand: stage.None}

// join starts a consumer of p.
func join(t *testing.T, p stage.Output[int], c *sink, cfg stage.SubscribeConfig) *stage.ConsumerStage[int] {
	t.Helper()
	cs := consumer(c, "C")
	subscribe(t, cs, p, cfg)
	start(t, cs)
	return cs
}

// filled is a producer with a buffer into which events were pushed.
func filled(t *testing.T, cfg stage.ProducerConfig[int], pushes ...[]int) (*source, *stage.ProducerStage[int], *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	src := &source{}
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Discarded = src.discard
	p := producer(src, cfg)
	start(t, p)
	for _, events := range pushes {
		push(t, p, src, events...)
	}
	return src, p, &log
}

var modeCases = []kase{
	{"G18_accumulate_then_forward", func(t *testing.T) { accumulate(t, true) }},
	{"G19_accumulate_keeps_events_for_later_subscribers", func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		start(t, p)
		a := join(t, p, newSink(), four)
		b := join(t, p, newSink(), four)
		p.SetDemand(stage.Accumulate)
		a.Stop(nil)
		b.Stop(nil)
		for i := range 4 {
			push(t, p, src, i+1)
		}
		c1, c2 := newSink(), newSink()
		join(t, p, c1, four)
		join(t, p, c2, four)
		equal(t, "batches", len(c1.batches)+len(c2.batches), 0)
		equal(t, "buffered", snap(t, p).Buffered, 4)
		p.SetDemand(stage.Forward)
		synctest.Wait()
		equal(t, "events", c1.events(), []int{1, 2, 3, 4})
		equal(t, "events", c2.events(), []int{1, 2, 3, 4})
		equal(t, "buffered", snap(t, p).Buffered, 0)
	}},
	{"G20_accumulate_at_run_time", func(t *testing.T) { accumulate(t, false) }},
	{"G21_forward_before_any_subscription", func(t *testing.T) {
		p := producer(&source{counting: true}, stage.ProducerConfig[int]{Demand: stage.Accumulate})
		start(t, p)
		p.SetDemand(stage.Forward)
		c := pausing(2)
		join(t, p, c, four)
		equal(t, "batches", c.batches, [][]int{{0, 1, 2, 3}})
	}},
	{"G22_accumulate_twice_loses_no_demand", func(t *testing.T) {
		src := &source{counting: true}
		p := producer(src, stage.ProducerConfig[int]{Demand: stage.Accumulate})
		start(t, p)
		c := pausing(2)
		join(t, p, c, four)
		p.SetDemand(stage.Accumulate)
		synctest.Wait()
		equal(t, "demands", len(src.demands), 0)
		p.SetDemand(stage.Forward)
		synctest.Wait()
		equal(t, "batches", c.batches, [][]int{{0, 1, 2, 3}})
	}},
	{"G23_accumulated_demand_is_passed_on_in_one", func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Demand: stage.Accumulate})
		start(t, p)
		join(t, p, newSink(), stage.SubscribeConfig{MaxDemand: 2})
		join(t, p, newSink(), stage.SubscribeConfig{MaxDemand: 2})
		equal(t, "demands", len(src.demands), 0)
		p.SetDemand(stage.Forward)
		synctest.Wait()
		equal(t, "demands", src.demands, []int{4})
	}},
}

func accumulate(t *testing.T, fromStart bool) {
	src := &source{counting: true}
	var cfg stage.ProducerConfig[int]
	if fromStart {
		cfg.Demand = stage.Accumulate
	}
	p := producer(src, cfg)
	start(t, p)
	if !fromStart {
		equal(t, "accumulating", snap(t, p).Accumulating, false)
		p.SetDemand(stage.Accumulate)
	}
	c := pausing(2)
	join(t, p, c, four)
	equal(t, "accumulating", snap(t, p).Accumulating, true)
	equal(t, "batches", len(c.batches), 0)
	equal(t, "demands", len(src.demands), 0)
	p.SetDemand(stage.Forward)
	synctest.Wait()
	equal(t, "accumulating", snap(t, p).Accumulating, false)
	equal(t, "batches", c.batches, [][]int{{0, 1, 2, 3}})
}

var bufferCases = []kase{
	{"G24_buffer_is_served_first", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{}, []int{-1, -2, -3}, []int{-4, -5})
		src.counting = true
		c := pausing(5)
		join(t, p, c, four)
		equal(t, "batches", c.batches, [][]int{{-1, -2, -3, -4}, {-5}, {0, 1, 2}, {3, 4, 5, 6}})
		equal(t, "demands", src.demands[0], 3)
	}},
	{"G25_keep_first", func(t *testing.T) {
		src, p, log := filled(t, stage.ProducerConfig[int]{BufferSize: 5, Keep: stage.KeepFirst}, []int{1, 2, 3, 4, 5}, []int{6, 7, 8})
		if !strings.Contains(log.String(), "reason=buffer_full events=3") {
			t.Fatalf("log: %s", log)
		}
		c := newSink()
		join(t, p, c, four)
		equal(t, "batches", c.batches, [][]int{{1, 2, 3, 4}, {5}})
		equal(t, "discarded", src.discarded, []string{"6 buffer_full", "7 buffer_full", "8 buffer_full"})
	}},
	{"G26_keep_last", func(t *testing.T) {
		src, p, log := filled(t, stage.ProducerConfig[int]{BufferSize: 5, Keep: stage.KeepLast}, []int{1, 2, 3, 4, 5}, []int{6, 7, 8})
		if !strings.Contains(log.String(), "reason=buffer_full events=3") {
			t.Fatalf("log: %s", log)
		}
		c := newSink()
		join(t, p, c, four)
		equal(t, "batches", c.batches, [][]int{{4, 5, 6, 7}, {8}})
		equal(t, "discarded", src.discarded, []string{"1 buffer_full", "2 buffer_full", "3 buffer_full"})
	}},
	{"G27_unlimited", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{BufferSize: stage.Unlimited}, []int{1, 2, 3, 4, 5}, []int{6, 7, 8})
		c := newSink()
		join(t, p, c, four)
		equal(t, "batches", c.batches, [][]int{{1, 2, 3, 4}, {5, 6, 7, 8}})
		equal(t, "discarded", len(src.discarded), 0)
	}},
	{"G31_buffered_count", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{BufferSize: stage.Unlimited}, []int{1, 2, 3, 4, 5})
		equal(t, "buffered", snap(t, p).Buffered, 5)
		push(t, p, src, 6, 7, 8)
		equal(t, "buffered", snap(t, p).Buffered, 8)
		join(t, p, newSink(), four)
		equal(t, "buffered", snap(t, p).Buffered, 0)
	}},
	{"G159_messages_are_not_counted", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{}, []int{1, 2})
		src.self.SendBehind("a")
		src.self.SendBehind("b")
		equal(t, "buffered", snap(t, p).Buffered, 2)
	}},
	{"G160_excess_with_keep_first", func(t *testing.T) { excess(t, stage.KeepFirst, []int{1, 2, 3}) }},
	{"G161_unlimited_takes_1000", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{BufferSize: stage.Unlimited}, upTo(0, 1000))
		equal(t, "buffered", snap(t, p).Buffered, 1000)
		equal(t, "discarded", len(src.discarded), 0)
	}},
	{"G162_excess_with_keep_last", func(t *testing.T) { excess(t, stage.KeepLast, []int{4, 5, 6}) }},
	{"G165_nothing_comes_of_an_empty_buffer", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{})
		c := newSink()
		join(t, p, c, four)
		equal(t, "batches", len(c.batches), 0)
		equal(t, "demands", src.demands, []int{4})
	}},
}

func excess(t *testing.T, keep stage.Keep, want []int) {
	src, p, _ := filled(t, stage.ProducerConfig[int]{BufferSize: 3, Keep: keep}, []int{1, 2, 3}, []int{4, 5, 6})
	equal(t, "discarded", len(src.discarded), 3)
	c := newSink()
	join(t, p, c, four)
	equal(t, "batches", c.batches, [][]int{want})
	snap(t, p)
}

var infoCases = []kase{
	{"G32_consumer_gets_messages", func(t *testing.T) {
		c := newSink()
		start(t, consumer(c, "C"))
		c.self.Send("a")
		c.self.SendBehind("b")
		synctest.Wait()
		equal(t, "infos", c.infos, []any{"a", "b"})
	}},
	{"G33_producer_consumer_gets_messages_at_once", func(t *testing.T) {
		pc := newPipe(1)
		start(t, between(pc, stage.ProducerConfig[int]{}))
		pc.self.SendBehind("a")
		pc.self.Send("b")
		synctest.Wait()
		equal(t, "infos", pc.infos, []any{"a", "b"})
	}},
	{"G35_empty_buffer", func(t *testing.T) { behind(t, stage.ProducerConfig[int]{}, nil) }},
	{"G36_behind_an_unlimited_buffer", func(t *testing.T) {
		behind(t, stage.ProducerConfig[int]{BufferSize: stage.Unlimited}, []int{1, 2, 3})
	}},
	{"G37_behind_one", func(t *testing.T) {
		behind(t, stage.ProducerConfig[int]{BufferSize: 3, Keep: stage.KeepLast}, []int{1})
	}},
	{"G38_behind_two", func(t *testing.T) {
		behind(t, stage.ProducerConfig[int]{BufferSize: 3, Keep: stage.KeepLast}, []int{1, 2})
	}},
	{"G39_behind_a_full_buffer", func(t *testing.T) {
		behind(t, stage.ProducerConfig[int]{BufferSize: 3, Keep: stage.KeepLast}, []int{1, 2, 3})
	}},
	{"G41_passed_on_when_its_event_is_dropped", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{BufferSize: 3, Keep: stage.KeepLast}, []int{1})
		src.self.SendBehind("a")
		synctest.Wait()
		equal(t, "infos", len(src.infos), 0)
		push(t, p, src, 2, 3, 4)
		equal(t, "infos", src.infos, []any{"a"})
	}},
	{"G164_pinned_to_an_empty_buffer", func(t *testing.T) { behind(t, stage.ProducerConfig[int]{BufferSize: 3, Keep: stage.KeepLast}, nil) }},
	{"G166_between_events", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{}, []int{1, 2})
		src.self.SendBehind(3)
		push(t, p, src, 4)
		c := newSink()
		join(t, p, c, stage.SubscribeConfig{MaxDemand: 5, MinDemand: stage.None})
		equal(t, "events", c.events(), []int{1, 2, 4})
		equal(t, "infos", src.infos, []any{3})
		equal(t, "demands", src.demands, []int{2})
	}},
	{"G167_several_at_one_place_in_order", func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{}, []int{1, 2})
		for i := range 3 {
			src.self.SendBehind(i)
		}
		join(t, p, newSink(), four)
		equal(t, "infos", src.infos, []any{0, 1, 2})
	}},
}

// behind sends a message behind what is buffered.
func behind(t *testing.T, cfg stage.ProducerConfig[int], buffered []int) {
	src, p, _ := filled(t, cfg, buffered)
	src.self.SendBehind("a")
	synctest.Wait()
	if len(buffered) == 0 {
		equal(t, "infos", src.infos, []any{"a"})
		return
	}
	equal(t, "infos", len(src.infos), 0)
	c := newSink()
	join(t, p, c, four)
	equal(t, "batches", c.batches, [][]int{buffered})
	equal(t, "infos", src.infos, []any{"a"})
}
