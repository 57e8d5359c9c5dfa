package stage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/stage"
)

// later lets time pass.
func later(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// Each loss is in the log, with reason and number: the first one at once, and what
// follows within a second with the next line, also by a stage that rests then.
func TestLossesAreLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{BufferSize: 2, Keep: stage.KeepFirst, Logger: log.logger()})
		start(t, p)
		push(t, p, src, 1, 2, 3, 4)
		equal(t, "lines", len(log.with("level=WARN", "stage=P", "reason=buffer_full", "events=2", "total=2")), 1)
		for range 100 {
			push(t, p, src, 5)
		}
		equal(t, "lines in the same second", len(log.with("discarded")), 1)
		later(time.Second)
		equal(t, "lines", len(log.with("reason=buffer_full", "events=100", "total=102")), 1)
		later(time.Minute)
		equal(t, "lines", len(log.with("discarded")), 2)
		push(t, p, src, 6)
		push(t, p, src, 7)
		p.Stop(nil)
		synctest.Wait()
		equal(t, "lines", len(log.with("reason=buffer_full", "events=1", "total=104")), 1) // the end does not wait
		equal(t, "lines", len(log.with("reason=stopped", "events=2", "total=2")), 1)
	})
}

// Reasons have a line each.
func TestEachReasonHasALine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{}
		d := stage.Must(dispatcher.NewPartition(1, func(v int) (int, bool) { return 0, v > 0 }, dispatcher.PartitionConfig{}))
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: d, Logger: log.logger()})
		start(t, p)
		c := newSink()
		join(t, p, c, stage.SubscribeConfig{Partition: 0})
		push(t, p, src, 1, 0, -1, 2)
		equal(t, "lines", len(log.with("reason=no_partition", "events=2")), 1)
		equal(t, "all", len(log.with("discarded")), 1)
	})
}

// An event that no selector selects is discarded under that reason.
func TestUnselectedIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int](), Logger: log.logger()})
		start(t, p)
		join(t, p, newSink(), stage.SubscribeConfig{Selector: func(v int) bool { return v > 2 }})
		push(t, p, src, 1, 2, 3)
		equal(t, "lines", len(log.with("reason=unselected", "events=2")), 1)
	})
}

// Events that were with a consumer that dies are counted and logged; with Redeliver
// there are none.
func TestAbandonedIsLogged(t *testing.T) {
	for _, redeliver := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			var log lines
			src := &source{counting: true, limit: 10}
			p := producer(src, stage.ProducerConfig[int]{Logger: log.logger()})
			start(t, p)
			c := pausing(1)
			join(t, p, c, stage.SubscribeConfig{MaxDemand: 10, MinDemand: 9, Redeliver: redeliver}).
				Stop(errors.New("gone"))
			synctest.Wait()
			want := map[bool]int{false: 1, true: 0}[redeliver]
			equal(t, "lines", len(log.with("level=WARN", "events abandoned")), want)
			equal(t, "abandoned", snap(t, p).Abandoned > 0, !redeliver)
		})
	}
}

// Without a bound the growth of the buffer is logged: at 10,000 events and each time
// it has doubled.
func TestGrowthIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Logger: log.logger()})
		start(t, p)
		const word = "emitted without demand"
		push(t, p, src, upTo(0, 9999)...)
		equal(t, "lines below the size", len(log.with(word)), 0)
		push(t, p, src, 1)
		equal(t, "lines", len(log.with(word, "events=10000")), 1)
		for range 30 {
			push(t, p, src, upTo(0, 1000)...)
			later(time.Second)
		}
		equal(t, "lines", fmt.Sprint(len(log.with(word)), len(log.with(word, "events=20000")), len(log.with(word, "events=40000"))), "3 1 1")
		// Demand takes them all.
		c := newSink()
		join(t, p, c, stage.SubscribeConfig{})
		equal(t, "events", len(c.events()), 40_000)
	})
}

// Events that were asked for and wait, since their dispatcher has paused, are none of
// these: demand bounds them.
func TestAskedEventsDoNotCountAsGrowth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{counting: true, limit: 30_000}
		p := producer(src, stage.ProducerConfig[int]{Logger: log.logger()})
		c := newSink()
		// It leaves with its demand open, of which the source emits the rest.
		src.onDemand = func(int) error { return nil }
		start(t, p)
		join(t, p, c, stage.SubscribeConfig{MaxDemand: 30_000}).Stop(nil)
		synctest.Wait()
		push(t, p, src, upTo(0, 30_000)...)
		equal(t, "buffered", snap(t, p).Buffered, 30_000)
		equal(t, "lines", len(log.with("emitted without demand")), 0)
	})
}

// What HandleTerminate and Discarded emit at the end is in the log too.
func TestLossesOfTheEndAreLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{}
		src.onEnd = func() error { src.emit.EmitAll([]int{1, 2, 3}); return nil }
		p := producer(src, stage.ProducerConfig[int]{Logger: log.logger()})
		start(t, p)
		p.Stop(nil)
		<-p.Stopped()
		equal(t, "lines", len(log.with("reason=stopped", "events=3")), 1)
	})
}

// What a dispatcher could not use of the program's functions is in the log, at most
// once a second.
func TestMisuseIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{counting: true, limit: 100}
		d := stage.Must(fair.New(func(v int) int { return v }, fair.Config[int]{
			Weights: []int{1, 2}, Class: func(int) int { return 7 },
		}))
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: d, Logger: log.logger()})
		start(t, p)
		join(t, p, newSink(), stage.SubscribeConfig{})
		equal(t, "lines", len(log.with("level=WARN", "function=Class", "values=100")), 1)
		equal(t, "all", len(log.with("function=Class")), 1)
	})
}

// A message for a handler without HandleInfo, and one that waits behind events that are
// never delivered, are not dropped in silence.
func TestIgnoredMessagesAreLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		var self *stage.Handle
		c := stage.Must(stage.NewConsumer(&mute{self: &self}, stage.ConsumerConfig{Name: "C", Logger: log.logger()}))
		start(t, c)
		for range 5 {
			self.Send("hello")
			synctest.Wait()
		}
		equal(t, "lines", len(log.with("level=WARN", "message ignored", "message=string", "ignored=1")), 1)
		equal(t, "all", len(log.with("message ignored")), 1)
	})
	bubble(t, func(t *testing.T) {
		var log lines
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{Logger: log.logger()})
		start(t, p)
		push(t, p, src, 1)
		src.self.SendBehind("hello")
		synctest.Wait()
		p.Stop(nil)
		<-p.Stopped()
		equal(t, "lines", len(log.with("messages of SendBehind dropped", "messages=1")), 1)
	})
}

// mute is a consumer without HandleInfo.
type mute struct{ self **stage.Handle }

func (m *mute) HandleStart(_ context.Context, self *stage.Handle) error { *m.self = self; return nil }
func (m *mute) HandleEvents(context.Context, []int) error               { return nil }
