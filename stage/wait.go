package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// startGrace is how long a HandleStart that is running when the drain begins may
// take to return before its context is cancelled: what has been started then can
// still hand over what it holds.
const startGrace = time.Second

var errDrained = errors.New("drained while it was being started")

// pipelineRun is one run of a pipeline. It belongs to the goroutine of Run: the goroutines
// that start stages and wait for their end only send to starts and ended, which have room
// for every stage and never block.
type pipelineRun struct {
	p       *Pipeline
	order   []int      // in which the stages are started, by their places
	starts  chan error // the results of the starts, in that order
	started int        // how many of them have come
	ended   chan int
	heard   []bool // the end of the stage was taken note of
	// running counts the stages that were started and whose end was not heard.
	running  int
	failures []error

	// Each of these fires once; a nil channel blocks for good, and so takes its case out
	// of the select.
	ctx, drain, stop <-chan struct{} // nil once they have been heeded
	late             <-chan time.Time
	cut              <-chan time.Time // cancels the start that is under way
	slow             <-chan time.Time // logs what a stop waits for
	cancelled        time.Time        // when the stop began
	draining         bool
	stopping         bool
}

// begin starts the stages one after the other, consumers first, in a goroutine of its own:
// a HandleStart that waits must not keep the pipeline from being ended. The stages get
// inner; ctx only begins the drain.
func (p *Pipeline) begin(ctx, inner context.Context) *pipelineRun {
	r := &pipelineRun{
		p: p, starts: make(chan error, len(p.stages)), ended: make(chan int, len(p.stages)), heard: make([]bool, len(p.stages)),
		drain: p.drain, stop: p.stop, ctx: ctx.Done(),
	}
	r.order = p.consumersFirst()
	go func() {
		for _, i := range r.order {
			r.starts <- p.stages[i].launch(inner)
		}
	}()
	return r
}

// wait waits until every stage has stopped, drains and stops them when it is time to, and
// returns the failures. It returns early, with ErrHung, if a stage has not stopped within
// StopTimeout.
func (r *pipelineRun) wait() error {
	log := r.p.cfg.Logger
	for r.running > 0 || r.starting() {
		select {
		case err := <-r.starts:
			r.hasStarted(err)
		case i := <-r.ended:
			r.hasEnded(i)
		case <-r.ctx:
			log.Info("draining", "timeout", r.p.cfg.DrainTimeout)
			r.beginDrain()
		case <-r.drain:
			r.beginDrain()
		case <-r.cut:
			// The stage whose start is under way.
			s := r.p.stages[r.order[r.started]]
			log.Warn("drained before HandleStart has returned", "stage", s.Name())
			s.Stop(&stopError{errDrained})
		case <-r.stop:
			r.stopped()
		case <-r.slow:
			r.slow = time.NewTimer(slowEvery).C
			r.logSlow(slog.LevelWarn, "a stop waits for a handler that has not returned")
		case <-r.late:
			// This is DrainTimeout or, when stopping, StopTimeout.
			r.gather()
			switch {
			case r.running == 0 && !r.starting():
			case r.stopping:
				r.logSlow(slog.LevelError, "a handler has not returned in time and is left behind")
				return errors.Join(append(r.failures, r.hung())...)
			default:
				r.fail(ErrDrainTimeout)
				log.Error("not drained in time", "timeout", r.p.cfg.DrainTimeout)
				r.p.Stop(ErrDrainTimeout)
				r.stopped()
			}
		}
	}
	return errors.Join(r.failures...)
}

// starting reports whether a stage has not yet been started.
func (r *pipelineRun) starting() bool { return r.started < len(r.p.stages) }

// hasStarted takes the result of the next start. A stage that failed to start stops all
// others; one that was stopped before its turn is no failure of its own.
func (r *pipelineRun) hasStarted(err error) {
	i := r.order[r.started]
	s := r.p.stages[i]
	// The results come in the order of the starts.
	r.started++
	switch {
	case err == nil:
		r.running++
		go func() {
			<-s.Stopped()
			r.ended <- i
		}()
	// Pipeline.Stop stops the stages itself; there is nothing more to do here.
	case hasStopped(r.p.stop) && !failedItself(err):
		// No end is awaited of a stage that never ran.
		r.heard[i] = true // it was stopped before its turn came
	default:
		r.heard[i] = true
		r.fail(err)
		r.p.Stop(&stopError{errSibling})
		r.stopped()
	}
	if r.draining && !r.stopping {
		r.drainStarted()
	}
}

// failedItself reports whether the error of a start is that of a handler.
func failedItself(err error) bool {
	_, ok := errors.AsType[*Error](err)
	return ok
}

