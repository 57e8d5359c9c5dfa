package stage_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

var producerCases = []kase{
	{"G58_start_of_a_producer", func(t *testing.T) {
		refusals(t, func(err error) stage.Stage {
			return producer(&source{onStart: func(context.Context) error { return err }}, stage.ProducerConfig[int]{})
		})
		wrongOptions(t, func(cfg stage.ProducerConfig[int]) error { return refusal(stage.NewProducer(&source{}, cfg)) })
	}},
	{"G59_told_of_the_consumer", func(t *testing.T) {
		src, _, _, _, _ := pair(t, stage.Permanent)
		equal(t, "subscriptions", src.subs, []stage.SubscriptionInfo{{Producer: "P", Consumer: "C", MaxDemand: 10, MinDemand: 5}})
	}},
	{"G61_told_of_a_cancel", func(t *testing.T) {
		src, _, _, _, sub := pair(t, stage.Temporary)
		sub.Cancel(errOops)
		synctest.Wait()
		equal(t, "cancels", src.cancels, []string{"oops"})
	}},
	{"G62_told_of_a_consumers_death", func(t *testing.T) {
		src, _, p, cs, _ := pair(t, stage.Permanent)
		cs.Stop(errOops)
		synctest.Wait()
		equal(t, "cancels", src.cancels, []string{"oops"})
		lives(t, p)
	}},
	{"G65_stops_itself", func(t *testing.T) {
		src, _, p, _, _ := pair(t, stage.Temporary)
		if !p.Do(func() { p.Stop(nil) }) {
			t.Fatal("the caller got no reply")
		}
		synctest.Wait()
		died(t, p, nil)
		if src.self.Send("again") {
			t.Fatal("sent to a stage that has stopped")
		}
	}},
	{"G67_told_of_its_end", func(t *testing.T) {
		src, _, p, _, _ := pair(t, stage.Temporary)
		p.Stop(nil)
		synctest.Wait()
		equal(t, "ends", src.ended, []error{nil})
	}},
	{"G68_status_of_a_producer", func(t *testing.T) {
		_, _, p, _, _ := pair(t, stage.Permanent)
		got := snap(t, p)
		if got.Kind != stage.KindProducer || got.Buffered != 0 || len(got.Subscriptions) != 1 || got.Subscriptions[0].Peer != "C" || got.Demand != 10 || got.Pending != 10 {
			t.Fatalf("%+v", got)
		}
	}},
}

// refusals checks the end of a stage whose HandleStart returns an error.
func refusals(t *testing.T, make func(error) stage.Stage) {
	t.Helper()
	ignored := make(stage.ErrDone)
	if err := ignored.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	died(t, ignored, nil)
	refused := make(errOops)
	err := refused.Start(t.Context())
	var failure *stage.Error
	if !errors.Is(err, errOops) || !errors.As(err, &failure) || failure.Handler != "HandleStart" {
		t.Fatal(err)
	}
	died(t, refused, errOops)
	ok := make(nil)
	start(t, ok)
	if err := ok.Start(t.Context()); !errors.Is(err, stage.ErrStarted) {
		t.Fatal(err)
	}
	ok.Stop(nil)
	synctest.Wait()
	if err := ok.Start(t.Context()); !errors.Is(err, stage.ErrStopped) {
		t.Fatal(err)
	}
}

func wrongOptions(t *testing.T, make func(stage.ProducerConfig[int]) error) {
	t.Helper()
	for option, cfg := range map[string]stage.ProducerConfig[int]{
		"BufferSize": {BufferSize: -2},
		"Keep":       {Keep: 9},
		"Demand":     {Demand: 9},
	} {
		var wrong *stage.OptionError
		if err := make(cfg); !errors.As(err, &wrong) || wrong.Option != option {
			t.Fatalf("%s: %v", option, err)
		}
	}
}

