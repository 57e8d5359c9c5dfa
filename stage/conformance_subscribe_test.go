package stage_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// pair starts a silent producer and a consumer subscribed to it.
func pair(t *testing.T, mode stage.CancelMode) (src *source, c *sink, p *stage.ProducerStage[int], cs *stage.ConsumerStage[int], sub *stage.Subscription[int]) {
	t.Helper()
	src, c = &source{}, newSink()
	p, cs = producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
	sub = subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 10, Cancel: mode})
	start(t, p, cs)
	return src, c, p, cs, sub
}

// dead returns a producer that has stopped with reason.
func dead(t *testing.T, reason error) *stage.ProducerStage[int] {
	t.Helper()
	p := producer(&source{}, stage.ProducerConfig[int]{})
	start(t, p)
	p.Stop(reason)
	synctest.Wait()
	return p
}

var subscribeCases = []kase{
	{"G43_each_subscription_is_its_own", func(t *testing.T) {
		_, _, p, cs, sub := pair(t, stage.Permanent)
		if other := subscribe(t, cs, p, four); other == sub {
			t.Fatal("the same subscription twice")
		}
		synctest.Wait()
		equal(t, "subscriptions", len(snap(t, p).Subscriptions), 2)
	}},
	{"G44_stopped_consumer", func(t *testing.T) {
		_, _, p, cs, _ := pair(t, stage.Permanent)
		cs.Stop(nil)
		synctest.Wait()
		if _, err := cs.Subscribe(p, four); !errors.Is(err, stage.ErrStopped) {
			t.Fatal(err)
		}
	}},
	{"G45_wrong_demands", func(t *testing.T) {
		_, _, p, cs, _ := pair(t, stage.Permanent)
		wrongDemands(t, func(cfg stage.SubscribeConfig) error { _, err := cs.Subscribe(p, cfg); return err })
		lives(t, p, cs)
	}},
	{"G47_dead_producer_permanent", func(t *testing.T) {
		c := newSink()
		cs := consumer(c, "C")
		subscribe(t, cs, dead(t, errOops), four)
		if err := cs.Start(t.Context()); !errors.Is(err, errOops) {
			t.Fatal(err)
		}
		died(t, cs, errOops)
	}},
	{"G49_dead_producer_temporary", func(t *testing.T) {
		cfg := four
		cfg.Cancel = stage.Temporary
		c := newSink()
		cs := consumer(c, "C")
		sub := subscribe(t, cs, dead(t, errOops), cfg)
		start(t, cs)
		lives(t, cs)
		if !errors.Is(sub.Err(), errOops) {
			t.Fatal(sub.Err())
		}
	}},
	{"G50_broadcast_refuses_the_same_consumer_twice", func(t *testing.T) {
		p := producer(&source{}, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		a, b := consumer(newSink(), "A"), consumer(newSink(), "B")
		subscribe(t, a, p, four)
		subscribe(t, b, p, four)
		start(t, p, a, b)
		second := subscribe(t, a, p, four)
		third := subscribe(t, b, p, four)
		synctest.Wait()
		lives(t, p, a, b)
		equal(t, "subscriptions", len(snap(t, p).Subscriptions), 2)
		equal(t, "subscriptions of A", len(snap(t, a).Subscriptions), 1)
		equal(t, "subscriptions of B", len(snap(t, b).Subscriptions), 1)
		for _, s := range []*stage.Subscription[int]{second, third} {
			if !errors.Is(s.Err(), dispatcher.ErrSubscribed) {
				t.Fatal(s.Err())
			}
		}
	}},
	{"G51_resubscribe", func(t *testing.T) { resubscribe(t, stage.Temporary) }},
	{"G52_resubscribe_in_place_of_nothing", func(t *testing.T) {
		_, c, p, cs, _ := pair(t, stage.Temporary)
		if _, err := cs.Resubscribe(nil, errOops, p, four); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "subscriptions", len(c.subs), 2)
		equal(t, "live", len(snap(t, p).Subscriptions), 2)
	}},
	{"G53_resubscribe_with_wrong_demands", func(t *testing.T) {
		_, _, p, cs, sub := pair(t, stage.Permanent)
		wrongDemands(t, func(cfg stage.SubscribeConfig) error {
			_, err := cs.Resubscribe(sub, errOops, p, cfg)
			return err
		})
		synctest.Wait()
		lives(t, p, cs)
		if sub.Err() != nil {
			t.Fatal("the old subscription was cancelled although there is no new one")
		}
	}},
	{"G54_resubscribe_is_for_permanent_ones_too", func(t *testing.T) { resubscribe(t, stage.Permanent) }},
	{"G55_resubscribe_in_place_of_one_that_is_over", func(t *testing.T) {
		_, _, p, cs, sub := pair(t, stage.Temporary)
		sub.Cancel(nil)
		synctest.Wait()
		if _, err := cs.Resubscribe(sub, errOops, p, four); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "live", len(snap(t, p).Subscriptions), 1)
	}},
	{"G56_manual_demand", func(t *testing.T) { manual(t, false) }},
	{"G57_manual_demand_before_the_start", func(t *testing.T) { manual(t, true) }},
}

func wrongDemands(t *testing.T, try func(stage.SubscribeConfig) error) {
	t.Helper()
	for _, c := range []struct {
		cfg          stage.SubscribeConfig
		option, text string
	}{
		{stage.SubscribeConfig{MaxDemand: -1}, "MaxDemand", "1 or more"},
		{stage.SubscribeConfig{MinDemand: 2000}, "MinDemand", "999"},
		{stage.SubscribeConfig{MaxDemand: 5, MinDemand: 5}, "MinDemand", "4"},
		{stage.SubscribeConfig{Cancel: 7}, "Cancel", "Permanent, Transient or Temporary"},
	} {
		var wrong *stage.OptionError
		if err := try(c.cfg); !errors.As(err, &wrong) || wrong.Option != c.option || !strings.Contains(err.Error(), c.text) {
			t.Fatalf("%+v: %v", c.cfg, err)
		}
	}
}

func resubscribe(t *testing.T, mode stage.CancelMode) {
	t.Helper()
	src, c, p, cs, old := pair(t, mode)
	s, err := cs.Resubscribe(old, errOops, p, stage.SubscribeConfig{MaxDemand: 7, Cancel: mode})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	lives(t, p, cs)
	if s == old || s.Err() != nil || !errors.Is(old.Err(), errOops) {
		t.Fatalf("old %v, new %v", old.Err(), s.Err())
	}
	equal(t, "HandleSubscribe of the consumer", len(c.subs), 2)
	equal(t, "HandleSubscribe of the producer", len(src.subs), 2)
	got := snap(t, p).Subscriptions
	if len(got) != 1 || got[0].MaxDemand != 7 {
		t.Fatalf("%+v", got)
	}
}

func manual(t *testing.T, before bool) {
	t.Helper()
	c := newSink()
	p, cs := producer(&source{counting: true}, stage.ProducerConfig[int]{}), consumer(c, "C")
	sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
	ask := func() {
		if err := sub.Ask(50); err != nil {
			t.Fatal(err)
		}
	}
	if before {
		ask()
	}
	start(t, p, cs)
	if !before {
		equal(t, "batches", len(c.batches), 0)
		ask()
		synctest.Wait()
	}
	equal(t, "batches", c.batches, [][]int{upTo(0, 50)})
	ask()
	synctest.Wait()
	equal(t, "batches", c.batches, [][]int{upTo(0, 50), upTo(50, 100)})
}

// starter refuses its start.
type starter struct {
	sink
	err error
}

func (s *starter) HandleStart(context.Context, *stage.Handle) error { return s.err }
