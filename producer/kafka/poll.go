package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// poll is the poller's goroutine. Polling blocks rebalances until AllowRebalance, so that
// decoding must not take long, and OnPoison is called after it. It ends when polling is
// done or the client was closed.
func (p *Producer[T]) poll() {
	var pause backOff
	for {
		ctx, n, ok := p.next()
		if !ok {
			p.logPoison(p.poisonLines.Rest()) // what has had no line yet
			return
		}
		fetches := p.client.PollRecords(ctx, n)
		bad := p.take(fetches)
		p.steer()
		// Between the poll and here no rebalance can happen: the polled records
		// belong to the assignment that they are tracked under.
		p.client.AllowRebalance()
		for _, b := range bad {
			p.dispose(b)
		}
		// Only errors pause the poller; an empty poll has waited already.
		if p.failed(fetches) {
			pause.wait(p.polling)
		} else if !fetches.Empty() {
			pause.reset()
		}
	}
}

// next waits until there is something to poll for. It returns the number of records and
// the context to poll with, which is done already if partitions need attention first: such
// a poll returns at once and only makes steer safe. ok is false at the end.
func (p *Producer[T]) next() (_ context.Context, n int, ok bool) {
	for {
		p.mu.Lock()
		if p.interrupt != nil {
			p.interrupt() // releases the context of the last poll
			p.interrupt = nil
		}
		n, steering := p.core.poll()
		ended := p.core.phase == failed || p.polling.Err() != nil
		if !ended && (n > 0 || steering) {
			ctx, cancel := context.WithCancel(p.polling)
			// release calls it when a partition needs attention while the poll waits for
			// records.
			p.interrupt = cancel
			p.mu.Unlock()
			if steering {
				cancel()
				// The poll returns at once with what is there already, one record at most.
				n = 1
			}
			return ctx, n, true
		}
		p.mu.Unlock()
		if ended {
			return nil, 0, false
		}
		// The core has nothing to poll for. Demand, receipts and poison nudge the poller.
		select {
		case <-p.kick:
		case <-p.polling.Done():
			return nil, 0, false
		}
	}
}

// decoded is a record between decoding and tracking.
type decoded[T any] struct {
	record *kgo.Record
	event  T
	err    error
}

// take decodes and tracks the polled records, and returns the poisonous ones. Decode is
// called without mu, and a partition is tracked as a whole, so that records and their
// receipts stay in order.
func (p *Producer[T]) take(fetches kgo.Fetches) []poison {
	var bad []poison
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		for _, r := range f.Records {
			if r.Attrs.IsControl() {
				p.batch = append(p.batch, decoded[T]{record: r})
				continue
			}
			event, err := p.cfg.decode(r)
			p.batch = append(p.batch, decoded[T]{r, event, err})
		}
		key := topicPartition{f.Topic, f.Partition}
		bad = append(bad, p.track(key, p.cfg.end(f), p.batch)...)
		clear(p.batch)
		p.batch = p.batch[:0]
	})
	return bad
}

// track has the core take the records of one partition. If the partition is not read any
// more they are dropped: they are read again, here or by another member. Events are
// appended to p.events in the order of core.ready.
func (p *Producer[T]) track(key topicPartition, highWater int64, batch []decoded[T]) (bad []poison) {
	p.mu.Lock()
	part := p.core.open(key, highWater)
	if part == nil {
		p.mu.Unlock()
		return nil
	}
	var do orders
	control := 0
	for i := range batch {
		d := &batch[i]
		if d.record.Attrs.IsControl() {
			part = p.core.pass(part, d.record.Offset, d.record.LeaderEpoch)
			do = do.and(p.core.after(part))
			control++
			continue
		}
		// take may replace the partition, if the broker has lost records.
		part = p.core.take(part, d.record.Offset, d.record.LeaderEpoch, d.err != nil)
		if d.err != nil {
			bad = append(bad, poison{d.record, part, d.err})
		} else {
			p.events = append(p.events, d.event)
		}
	}
	p.release(do)
	p.meters.records.Add(int64(len(batch) - control))
	p.wake()
	return bad
}

// steer tells the client which partitions to pause, to resume and to read again. It is
// called between a poll and AllowRebalance, where the assignment cannot change.
func (p *Producer[T]) steer() {
	p.mu.Lock()
	turns := p.core.steer()
	p.mu.Unlock()
	if len(turns.rewind) > 0 {
		back := offsets(turns.rewind)
		p.takeSlot(context.Background()) // it is never held longer than CommitTimeout
		// No commit may run now: it could move the group's offset past what is read again.
		p.client.SetOffsets(back)
		p.freeSlot()
		p.cfg.Logger.Warn("kafka: reading abandoned records again", "group", p.cfg.Group, "partitions", back)
	}
	if len(turns.pause) > 0 {
		p.client.PauseFetchPartitions(byTopic(turns.pause))
	}
	if len(turns.resume) > 0 {
		p.client.ResumeFetchPartitions(byTopic(turns.resume))
	}
}
