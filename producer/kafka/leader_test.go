package kafka

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock-go/penstock/stage"
)

// While a broker refuses one of two partitions, which a broker does without waiting for records,
// the other is read at full speed and the fetches are few; the trouble names the one, and it is
// read as soon as it has a leader.
func TestPartitionWithoutALeader(t *testing.T) {
	for _, reason := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.UnknownLeaderEpoch} {
		t.Run(reason.Message, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { partitionWithoutALeader(t, reason) })
		})
	}
}

func partitionWithoutALeader(t *testing.T, reason *kerr.Error) {
	w := newWorld(t, virtual(2))
	w.produce(50, 0)
	// A client that repeats without a pause stops the clock of the bubble.
	tooMany := make(chan struct{})
	giveUp := sync.OnceFunc(func() { close(tooMany) })
	defer giveUp()
	requests := 0
	w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(kmsg.Request) bool {
		if requests++; requests == 20_000 {
			giveUp()
		}
		return true
	}})
	fault := w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}, Err: reason, Count: -1})
	go func() {
		<-tooMany
		fault.Remove()
	}()
	cfg, log := w.logged()
	m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
	begun := time.Now()
	slowest := time.Duration(0)
	for n := 1; n <= 50; n++ {
		at := time.Now()
		w.produce(1, 1)
		w.wait("a record of the other partition", func() bool { return w.handled[name(1, int64(n-1))] > 0 })
		if n > 1 { // the first waits for the group
			slowest = max(slowest, time.Since(at))
		}
		time.Sleep(200 * time.Millisecond)
	}
	if n := fault.Hits(); n > 500 {
		t.Fatalf("%d fetches with the partition in %v", n, time.Since(begun))
	}
	if slowest > 50*time.Millisecond {
		t.Errorf("a record of the other partition took %v", slowest)
	}
	m.inTrouble(log, reason.Message, begun.Add(10*time.Second))
	s := m.producer.Snapshot()
	if len(s.Troubles) != 1 || s.Troubles[0].Partition != 0 || s.Partitions[0].Lag != 50 || s.Partitions[1].Lag != 0 {
		t.Errorf("%+v", s)
	}
	fault.Remove()
	at := time.Now()
	w.waitAll()
	if d := time.Since(at); d > maxPause+time.Second {
		t.Errorf("it was read %v after it had a leader", d)
	}
	w.wait("ready", func() bool { return m.producer.Ready() == nil })
	m.leave()
	w.check()
}

// A member stays ready while a partition moves to another broker, or the broker of a new topic
// does not know that yet: what fails is repeated and counted, and no topic is taken for one that
// was made again.
func TestReadyWhileAPartitionMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, virtual(2))
		w.produce(50, 0, 1)
		cfg, log := w.logged()
		m := w.join(cfg, w.handler("a"), stage.SubscribeConfig{})
		w.waitAll()
		for _, reason := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicID} {
			fault := w.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}, Err: reason, Count: 2})
			for range 200 {
				if err := m.producer.Ready(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			if fault.Hits() != 2 {
				t.Errorf("%d fetches failed", fault.Hits())
			}
		}
		w.produce(50, 0, 1)
		w.waitAll()
		if s := m.producer.Snapshot(); s.Errors == 0 || s.Recreated != 0 || len(s.Troubles) != 0 {
			t.Errorf("%+v", s)
		}
		if text := log.String(); strings.Contains(text, "polling failed") {
			t.Errorf("the log is\n%s", text)
		}
		m.leave()
		w.check()
	})
}
