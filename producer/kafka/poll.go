package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/pace"
)

// poller is the poller's goroutine's own.
type poller[T any] struct {
	job      portion[T]                  // what it decodes
	size     int                         // of the next job, in records
	grace    time.Time                   // until when stuck partitions may get room before the next poll; zero: none waits
	batches  map[*kgo.Record]*BatchError // of records that stand for batches that cannot be read
	polled   []topicPartition            // of the last poll
	failing  quarantine                  // partitions that the client does not fetch since they failed
	resizing resizing                    // the size of fetches
	// The log of poison records. The last one is poisonAt.
	poisonLines pace.Limiter
	poisonAt    poison
}

// grace is how long partitions may take to get room in their windows before others are
// polled for, which fetches more of these as well. A consumer that is quicker than that
// is not slowed down by pauses.
const grace = 5 * time.Millisecond

// pollUntilEnd is the poller's goroutine. If Decode or OnPoison has ended it by
// runtime.Goexit, another one goes on where it was.
func (p *Producer[T]) pollUntilEnd() {
	ended := false
	defer func() {
		if ended {
			close(p.polled)
		} else {
			p.running.Go(p.pollUntilEnd) // before this one is counted as done
		}
	}()
	p.poll()
	ended = true
}

// poll decodes what there is demand for, and polls when there is nothing to decode. Polling
// blocks rebalances until AllowRebalance, so that Decode, OnPoison and the dead letters
// have their turn after it. It ends when polling is done or the client was closed.
func (p *Producer[T]) poll() {
	p.finish() // what an earlier goroutine has left
	for {
		ctx, ok := p.next()
		switch {
		case !ok:
			p.logPoison(p.poller.poisonLines.Rest()) // what has had no line yet
			return
		case ctx == nil:
			p.decode()
			p.finish()
		default:
			p.fetch(ctx)
		}
	}
}

// next waits until there is something to do. With ctx nil the poller has a job to decode;
// otherwise it polls with ctx, which is done already if partitions need attention first:
// such a poll returns at once and only makes steer safe. ok is false at the end.
func (p *Producer[T]) next() (ctx context.Context, ok bool) {
	for {
		p.mu.Lock()
		if p.interrupt != nil {
			p.interrupt() // releases the context of the last poll
			p.interrupt = nil
		}
		if p.core.phase == failed || p.polling.Err() != nil {
			p.mu.Unlock()
			return nil, false
		}
		n, steering := p.core.poll()
		if p.cfg.Delay > 0 {
			p.core.now = time.Now()
		}
		if !steering {
			if part, records := p.core.pick(p.poller.size); part != nil {
				p.halt.Store(false)
				p.mu.Unlock()
				p.poller.grace = time.Time{}
				p.poller.job.begin(part, records)
				return nil, true
			}
		}
		patience := time.Duration(-1)
		if n > 0 && !steering && p.core.choked() {
			patience = p.patience()
		}
		if steering || n > 0 && patience <= 0 {
			ctx, cancel := p.pollContext()
			// release calls it when a partition needs attention while the poll waits for
			// records.
			p.interrupt = cancel
			p.mu.Unlock()
			if steering {
				cancel()
			}
			return ctx, true
		}
		p.mu.Unlock()
		if !p.pause(patience) {
			return nil, false
		}
	}
}

// patience returns how long the poller still waits for partitions that are stuck.
func (p *Producer[T]) patience() time.Duration {
	now := time.Now()
	if p.poller.grace.IsZero() {
		p.poller.grace = now.Add(grace)
	}
	return p.poller.grace.Sub(now)
}

// pause waits until the core may have something to do: demand, receipts and poison nudge
// the poller. A patience above 0 bounds it. It returns false when polling is done.
func (p *Producer[T]) pause(patience time.Duration) bool {
	var end <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		end = t.C
	}
	select {
	case <-p.kick:
	case <-end:
	case <-p.polling.Done():
		return false
	}
	return true
}

