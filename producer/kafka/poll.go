package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/crash"
)

// maxPoll bounds one poll, so that no group waits long for the decoding.
const maxPoll = 2000

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
		p.look()
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
// attention first.
func (p *Producer[T]) next() (_ context.Context, n int, ok bool) {
	for {
		p.mu.Lock()
		if p.interrupt != nil {
			p.interrupt()
			p.interrupt = nil
		}
		n = min(p.owed-len(p.ready), maxPoll)
		if p.polling.Err() == nil && p.fatal == nil && (n > 0 || p.steering) {
			ctx, cancel := context.WithCancel(p.polling)
			if p.steering {
				cancel()
				n = 1
			}
			p.interrupt = cancel
			p.mu.Unlock()
			return ctx, n, true
		}
		fatal := p.fatal
		p.mu.Unlock()
		if fatal != nil {
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

// track adds the records of one partition.
func (p *Producer[T]) track(key topicPartition, highWater int64, batch []decoded[T]) []poison {
	p.mu.Lock()
	defer p.mu.Unlock()
	part := p.parts[key]
	if part == nil || part.leaving || part.rewind || p.draining {
		return nil // they are read again, here or elsewhere
	}
	p.stats.Records += int64(len(batch))
	p.meters.records.Add(int64(len(batch)))
	part.highWater = highWater
	var bad []poison
	for i := range batch {
		d := &batch[i]
		if !part.tracker.started {
			part.committed = d.record.Offset
		}
		if !part.tracker.add(d.record.Offset, d.record.LeaderEpoch) {
			// The broker has lost records and the client went back: these are
			// other records, although their offsets have been seen before.
			part = p.renew(part)
			part.committed, part.highWater = d.record.Offset, highWater
			part.tracker.add(d.record.Offset, d.record.LeaderEpoch)
		}
		if d.err != nil {
			bad = append(bad, poison{d.record, part, d.err})
			continue
		}
		p.ready = append(p.ready, item[T]{d.event, part, d.record.Offset})
	}
	if part.tracker.window() >= p.cfg.Window && !part.paused {
		p.steering = true
	}
	p.wake()
	return bad
}

// renew replaces part by an empty partition. mu is held.
func (p *Producer[T]) renew(part *partition) *partition {
	part.leaving = true // for events that are ready and not emitted
	p.epochs++
	next := &partition{topicPartition: part.topicPartition, epoch: p.epochs, paused: part.paused, committed: part.committed}
	p.parts[part.topicPartition] = next
	return next
}

// look pauses partitions whose window is full, resumes those that have room
// again, and rewinds those that have abandoned records. It is called between a
// poll and AllowRebalance.
func (p *Producer[T]) look() {
	p.mu.Lock()
	if !p.steering || p.draining {
		p.mu.Unlock()
		return
	}
	p.steering = false
	pause, resume := map[string][]int32{}, map[string][]int32{}
	back := map[string]map[int32]kgo.EpochOffset{}
	for key, part := range p.parts {
		if part.rewind && part.inFlight == 0 {
			next := p.renew(part)
			head := part.tracker.head
			next.committed = min(part.committed, head)
			if back[key.topic] == nil {
				back[key.topic] = map[int32]kgo.EpochOffset{}
			}
			back[key.topic][key.partition] = kgo.EpochOffset{Epoch: -1, Offset: head}
			part = next
		}
		switch window := part.tracker.window(); {
		case !part.paused && window >= p.cfg.Window:
			part.paused = true
			pause[key.topic] = append(pause[key.topic], key.partition)
		case part.paused && window <= p.cfg.Window/2:
			part.paused = false
			resume[key.topic] = append(resume[key.topic], key.partition)
		}
	}
	p.mu.Unlock()
	if len(back) > 0 {
		p.takeSlot(context.Background()) // it is never held longer than CommitTimeout
		p.client.SetOffsets(back)
		p.freeSlot()
		p.cfg.Logger.Warn("kafka: reading abandoned records again", "group", p.cfg.Group, "partitions", back)
	}
	if len(pause) > 0 {
		p.client.PauseFetchPartitions(pause)
	}
	if len(resume) > 0 {
		p.client.ResumeFetchPartitions(resume)
	}
}

// dispose passes a poison record to OnPoison and finishes it.
func (p *Producer[T]) dispose(b poison) {
	p.meters.poison.Add(1)
	p.offer(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Poison++
	b.part.tracker.finish(b.record.Offset)
	p.relax(b.part)
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

// failed looks at the errors of a poll and reports whether to pause.
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
	if first == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(first, kgo.ErrClientClosed) {
		if p.closing == nil && p.fatal == nil {
			p.fatal = errClientClosed
			p.wake()
		}
		return false
	}
	p.meters.errors.Add(1)
	p.stats.Errors++
	p.report("polling", first)
	return true
}

// report keeps an error for Stats and logs it, at most every ten seconds. mu
// is held; the logger must not call back into the producer.
func (p *Producer[T]) report(doing string, err error) {
	now := time.Now()
	p.stats.LastError = fmt.Sprintf("%s: %v", doing, err)
	if p.stats.logged.IsZero() || now.Sub(p.stats.logged) >= 10*time.Second {
		p.stats.logged = now
		p.cfg.Logger.Warn("kafka: "+doing+" failed; going on", "group", p.cfg.Group, "error", err)
	}
}
