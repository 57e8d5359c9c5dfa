package kafka

import (
	"testing"
	"time"
)

// On Apache Kafka, behind a fair dispatcher with slow work, a member that joins gets its
// partitions when what was begun is finished: the rest of the read-ahead goes back at once,
// each user's records are begun in order over both members, and a drain with a full
// read-ahead waits for what was begun.
func TestRealWithdraw(t *testing.T) {
	const workers, pause = 8, 50 * time.Millisecond
	w := realWorld(t, 4)
	w.produce(400, 0, 1, 2, 3)
	l := newTimeline(w)
	cfg := w.config()
	cfg.CommitInterval = time.Minute
	first := l.joinFair(cfg, "first", workers, pause)
	w.wait("some", func() bool { return len(w.handled) >= 100 })
	second := l.joinFair(cfg, "second", workers, pause)
	w.wait("the second member's assignment", func() bool { return len(w.order["second"]) > 0 })
	s := first.producer.Snapshot()
	if s.Withdrawn < 100 || s.LeftInFlight > 0 {
		t.Errorf("%d came back, %d were left in flight", s.Withdrawn, s.LeftInFlight)
	}
	clock := w.clock()
	begun := clock()
	first.leave()
	if d := clock() - begun; d > 5*time.Second {
		t.Errorf("the drain took %v", d)
	}
	w.waitAll()
	second.leave()
	repeated := l.check()
	t.Logf("%d came back at the join, %d were repeated", s.Withdrawn, repeated)
	if repeated > 0 {
		t.Errorf("%d were repeated", repeated)
	}
}
