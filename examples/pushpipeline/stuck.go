package main

import (
	"context"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// unstick keeps clients that take nothing from holding up the end, until ctx is done. A
// fifth of -drain after its beginning no client may come any more: users that are
// reconnecting have until then. When nothing has been finished for a tenth after that,
// what is left cannot be delivered now. Kafka keeps it for the next run; otherwise the
// connections are cut off, so that it is discarded and counted.
func (r *run) unstick(ctx context.Context) {
	begun := time.Now()
	ticker := time.NewTicker(max(r.cfg.Drain/100, time.Millisecond))
	defer ticker.Stop()
	var last int64
	for moved := begun; time.Since(moved) < r.cfg.Drain/10; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if time.Since(begun) >= r.cfg.Drain/5 {
			r.endpoint.Drain() // again does nothing
		}
		if n := r.finished(); n != last || r.atWork() || time.Since(begun) < r.cfg.Drain/5 {
			last, moved = n, time.Now()
		}
	}
	if r.cfg.keeps() {
		r.leave()
		r.left = true
		return
	}
	r.cutOff(ctx)
}

// cutOff ends the connections without waiting for clients that take nothing. What Kafka
// keeps must have been left there before, or it is discarded.
func (r *run) cutOff(ctx context.Context) {
	r.log.Warn("clients that take nothing are cut off")
	cut, cancel := context.WithTimeout(ctx, r.cfg.Drain/20)
	defer cancel()
	// Handlers that hang are reported by the Close of the end, which has more time.
	_ = r.endpoint.Close(cut)
}

// finished returns the number of pushes that have been delivered or discarded.
func (r *run) finished() int64 { return r.ledger.delivered.Load() + sum(r.ledger.discards()) }

// atWork reports whether pushes are at the work of -work.
func (r *run) atWork() bool {
	for _, w := range r.workers {
		if w.atWork.Load() > 0 {
			return true
		}
	}
	return false
}

// leave stops the pipeline and leaves what it holds in Kafka, uncommitted. Nothing is
// lost by that, so that it is an orderly end.
func (r *run) leave() {
	r.log.Warn("the pushes that cannot be delivered now are left in Kafka for the next run")
	r.pipeline.Stop(stage.ErrStopped)
}
