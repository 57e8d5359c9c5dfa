package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/penstock-go/penstock/internal/mailbox"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
)

// run is one run of a pipeline: it makes steps anew, and adds and ends them. What it does
// it does on one goroutine, which ends with Run; the others only post to it.
type run struct {
	p      *Pipeline
	stages *stage.Pipeline
	box    *mailbox.Mailbox[func()]
	over   chan struct{} // closed when all stages have ended
	all    sync.WaitGroup

	// Guarded by Pipeline.mu.
	draining bool            // a drain was asked for: nothing more is made anew or added
	joining  int             // subscriptions of stages that run to new ones which were not sent yet
	ending   bool            // the stages were told to drain
	done     bool            // all stages have ended
	fatal    []*RestartError // replace the errors of their stages in the result
	failures []error         // those that no stage has
}

// errRemade stops a stage that is made anew.
var errRemade = errors.New("the step is made anew")

// Run starts the steps and blocks until all of them have ended. When ctx is done it drains
// as [Pipeline.Drain] does. What is wrong with the steps is returned, joined, before anything
// has started. Otherwise the error is nil after an orderly end, and joins the failures of
// the steps that were not made anew: a [*RestartError] if a step has died too often. A
// pipeline runs once.
func (p *Pipeline) Run(ctx context.Context) error {
	if err := pipelineOwner.Needs("ctx", ctx, "a context"); err != nil {
		return err
	}
	r, err := p.prepare()
	if err != nil {
		return err
	}
	first, err := r.raise(p.main.nodes)
	if err == nil {
		r.stages, err = stage.NewPipeline(stage.PipelineConfig{
			DrainTimeout: p.cfg.DrainTimeout, StopTimeout: p.cfg.StopTimeout, Logger: p.cfg.Logger,
			Metrics: p.cfg.Metrics, MetricsInterval: p.cfg.MetricsInterval, Tracer: p.cfg.Tracer, Failed: r.failed,
		}, first...)
	}
	if err != nil {
		return p.refuse(r, err)
	}
	p.logShape()
	r.all.Go(r.loop)
	r.watch(p.main.nodes)
	p.mu.Lock()
	p.run = r
	drain, stop, reason := p.drained, p.stopped, p.reason
	p.unlock()
	if drain {
		p.Drain()
	}
	if stop {
		r.stages.Stop(reason)
	}
	release := context.AfterFunc(ctx, p.Drain)
	err = r.stages.Run(context.WithoutCancel(ctx))
	release()
	return r.end(err)
}

// prepare checks the steps and shuts the pipeline for others.
func (p *Pipeline) prepare() (*run, error) {
	p.mu.Lock()
	defer p.unlock()
	if p.main.shut {
		return nil, ErrStarted
	}
	errs := p.main.check()
	p.main.shut = true
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(p.main.nodes) == 0 {
		return nil, pipelineOwner.Refuse("steps", "none", "one or more")
	}
	p.all = p.main.nodes
	for _, n := range p.all {
		n.begin()
	}
	return &run{p: p, box: mailbox.New[func()](), over: make(chan struct{})}, nil
}

// refuse ends a run that has not begun.
func (p *Pipeline) refuse(r *run, err error) error {
	p.mu.Lock()
	r.discard(p.main.nodes)
	p.unlock()
	p.closeLetters()
	return fmt.Errorf("pipeline %q: run: %w", p.cfg.Name, err)
}

// closeLetters ends the writers of dead letters. What they have is only left if the stages
// have not ended in order, so that the wait is short.
func (p *Pipeline) closeLetters() {
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.StopTimeout)
	defer cancel()
	p.offices.closeAll(ctx)
}

// discard stops the stages of nodes that never run. The caller holds Pipeline.mu.
func (r *run) discard(nodes []*node) {
	for _, n := range nodes {
		if n.made.stage != nil {
			n.made.stage.Stop(nil)
		}
		n.state = lifeOver
	}
}

// end takes the error of the stages' run, ends the goroutines, and returns the error of
// the pipeline's.
func (r *run) end(err error) error {
	close(r.over)
	r.box.Poke()
	r.all.Wait()
	r.box.Close()
	p := r.p
	p.closeLetters()
	p.mu.Lock()
	defer p.unlock()
	r.done, r.ending = true, true
	remade := slices.ContainsFunc(p.all, (*node).remade)
	for _, n := range p.all {
		if n.timer != nil {
			n.timer.Stop()
		}
		if n.state != lifeNew {
			n.state = lifeOver
		}
		metrics.End(n.counter)
	}
	var errs []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = append(errs, joined.Unwrap()...)
	} else if err != nil {
		errs = append(errs, err)
	}
	// What was stopped to be made anew has not failed: the pipeline has ended meanwhile.
	errs = slices.DeleteFunc(errs, func(e error) bool { return errors.Is(e, errRemade) })
	for i, e := range errs {
		for _, f := range r.fatal {
			if errors.Is(e, f.Err) {
				errs[i] = f
			}
		}
	}
	errs = append(errs, r.failures...)
	if p.reason != nil && remade && len(errs) == 0 && !errors.Is(p.reason, ErrStopped) {
		errs = append(errs, p.reason) // no stage was there that a stop could end
	}
	return errors.Join(errs...)
}

// loop runs what is posted.
func (r *run) loop() {
	var spent []func()
	for {
		calls, _ := r.box.Take(spent)
		for _, f := range calls {
			f()
		}
		clear(calls)
		spent = calls
		if len(calls) > 0 {
			continue
		}
		select {
		case <-r.over:
			return
		default:
			r.box.Wait(-1)
		}
	}
}

// watch posts the end of each node's stage.
func (r *run) watch(nodes []*node) {
	for _, n := range nodes {
		s := n.made.stage
		r.all.Go(func() {
			select {
			case <-s.Stopped():
				r.box.Post(func() { r.ended(n, s) })
			case <-r.over:
			}
		})
	}
}

// raise makes the stages of nodes, and subscribes them to each other and to the stages
// around them that run. On an error it leaves nothing behind.
func (r *run) raise(nodes []*node) ([]stage.Stage, error) {
	stages := make([]stage.Stage, 0, len(nodes))
	fresh := make(map[*node]bool, len(nodes))
	all := make([]made, len(nodes))
	undo := func(err error) ([]stage.Stage, error) {
		for _, s := range stages {
			s.Stop(nil)
		}
		return nil, err
	}
	for i, n := range nodes {
		m, err := n.tryBuild()
		if err != nil {
			return undo(fmt.Errorf("pipeline step %q: %w", n.name, err))
		}
		all[i], fresh[n] = m, true
		stages = append(stages, m.stage)
	}
	r.p.mu.Lock()
	defer r.p.unlock()
	edges := make(map[*edge]subscription)
	for _, n := range nodes {
		for _, e := range append(n.ins[:len(n.ins):len(n.ins)], n.outs...) {
			if _, done := edges[e]; done || e.cut || !(fresh[e.up] || e.up.state == lifeUp) || !(fresh[e.down] || e.down.state == lifeUp) {
				continue
			}
			sub, err := e.connect()
			if err != nil && fresh[e.down] {
				return undo(fmt.Errorf("pipeline step %q: %w", e.down.name, err))
			}
			// A stage below that has just died subscribes when it is made anew.
			edges[e] = sub
		}
	}
	for e, sub := range edges {
		e.sub = sub
	}
	for i, n := range nodes {
		n.made, n.state, n.born, n.closing = all[i], lifeUp, true, false
		n.apply()
	}
	for e, sub := range edges {
		if sub != nil {
			r.join(e, fresh[e.down])
		}
	}
	return stages, nil
}
