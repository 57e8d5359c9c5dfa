package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// failed is called on the goroutine of the stages' run when a stage has failed. It returns
// whether the step is made anew.
func (r *run) failed(s stage.Stage, err error) bool {
	p := r.p
	p.mu.Lock()
	defer p.unlock()
	n := p.names[s.Name()]
	switch {
	case errors.Is(err, errRemade), errors.Is(s.Err(), errRemade): // the latter of one that was stopped before its start
		return true
	case n == nil || n.made.stage != s:
		return false
	case n.state == lifeFalling || n.state == lifeWaiting: // it has died before it was stopped
		return true
	case n.state != lifeUp:
		return false
	}
	n.lastErr, n.asked = err, false
	p.died.Store(diedOf{err})
	if n.gone {
		// Its branch is being removed, and a stage that drains takes no new subscriber.
		r.p.say(n.log, slog.LevelError, "a step of a branch that is removed has failed, and leaves what it had", "pipeline", p.cfg.Name, "step", n.name, "error", err)
		r.leave(n)
		return true
	}
	if !r.ending && !n.late() && errors.Is(err, stage.ErrGoexit) && n.learns() {
		r.relive(n, err)
		return true
	}
	// A handler that two steps share stays shared, however often one of them is made anew.
	shared := errors.Is(err, stage.ErrShared) && n.restarts == 0
	if shared || r.ending || n.late() || isFinal(err) || n.restart.MaxRestarts == NoRestart {
		n.state = lifeOver
		return false
	}
	return r.strike(n, err)
}

// late reports whether a step above drains, or has drained and lost its subscriber by
// something else: it takes no new one. The caller holds Pipeline.mu.
func (n *node) late() bool {
	return slices.ContainsFunc(n.ins, func(e *edge) bool { return e.up.closing && (e.up.state == lifeUp || e.torn()) })
}

// torn reports whether the step above has ended for good without this subscription having
// ended in good order: what it had delivered and got back it has discarded. The caller holds
// Pipeline.mu.
func (e *edge) torn() bool {
	if e.up.state != lifeOver || e.cut || e.sub == nil {
		return false
	}
	err := e.sub.Err()
	return err != nil && !errors.Is(err, stage.ErrDone)
}

// relive makes a step anew at once that has died of runtime.Goexit over one event. It counts
// as no death, since the next Goexit is a failure of its event. The caller holds
// Pipeline.mu.
func (r *run) relive(n *node, err error) {
	n.restarts++
	n.counter.Add(1)
	r.p.say(n.log, slog.LevelWarn, "a function has called runtime.Goexit: the step is made anew, and calls it on goroutines of its own from now on",
		"pipeline", r.p.cfg.Name, "step", n.name, "error", err)
	n.state = lifeWaiting
	r.fell(n, n.restart.Below, 0)
}

// strike decides whether a step that has died is made anew, and arranges it. The caller
// holds Pipeline.mu.
func (r *run) strike(n *node, err error) bool {
	pause, ok := n.deaths.next(time.Now())
	if !ok {
		n.state = lifeOver
		r.fatal = append(r.fatal, &RestartError{Step: n.name, Restarts: n.restart.MaxRestarts, Window: n.restart.Window, Err: err})
		return false
	}
	n.restarts++
	n.counter.Add(1)
	r.p.say(n.log, slog.LevelWarn, "a step has died and is made anew", "pipeline", r.p.cfg.Name, "step", n.name, "error", err, "pause", pause, "restarts", n.restarts)
	n.state = lifeWaiting
	r.fell(n, n.restart.Below, pause)
	return true
}

// fell makes n the leader of the steps that are made anew together, after a pause. The
// caller holds Pipeline.mu.
func (r *run) fell(n *node, below bool, pause time.Duration) {
	n.leader, n.group, n.due = n, append(n.group[:0], n), false
	if below {
		for _, d := range n.below() {
			if !d.late() { // it could not be subscribed again
				r.fold(n, d)
			}
		}
	}
	if r.draining || n.awaited() {
		pause = 0 // the drain waits for it
	}
	n.timer = time.AfterFunc(pause, func() { r.box.Post(func() { r.dueNow(n) }) })
}

// fold adds a step to the group that n leads, and stops it. The caller holds Pipeline.mu.
func (r *run) fold(n, d *node) {
	switch {
	case d.state == lifeUp:
		d.asked = true
		r.fall(d)
	case d.leader == d: // it was to be made anew, with its group
		if d.timer != nil {
			d.timer.Stop()
		}
		d.due = false
		for _, g := range d.group {
			g.leader = n
		}
		n.group = append(n.group, d.group...)
		d.group = nil
		return
	default:
		return // it is in a group already, or has ended for good
	}
	d.leader = n
	n.group = append(n.group, d)
}

// dueNow ends the pause of a leader.
func (r *run) dueNow(n *node) {
	r.p.mu.Lock()
	defer r.p.unlock()
	if n.leader == n && n.state != lifeOver {
		n.due = true
		r.rise(n)
	}
}

