package pipeline

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
)

// phase is how far a step is in its life, which may go through several stages.
type phase uint8

const (
	lifeNew     phase = iota
	lifeUp            // its stage runs
	lifeFalling       // its stage was told to stop, to be made anew
	lifeWaiting       // its stage has died and is made anew after a pause
	lifeOver          // its stage has ended for good
)

// String returns the name that a snapshot has for the phase.
func (s phase) String() string {
	return [...]string{"new", "running", "restarting", "restarting", "stopped"}[s]
}

// life is the state of a step while its pipeline runs. It is guarded by Pipeline.mu.
type life struct {
	made     made // its stage now
	state    phase
	deaths   intensity
	born     bool // it has had a stage
	restarts int  // in all
	counter  metrics.Counter
	lastErr  error
	asked    bool        // it is made anew because it was told to, and not because it has died
	wary     atomic.Bool // the step calls functions of the program on goroutines of their own
	// A step that is made anew leads the group of those that are with it, itself included.
	leader *node
	group  []*node
	due    bool // of a leader: the pause is over
	timer  *time.Timer
	// What control has set, for the next stage as well.
	paused bool
	sized  int   // by Resize, 0 if it was not called
	rated  *Rate // by SetRate, nil if it was not called
	// ebbs reports that the step is to drain, closing that its stage does, and gone that the
	// step leaves the pipeline when it has ended.
	ebbs, closing, gone bool
	// joining counts subscriptions to the step that were made and not sent yet.
	joining int
}

// made is what build has made.
type made struct {
	stage   stage.Stage
	handler any // the handler of the step, which may have controls such as resizer
	// demand sets the demand mode; nil for an end.
	demand func(mode stage.DemandMode) bool
}

// begin prepares a step for its first stage. The caller holds Pipeline.mu.
func (n *node) begin() {
	n.deaths.policy = n.restart
	r := n.p.cfg.Metrics
	option.Default(&r, metrics.Nop())
	n.counter = r.Counter("pipeline.restarts", metrics.Tag{Key: "stage", Value: n.name})
}

// tryBuild is build. A panic of the program's factory is its error.
func (n *node) tryBuild() (m made, err error) {
	defer crash.Catch(&err)
	return n.build()
}

// stopped reports whether the stage has ended.
func (m made) stopped() bool {
	select {
	case <-m.stage.Stopped():
		return true
	default:
		return false
	}
}

// fed reports whether the step can still be given events. The caller holds Pipeline.mu.
func (n *node) fed() bool {
	for _, e := range n.ins {
		if !e.cut && e.up.state != lifeOver {
			return true
		}
	}
	return len(n.ins) == 0
}

// needed reports whether a step takes what this one emits. The caller holds Pipeline.mu.
func (n *node) needed() bool {
	for _, e := range n.outs {
		if !e.cut && e.down.state != lifeOver && !e.down.spare {
			return true
		}
	}
	return len(n.outs) == 0
}

// below returns the steps that get something of this one's, without it and each once. The
// caller holds Pipeline.mu.
func (n *node) below() []*node {
	seen := map[*node]bool{n: true}
	var all []*node
	var walk func(at *node)
	walk = func(at *node) {
		for _, e := range at.outs {
			if !seen[e.down] && !e.cut {
				seen[e.down] = true
				all = append(all, e.down)
				walk(e.down)
			}
		}
	}
	walk(n)
	return all
}

// end ends a subscription in good order: what came on it is finished, and the step below
// ends if it has no other. The caller holds Pipeline.mu.
func (e *edge) end() {
	e.cut = true
	if e.sub != nil {
		e.sub.Cancel(stage.ErrDone)
	}
	if !e.down.fed() {
		e.down.depart()
	}
}

// drain ends the step's stage in good order, once it can. The caller holds Pipeline.mu.
func (n *node) drain() {
	n.ebbs = true
	for _, d := range n.below() {
		d.hasten()
	}
	n.ebb()
}

// ebb drains the stage of a step that is to drain, unless the step or one below it is being
// made anew: a stage that drains takes no new subscriber, and one without any discards what
// came back from the old one. The caller holds Pipeline.mu.
func (n *node) ebb() {
	if !n.ebbs || n.closing || n.state != lifeUp || n.joining > 0 {
		return
	}
	for _, e := range n.outs {
		if !e.cut && e.down.remade() {
			return
		}
	}
	n.closing = true
	n.made.stage.Drain()
}

// hasten ends the pause after which a step is made anew: a step above waits for it in order to
// drain. The caller holds Pipeline.mu.
func (n *node) hasten() {
	if l := n.leader; l != nil && !l.due && l.timer != nil && l.timer.Stop() {
		l.timer = nil
		l.p.run.box.Post(func() { l.p.run.dueNow(l) })
	}
}

// awaited reports whether a step above is to drain, and so waits for this one. The caller holds
// Pipeline.mu.
func (n *node) awaited() bool {
	return slices.ContainsFunc(n.ins, func(e *edge) bool {
		return e.up.state != lifeOver && (e.up.ebbs || e.up.awaited())
	})
}

// remade reports whether the step is being made anew. The caller holds Pipeline.mu.
func (n *node) remade() bool { return n.state == lifeFalling || n.state == lifeWaiting }

// depart ends a step that gets nothing more, and marks those that end with it. The caller
// holds Pipeline.mu.
func (n *node) depart() {
	n.gone = true
	n.drain()
	for _, d := range n.below() {
		alone := true
		for _, e := range d.ins {
			alone = alone && (e.cut || e.up.gone)
		}
		d.gone = d.gone || alone
	}
}
