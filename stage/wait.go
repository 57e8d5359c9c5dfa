package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// pipelineRun is one run of a pipeline. It belongs to the goroutine of Run.
type pipelineRun struct {
	p        *Pipeline
	ended    chan Stage
	running  int
	failures []error

	ctx, drain, stop <-chan struct{} // nil once they have been heeded
	late             <-chan time.Time
	stopping         bool
}

// start starts the stages, and answers whether all of them did.
func (r *pipelineRun) start(ctx context.Context) bool {
	for _, s := range r.p.stages {
		if err := s.Start(ctx); err != nil {
			r.fail(err)
			return false
		}
		r.running++
		go func() {
			<-s.Stopped()
			r.ended <- s
		}()
	}
	return true
}

// wait waits for the stages to stop, and makes them.
func (r *pipelineRun) wait() error {
	log := r.p.cfg.Logger
	for r.running > 0 {
		select {
		case s := <-r.ended:
			r.running--
			err := s.Err()
			if err != nil {
				r.fail(err)
				log.Error("stage stopped", "stage", s.Name(), "error", err)
			}
			if err != nil && !r.p.cfg.KeepRunning || r.all(KindProducer) || r.all(KindConsumer) {
				r.beginDrain()
			}
		case <-r.ctx:
			log.Info("draining", "timeout", r.p.cfg.DrainTimeout)
			r.beginDrain()
		case <-r.drain:
			r.beginDrain()
		case <-r.stop:
			r.stopped()
		case <-r.late:
			if r.stopping {
				return errors.Join(append(r.failures, r.p.hung())...)
			}
			r.fail(ErrDrainTimeout)
			log.Error("not drained in time", "timeout", r.p.cfg.DrainTimeout)
			r.p.Stop(ErrDrainTimeout)
			r.stopped()
		}
	}
	return errors.Join(r.failures...)
}

func (r *pipelineRun) beginDrain() {
	r.ctx, r.drain = nil, nil
	if r.stopping || r.late != nil {
		return
	}
	for _, s := range r.p.stages {
		s.Drain()
	}
	r.late = time.NewTimer(r.p.cfg.DrainTimeout).C
}

// stopped begins to count the time that handlers have to return.
func (r *pipelineRun) stopped() {
	r.ctx, r.drain, r.stop, r.stopping = nil, nil, nil, true
	r.late = time.NewTimer(r.p.cfg.StopTimeout).C
}

// fail notes a failure, unless it follows from another: a consumer may be seen
// to stop before the producer that made it stop.
func (r *pipelineRun) fail(err error) {
	for i, other := range r.failures {
		if errors.Is(err, other) {
			return
		}
		if errors.Is(other, err) {
			r.failures[i] = err
			return
		}
	}
	r.failures = append(r.failures, err)
}

// all says whether there are stages of a kind and all of them have stopped, so
// that those which are left wait for nothing.
func (r *pipelineRun) all(kind Kind) bool {
	of := func(s Stage) bool { return s.kind() == kind }
	running := func(s Stage) bool { return of(s) && !hasStopped(s) }
	return slices.ContainsFunc(r.p.stages, of) && !slices.ContainsFunc(r.p.stages, running)
}

func hasStopped(s Stage) bool {
	select {
	case <-s.Stopped():
		return true
	default:
		return false
	}
}

func (p *Pipeline) hung() error {
	var errs []error
	for _, s := range p.stages {
		if !hasStopped(s) {
			errs = append(errs, fmt.Errorf("stage %q: %w", s.Name(), ErrHung))
		}
	}
	return errors.Join(errs...)
}
