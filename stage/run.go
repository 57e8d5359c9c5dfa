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
	"github.com/penstock-go/penstock/trace"
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
	// Failed, if set, is called when a stage has failed, also in its start, and before
	// anything else follows from it; err is what its Err returns. true means that the
	// program has handled the failure, such as by adding a new stage in place of the
	// one that failed ([Pipeline.Add]): the pipeline goes on, and Run does not return
	// err. The end of the last other producer or consumer begins no drain until a
	// stage with the name of the one that failed has been added. It is called on Run's
	// goroutine, once for each stage and not any more when the pipeline drains or
	// stops; it must not block. A panic in it is a failure too. Default: nil, which
	// handles nothing.
	Failed func(s Stage, err error) bool
	// Metrics gets the gauges stage.demand, stage.buffered and
	// stage.batch_size (mean of the interval) and the counters stage.events,
	// stage.abandoned and pipeline.discarded (tag reason), all with the tag
	// stage, every MetricsInterval. nil records nothing.
	Metrics metrics.Recorder
	// Tracer makes the spans of sampled events, see package trace: stages and their handlers
	// get it with their context. nil makes none.
	Tracer trace.Tracer
	// MetricsInterval defaults to 1 s.
	MetricsInterval time.Duration
	// Logger gets what an operator should know. Default: slog.Default.
	Logger *slog.Logger
}

// Pipeline is a set of stages that live and end together.
type Pipeline struct {
	cfg PipelineConfig

	mu      sync.Mutex // guards the fields up to closed
	members []*member
	fresh   []*member // of them those that were added and Run has not seen
	left    []Stage   // those that have ended and left members since the last report
	ran     bool
	owned   bool // the stages are this pipeline's to stop
	closed  bool // a drain has begun, or Run has returned

	news              chan struct{} // has room for one; there are fresh members
	drain, stop       chan struct{}
	draining, stopped sync.Once
	over              context.Context // done when Run has returned
	finish            context.CancelFunc
}

// NewPipeline makes a pipeline. No goroutine runs before Run. An error is an
// [*OptionError]: there must be a stage; two stages with one name are one, since
// snapshots, metrics and errors do not distinguish them.
func NewPipeline(cfg PipelineConfig, stages ...Stage) (*Pipeline, error) {
	owner := option.Owner("stage.Pipeline")
	if err := option.First(
		option.AtLeast(owner, "DrainTimeout", cfg.DrainTimeout, 0),
		option.AtLeast(owner, "StopTimeout", cfg.StopTimeout, 0),
		option.AtLeast(owner, "MetricsInterval", cfg.MetricsInterval, 0),
		owner.Recorder(cfg.Metrics),
		owner.Optional("Tracer", cfg.Tracer, "a tracer"),
		owner.Check(len(stages) > 0, "stages", "none", "one or more"),
	); err != nil {
		return nil, err
	}
	p := &Pipeline{news: make(chan struct{}, 1), drain: make(chan struct{}), stop: make(chan struct{})}
	if _, err := p.admit(stages); err != nil {
		return nil, err
	}
	option.Default(&cfg.DrainTimeout, 30*time.Second)
	option.Default(&cfg.StopTimeout, 5*time.Second)
	option.Default(&cfg.MetricsInterval, time.Second)
	option.Logger(&cfg.Logger)
	p.cfg = cfg
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
		for _, m := range slices.Backward(consumersFirst(p.members)) {
			if p.owned || m.vertex().claim() {
				m.Stop(reason)
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
// The error is nil after an orderly end, which includes failures that
// PipelineConfig.Failed has handled; otherwise it joins the failures of
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
	inner, cancel := context.WithCancel(trace.WithTracer(context.WithoutCancel(ctx), p.cfg.Tracer))
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
	if err := p.checkGraph(p.members); err != nil {
		return err
	}
	if err := p.claim(p.members); err != nil {
		return err
	}
	p.owned = true
	return nil
}
