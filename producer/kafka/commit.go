package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitRegularly is the committer's goroutine. It commits and measures every
// CommitInterval, and commits earlier if that makes room in a window, until
// HandleTerminate closes commitStop. After a failure it waits for its time.
func (p *Producer[T]) commitRegularly() {
	tick := time.NewTicker(p.cfg.CommitInterval)
	defer tick.Stop()
	p.gauges.begin(p.cfg.Metrics, p.cfg.Group, p.name)
	defer p.gauges.end()
	early := p.commitNext
	for {
		select {
		case <-p.commitStop:
			return
		case <-early:
			if p.commit(p.committing) != nil {
				early = nil
			}
		case <-tick.C:
			early = p.commitNext
			if p.commit(p.committing) != nil { // counted and reported there; the next commit includes it
				early = nil
			}
			p.measure()
		}
	}
}

// commit commits the finished prefixes that have grown. Commits do not overlap,
// so the last one is the newest. While the group is being joined the client
// refuses commits; then commit does nothing, and the next one includes the rest.
func (p *Producer[T]) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.CommitTimeout)
	defer cancel()
	if !p.takeSlot(ctx) {
		return ctx.Err()
	}
	defer p.freeSlot()
	return p.commitNow(ctx)
}

// takeSlot waits for the right to commit and to move offsets. It returns false if ctx is
// done first. The slot is a channel rather than a mutex, so that waiting for it can end;
// it is taken before mu, never with mu held.
func (p *Producer[T]) takeSlot(ctx context.Context) bool {
	select {
	case p.commitSlot <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// freeSlot gives the right back.
func (p *Producer[T]) freeSlot() { <-p.commitSlot }

// commitNow is commit for a caller that has the slot. The broker may refuse single
// partitions: the others count as committed, and the error names one that was refused.
func (p *Producer[T]) commitNow(ctx context.Context) error {
	p.mu.Lock()
	heads := p.core.uncommitted()
	p.mu.Unlock()
	if len(heads) == 0 {
		return nil
	}
	// Reports of the broker, by partition.
	refused := map[topicPartition]bool{}
	err := p.send(ctx, offsets(heads), refused)
	if err != nil {
		p.meters.commitErrors.Add(1)
		p.report("committing", err, func(s *counts) { s.CommitErrors++ })
		// All or nothing: no partition was committed for sure.
		if len(refused) == 0 {
			return err
		}
	}
	p.mu.Lock()
	// What was finished meanwhile has moved on; heads says what the broker has.
	do := p.core.commit(heads, refused)
	if err == nil {
		p.stats.Commits++
	}
	p.release(do)
	if err == nil {
		p.meters.commits.Add(1)
		p.over(place{topicPartition{"", everywhere}, doCommit})
	}
	return err
}

// send commits offsets and notes which of them the broker refused. An error without a
// refusal means that nothing is known to be committed. It waits for the reply, so that
// refused and failure need no lock.
func (p *Producer[T]) send(ctx context.Context, offsets map[string]map[int32]kgo.EpochOffset, refused map[topicPartition]bool) error {
	var failure error
	unnamed := false // an error is of a topic that the response does not name
	p.client.CommitOffsetsSync(ctx, offsets,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				failure = err
				return
			}
			for _, t := range resp.Topics {
				for _, part := range t.Partitions {
					if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
						refused[topicPartition{t.Topic, part.Partition}] = true
						unnamed = unnamed || t.Topic == ""
						failure = fmt.Errorf("topic %q, partition %d: %w", t.Topic, part.Partition, err)
					}
				}
			}
		})
	if unnamed {
		clear(refused) // nothing is known of any
	}
	return failure
}