var consumerCases = []kase{
	{"G69_start_of_a_consumer", func(t *testing.T) {
		refusals(t, func(err error) stage.Stage { return consumer(&starter{err: err}, "C") })
	}},
	{"G70_told_of_the_producer", func(t *testing.T) {
		_, c, _, _, _ := pair(t, stage.Permanent)
		equal(t, "subscriptions", c.subs, []stage.SubscriptionInfo{{Upstream: true, Producer: "P", Consumer: "C", MaxDemand: 10, MinDemand: 5}})
	}},
	{"G72_temporary_survives_a_cancel", func(t *testing.T) { cancelling(t, stage.Temporary, errOops, true) }},
	{"G73_transient_survives_a_normal_cancel", func(t *testing.T) { cancelling(t, stage.Transient, stage.ErrDone, true) }},
	{"G74_transient_dies_of_another_reason", func(t *testing.T) { cancelling(t, stage.Transient, errOops, false) }},
	{"G75_permanent_dies_of_any_reason", func(t *testing.T) { cancelling(t, stage.Permanent, errOops, false) }},
	{"G76_temporary_survives_the_producers_death", func(t *testing.T) { killing(t, stage.Temporary, true) }},
	{"G77_transient_dies_with_the_producer", func(t *testing.T) { killing(t, stage.Transient, false) }},
	{"G78_permanent_dies_with_the_producer", func(t *testing.T) { killing(t, stage.Permanent, false) }},
	{"G80_told_of_its_end", func(t *testing.T) {
		_, c, _, cs, _ := pair(t, stage.Permanent)
		cs.Stop(nil)
		synctest.Wait()
		equal(t, "ends", c.ended, []error{nil})
	}},
	{"G82_status_of_a_consumer", func(t *testing.T) {
		_, _, _, cs, _ := pair(t, stage.Permanent)
		got := snap(t, cs)
		if got.Kind != stage.KindConsumer || len(got.Subscriptions) != 1 || got.Subscriptions[0].Peer != "P" || !got.Subscriptions[0].Upstream {
			t.Fatalf("%+v", got)
		}
	}},
}

func cancelling(t *testing.T, mode stage.CancelMode, reason error, survives bool) {
	t.Helper()
	src, c, p, cs, sub := pair(t, mode)
	sub.Cancel(reason)
	synctest.Wait()
	equal(t, "cancels of the consumer", c.cancels, []string{reason.Error()})
	equal(t, "cancels of the producer", src.cancels, []string{reason.Error()})
	lives(t, p)
	if survives {
		lives(t, cs)
		return
	}
	died(t, cs, reason)
}

func killing(t *testing.T, mode stage.CancelMode, survives bool) {
	t.Helper()
	src, c, p, cs, _ := pair(t, mode)
	src.onInfo = func(any) error { panic("killed") }
	src.self.Send("now")
	synctest.Wait()
	var panicked *stage.PanicError
	if !errors.As(p.Err(), &panicked) || panicked.Value != "killed" {
		t.Fatal(p.Err())
	}
	equal(t, "cancels", c.cancels, []string{p.Err().Error()})
	if survives {
		lives(t, cs)
		return
	}
	died(t, cs, p.Err())
}

// trio starts a silent producer, a producer-consumer and a consumer.
func trio(t *testing.T, mode stage.CancelMode) (src *source, pc *pipe, p *stage.ProducerStage[int], m *stage.ProducerConsumerStage[int, int], up, down *stage.Subscription[int], cs *stage.ConsumerStage[int]) {
	t.Helper()
	src, pc = &source{}, newPipe(1)
	p, m, cs = producer(src, stage.ProducerConfig[int]{}), between(pc, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
	up = subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 10, Cancel: mode})
	down = subscribe(t, cs, m, stage.SubscribeConfig{MaxDemand: 10, Cancel: stage.Temporary})
	start(t, p, m, cs)
	return
}

