package websocket

import (
	"context"
	"fmt"
	"time"

	"github.com/gobwas/ws"
)

// Drain refuses new connections with status 503 from now on, and leaves the existing
// ones as they are until Close. A program calls it when clients that come again would
// hold up its end. It returns at once, and may be called again.
func (e *Endpoint) Drain() { e.closing.Store(true) }

// Close ends all connections. New ones are refused with status 503. Existing
// ones are closed with ShutdownConfig.Code, in batches, after what is queued for
// them has been written, and their channels end with [ErrShutdown] after what waits for
// their handlers. Close
// waits until all of that has ended, handlers included. A client that takes nothing
// for Timeouts.Write is cut off before. If ctx is done before all has ended, Close
// cuts off the connections that are left, logs which handlers still run, for how
// long and on which topics, and returns ctx's error, whose text names three of
// them. It may be called again.
//
// http.Server.Shutdown does not know of upgraded connections: call both.
func (e *Endpoint) Close(ctx context.Context) error {
	// First, so that new requests are refused before they cost anything.
	e.closing.Store(true)
	e.registry.close()
	e.runners.close()
	e.eachRelays((*relays).stop)
	defer e.eachRelays((*relays).end)
	all := e.registry.all()
	var err error
	// No connection is added any more: the list is complete, apart from those
	// that have ended by themselves.
	for len(all) > 0 && err == nil {
		// In batches, so that not all clients connect to the other nodes at once.
		n := min(len(all), e.cfg.Shutdown.Batch)
		for _, s := range all[:n] {
			s.close(ws.StatusCode(e.cfg.Shutdown.Code), ErrShutdown, true)
		}
		if all = all[n:]; len(all) > 0 {
			err = pause(ctx, e.cfg.Shutdown.Interval)
		}
	}
	if err == nil {
		err = e.work.wait(ctx)
	}
	if err == nil {
		return nil
	}
	// What is left after ctx has ended, flushed or not.
	left := e.registry.all()
	frames := 0
	for _, s := range left {
		s.mu.Lock()
		frames += s.out.total().frames
		s.mu.Unlock()
		s.finish(ErrShutdown)
	}
	if len(left) > 0 {
		e.log.Warn("connections cut off", "connections", len(left), "frames", frames, "reason", err)
	}
	for _, ch := range e.unfinished() {
		ch.cut(ErrShutdown)
	}
	return fmt.Errorf("websocket: shutdown: %w%s", err, e.logHung())
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
