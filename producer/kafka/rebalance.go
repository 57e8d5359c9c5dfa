package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The client calls these functions on a goroutine of its own: never two at once, and
// never between a poll and the AllowRebalance that follows it.

// assigned is called at the beginning of each session of the group, whether or
// not there is anything new.
func (p *Producer[T]) assigned(_ context.Context, _ *kgo.Client, gained map[string][]int32) {
	p.mu.Lock()
	// Commits are accepted again, and the poller finds the partitions when it polls.
	p.core.assign(keys(gained))
	p.member = true
	p.mu.Unlock()
	p.over(place{topicPartition{"", everywhere}, doJoin})
	p.lookSoon()
}

// revoked is called at the end of each session, and when partitions are revoked
// at the beginning of one. It waits for their events in flight, commits
// everything, since nothing can be committed until the next session, and forgets
// the partitions.
func (p *Producer[T]) revoked(_ context.Context, client *kgo.Client, gone map[string][]int32) {
	list := keys(gone)
	p.mu.Lock()
	ctx := context.Background()
	if p.closing != nil {
		ctx = p.closing
	}
	var settled chan struct{}
	// From here on the core takes no records of these partitions; receipts still finish
	// them.
	p.halt.Store(true)
	if p.core.revoke(list) {
		settled = make(chan struct{})
		p.settled = settled
	}
	p.mu.Unlock()
	if settled != nil {
		p.recede(func(part *partition) bool { return part.phase == leaving }, settled)
	}
	if err := p.endSession(ctx, true); err != nil {
		p.cfg.Logger.Warn("kafka: commit at the end of a session failed; records will be delivered again", "group", p.cfg.Group, "error", err)
	}
	if left := p.forget(client, list); left > 0 {
		p.cfg.Logger.Warn("kafka: records were in flight when their partitions went; they are delivered again", "group", p.cfg.Group, "records", left)
	}
}

// endSession stops commits until the next session begins, after a last one unless the
// group has removed this member. It holds the slot, so that no commit is under way when
// the session is over; if it does not get the slot in time the session ends all the same.
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
	p.core.endSession()
	p.outside = time.Now()
	p.mu.Unlock()
	return err
}

// lost is called when the group has removed this member: the partitions belong to
// other members already.
func (p *Producer[T]) lost(_ context.Context, client *kgo.Client, taken map[string][]int32) {
	_ = p.endSession(context.Background(), false)
	list := keys(taken)
	p.forget(client, list)
	// The others have these records already.
	p.askBack(func(part *partition) bool { return slices.Contains(list, part.topicPartition) && part.phase == gone })
}

// forget ends partitions, and returns how many of their events are in flight. Receipts that
// still come for these are ignored.
func (p *Producer[T]) forget(client *kgo.Client, list []topicPartition) (left int64) {
	p.mu.Lock()
	before := p.core.leftInFlight
	paused := p.core.forget(list)
	left = p.core.leftInFlight - before
	for _, key := range list {
		p.troubles.forget(key)
	}
	p.settled = nil // what has not landed by now is not waited for
	p.mu.Unlock()
	if len(paused) > 0 {
		client.ResumeFetchPartitions(byTopic(paused))
	}
	return left
}