// rise makes the group of a leader anew, once its pause is over and all its stages have
// ended. The caller holds Pipeline.mu, which it leaves meanwhile; it runs on the loop.
func (r *run) rise(n *node) {
	if !n.due {
		return
	}
	for _, g := range n.group {
		if !g.made.stopped() {
			return // its end is heard of
		}
	}
	group := n.group
	r.p.unlock()
	stages, err := r.raise(group)
	r.p.mu.Lock()
	if err == nil {
		r.hold(group)
		if err = r.stages.Add(stages...); err != nil {
			for _, s := range stages {
				s.Stop(nil)
			}
		}
	}
	for _, g := range group {
		g.leader, g.due = nil, false
		if err == nil && !g.fed() {
			g.drain() // what it had is above it no more
		}
		if err == nil {
			g.ebb() // it was to drain before
		}
	}
	n.group = nil
	if err == nil {
		r.watch(group)
		r.p.say(r.p.cfg.Logger, slog.LevelInfo, "a step was made anew", "pipeline", r.p.cfg.Name, "step", n.name, "restarts", n.restarts)
		r.finishDrain()
		return
	}
	for _, g := range group {
		g.state = lifeWaiting
	}
	r.unable(n, group, err)
}

// unable takes in that a step could not be made anew: it counts as a death of the leader.
// The caller holds Pipeline.mu.
func (r *run) unable(n *node, group []*node, err error) {
	late := errors.Is(err, stage.ErrDraining) || errors.Is(err, stage.ErrStopped)
	if late {
		// The stages end: what one of them has died of is the failure.
		dead := slices.IndexFunc(group, func(g *node) bool { return !g.asked && g.lastErr != nil })
		if dead < 0 {
			r.ceased(n, group)
			return
		}
		err = group[dead].lastErr
	}
	n.lastErr = err
	if !late && !r.ending && r.strike(n, err) {
		for _, g := range group {
			if g != n {
				g.leader = n
				n.group = append(n.group, g)
			}
		}
		return
	}
	for _, g := range group {
		g.state = lifeOver
	}
	if len(r.fatal) > 0 && r.fatal[len(r.fatal)-1].Step == n.name {
		err = r.fatal[len(r.fatal)-1]
	}
	r.failures = append(r.failures, err)
	r.p.say(r.p.cfg.Logger, slog.LevelError, "a step could not be made anew", "pipeline", r.p.cfg.Name, "step", n.name, "error", err)
	r.draining = true
	r.finishDrain()
}

// ceased takes in that steps which were stopped, on request, to be made anew are not, since
// the stages have begun to end in good order meanwhile. The caller holds Pipeline.mu.
func (r *run) ceased(n *node, group []*node) {
	for _, g := range group {
		g.state = lifeOver
	}
	r.p.say(r.p.cfg.Logger, slog.LevelWarn, "a step is not made anew, since the pipeline ends", "pipeline", r.p.cfg.Name, "step", n.name)
	r.draining = true
	r.finishDrain()
}

// hold lets the new stage of a broadcast emit only when all branches are subscribed to it
// again: one that comes later would miss events. The caller holds Pipeline.mu.
func (r *run) hold(group []*node) {
	for _, n := range group {
		if n.fan != copies {
			continue
		}
		forward := n.made.demand
		if !n.needed() {
			forward(stage.Forward)
			continue
		}
		left := make(chan struct{}, len(n.outs))
		for _, e := range n.outs {
			if e.sub != nil && !e.cut && e.down.state == lifeUp {
				left <- struct{}{}
			}
		}
		joined := func() {
			<-left
			if len(left) == 0 {
				r.box.Post(func() { r.release(n, forward) })
			}
		}
		for _, e := range n.outs {
			// It runs on the stage of the branch after the subscription was sent.
			if e.sub != nil && !e.cut && e.down.state == lifeUp && !e.down.made.stage.Do(joined) {
				joined()
			}
		}
	}
}

// release ends what hold has begun, unless the step is paused.
func (r *run) release(n *node, forward func(stage.DemandMode) bool) {
	r.p.mu.Lock()
	defer r.p.unlock()
	if !n.paused || len(n.ins) > 0 {
		forward(stage.Forward)
	}
}

// restart makes a step anew that runs, on request.
func (r *run) restart(n *node) error {
	switch n.state {
	case lifeUp:
		if n.ebbs || n.late() {
			return fmt.Errorf("pipeline step %q: restart: it drains, or a step above does: %w", n.name, ErrStopped)
		}
	case lifeFalling, lifeWaiting:
		return nil // it is on its way
	default:
		return fmt.Errorf("pipeline step %q: restart: %w", n.name, ErrStopped)
	}
	n.restarts++
	n.counter.Add(1)
	n.asked = true
	r.fall(n)
	r.fell(n, n.restart.Below, 0)
	return nil
}

// fall stops the stage of a step that is made anew. One that does not stop in time ends the
// pipeline. The caller holds Pipeline.mu.
func (r *run) fall(n *node) {
	s := n.made.stage
	n.state = lifeFalling
	s.Stop(errRemade)
	time.AfterFunc(r.p.cfg.StopTimeout, func() { r.box.Post(func() { r.hung(n, s) }) })
}

// hung ends the pipeline if a stage that was stopped to be made anew still runs.
func (r *run) hung(n *node, s stage.Stage) {
	r.p.mu.Lock()
	defer r.p.unlock()
	if n.made.stage != s || n.made.stopped() || r.ending {
		return
	}
	r.p.say(r.p.cfg.Logger, slog.LevelError, "a step that is made anew has not stopped in time", "pipeline", r.p.cfg.Name, "step", n.name, "timeout", r.p.cfg.StopTimeout)
	r.failures = append(r.failures, fmt.Errorf("pipeline step %q: restart: %w", n.name, stage.ErrHung))
	r.draining, r.ending = true, true
	r.p.ending.Store(true)
	r.stages.Drain()
}
