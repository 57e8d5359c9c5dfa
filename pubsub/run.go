package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrRunning is returned by [Hub.Run] while another call runs.
var ErrRunning = errors.New("pubsub: hub runs already")

// Run joins this node to the others until ctx is done; then it returns nil. An
// error is that of the remote. A hub without a [Remote] needs no Run, which then
// only waits.
//
// While Run does not run, what other nodes send does not arrive and a delivery
// does not learn about subscribers there. When it begins, positions in the
// histories do not continue, since messages may have been missed.
func (h *Hub) Run(ctx context.Context) error {
	if h.remote == nil {
		<-ctx.Done()
		return nil
	}
	if !h.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer h.reach.changed()
	defer h.running.Store(false)
	h.ran.Store(true)
	h.reach.changed()
	// The goroutines end with the remote, also when that ends by itself.
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	h.setRunning(true)
	// Before the remote receives anything, so that no client resumes over the gap.
	h.lost("")
	var group sync.WaitGroup
	group.Go(func() { h.sendAnswers(inner) })
	group.Go(func() { h.clock(inner) })
	if remote, ok := h.remote.(InterestedRemote); ok {
		group.Go(func() { h.announce(inner, remote) })
	}
	err := h.remote.Run(inner, receiver{h})
	cancel()
	group.Wait()
	// First nothing more is added, then what waits for answers ends.
	h.setRunning(false)
	h.pending.expire(time.Time{})
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil:
		return errors.New("pubsub: remote ended by itself")
	}
	return fmt.Errorf("pubsub: remote: %w", err)
}

// setRunning opens what needs the goroutines of Run, or closes it.
func (h *Hub) setRunning(running bool) {
	h.interest.setRunning(running)
	if n := h.outbox.setRunning(running); n > 0 {
		h.counters.answersDropped.Add(int64(n))
		h.complain(&h.logs.answers, "answers to deliveries not sent: the hub does not run any more", "answers", n)
	}
	h.pending.setRunning(running)
}

// clock ends deliveries at their deadline and calls watches until ctx is done.
func (h *Hub) clock(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.pending.wake:
		case <-h.polls.wake:
		case <-timer.C:
		}
		watches, poll := h.polls.due(time.Now())
		notify(watches)
		// Both return when they are due again; a poke means that the first of an
		// empty list came.
		ids, ask := h.pending.silent(time.Now())
		h.question(ids...)
		n, next := h.pending.expire(time.Now())
		if n > 0 {
			h.counters.unanswered.Add(int64(n))
			h.complain(&h.logs.unanswered, "deliveries not answered by other nodes in time", "deliveries", n)
		}
		if next.IsZero() || (!poll.IsZero() && poll.Before(next)) {
			next = poll
		}
		if h.members != nil && !ask.IsZero() && (next.IsZero() || ask.Before(next)) {
			next = ask
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}
