package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

func virtual(partitions int32) embeddedkafka.Config {
	return embeddedkafka.Config{Topics: map[string]int32{topic: partitions}, Virtual: true}
}

func TestDrainCommitsAndLeavesTheRest(t *testing.T) { virtually(t, 2, drainCommitsAndLeavesTheRest) }

func drainCommitsAndLeavesTheRest(t *testing.T, w *world) {
	w.produce(500, 0, 1)
	cfg := w.config()
	cfg.CommitInterval = time.Minute // only the end commits
	m := w.join(cfg, stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		<-time.After(time.Second)
		w.done("a", events...)
		return nil
	}), stage.SubscribeConfig{MaxDemand: 20, MinDemand: 10})
	w.wait("some", func() bool { return len(w.handled) >= 100 })
	m.leave()
	w.mu.Lock()
	handled := len(w.handled)
	w.mu.Unlock()
	committed := int64(0)
	for _, o := range w.committed() {
		committed += o
	}
	if committed != int64(handled) {
		t.Errorf("%d handled and %d committed", handled, committed)
	}
	if polled := m.producer.Snapshot().Records; polled > int64(handled)+20 {
		t.Errorf("%d polled for %d handled", polled, handled)
	}
	next := w.join(cfg, w.handler("b"), stage.SubscribeConfig{})
	w.waitAll()
	next.leave()
	if repeated := w.check(); repeated != 0 {
		t.Errorf("%d were delivered twice", repeated)
	}
}

func TestKilledMemberLosesNothing(t *testing.T) { virtually(t, 3, killedMemberLosesNothing) }

func killedMemberLosesNothing(t *testing.T, w *world) {
	w.produce(400, 0, 1, 2)
	slow := stage.ConsumerFunc[string](func(_ context.Context, events []string) error {
		<-time.After(50 * time.Millisecond)
		w.done("victim", events...)
		return nil
	})
	cfg := w.config()
	cfg.CommitInterval = 200 * time.Millisecond
	victim := w.join(cfg, slow, stage.SubscribeConfig{MaxDemand: 40})
	w.wait("some", func() bool { return len(w.handled) >= 300 })
	victim.kill()
	w.settle()
	committed := int64(0)
	for _, o := range w.committed() {
		committed += o
	}
	heir := w.join(w.config(), w.handler("heir"), stage.SubscribeConfig{})
	w.waitAll()
	heir.leave()
	repeated := w.check()
	// What was finished since the last commit, 200 ms ago at most.
	if w.mu.Lock(); repeated > len(w.produced)-int(committed) || committed == 0 {
		t.Errorf("%d repeated, %d committed", repeated, committed)
	}
	w.mu.Unlock()
	t.Logf("%d committed at the kill, %d delivered twice", committed, repeated)
}
