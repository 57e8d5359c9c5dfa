package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The functions here are called by the client, never two at once, and never
// between a poll and the AllowRebalance that follows it.

// assigned is called at the beginning of each session of the group, whether or
// not there is anything new.
func (p *Producer[T]) assigned(_ context.Context, _ *kgo.Client, gained map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inSession = true
	each(gained, func(key topicPartition) {
		if old := p.parts[key]; old != nil {
			old.leaving = true
		}
		p.epochs++
		p.parts[key] = &partition{topicPartition: key, epoch: p.epochs}
	})
}

// revoked is called at the end of each session, and when partitions are revoked
// at the beginning of one. It waits for their events in flight, commits
// everything, since nothing can be committed until the next session, and forgets
// the partitions.
func (p *Producer[T]) revoked(_ context.Context, client *kgo.Client, gone map[string][]int32) {
	var idle []<-chan struct{}
	p.mu.Lock()
	p.inSession = true // here a commit is possible, even if a join was interrupted
	ctx := context.Background()
	if p.closing != nil {
		ctx = p.closing
	}
	each(gone, func(key topicPartition) {
		if part := p.parts[key]; part != nil {
			idle = append(idle, part.leave())
		}
	})
	p.mu.Unlock()
	p.nudge() // their ready events have become demand again
	p.await(idle)
	if err := p.endSession(ctx, true); err != nil {
		p.cfg.Logger.Warn("kafka: commit at the end of a session failed; records will be delivered again", "group", p.cfg.Group, "error", err)
	}
	p.forget(client, gone)
}

// await waits until all channels are closed, RevokeTimeout has passed or no
// receipts will come any more.
func (p *Producer[T]) await(idle []<-chan struct{}) {
	deadline := time.NewTimer(p.cfg.RevokeTimeout)
	defer deadline.Stop()
	for _, ch := range idle {
		select {
		case <-ch:
			continue
		default:
		}
		select {
		case <-ch:
		case <-deadline.C:
			return
		case <-p.hard.Done():
			return
		}
	}
}

// endSession stops commits until the next session begins, after a last one
// unless the group has removed this member.
func (p *Producer[T]) endSession(ctx context.Context, commit bool) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.CommitTimeout)
	defer cancel()
	var err error
	if p.takeSlot(ctx) {
		defer p.freeSlot()
		if commit {
			err = p.commitNow(ctx)
		}
	} else {
		err = ctx.Err()
	}
	p.mu.Lock()
	p.inSession = false
	p.mu.Unlock()
	return err
}

// lost is called when the group has removed this member: the partitions belong to
// other members already.
func (p *Producer[T]) lost(_ context.Context, client *kgo.Client, gone map[string][]int32) {
	_ = p.endSession(context.Background(), false)
	p.forget(client, gone)
}

func (p *Producer[T]) forget(client *kgo.Client, gone map[string][]int32) {
	paused := map[string][]int32{}
	p.mu.Lock()
	each(gone, func(key topicPartition) {
		part := p.parts[key]
		if part == nil {
			return
		}
		part.leaving = true
		if part.paused {
			paused[key.topic] = append(paused[key.topic], key.partition)
		}
		p.stats.LeftInFlight += int64(part.inFlight)
		delete(p.parts, key)
	})
	p.mu.Unlock()
	if len(paused) > 0 {
		client.ResumeFetchPartitions(paused) // the client would remember
	}
}

func each(partitions map[string][]int32, f func(topicPartition)) {
	for topic, list := range partitions {
		for _, n := range list {
			f(topicPartition{topic, n})
		}
	}
}
