package pubsub

import (
	"context"
	"time"
)

// syncPause is how long the hub waits before it asks again whether its interest is
// in effect, after an error.
const syncPause = time.Second

// announce tells the remote of changes, in batches, until ctx is done. One
// goroutine does it, so joins and leaves of a topic reach the remote in order.
func (h *Hub) announce(ctx context.Context, remote InterestedRemote) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.interest.wake:
		case <-timer.C:
		}
		b := h.interest.take(time.Now())
		for _, topic := range b.joins {
			remote.Join(topic)
		}
		for _, topic := range b.leaves {
			remote.Leave(topic)
			if h.history != nil && h.history.Keeps(topic) {
				h.lost(topic)
			}
		}
		next := b.next
		if len(b.open) > 0 && !h.sync(ctx, remote, b.open) {
			if again := time.Now().Add(syncPause); next.IsZero() || again.Before(next) {
				next = again
			}
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// sync waits until the open joins are in effect, for the remote timeout at the
// longest. It returns false if they are not known to be: then the next batch
// includes them.
func (h *Hub) sync(ctx context.Context, remote InterestedRemote, open map[string]*joining) bool {
	limit, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	if err := remote.Sync(limit); err != nil {
		if ctx.Err() == nil {
			h.complain(&h.logs.sync, "topics not joined on other nodes yet", "topics", len(open), "error", err)
		}
		return false
	}
	for _, topic := range h.interest.inEffect(open) {
		h.lost(topic)
	}
	return true
}

// Settle waits until what other nodes broadcast on topic from now on reaches this
// node. It is for something that has subscribed and then reads the history, and
// needs to know that nothing falls in between. It returns at once if there is no
// remote that asks for interest, if the topic has no subscription, or if [Hub.Run]
// does not run. It waits for Config.RemoteTimeout at the longest, and until ctx is
// done; if the topic is not in effect by then it counts as lost once it is: see
// [LossHandler].
func (h *Hub) Settle(ctx context.Context, topic string) {
	if h.interest != nil {
		h.interest.wait(ctx, topic, h.timeout)
	}
}
