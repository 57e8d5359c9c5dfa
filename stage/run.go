package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// Run starts stages, which may be given in any order, and blocks until all of
// them have stopped. It is NewPipeline with the default options, and Run.
func Run(ctx context.Context, stages ...Stage) error {
	return NewPipeline(PipelineConfig{}, stages...).Run(ctx)
}

// PipelineConfig configures [NewPipeline]. The zero value is useful.
type PipelineConfig struct {
	// DrainTimeout bounds the orderly end. Default: 30 s.
	DrainTimeout time.Duration
	// StopTimeout bounds how long Run waits for handlers whose context was
	// cancelled. Default: 5 s.
	StopTimeout time.Duration
	// KeepRunning leaves the other stages alone when one fails: they live or
	// die by the cancel mode of their subscriptions, and Run ends when all of
	// them have stopped or ctx is done. By default the failure of one stage
	// drains the others.
	KeepRunning bool
	// Metrics gets the gauges stage.demand, stage.buffered and
	// stage.batch_size (mean of the interval) and the counters stage.events
	// and pipeline.discarded (tag reason), all with the tag stage, every
	// MetricsInterval. nil records nothing.
	Metrics metrics.Recorder
	// MetricsInterval defaults to 1 s.
	MetricsInterval time.Duration
	// Logger gets what an operator should know. nil discards.
	Logger *slog.Logger
}

// Pipeline is a set of stages that live and end together.
type Pipeline struct {
	cfg    PipelineConfig
	stages []Stage

	drain    chan struct{}
	draining sync.Once
	mu       sync.Mutex
	ran      bool
}

// NewPipeline makes a pipeline. No goroutine runs before Run.
func NewPipeline(cfg PipelineConfig, stages ...Stage) *Pipeline {
	if cfg.DrainTimeout <= 0 {
		cfg.DrainTimeout = 30 * time.Second
	}
	if cfg.StopTimeout <= 0 {
		cfg.StopTimeout = 5 * time.Second
	}
	if cfg.MetricsInterval <= 0 {
		cfg.MetricsInterval = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Pipeline{cfg: cfg, stages: stages, drain: make(chan struct{})}
}

// Drain begins the orderly end and answers at once. Draining again does
// nothing.
func (p *Pipeline) Drain() { p.draining.Do(func() { close(p.drain) }) }

// Stop ends all stages without draining, and answers at once. A nil reason
// means ErrStopped.
func (p *Pipeline) Stop(reason error) {
	for _, s := range p.stages {
		s.Stop(reason)
	}
}

// Run starts the stages and blocks until all of them have stopped. When ctx is
// done, Drain is called or a stage fails, it drains: sources take in nothing
// more, what was taken in is delivered, workers finish. What has not ended
// after DrainTimeout is stopped and ErrDrainTimeout reported.
//
// The error is nil after an orderly end; otherwise it joins the failures of
// the stages in the order in which they happened, without those that only
// followed from an earlier one. No goroutine of a stage is left when Run
// returns, unless it reports ErrHung. A pipeline runs once.
func (p *Pipeline) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.ran {
		p.mu.Unlock()
		return fmt.Errorf("pipeline: run: %w", ErrStarted)
	}
	p.ran = true
	p.mu.Unlock()

	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	var failures []error
	fail := func(err error) {
		for _, earlier := range failures {
			if err == nil || errors.Is(err, earlier) {
				return
			}
		}
		if err != nil {
			failures = append(failures, err)
		}
	}
	ended := make(chan Stage)
	running := 0
	for _, s := range p.stages {
		if err := s.Start(hard); err != nil {
			fail(err)
			break
		}
		running++
		go func() {
			<-s.Stopped()
			ended <- s
		}()
	}
	report := p.report(hard)
	defer report()
	if len(failures) > 0 {
		p.Stop(fmt.Errorf("%w: another stage did not start", ErrStopped))
	}

	stop := ctx.Done()
	drain := p.drain
	var late <-chan time.Time
	begin := func() {
		stop, drain = nil, nil
		for _, s := range p.stages {
			s.Drain()
		}
		timer := time.NewTimer(p.cfg.DrainTimeout)
		late = timer.C
	}
	timedOut := false
	for running > 0 {
		select {
		case s := <-ended:
			running--
			err := s.Err()
			fail(err)
			if err != nil {
				p.cfg.Logger.Error("stage stopped", "stage", s.Name(), "error", err)
			}
			if late == nil && (err != nil && !p.cfg.KeepRunning || p.sourceless()) {
				begin()
			}
		case <-stop:
			p.cfg.Logger.Info("draining", "timeout", p.cfg.DrainTimeout)
			begin()
		case <-drain:
			begin()
		case <-late:
			if timedOut {
				return errors.Join(append(failures, p.hung())...)
			}
			timedOut = true
			fail(ErrDrainTimeout)
			p.cfg.Logger.Error("not drained in time", "timeout", p.cfg.DrainTimeout)
			p.Stop(ErrDrainTimeout)
			late = time.NewTimer(p.cfg.StopTimeout).C
		}
	}
	return errors.Join(failures...)
}

// sourceless says whether every producer has stopped, so that the stages that
// are left wait for nothing.
func (p *Pipeline) sourceless() bool {
	for _, s := range p.stages {
		if s.kind() == KindProducer && !hasStopped(s) {
			return false
		}
	}
	return true
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

// Snapshot answers what the stages are doing, in the order in which they were
// given. A stage that does not answer before ctx is done is left out.
func (p *Pipeline) Snapshot(ctx context.Context) []Snapshot {
	all := make([]Snapshot, 0, len(p.stages))
	for _, s := range p.stages {
		if snap, err := s.Snapshot(ctx); err == nil {
			all = append(all, snap)
		}
	}
	return all
}
