package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/receipt"
)

// full returns a core with a partition that has a full window, and n more records of 100 bytes
// in its queue.
func full(t *testing.T, n int) (*core, *partition) {
	t.Helper()
	c := newCore(10)
	c.most = 10_000
	c.assign([]topicPartition{at(0)})
	c.demand(100)
	part := c.parts[at(0)]
	poll(&c, part, 0, 10+n)
	part, records := c.pick(10)
	for _, r := range records {
		part = c.take(part, r.Offset, 0, false)
	}
	if !part.blocked || part.queue.n != n {
		t.Fatalf("%d are queued, blocked %t", part.queue.n, part.blocked)
	}
	return &c, part
}

// poll queues records of 100 bytes, which count as 340.
func poll(c *core, part *partition, offset int64, n int) {
	var q queue
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: part.topic, Partition: part.partition, Offset: offset + int64(i), Value: make([]byte, 100)}
	}
	q.add(records)
	c.enqueue(part, q)
}

// What the client has of a partition is not discarded by a pause, as long as there is room.
func TestPauseWaitsForWhatIsComing(t *testing.T) {
	key := at(0)
	c, part := full(t, 5)
	if c.arrive(key) {
		t.Error("a partition is reopened that was not paused")
	}
	if !c.narrow() || c.narrow() {
		t.Error("the client may fetch more of the partition, a whole response")
	}
	if pause := c.stop(); len(pause) != 0 {
		t.Errorf("paused %v before the poll that takes its records", pause)
	}
	// The poll takes them, and the next response comes before that is noted.
	c.arrive(key)
	c.collect([]topicPartition{key}, true, false)
	if pause := c.stop(); len(pause) != 0 || c.widen() {
		t.Errorf("paused %v, or a whole response is fetched", pause)
	}
	c.collect([]topicPartition{key}, true, true)
	if pause := c.stop(); len(pause) != 1 || !c.widen() {
		t.Errorf("paused %v when the client has nothing, or it stays narrow", pause)
	}
	// A response that was under way has the partition open for a poll.
	if !c.arrive(key) || !c.narrow() {
		t.Error("what was asked for before the pause is discarded")
	}
	poll(c, part, 15, 5)
	c.collect([]topicPartition{key}, true, true)
	if pause := c.stop(); len(pause) != 1 || !c.widen() {
		t.Errorf("paused %v after that poll, or it stays narrow", pause)
	}
}

func TestNoRoomForWhatIsComing(t *testing.T) {
	key := at(0)
	c, part := full(t, 40) // 13,600 bytes of 10,000
	c.arrive(key)
	c.narrow()
	if pause := c.stop(); len(pause) != 1 {
		t.Errorf("paused %v although memory is full", pause)
	}
	if c.arrive(key) {
		t.Error("reopened although memory is full")
	}
	// One batch is taken up to twice as much.
	c.collect([]topicPartition{key}, true, true)
	if !c.arrive(key) {
		t.Error("a single batch was discarded")
	}
	poll(c, part, 50, 20)
	if c.arrive(key) {
		t.Error("reopened with twice as much as may be")
	}
}

// A partition is fetched again when its queue has room for a response.
func TestResumeWaitsForTheQueue(t *testing.T) {
	c, part := full(t, 40)
	c.stop()
	c.emit(func(int, bool) {})
	c.receive(0, 10, receipt.Done)
	c.commit(c.uncommitted(), nil)
	if c.steer(); part.blocked || !c.isPaused(part) {
		t.Error("resumed with a long queue")
	}
	part.queue.take(20)
	if c.pick(5); !c.steering {
		t.Error("no attention when the queue is short")
	}
	if turns := c.steer(); len(turns.resume) != 1 {
		t.Error("not resumed with a short queue")
	}
}

// A response that is never polled, since a rebalance has discarded it, is forgotten.
func TestLostResponseIsForgotten(t *testing.T) {
	c, _ := full(t, 5)
	c.arrive(at(0))
	for range forgetAfter - 1 {
		c.collect(nil, false, true)
		if pause := c.stop(); len(pause) != 0 {
			t.Fatalf("paused %v too early", pause)
		}
	}
	c.collect(nil, false, true)
	if pause := c.stop(); len(pause) != 1 {
		t.Error("waits for ever for records that do not come")
	}
}

// The watcher fetches nothing that may be under way.
func TestProbeWaits(t *testing.T) {
	c := newCore(10)
	c.assign([]topicPartition{at(0)})
	c.demand(1)
	c.observe(at(0), 0, 100)
	begun := time.Unix(1, 0)
	for _, step := range []struct {
		after time.Duration
		asks  int
	}{{0, 0}, {0, 0}, {lookAgain - 1, 0}, {lookAgain, 1}, {logEvery, 0}, {lookAgain + logEvery, 1}} {
		if ask, _ := c.overdue(begun.Add(step.after), 8); len(ask) != step.asks {
			t.Errorf("%d are asked after %v, not %d", len(ask), step.after, step.asks)
		}
	}
}
