package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/stage"
)

// ownerOfThird returns a user of a record: one has every third record of a partition, and 50
// have the others.
func ownerOfThird(event string) string {
	var partition, offset int
	_, _ = fmt.Sscanf(event, "%d/%d", &partition, &offset)
	if offset%3 == 0 {
		return fmt.Sprint(partition)
	}
	return fmt.Sprint(partition, "-", offset%50)
}

// joinThirds starts a member whose records end in another order than that of their partition:
// the users of ownerOfThird have one turn after the other, in a pool of 16 workers.
func (w *world) joinThirds(name string, each func(event string)) *member {
	w.t.Helper()
	return w.joinWith(w.config(), func(m *member) []stage.Stage {
		source := stage.Must(stage.NewProducer(m.producer, stage.ProducerConfig[string]{
			Name: "source", Dispatcher: stage.Must(fair.New(ownerOfThird, fair.Config[string]{})),
		}))
		work := func(_ context.Context, event string) error {
			each(event)
			w.done(name, event)
			return nil
		}
		pool := stage.Must(consumer.NewSupervisor(work, consumer.SupervisorConfig[string]{MaxDemand: 16}))
		end := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{Name: "pool"}))
		subscribe(w.t, end, source, stage.SubscribeConfig{})
		return []stage.Stage{source, end}
	})
}

// brief is work of some milliseconds.
func brief(event string) { time.Sleep(time.Duration(5+len(event)) * time.Millisecond) }

// Nothing comes twice after a revocation or a drain, although records end in another order
// than that of their partition.
func TestNothingComesTwiceFromAMemberThatGivesUp(t *testing.T) {
	for _, drain := range []bool{true, false} {
		t.Run(fmt.Sprint("drain ", drain), func(t *testing.T) {
			virtually(t, 2, func(t *testing.T, w *world) {
				w.produce(900, 0, 1)
				first := w.joinThirds("first", brief)
				w.wait("some", func() bool { return len(w.handled) >= 200 })
				if s := first.producer.Snapshot(); s.Records < 1800 {
					t.Fatalf("only %d were read ahead", s.Records)
				}
				var second *member
				if drain {
					first.leave()
					second = w.joinThirds("second", brief)
				} else {
					second = w.joinThirds("second", brief)
					w.waitAll()
					first.leave()
				}
				w.waitAll()
				second.leave()
				w.checkNothingTwice(first)
			})
		})
	}
}

// Nothing comes twice either from a member that gives up before it has finished a record: it
// does not know yet in which order they end.
func TestNothingComesTwiceFromAMemberThatHasJustBegun(t *testing.T) {
	for _, drain := range []bool{true, false} {
		t.Run(fmt.Sprint("drain ", drain), func(t *testing.T) {
			virtually(t, 2, func(t *testing.T, w *world) {
				w.produce(900, 0, 1)
				begun, giving := 0, make(chan struct{})
				first := w.joinThirds("first", func(event string) {
					w.mu.Lock()
					begun++
					w.mu.Unlock()
					<-giving
					brief(event)
				})
				w.wait("all workers", func() bool { return begun == 16 && first.producer.Snapshot().Records == 1800 })
				var second *member
				if drain {
					first.pipeline.Drain()
				} else {
					second = w.joinThirds("second", brief)
				}
				w.wait("the beginning of the end", func() bool { return first.producer.halt.Load() })
				close(giving)
				if drain {
					first.leave()
					second = w.joinThirds("second", brief)
					w.waitAll()
				} else {
					w.waitAll()
					first.leave()
				}
				second.leave()
				w.checkNothingTwice(first)
			})
		})
	}
}

// checkNothingTwice fails for records that came twice, and if the first member has given
// nothing back.
func (w *world) checkNothingTwice(first *member) {
	w.t.Helper()
	s := first.producer.Snapshot()
	repeated := newTimeline(w).check()
	w.t.Logf("%d came back, %d were repeated", s.Withdrawn, repeated)
	if s.Withdrawn < 100 || repeated > 0 {
		w.t.Errorf("%d came back, %d were repeated", s.Withdrawn, repeated)
	}
}

// That records end in order is known when a thousand have with later ones in flight, and as
// many as are in flight; one that does not refutes it for good.
func TestOrderlyTakesAThousand(t *testing.T) {
	s := script{core: newCore(10_000)}
	s.run("assign 0")
	for at := range 2000 { // one at a time shows nothing
		s.run(fmt.Sprintf("poll 0:%d-%d", at, at))
		s.core.demand(1)
		s.run("emit")
		s.run(fmt.Sprintf("done %d-%d", at, at))
	}
	if s.orderly(1) {
		t.Error("events that were alone show that they end in order")
	}
	s.core.demand(5000)
	s.run("poll 0:2000-6999")
	s.run("emit")
	s.run("done 2000-2998")
	if s.orderly(1) {
		t.Error("999 show that they end in order")
	}
	s.run("done 2999-2999")
	if !s.orderly(1000) || s.orderly(1001) {
		t.Errorf("after 1000 of 5000: %v for 1000 in flight, %v for 1001", s.orderly(1000), s.orderly(1001))
	}
	s.run("done 3001-3001")
	s.run("done 3000-3000")
	s.run("done 3002-6000")
	if s.orderly(1) {
		t.Error("an event that has ended before an earlier one is forgotten")
	}
}
