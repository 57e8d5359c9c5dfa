package websocket

import (
	"context"
	"fmt"
	"time"

	"github.com/gobwas/ws"
)

// Shutdown ends all connections: from now on new ones are refused with status
// 503; those that exist are closed with ShutdownConfig.Code, in
// batches, after what is queued for them has been written; their channels end
// with [ErrShutdown]. It waits until all of that, handlers included, has come
// to its end. When ctx is done before, what is left is cut off, and ctx's error
// is answered. It may be called again.
//
// http.Server.Shutdown knows nothing of upgraded connections: call both.
func (e *Endpoint) Shutdown(ctx context.Context) error {
	e.closing.Store(true)
	e.registry.close()
	all := e.registry.all()
	var err error
	for len(all) > 0 && err == nil {
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
	for _, s := range e.registry.all() {
		s.finish(ErrShutdown)
	}
	return fmt.Errorf("websocket: shutdown: %w", err)
}

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
