package stage

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
)

// Run starts stages, which may be given in any order, and blocks until all of
// them have stopped. It is NewPipeline with the default options, and Run. A nil
// context or stage, and no stage at all, are refused with an [*OptionError].
func Run(ctx context.Context, stages ...Stage) error {
	p, err := NewPipeline(PipelineConfig{}, stages...)
	if err != nil {
		return err
	}
	return p.Run(ctx)
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
	// stage.batch_size (mean of the interval) and the counters stage.events,
	// stage.abandoned and pipeline.discarded (tag reason), all with the tag
	// stage, every MetricsInterval. nil records nothing.
	Metrics metrics.Recorder
	// MetricsInterval defaults to 1 s.
	MetricsInterval time.Duration
	// Logger gets what an operator should know. Default: slog.Default.
	Logger *slog.Logger
}

// Pipeline is a set of stages that live and end together.
type Pipeline struct {
	cfg    PipelineConfig
	stages []Stage

	mu    sync.Mutex // guards the two below
	ran   bool
	owned bool // the stages are this pipeline's to stop

	drain, stop       chan struct{}
	draining, stopped sync.Once
	over              context.Context // done when Run has returned
	finish            context.CancelFunc
}

// NewPipeline makes a pipeline. No goroutine runs before Run. An error is an
// [*OptionError]: there must be a stage; two stages with one name are one, since snapshots, metrics and
// errors do not distinguish them.
func NewPipeline(cfg PipelineConfig, stages ...Stage) (*Pipeline, error) {
	owner := option.Owner("stage.Pipeline")
	if err := option.First(
		option.AtLeast(owner, "DrainTimeout", cfg.DrainTimeout, 0),
		option.AtLeast(owner, "StopTimeout", cfg.StopTimeout, 0),
		option.AtLeast(owner, "MetricsInterval", cfg.MetricsInterval, 0),
		owner.Recorder(cfg.Metrics),
		owner.Check(len(stages) > 0, "stages", "none", "one or more"),
	); err != nil {
		return nil, err
	}
	names := make(map[string]bool, len(stages))
	for i, s := range stages {
		if err := owner.Needs(fmt.Sprintf("stages[%d]", i), s, "a stage"); err != nil {
			return nil, err
		}
		if names[s.Name()] {
			return nil, owner.Refuse(fmt.Sprintf("stages[%d]", i), s.Name(), "a stage with a name of its own")
		}
		names[s.Name()] = true
	}
	option.Default(&cfg.DrainTimeout, 30*time.Second)
	option.Default(&cfg.StopTimeout, 5*time.Second)
	option.Default(&cfg.MetricsInterval, time.Second)
	option.Logger(&cfg.Logger)
	p := &Pipeline{cfg: cfg, stages: stages, drain: make(chan struct{}), stop: make(chan struct{})}
	p.over, p.finish = context.WithCancel(context.Background())
	return p, nil
}

// Drain begins the orderly end and returns at once. Draining again does
// nothing.
func (p *Pipeline) Drain() { p.draining.Do(func() { close(p.drain) }) }

// Stop ends all stages without draining, and returns at once. A nil reason
// means ErrStopped. Stopping again does nothing. A pipeline that was stopped
// before it was run cannot be run any more. Stages that were started without this
// pipeline are left alone.
func (p *Pipeline) Stop(reason error) {
	p.stopped.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.stop) // before a stage can refuse to start for it
		for _, i := range slices.Backward(p.consumersFirst()) {
			if s := p.stages[i]; p.owned || s.vertex().claim() {
				s.Stop(reason)
			}
		}
	})
}

// Run starts the stages, consumers before their producers, so that no subscriber
// misses an event, and blocks until all of them have stopped. When ctx is
// done, Drain is called, a stage fails, or the last producer or the last
// consumer has stopped, it drains: sources accept nothing more, accepted events are
// delivered, workers finish. A stage that is being started then may take a
// second to return from HandleStart before its context is cancelled, and a
// subscription to a producer outside of the pipeline is cancelled. Stages that
// have not ended after DrainTimeout are stopped and ErrDrainTimeout is reported.
//
// Run refuses stages that were started before, with ErrStarted, and stages that
// are subscribed in a cycle, with ErrCycle; it leaves them as they are. It logs a
// warning for a stage without subscriptions and for a subscription to or of a stage
// that is neither started nor part of the pipeline.
//
// The error is nil after an orderly end; otherwise it joins the failures of
// the stages in the order in which they happened, without those that only
// followed from another. No goroutine of a stage is left when Run returns,
// unless it reports ErrHung. A pipeline runs once. A nil ctx is refused with an
// [*OptionError].
func (p *Pipeline) Run(ctx context.Context) error {
	if err := option.Owner("stage.Pipeline").Needs("ctx", ctx, "a context"); err != nil {
		return err
	}
	if err := p.acquire(); err != nil {
		return fmt.Errorf("pipeline: run: %w", err)
	}
	// The stages end by Drain and Stop, not by ctx, but have its values.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer p.finish()
	r := p.begin(ctx, inner)
	defer p.report(inner)()
	return r.wait()
}

// acquire makes the stages this pipeline's, all of them or none.
func (p *Pipeline) acquire() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ran {
		return ErrStarted
	}
	p.ran = true
	if hasStopped(p.stop) {
		return ErrStopped
	}
	if err := p.checkGraph(); err != nil {
		return err
	}
	for i, s := range p.stages {
		if !s.vertex().claim() {
			for _, before := range p.stages[:i] {
				before.vertex().unclaim()
			}
			return fmt.Errorf("stage %q: %w", s.Name(), ErrStarted)
		}
		s.vertex().fragile.Store(!p.cfg.KeepRunning)
	}
	p.owned = true
	return nil
}
