package kafka

import (
	"slices"
	"testing"

	"github.com/penstock-go/penstock/receipt"
)

// A mark of a transaction is finished at once, and the prefix passes it and what was
// aborted before it, but no record that is unfinished.
func TestMarksOfTransactions(t *testing.T) {
	c := newCore(10)
	c.assign([]topicPartition{at(0)})
	c.demand(10)
	part := c.open(at(0), 20)
	part = c.take(part, 0, 0, false)
	part = c.pass(part, 1, 0)
	part = c.pass(part, 5, 0) // 2 to 4 were aborted
	if part.tracker.head != 0 || c.records != 1 || c.waiting != 1 {
		t.Errorf("head %d, %d records, %d waiting", part.tracker.head, c.records, c.waiting)
	}
	c.emit(func(int, bool) {})
	c.receive(0, 1, receipt.Done)
	if part.tracker.head != 6 || part.tracker.window() != 0 {
		t.Errorf("head %d, window %d", part.tracker.head, part.tracker.window())
	}
	part = c.pass(part, 9, 0) // nothing of the last transaction is there
	if heads := c.uncommitted(); len(heads) != 1 || heads[0].offset != 10 {
		t.Errorf("heads %+v", heads)
	}
	if part.committed != 0 {
		t.Errorf("the group begins at %d", part.committed)
	}
}

// A partition that the program holds is paused once, whatever its window, and also when
// it is assigned later.
func TestHeldPartitions(t *testing.T) {
	c := newCore(4)
	steps := func(what string, pause, resume int) {
		t.Helper()
		turns := c.steer()
		if len(turns.pause) != pause || len(turns.resume) != resume {
			t.Errorf("%s: pause %v, resume %v", what, turns.pause, turns.resume)
		}
	}
	held := []topicPartition{at(0)}
	if do := c.hold(held); !do.look || !do.now {
		t.Errorf("orders %+v", do)
	}
	steps("before the assignment", 1, 0)
	c.assign(held)
	steps("assigned", 0, 0)
	c.hold(held)
	steps("held twice", 0, 0)
	if resume := c.forget(held); len(resume) != 0 {
		t.Errorf("resumed %v", resume)
	}
	c.assign(held)
	steps("assigned again", 0, 0)
	c.unhold(held)
	steps("not held", 0, 1)
	c.demand(10)
	c.enqueue(c.open(at(0), 20), queueOf(0, 0, 5))
	part, records := c.pick(10)
	for _, r := range records {
		part = c.take(part, r.Offset, 0, false)
	}
	if pause := c.stop(); len(pause) != 1 || len(records) != 4 {
		t.Errorf("the window is full: pause %v after %d records", pause, len(records))
	}
	steps("the window is full", 0, 0)
	c.hold(held)
	steps("and it is held", 0, 0)
	c.emit(func(int, bool) {})
	c.receive(0, 4, receipt.Done)
	c.commit(c.uncommitted(), nil)
	steps("the window is empty", 0, 0)
	if c.stalled() {
		t.Error("a held partition with an empty window waits for no receipts")
	}
	if part, _ := c.pick(10); part != nil {
		t.Error("records of a held partition are taken")
	}
	c.unhold(held)
	if part, records := c.pick(1); part == nil || records[0].Offset != 4 {
		t.Errorf("takes %v", records)
	}
	steps("not held any more", 0, 1)
	c.hold(held)
	steps("held", 1, 0)
	if gone := c.forget(held); len(gone) != 0 {
		t.Errorf("resumed %v", gone)
	}
	c.unhold(held)
	steps("without an assignment", 0, 1)
	if len(c.paused) != 0 || !slices.Equal(c.uncommitted(), nil) {
		t.Errorf("paused %v", c.paused)
	}
}
