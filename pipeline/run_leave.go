package pipeline

import (
	"context"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
)

// ended takes in the end of a stage.
func (r *run) ended(n *node, s stage.Stage) {
	r.p.mu.Lock()
	defer r.p.unlock()
	if n.made.stage != s {
		return
	}
	switch {
	case n.state == lifeFalling:
		n.state = lifeWaiting
		r.rise(n.leader)
		return
	case n.state != lifeUp || s.Err() != nil:
		// A failure is for failed, which is called as well.
		return
	}
	r.leave(n)
}

// leave takes in that a step has ended for good. The caller holds Pipeline.mu.
func (r *run) leave(n *node) {
	n.state = lifeOver
	// What only this step has fed gets nothing more, and what fed only this one is not
	// needed any more.
	for _, e := range n.outs {
		if !e.down.fed() {
			e.down.drain()
		}
	}
	for _, e := range n.ins {
		e.cut = true
		if !e.up.needed() {
			e.up.drain()
		}
		e.up.ebb() // it may have waited for this one
	}
	if n.gone {
		metrics.End(n.counter)
		r.p.forget(n)
		if w := n.writer; w != nil {
			r.all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), r.p.cfg.StopTimeout)
				defer cancel()
				r.p.offices.close(ctx, w)
			})
		}
	}
}