var pcCases = []kase{
	{"G83_start_of_a_producer_consumer", func(t *testing.T) {
		refusals(t, func(err error) stage.Stage {
			return between(&pcStarter{err: err}, stage.ProducerConfig[int]{})
		})
		wrongOptions(t, func(cfg stage.ProducerConfig[int]) error { return refusal(stage.NewProducerConsumer(newPipe(1), cfg)) })
	}},
	{"G84_told_of_the_consumer", func(t *testing.T) {
		_, pc, _, _, _, _, _ := trio(t, stage.Permanent)
		equal(t, "subscriptions", toldOf(pc, false), []stage.SubscriptionInfo{{Producer: "PC", Consumer: "C", MaxDemand: 10, MinDemand: 5}})
	}},
	{"G86_told_of_a_cancel_downstream", func(t *testing.T) {
		_, pc, _, m, _, down, _ := trio(t, stage.Permanent)
		down.Cancel(errOops)
		synctest.Wait()
		equal(t, "cancels", pc.cancels, []string{"false oops"})
		lives(t, m)
	}},
	{"G87_told_of_a_consumers_death", func(t *testing.T) {
		_, pc, _, m, _, _, cs := trio(t, stage.Permanent)
		cs.Stop(errOops)
		synctest.Wait()
		equal(t, "cancels", pc.cancels, []string{"false oops"})
		lives(t, m)
	}},
	{"G88_told_of_the_producer", func(t *testing.T) {
		_, pc, _, _, _, _, _ := trio(t, stage.Permanent)
		equal(t, "subscriptions", toldOf(pc, true), []stage.SubscriptionInfo{{Upstream: true, Producer: "P", Consumer: "PC", MaxDemand: 10, MinDemand: 5}})
	}},
	{"G90_temporary_survives_a_cancel_upstream", func(t *testing.T) {
		_, pc, _, m, up, _, _ := trio(t, stage.Temporary)
		up.Cancel(errOops)
		synctest.Wait()
		equal(t, "cancels", pc.cancels, []string{"true oops"})
		lives(t, m)
	}},
	{"G91_permanent_dies_of_a_cancel_upstream", func(t *testing.T) {
		_, pc, _, m, up, down, cs := trio(t, stage.Permanent)
		up.Cancel(errOops)
		synctest.Wait()
		equal(t, "cancels", pc.cancels, []string{"true oops"})
		died(t, m, errOops)
		lives(t, cs)
		if !errors.Is(down.Err(), errOops) {
			t.Fatal(down.Err())
		}
	}},
	{"G92_temporary_survives_the_producers_death", func(t *testing.T) {
		_, pc, p, m, _, _, _ := trio(t, stage.Temporary)
		p.Stop(errOops)
		synctest.Wait()
		equal(t, "cancels", pc.cancels, []string{"true oops"})
		lives(t, m)
	}},
	{"G93_transient_survives_a_normal_end", func(t *testing.T) {
		_, pc, p, m, _, _, _ := trio(t, stage.Transient)
		p.Stop(nil)
		synctest.Wait()
		equal(t, "cancels", pc.cancels, []string{"true " + stage.ErrStopped.Error()})
		lives(t, m)
	}},
	{"G95_permanent_dies_with_the_producer", func(t *testing.T) {
		_, pc, p, m, _, _, _ := trio(t, stage.Permanent)
		p.Stop(errOops)
		synctest.Wait()
		equal(t, "cancels", pc.cancels, []string{"true oops"})
		died(t, m, errOops)
	}},
	{"G96_status_of_a_producer_consumer", func(t *testing.T) {
		_, _, _, m, _, _, _ := trio(t, stage.Permanent)
		got := snap(t, m)
		if got.Kind != stage.KindProducerConsumer || got.Buffered != 0 || len(got.Subscriptions) != 2 || got.Subscriptions[0].Peer != "C" || got.Subscriptions[1].Peer != "P" {
			t.Fatalf("%+v", got)
		}
	}},
}

// toldOf returns the subscriptions of one side that pc's HandleSubscribe was
// called for.
func toldOf(pc *pipe, upstream bool) (subs []stage.SubscriptionInfo) {
	for _, s := range pc.subs {
		if s.Upstream == upstream {
			subs = append(subs, s)
		}
	}
	return subs
}

// pcStarter refuses its start.
type pcStarter struct {
	pipe
	err error
}

func (s *pcStarter) HandleStart(context.Context, *stage.Handle) error { return s.err }
