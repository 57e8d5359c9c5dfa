//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

const (
	oneIn = 10 // clients stops reading
	// Bursts that fill the sockets of those who do not read; each is less than
	// the queue of a client that does.
	fillBursts, fillRounds = 2, 200
	// The bounds that the server has at limitedPath, where its queues have the
	// library's defaults: a write may take writeTimeout, and all queues together
	// hold queuedBudget.
	limitedPath  = "/limited/websocket"
	writeTimeout = 5 * time.Second
	queuedBudget = 256 << 20
)

// stalled is what a room is like without and with clients that do not read.
type stalled struct {
	slow          int
	without, with delivered
	gone          time.Duration // from when they stopped reading to the end of the last of them
	handled       time.Duration // from the last burst that fills on
	queued        int64         // bytes, at most
	grown         int64         // resident bytes, at most
}

// stalled measures a room, makes one client in ten stop reading, and measures
// it again until the server has got rid of them.
func (b *bench) stalled(ctx context.Context, rounds, rate int) (s stalled, err error) {
	if s.slow = b.fleet.Slow(); s.slow == 0 {
		return s, fmt.Errorf("%d clients are too few for one in %d to stop reading", b.o.conns, oneIn)
	}
	if s.without, err = b.room(ctx, rounds, rate); err != nil {
		return s, fmt.Errorf("before any client stopped reading: %w", err)
	}
	before, err := usageOf(b.pid)
	if err != nil {
		return s, err
	}
	var start time.Time
	stopped := time.Now()
	b.fleet.Stall()
	fill := *b
	fill.o.suite = false // not to wait for other processes while they are stuck
	for range fillBursts {
		start = time.Now() // they are stuck some time after the last one
		if _, err := fill.room(ctx, fillRounds, 0); err != nil {
			return s, fmt.Errorf("filling the sockets of those who do not read: %w", err)
		}
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan error, 1)
	go func() { watched <- b.watch(watch, &s, stopped, start, before) }()
	s.with, err = b.room(ctx, rounds, rate)
	if err != nil {
		cancel()
		<-watched
		return s, fmt.Errorf("while clients do not read: %w", err)
	}
	return s, <-watched
}

// watch looks at the server until those who do not read are gone.
func (b *bench) watch(ctx context.Context, s *stalled, stopped, start time.Time, before usage) error {
	return b.until(ctx, 6*writeTimeout, func(st stats) bool {
		if u, err := usageOf(b.pid); err == nil { // gone: the request fails as well
			s.grown = max(s.grown, u.resident-before.resident)
		}
		s.queued = max(s.queued, st.QueuedBytes)
		s.gone, s.handled = time.Since(stopped), time.Since(start)
		return st.Connections <= b.o.conns-s.slow
	})
}

// reconnect drops all connections and connects all clients again at once. It
// returns how long that took, and ensures that they are reached.
func (b *bench) reconnect(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	b.fleet.Drop()
	if err := b.fleet.Connect(ctx, b.o.conns, connectPatience); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if err := b.until(ctx, 10*time.Second, func(st stats) bool { return st.Connections == b.o.conns }); err != nil {
		return took, err
	}
	_, err := b.room(ctx, 1, 0)
	return took, err
}
