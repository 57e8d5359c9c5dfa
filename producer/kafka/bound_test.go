package kafka

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// mostRepeated is the bound of the package comment: how many records are delivered again
// after a crash of a member with so many partitions.
func mostRepeated(partitions, window int) int { return partitions * window }

// While the group accepts no commits, records are finished and intake stops when the
// windows are full, whatever their size.
func TestIntakeStopsWithoutCommits(t *testing.T) {
	for _, window := range []int{1, 2, 7, 8, 100, 1000, 10_000} {
		c := newCore(window)
		c.assign([]topicPartition{at(0), at(1), at(2)})
		c.endSession()
		c.demand(1_000_000)
		paused := map[topicPartition]bool{}
		var next [3]int64
		number, took := uint64(0), 0
		for range 10_000 {
			before := took
			for p := range next {
				if key := at(int32(p)); !paused[key] {
					c.enqueue(c.open(key, 0), queueOf(int32(p), next[p], next[p]+2999))
					next[p] += 3000
				}
			}
			for {
				part, records := c.pick(1024)
				if part == nil {
					break
				}
				for _, r := range records {
					part = c.take(part, r.Offset, 0, false)
				}
				took += len(records)
			}
			emitted := 0
			c.emit(func(n int, _ bool) { emitted += n })
			c.receive(number, emitted, receipt.Done)
			number += uint64(emitted)
			for _, key := range c.stop() {
				paused[key] = true
			}
			if took == before {
				break
			}
		}
		if len(paused) != 3 || took > mostRepeated(3, window) || took < mostRepeated(3, window)*3/4 {
			t.Errorf("window %d: %d records finished without a commit, %d partitions paused", window, took, len(paused))
		}
		c.assign(nil)
		c.commit(c.uncommitted(), nil)
		if r := c.steer().resume; len(r) != 3 {
			t.Errorf("window %d: %d partitions go on after the commit", window, len(r))
		}
	}
}

// A member that is killed after a long time without commits leaves no more records to be
// repeated than the documented bound, and handles more than that in a second while
// commits are accepted.
func TestRepeatedAfterAKillIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const partitions, window = 2, 1000
		w := newWorld(t, virtual(partitions))
		w.produce(15_000, 0, 1)
		cfg := w.config()
		cfg.Window, cfg.CommitInterval = window, time.Minute
		first := w.join(cfg, w.handler("first"), stage.SubscribeConfig{})
		begun := time.Now()
		w.wait("more than the windows", func() bool { return len(w.handled) > 10_000 })
		if d := time.Since(begun); d > 30*time.Second {
			t.Errorf("10,000 records took %v: intake waits for the commits of the interval", d)
		}
		w.refusing.Store(true)
		before := w.committed()
		time.Sleep(30 * time.Second)
		first.kill()
		w.mu.Lock()
		finished := len(w.handled)
		w.mu.Unlock()
		after := w.committed()
		repeat := finished - int(after["0"]+after["1"])
		t.Logf("%d finished, committed %v, then %v: %d to be repeated", finished, before, after, repeat)
		if most := mostRepeated(partitions, window); repeat > most || repeat < most/2 {
			t.Errorf("%d are repeated, at most %d may be", repeat, most)
		}
		w.refusing.Store(false)
		second := w.join(w.config(), w.handler("second"), stage.SubscribeConfig{})
		w.waitAll()
		second.leave()
		if repeated := w.check(); repeated > repeat {
			t.Errorf("%d were delivered twice, %d were not committed", repeated, repeat)
		}
	})
}
