package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BadBatches selects what becomes of a batch of records that cannot be read.
type BadBatches uint8

// The choices for a batch that cannot be read.
const (
	// SkipBatches makes the batch one poison record, after which its partition goes on.
	SkipBatches BadBatches = iota
	// StopPartition leaves the partition at the batch, for the program's operators: nothing
	// more of it is read. It goes on when the broker has dropped the batch, or the group's
	// offset was set behind it.
	StopPartition
)

// badTries is how often a batch is read in vain before it counts as unreadable: it may have
// been damaged on its way.
const badTries = 3

// bad notes that a batch could not be read. It returns the batch once it is clear that it
// never will be, and whether that is new.
func (c *core) bad(q query, bad *badBatch, stop bool) (final, fresh bool) {
	part, v := c.parts[q.topicPartition], c.view(q.topicPartition)
	if part == nil || c.position(part) != q.offset {
		return false, false // it has gone on meanwhile
	}
	bad.tries = 1
	if v.bad != nil && v.bad.Offset == bad.Offset {
		bad.tries += v.bad.tries
	}
	v.bad = bad
	final = bad.tries >= badTries
	v.suspect = !final
	if !final {
		return false, false
	}
	if stop || bad.Next == unknown {
		fresh, v.stopped = !v.stopped, true
		return true, fresh
	}
	fresh, v.skip = !v.skip, true
	c.steering = true
	return true, fresh
}

// skips returns the batches after which the client is to continue, and where that is.
func (c *core) skips() (heads []head, batches []*badBatch) {
	if c.phase != running {
		return nil, nil
	}
	for key, part := range c.parts {
		v := c.view(key)
		if !v.skip {
			continue
		}
		bad := v.bad
		v.skip, v.bad = false, nil
		// One that is read again comes here again, unless the batch is gone by then.
		if part.phase == reading && bad != nil && c.position(part) < bad.Next {
			heads = append(heads, head{part: part, offset: bad.Next, epoch: -1})
			batches = append(batches, bad)
		}
	}
	return heads, batches
}

// skip has the client continue after the batches that cannot be read. Each is queued as one
// record, behind those that were polled before it, which is poison. Like steer it is called
// between a poll and AllowRebalance.
func (p *Producer[T]) skip() {
	p.mu.Lock()
	heads, batches := p.core.skips()
	p.mu.Unlock()
	if len(heads) == 0 {
		return
	}
	p.takeSlot(context.Background()) // it is never held longer than CommitTimeout
	p.client.SetOffsets(offsets(heads))
	p.freeSlot()
	p.meters.unreadable.Add(int64(len(batches)))
	if p.poller.batches == nil {
		p.poller.batches = map[*kgo.Record]*BatchError{}
	}
	for i, bad := range batches {
		part := heads[i].part
		record := &kgo.Record{Topic: bad.Topic, Partition: bad.Partition, Offset: bad.Next - 1, LeaderEpoch: -1, Value: bad.raw}
		p.poller.batches[record] = &bad.BatchError
		var q queue
		q.add([]*kgo.Record{record})
		p.mu.Lock()
		p.stats.Unreadable++
		p.core.enqueue(part, q)
		p.mu.Unlock()
		p.arrived(part.topicPartition)
		p.cfg.Logger.Error("kafka: batch skipped, it cannot be read", "group", p.cfg.Group, "topic", bad.Topic,
			"partition", bad.Partition, "offset", bad.Offset, "next", bad.Next, "bytes", len(bad.raw), "error", bad.Err)
	}
}

// unreadable returns the error of a record that stands for a batch, nil for all others. One
// that is dropped by a rebalance stays until the end: there are few.
func (p *poller[T]) unreadable(r *kgo.Record) error {
	if len(p.batches) == 0 {
		return nil
	}
	if bad := p.batches[r]; bad != nil {
		return bad
	}
	return nil
}
