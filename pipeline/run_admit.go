package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// admit starts the steps of a scope while the pipeline runs, and returns when the first one
// is subscribed to what is there already.
func (r *run) admit(s *scope) error {
	p := r.p
	p.mu.Lock()
	err := errors.Join(s.check()...)
	s.shut = true
	if err != nil {
		p.reject(s)
	}
	p.unlock()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	if !r.box.Post(func() { done <- r.start(s) }) {
		return ErrStopped
	}
	select {
	case err = <-done:
	case <-r.over:
		r.all.Wait() // the loop may have run it last
		select {
		case err = <-done:
		default:
			err = ErrStopped
		}
	}
	if err == nil {
		<-s.subscribed
	}
	return err
}

// start runs admit's part on the loop.
func (r *run) start(s *scope) error {
	p := r.p
	p.mu.Lock()
	if r.draining {
		p.reject(s)
		p.unlock()
		return ErrStopped
	}
	for _, n := range s.nodes {
		n.begin()
	}
	p.unlock()
	stages, err := r.raise(s.nodes)
	if err == nil {
		err = r.stages.Add(stages...)
	}
	if errors.Is(err, stage.ErrDraining) {
		err = fmt.Errorf("%w: %w", ErrStopped, err) // for a failure, or the end of the last source
	}
	p.mu.Lock()
	defer p.unlock()
	if err != nil {
		r.discard(s.nodes)
		p.reject(s)
		return err
	}
	p.all = append(p.all, s.nodes...)
	r.watch(s.nodes)
	// The stage calls it after it has sent the subscription, or at its end.
	s.subscribed = make(chan struct{})
	if !s.nodes[0].made.stage.Do(func() { close(s.subscribed) }) {
		close(s.subscribed)
	}
	p.say(p.cfg.Logger, slog.LevelInfo, "a branch was added", "pipeline", p.cfg.Name, "step", s.nodes[0].name, "steps", len(s.nodes))
	return nil
}

// reject forgets the steps of a scope that are not started. The caller holds mu.
func (p *Pipeline) reject(s *scope) {
	for _, n := range s.nodes {
		p.forget(n)
	}
}

// drain is Pipeline.Drain on the loop.
func (r *run) drain() {
	r.p.mu.Lock()
	defer r.p.unlock()
	if r.draining {
		return
	}
	r.draining, r.p.paused = true, false
	for _, n := range r.p.all {
		n.unpause()
	}
	var leaders []*node
	for _, n := range r.p.all {
		if n.leader == n {
			leaders = append(leaders, n)
		}
	}
	for _, n := range leaders {
		if n.timer != nil {
			n.timer.Stop()
		}
		n.due = true
		r.rise(n)
	}
	r.finishDrain()
	if !r.ending {
		// A stage that is to be made anew does not end.
		r.after(r.p.cfg.StopTimeout, func() { r.forceDrain(false) })
	}
}

// after posts f after a time, unless the run is over.
func (r *run) after(d time.Duration, f func()) {
	timer := time.AfterFunc(d, func() { r.box.Post(f) })
	r.all.Go(func() { <-r.over; timer.Stop() })
}

// finishDrain drains the stages once no step waits to be made anew, and those that run are
// subscribed to the new ones. The caller holds Pipeline.mu.
func (r *run) finishDrain() {
	if !r.draining || r.ending || r.joining > 0 || slices.ContainsFunc(r.p.all, (*node).remade) {
		return
	}
	r.ending = true
	r.p.ending.Store(true)
	r.stages.Drain()
}

// forceDrain drains the stages that there are. A subscription that a busy handler keeps from
// being sent is waited for as long as a drain may take: without it events would be lost.
func (r *run) forceDrain(last bool) {
	r.p.mu.Lock()
	defer r.p.unlock()
	if r.ending {
		return
	}
	if more := r.p.cfg.DrainTimeout - r.p.cfg.StopTimeout; !last && more > 0 && !slices.ContainsFunc(r.p.all, (*node).remade) {
		r.after(more, func() { r.forceDrain(true) })
		return
	}
	r.p.say(r.p.cfg.Logger, slog.LevelError, "a drain does not wait any longer for steps that are made anew", "pipeline", r.p.cfg.Name, "unsubscribed", r.joining)
	r.ending = true
	r.p.ending.Store(true)
	r.stages.Drain()
}
