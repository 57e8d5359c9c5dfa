package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/crash"
)

// poison is a record that could not be used.
type poison struct {
	record *kgo.Record
	part   *partition
	err    error
}

// poll is the poller's goroutine.
func (p *Producer[T]) poll() {
	var pause backOff
	for {
		ctx, n, ok := p.next()
		if !ok {
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
		if p.failed(fetches) {
			pause.wait(p.polling)
		} else if !fetches.Empty() {
			pause.reset()
		}
	}
}

// next waits until there is something to poll for. It returns the number of
// records and the context to poll with, which is done already if partitions need
// attention first. ok is false at the end.
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
			p.interrupt = cancel
			p.mu.Unlock()
			if steering {
				cancel()
				n = 1
			}
			return ctx, n, true
		}
		p.mu.Unlock()
		if ended {
			return nil, 0, false
		}
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

// take decodes and tracks the polled records, and returns the poisonous ones.
func (p *Producer[T]) take(fetches kgo.Fetches) []poison {
	var bad []poison
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		for _, r := range f.Records {
			event, err := p.cfg.decode(r)
			p.batch = append(p.batch, decoded[T]{r, event, err})
		}
		key := topicPartition{f.Topic, f.Partition}
		bad = append(bad, p.track(key, f.HighWatermark, p.batch)...)
		clear(p.batch)
		p.batch = p.batch[:0]
	})
	return bad
}

// track has the core take the records of one partition.
func (p *Producer[T]) track(key topicPartition, highWater int64, batch []decoded[T]) (bad []poison) {
	p.mu.Lock()
	part := p.core.open(key, highWater)
	if part == nil {
		p.mu.Unlock()
		return nil
	}
	for i := range batch {
		d := &batch[i]
		part = p.core.take(part, d.record.Offset, d.record.LeaderEpoch, d.err != nil)
		if d.err != nil {
			bad = append(bad, poison{d.record, part, d.err})
		} else {
			p.events = append(p.events, d.event)
		}
	}
	p.mu.Unlock()
	p.meters.records.Add(int64(len(batch)))
	p.wake()
	return bad
}

// steer tells the client which partitions to pause, to resume and to read again. It
// is called between a poll and AllowRebalance.
func (p *Producer[T]) steer() {
	p.mu.Lock()
	turns := p.core.steer()
	p.mu.Unlock()
	if len(turns.rewind) > 0 {
		back := offsets(turns.rewind)
		p.takeSlot(context.Background()) // it is never held longer than CommitTimeout
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

// dispose passes a poison record to OnPoison and finishes it.
func (p *Producer[T]) dispose(b poison) {
	p.meters.poison.Add(1)
	p.offer(b)
	p.mu.Lock()
	p.stats.Poison++
	p.release(p.core.dispose(b.part, b.record.Offset))
}

func (p *Producer[T]) offer(b poison) {
	defer func() {
		if v := recover(); v != nil {
			err := crash.Of(v)
			p.cfg.Logger.Error("kafka: OnPoison panicked", "topic", b.record.Topic, "partition", b.record.Partition,
				"offset", b.record.Offset, "error", err)
		}
	}()
	if p.cfg.OnPoison != nil {
		p.cfg.OnPoison(b.record, b.err)
	}
}

// failed examines the errors of a poll and reports whether to pause.
func (p *Producer[T]) failed(fetches kgo.Fetches) bool {
	var first error
	fetches.EachError(func(topic string, partition int32, err error) {
		if first != nil || errors.Is(err, context.Canceled) {
			return
		}
		first = err
		if topic != "" {
			first = fmt.Errorf("topic %q, partition %d: %w", topic, partition, err)
		}
	})
	switch {
	case first == nil:
		return false
	case errors.Is(first, kgo.ErrClientClosed):
		p.mu.Lock()
		if p.core.phase < closing {
			p.core.advance(failed)
			p.events = nil
		}
		p.mu.Unlock()
		p.wake()
		return false
	}
	p.meters.errors.Add(1)
	p.report("polling", first, func(s *counts) { s.Errors++ })
	return true
}

// report counts an error, keeps it for Stats, and logs it at most every ten seconds.
func (p *Producer[T]) report(doing string, err error, count func(*counts)) {
	now := time.Now()
	p.mu.Lock()
	count(&p.stats)
	p.stats.LastError = fmt.Sprintf("%s: %v", doing, err)
	due := p.stats.logged.IsZero() || now.Sub(p.stats.logged) >= logEvery
	if due {
		p.stats.logged = now
	}
	p.mu.Unlock()
	if due {
		p.cfg.Logger.Warn("kafka: "+doing+" failed; it is retried", "group", p.cfg.Group, "error", err)
	}
}

// logEvery is how often an error is logged.
const logEvery = 10 * time.Second
