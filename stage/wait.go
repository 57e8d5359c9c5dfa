package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
)

// startGrace is how long a HandleStart that is running when the drain begins may
// take to return before its context is cancelled: what has been started then can
// still hand over what it holds.
const startGrace = time.Second

var errDrained = errors.New("drained while it was being started")

// pipelineRun is one run of a pipeline. It belongs to the goroutine of Run: the goroutines
// that start stages and wait for their end only send to starts and ended, and never block
// once Run has returned.
type pipelineRun struct {
	p     *Pipeline
	inner context.Context // of the stages

	queue    []*member  // to be started, in this order
	starting *member    // the start that is under way
	starts   chan error // its result
	ended    chan *member
	live     []*member // those whose end was not heard, in the order in which they were given
	// running counts those of them that were started.
	running  int
	failures []error

	// total and alive count stages and those that have not ended, by kind. They leave out
	// those whose failure the program has handled, of which handled says that there are any.
	total, alive map[Kind]int
	// awaited are the kinds of those of them that have not been replaced, by name.
	awaited map[string]Kind
	handled bool

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

// begin starts the stages one after the other, consumers first, each in a goroutine of its
// own: a HandleStart that waits must not keep the pipeline from being ended. The stages get
// inner; ctx only begins the drain.
func (p *Pipeline) begin(ctx, inner context.Context) *pipelineRun {
	r := &pipelineRun{
		p: p, inner: inner, starts: make(chan error, 1), ended: make(chan *member),
		total: make(map[Kind]int), alive: make(map[Kind]int), awaited: make(map[string]Kind),
		drain: p.drain, stop: p.stop, ctx: ctx.Done(),
	}
	p.mu.Lock()
	members := slices.DeleteFunc(slices.Clone(p.members), func(m *member) bool { return m.added })
	p.mu.Unlock()
	r.enter(members)
	return r
}

// enter takes in stages that were claimed, and starts them after those that wait.
func (r *pipelineRun) enter(members []*member) {
	r.live = append(r.live, members...)
	for _, m := range members {
		delete(r.awaited, m.Name())
		r.total[m.kind()]++
		r.alive[m.kind()]++
	}
	r.queue = append(r.queue, consumersFirst(members)...)
	r.startNext()
}

// startNext starts the next stage, if none is being started.
func (r *pipelineRun) startNext() {
	if r.starting != nil || len(r.queue) == 0 {
		return
	}
	m := r.queue[0]
	r.starting, r.queue = m, r.queue[1:]
	m.started = true
	go func() { r.starts <- m.launch(r.inner) }()
}

// wait waits until every stage has stopped, drains and stops them when it is time to, and
// returns the failures. It returns early, with ErrHung, if a stage has not stopped within
// StopTimeout.
func (r *pipelineRun) wait() error {
	log := r.p.cfg.Logger
	for r.goesOn() {
		select {
		case err := <-r.starts:
			r.hasStarted(err)
		case m := <-r.ended:
			r.hasEnded(m)
		case <-r.p.news:
			fresh := r.p.takeFresh(false)
			r.gather() // what they replace has ended before, and must not be awaited after them
			r.enter(fresh)
		case <-r.ctx:
			log.Info("draining", "timeout", r.p.cfg.DrainTimeout)
			r.gather()
			r.beginDrain()
		case <-r.drain:
			// The program may have drained after it has replaced a stage whose end is still
			// on its way.
			r.gather()
			r.beginDrain()
		case <-r.cut:
			log.Warn("drained before HandleStart has returned", "stage", r.starting.Name())
			r.starting.Stop(&stopError{errDrained})
		case <-r.stop:
			r.stopped()
		case <-r.slow:
			r.slow = time.NewTimer(slowEvery).C
			r.logSlow(slog.LevelWarn, "a stop waits for a handler that has not returned")
		case <-r.late:
			// This is DrainTimeout or, when stopping, StopTimeout.
			r.gather()
			switch {
			case r.running == 0 && r.starting == nil:
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

// goesOn reports whether Run has something to wait for: a stage, or the one that may follow
// a stage whose failure the program has handled. Once it has returned false no stage is
// added any more.
func (r *pipelineRun) goesOn() bool {
	ending := r.draining || r.stopping
	return r.running > 0 || r.starting != nil || r.handled && !ending || !r.p.close()
}

// hasStarted takes the result of the start that was under way. A stage that failed to
// start stops all others, unless it was added while they ran; one that was stopped before
// its turn is no failure of its own.
func (r *pipelineRun) hasStarted(err error) {
	m := r.starting
	r.starting = nil
	switch {
	case err == nil:
		r.running++
		go func() {
			<-m.Stopped()
			select {
			case r.ended <- m:
			case <-r.p.over.Done():
			}
		}()
	// Pipeline.Stop stops the stages itself; there is nothing more to do here.
	case hasStopped(r.p.stop) && !failedItself(err):
		// No end is awaited of a stage that never ran: it was stopped before its turn came.
		r.hear(m)
	case r.handles(m, err):
	case m.added:
		r.failed(m, err)
	default:
		r.hear(m)
		r.fail(err)
		r.p.Stop(&stopError{errSibling})
		r.stopped()
	}
	r.startNext()
	if r.draining && !r.stopping {
		r.drainStarted()
	}
}

// hear notes that a stage has ended, or will not start.
func (r *pipelineRun) hear(m *member) {
	m.heard = true
	r.alive[m.kind()]--
	r.live = slices.DeleteFunc(r.live, func(other *member) bool { return other == m })
}

// failedItself reports whether the error of a start is that of a handler.
func failedItself(err error) bool {
	_, ok := errors.AsType[*Error](err)
	return ok
}

// hasEnded takes note of the end of a stage, once. A failure begins the drain of the
// others unless KeepRunning is set, as does the end of the last producer or consumer.
func (r *pipelineRun) hasEnded(m *member) {
	if m.heard {
		return
	}
	r.running--
	err := m.Err()
	switch {
	case err == nil:
		r.hear(m)
	case r.handles(m, err):
		return // a stage that follows it may not have been added yet
	default:
		r.failed(m, err)
	}
	if r.all(KindProducer) || r.all(KindConsumer) {
		r.beginDrain()
	}
}

// failed takes the failure of a stage that runs no more.
func (r *pipelineRun) failed(m *member, err error) {
	r.hear(m)
	r.fail(err)
	r.p.cfg.Logger.Error("stage stopped", "stage", m.Name(), "error", err)
	if !r.p.cfg.KeepRunning {
		r.beginDrain()
	}
}

// handles reports whether the program has handled the failure of a stage. Its producers
// then no longer take what its subscriptions have missed for abandoned.
func (r *pipelineRun) handles(m *member, err error) bool {
	if r.p.cfg.Failed == nil || r.draining || r.stopping || hasStopped(r.p.stop) {
		return false
	}
	handled, panicked := r.askProgram(m.Stage, err)
	if panicked != nil {
		r.fail(panicked)
	}
	if !handled {
		return false
	}
	r.hear(m)
	r.total[m.kind()]--
	r.awaited[m.Name()] = m.kind()
	r.handled = true
	m.vertex().handled.Store(true) // before the messages: a stage may end between
	r.p.cfg.Logger.Warn("stage failed, which the program has handled", "stage", m.Name(), "error", err)
	for _, other := range r.p.list() {
		other.handledFailure(m.vertex())
	}
	return true
}

// askProgram calls Failed. A panic there is a failure of the pipeline.
func (r *pipelineRun) askProgram(s Stage, err error) (handled bool, panicked error) {
	defer crash.Catch(&panicked)
	return r.p.cfg.Failed(s, err), nil
}

// gather takes note of the stages that have stopped and whose end is still on its
// way to this goroutine: their errors must not be lost to a deadline that is
// reached, or be heard of after a drain that begins, at the same moment.
func (r *pipelineRun) gather() {
	for _, m := range slices.Clone(r.live) {
		if m.started && m != r.starting && hasStopped(m.Stopped()) {
			r.hasEnded(m)
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
	r.enter(r.p.takeFresh(true))
	// A stop replaces it with the timer of StopTimeout.
	r.late = time.NewTimer(r.p.cfg.DrainTimeout).C
	r.drainStarted()
}

// drainStarted drains the stages when all of them were started, since a producer without
// its consumers would discard what it holds. Until then it sets the time after which the
// start under way is cut short, anew for each start.
func (r *pipelineRun) drainStarted() {
	r.cut = nil
	if r.starting != nil {
		r.cut = time.NewTimer(min(startGrace, r.p.cfg.DrainTimeout/2)).C
		return
	}
	members := r.p.list()
	nodes := make(map[*node]bool)
	for _, m := range members {
		nodes[m.vertex()] = true
	}
	for _, m := range members {
		m.drainWithin(nodes)
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
	for _, m := range r.live {
		if m.started && !hasStopped(m.Stopped()) {
			r.p.cfg.Logger.Log(context.Background(), level, msg, "stage", m.Name(), "kind", m.kind(),
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

// all reports whether there were stages of a kind and all of them have ended, so that the
// others wait for nothing. One that may still be replaced counts as not ended: what it has
// not finished waits for the new one.
func (r *pipelineRun) all(kind Kind) bool {
	for _, k := range r.awaited {
		if k == kind {
			return false
		}
	}
	return r.total[kind] > 0 && r.alive[kind] == 0
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
	for _, m := range r.live {
		errs = append(errs, fmt.Errorf("stage %q: %w", m.Name(), ErrHung))
	}
	return errors.Join(errs...)
}
