package kafka

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// refuseFetches has the broker refuse fetches of partition 0, without end, and lets go of it after
// 20,000 fetches: a client that repeats without a pause stops the clock of the bubble.
func refuseFetches(w *world, reason *kerr.Error) (refused *kfake.FaultHandle, remove func()) {
	tooMany := make(chan struct{})
	giveUp := sync.OnceFunc(func() { close(tooMany) })
	requests := 0
	w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(kmsg.Request) bool {
		if requests++; requests == 20_000 {
			giveUp()
		}
		return true
	}})
	refused = w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}, Err: reason, Count: -1})
	go func() {
		<-tooMany
		refused.Remove()
	}()
	return refused, func() {
		refused.Remove()
		giveUp()
	}
}

// A transactor reads on while a broker refuses one of two partitions, with few fetches, and
// says so; the refused one follows when it has a leader.
func TestTransactorWithoutALeader(t *testing.T) {
	for _, reason := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.FencedLeaderEpoch} {
		t.Run(reason.Message, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { transactorWithoutALeader(t, reason) })
		})
	}
}

func transactorWithoutALeader(t *testing.T, reason *kerr.Error) {
	w := newWorld(t, embeddedkafka.Config{Topics: map[string]int32{topic: 2, "doubled": 1}, Virtual: true})
	w.produce(50, 0)
	refused, remove := refuseFetches(w, reason)
	defer remove()
	log := new(syncBuilder)
	tr, err := NewTransactor(TransactorConfig{
		Brokers: w.addrs(), Topics: []string{topic}, Group: "t", ID: "t", Topic: "doubled", Transform: double,
		Options: w.options(), Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := tr.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	done := func(n int64) time.Duration {
		begun := time.Now()
		for tr.Snapshot().Records < n {
			if time.Since(begun) > 5*time.Minute {
				t.Fatalf("%d records of %d: %+v\n%s", tr.Snapshot().Records, n, tr.Snapshot(), log)
			}
			time.Sleep(10 * time.Millisecond)
		}
		return time.Since(begun)
	}
	slowest := time.Duration(0)
	for n := int64(1); n <= 50; n++ {
		w.produce(1, 1)
		if d := done(n); n > 1 { // the first waits for the group
			slowest = max(slowest, d)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if n := refused.Hits(); n > 500 {
		t.Errorf("%d fetches with the partition", n)
	}
	if slowest > time.Second {
		t.Errorf("a record of the other partition took %v", slowest)
	}
	// Of a fenced epoch the client says nothing: it asks for the leader and goes on.
	if reason != kerr.FencedLeaderEpoch && !strings.Contains(log.String(), reason.Message) {
		t.Errorf("the log is\n%s", log)
	}
	refused.Remove()
	if d := done(100); d > maxPause+time.Second {
		t.Errorf("it was read %v after it had a leader", d)
	}
	cancel()
	running.Wait()
	if s := tr.Snapshot(); s.Records != 100 || s.Written != 200 {
		t.Errorf("%+v", s)
	}
}

// A partition whose leader has changed without the client's knowledge is read on: nothing is
// lost, the fetches are few, and there is a complaint while it lasts.
func TestFencedLeaderEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		w.produce(50, 0)
		refused, remove := refuseFetches(w, kerr.FencedLeaderEpoch)
		defer remove()
		cfg, log := w.logged()
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		time.Sleep(20 * time.Second)
		if n := refused.Hits(); n == 0 || n > 500 {
			t.Errorf("%d fetches were refused", n)
		}
		if text := log.String(); !strings.Contains(text, kerr.FencedLeaderEpoch.Message) {
			t.Errorf("the log is\n%s", text)
		}
		if err := m.producer.Ready(); err == nil {
			t.Error("ready")
		}
		refused.Remove()
		at := time.Now()
		w.waitAll()
		if d := time.Since(at); d > maxPause+time.Second {
			t.Errorf("it was read %v after it had a leader", d)
		}
		// Once, in the middle.
		w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}, Err: kerr.FencedLeaderEpoch, Count: 2})
		w.produce(50, 0, 1)
		w.waitAll()
		w.wait("ready", func() bool { return m.producer.Ready() == nil })
		m.leave()
		w.check()
	})
}