// pollContext returns the context of a poll, which ends when a partition that has failed
// is to be tried again.
func (p *Producer[T]) pollContext() (context.Context, context.CancelFunc) {
	at := p.poller.failing.first()
	if due := p.core.nextDue(); at.IsZero() || !due.IsZero() && due.Before(at) {
		at = due
	}
	if !at.IsZero() {
		return context.WithDeadline(p.polling, at)
	}
	return context.WithCancel(p.polling)
}

// fetch polls all that the client has, and queues it. Between the poll and AllowRebalance
// no rebalance can happen: the records belong to the assignment that they are queued under.
func (p *Producer[T]) fetch(ctx context.Context) {
	p.mu.Lock()
	if p.core.narrow() {
		p.setSize()
	}
	narrowed := p.core.narrowed
	p.mu.Unlock()
	fetches := p.client.PollFetches(ctx)
	ended := ctx.Err() != nil && isContextError(fetches.Err0())
	if !ended {
		// The client fetches again as soon as it has been emptied: nothing may be between.
		p.holdBack(fetches, narrowed)
		p.enqueue(fetches)
	}
	p.steer()
	p.skip()
	p.isolate(fetches, ended)
	p.client.AllowRebalance()
	if !ended {
		p.failed(fetches)
	}
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// holdBack pauses the partitions that have records for which there is no room, after a poll;
// narrowed is that at its beginning.
func (p *Producer[T]) holdBack(fetches kgo.Fetches, narrowed bool) {
	polled := p.poller.polled[:0]
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) > 0 {
			polled = append(polled, topicPartition{f.Topic, f.Partition})
		}
	})
	p.poller.polled = polled
	empty := p.client.BufferedFetchRecords() == 0
	p.mu.Lock()
	p.core.collect(polled, narrowed, empty)
	// With mu held, since reopen may resume one of them at the same time.
	if pause := p.core.stop(); len(pause) > 0 {
		p.client.PauseFetchPartitions(byTopic(pause))
	}
	if p.core.widen() {
		p.setSize()
	}
	p.mu.Unlock()
}

// reopen resumes a paused partition of which a response has records: they were asked for
// before the pause, and a poll would discard them. The client calls it before it keeps the
// response.
func (p *Producer[T]) reopen(key topicPartition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.core.arrive(key) {
		if p.core.narrow() {
			p.setSize()
		}
		p.client.ResumeFetchPartitions(byTopic([]topicPartition{key}))
	}
}

// setSize has the client fetch so much at a time. mu is held.
func (p *Producer[T]) setSize() {
	total := p.cfg.FetchMaxBytes >> p.halvings
	if p.core.narrowed {
		total = 1 // a broker sends the first batch whatever its size
	}
	// A session remembers a partition's size, also if the partition had no turn.
	p.client.UpdateFetchMaxBytes(total, max(1, p.cfg.FetchMaxPartitionBytes>>p.halvings))
}

// enqueue gives the core the polled records. Those of partitions that are not read any more
// are dropped: they are read again, here or by another member.
func (p *Producer[T]) enqueue(fetches kgo.Fetches) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		key := topicPartition{f.Topic, f.Partition}
		p.unpacking.polled(key)
		var q queue
		q.add(f.Records)
		p.mu.Lock()
		if part := p.core.open(key, p.cfg.end(f)); part != nil {
			p.core.enqueue(part, q)
			p.core.arrived(key)
		}
		troubled := len(p.troubles) > 0
		p.mu.Unlock()
		if troubled {
			p.arrived(key)
		}
	})
}

// steer has the client pause partitions, resume them and read them again. It is called between a poll
// and AllowRebalance, where the assignment cannot change.
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
	if resume := p.poller.failing.without(turns.resume); len(resume) > 0 {
		p.client.ResumeFetchPartitions(byTopic(resume))
	}
}
