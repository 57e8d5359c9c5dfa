package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// probeTimeout bounds the fetches of one look together.
const probeTimeout = 10 * time.Second

// errSilent is the trouble of a partition for which no other reason was found.
var errSilent = errors.New("records are there that were asked for, and none comes")

// probe fetches, itself, from partitions whose records do not come, and notes why.
func (p *Producer[T]) probe(leaders map[topicPartition]leader) {
	ctx, cancel := context.WithTimeout(p.committing, probeTimeout)
	defer cancel()
	p.mu.Lock()
	ask, silent := p.core.overdue(time.Now(), maxProbes)
	// Where a reason is known it is enough.
	silent = slices.DeleteFunc(silent, func(key topicPartition) bool {
		one := p.troubles[place{key, doPoll}]
		return one != nil && one.Error != errSilent.Error() || p.troubles[place{key, doFetch}] != nil
	})
	p.mu.Unlock()
	for _, q := range ask {
		l, ok := leaders[q.topicPartition]
		if !ok {
			continue // noted by leaders
		}
		p.probeOne(ctx, q, l)
	}
	for _, key := range silent {
		p.note(place{key, doPoll}, errSilent, true)
	}
}

// suspects has the next probe ask for partitions that a broker has refused, also if nothing of
// them is due: the trouble ends when the broker does not. It reports whether there are any.
func (p *Producer[T]) suspects() (any bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := range p.troubles {
		if at.doing == doFetch && p.core.parts[at.topicPartition] != nil {
			p.core.view(at.topicPartition).suspect, any = true, true
		}
	}
	return any
}

// probeOne fetches from one partition.
func (p *Producer[T]) probeOne(ctx context.Context, q query, l leader) {
	at := place{q.topicPartition, doFetch}
	resp, err := p.ask(ctx, q, l)
	if p.committing.Err() != nil {
		return
	}
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		p.mu.Lock()
		p.core.reset(q.topicPartition, p.cfg.Reset == Newest || p.cfg.ResetAgo > 0)
		p.mu.Unlock()
		p.over(at)
		return
	case err != nil:
		p.note(at, err, true)
		if errors.Is(err, kerr.UnknownTopicID) {
			p.mu.Lock()
			p.stale[q.topic] = true
			p.mu.Unlock()
		}
		return
	}
	p.over(at)
	opts := kgo.ProcessFetchPartitionOpts{Offset: q.offset, Topic: q.topic, Partition: q.partition}
	if p.core.committedOnly {
		opts.IsolationLevel = kgo.ReadCommitted()
	}
	f := inspect(opts, resp, p.unpacking.inner)
	if f.bad == nil {
		p.mu.Lock()
		if part := p.core.parts[q.topicPartition]; part != nil && !f.readable && p.core.position(part) == q.offset {
			v := p.core.view(q.topicPartition)
			v.past = max(v.past, f.past)
		}
		p.mu.Unlock()
		p.over(place{q.topicPartition, doRead})
		return
	}
	p.unreadable(q, f.bad)
}

// unreadable notes a batch that could not be read.
func (p *Producer[T]) unreadable(q query, bad *badBatch) {
	p.mu.Lock()
	final, fresh := p.core.bad(q, bad, p.cfg.BadBatches == StopPartition)
	skips := p.core.steering
	if fresh && !skips {
		p.stats.Unreadable++
	}
	p.mu.Unlock()
	p.note(place{q.topicPartition, doRead}, &bad.BatchError, true)
	switch {
	case !final:
	case skips:
		p.mu.Lock()
		p.release(orders{look: true, now: true})
	case fresh:
		p.meters.unreadable.Add(1)
		p.cfg.Logger.Error("kafka: partition stopped at a batch that cannot be read", "group", p.cfg.Group, "topic", bad.Topic,
			"partition", bad.Partition, "offset", bad.Offset, "error", bad.Err)
	}
}

// ask asks the leader of a partition for what comes from an offset on.
func (p *Producer[T]) ask(ctx context.Context, q query, l leader) (*kmsg.FetchResponseTopicPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.SessionEpoch = -1, -1
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 100, 1, p.cfg.FetchMaxBytes
	if p.core.committedOnly {
		req.IsolationLevel = 1
	}
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = q.partition, q.offset, p.cfg.FetchMaxPartitionBytes
	part.CurrentLeaderEpoch, part.LastFetchedEpoch, part.LogStartOffset = -1, -1, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = q.topic, l.id, []kmsg.FetchRequestTopicPartition{part}
	req.Topics = []kmsg.FetchRequestTopic{topic}
	got, err := p.eyes.Broker(int(l.broker)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := got.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if one := &resp.Topics[i].Partitions[j]; one.Partition == q.partition {
				return one, nil
			}
		}
	}
	return nil, fmt.Errorf("broker %d has not responded for the partition", l.broker)
}