// hasEnded takes note of the end of stage i, once. A failure begins the drain of the
// others unless KeepRunning is set, as does the end of the last producer or consumer.
func (r *pipelineRun) hasEnded(i int) {
	if r.heard[i] {
		return
	}
	r.heard[i] = true
	r.running--
	s := r.p.stages[i]
	err := s.Err()
	if err != nil {
		r.fail(err)
		r.p.cfg.Logger.Error("stage stopped", "stage", s.Name(), "error", err)
	}
	if err != nil && !r.p.cfg.KeepRunning || r.all(KindProducer) || r.all(KindConsumer) {
		r.beginDrain()
	}
}

// gather takes note of the stages that have stopped and whose end is still on its
// way to this goroutine: their errors must not be lost to a deadline that is
// reached at the same moment.
func (r *pipelineRun) gather() {
	for _, i := range r.order[:r.started] {
		if hasStopped(r.p.stages[i].Stopped()) {
			r.hasEnded(i)
		}
	}
}

// beginDrain starts the time that the orderly end may take. Only the first call counts,
// and none after a stop.
func (r *pipelineRun) beginDrain() {
	r.ctx, r.drain = nil, nil
	if r.stopping || r.draining {
		return
	}
	r.draining = true
	// A stop replaces it with the timer of StopTimeout.
	r.late = time.NewTimer(r.p.cfg.DrainTimeout).C
	r.drainStarted()
}

// drainStarted drains the stages when all of them were started, since a producer without
// its consumers would discard what it holds. Until then it sets the time after which the
// start under way is cut short, anew for each start.
func (r *pipelineRun) drainStarted() {
	r.cut = nil
	if r.starting() {
		r.cut = time.NewTimer(min(startGrace, r.p.cfg.DrainTimeout/2)).C
		return
	}
	members := make(map[*node]bool)
	for _, s := range r.p.stages {
		members[s.vertex()] = true
	}
	for _, s := range r.p.stages {
		s.drainWithin(members)
	}
}

// stopped begins to count the time that handlers have to return. All that could begin a
// drain or a stop is not listened to any more.
func (r *pipelineRun) stopped() {
	r.ctx, r.drain, r.stop, r.cut, r.stopping = nil, nil, nil, nil, true
	r.late = time.NewTimer(r.p.cfg.StopTimeout).C
	r.slow = time.NewTimer(slowAfter).C
	r.cancelled = time.Now()
}

// The periods of the log about handlers that a stop waits for.
const (
	slowAfter = time.Second      // the first lines
	slowEvery = 10 * time.Second // the next ones
)

// logSlow logs each stage that was started, or is being started, and has not stopped.
func (r *pipelineRun) logSlow(level slog.Level, msg string) {
	for _, i := range r.order[:min(r.started+1, len(r.order))] {
		if s := r.p.stages[i]; !r.heard[i] && !hasStopped(s.Stopped()) {
			r.p.cfg.Logger.Log(context.Background(), level, msg, "stage", s.Name(), "kind", s.kind(),
				"since", r.cancelled, "timeout", r.p.cfg.StopTimeout)
		}
	}
}

// fail notes a failure, unless it follows from another: a consumer may be seen
// to stop before the producer that made it stop.
func (r *pipelineRun) fail(err error) {
	// errors.Is in either direction: the cause replaces what followed from it.
	more := errors.Is(err, ErrHung)
	for i, other := range r.failures {
		if errors.Is(err, other) {
			if more && !errors.Is(other, ErrHung) {
				r.failures[i] = err // which has the other one as well
			}
			return
		}
		if errors.Is(other, err) {
			r.failures[i] = err
			return
		}
	}
	r.failures = append(r.failures, err)
}

// all reports whether there are stages of a kind and all of them have stopped, so
// that the others wait for nothing.
func (r *pipelineRun) all(kind Kind) bool {
	of := func(s Stage) bool { return s.kind() == kind }
	running := func(s Stage) bool { return of(s) && !hasStopped(s.Stopped()) }
	return slices.ContainsFunc(r.p.stages, of) && !slices.ContainsFunc(r.p.stages, running)
}

// hasStopped reports whether the channel is closed.
func hasStopped(stopped <-chan struct{}) bool {
	select {
	case <-stopped:
		return true
	default:
		return false
	}
}

// hung names the stages whose end was not heard of. It does not look at them again: one
// that stops just now has not stopped in time, and its error was not taken.
func (r *pipelineRun) hung() error {
	var errs []error
	for i, s := range r.p.stages {
		if !r.heard[i] {
			errs = append(errs, fmt.Errorf("stage %q: %w", s.Name(), ErrHung))
		}
	}
	return errors.Join(errs...)
}
