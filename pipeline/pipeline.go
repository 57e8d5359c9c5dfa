package pipeline

import (
	"context"
	"errors"
	"sync"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// Pipeline is a graph of steps that live and end together. Make one with [New]. Its
// methods may be called from any goroutine.
type Pipeline struct {
	cfg Config // with its defaults

	mu     sync.Mutex // guards the fields below, and what the steps say is guarded by it
	main   *scope
	names  map[string]*node
	places int // steps that were added, for their default names
	ran    bool
	stages *stage.Pipeline // nil until Run
}

// New makes a pipeline without steps. A refused option is returned by [Pipeline.Err] and
// [Pipeline.Run].
func New(cfg Config) *Pipeline {
	p := &Pipeline{names: make(map[string]*node)}
	p.main = &scope{p: p}
	for _, err := range cfg.validate() {
		if err != nil {
			p.main.errs = append(p.main.errs, err)
		}
	}
	p.cfg = cfg.withDefaults()
	return p
}

// Name returns the pipeline's name.
func (p *Pipeline) Name() string { return p.cfg.Name }

// Err returns what is wrong with the steps so far, joined, or nil. Each error is an
// [*OptionError]. A flow that no step takes counts only when the pipeline is run.
func (p *Pipeline) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.main.errs...)
}

// Run starts the steps and blocks until all of them have ended.
func (p *Pipeline) Run(ctx context.Context) error {
	if err := pipelineOwner.Needs("ctx", ctx, "a context"); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ran {
		return ErrStarted
	}
	p.ran = true
	if err := errors.Join(p.main.check()...); err != nil {
		return err
	}
	p.main.shut = true
	stages, err := p.begin(p.main.nodes)
	if err != nil {
		return err
	}
	sp, err := stage.NewPipeline(stage.PipelineConfig{
		DrainTimeout: p.cfg.DrainTimeout, StopTimeout: p.cfg.StopTimeout, Metrics: p.cfg.Metrics, MetricsInterval: p.cfg.MetricsInterval,
		Logger: p.cfg.Logger,
	}, stages...)
	if err != nil {
		return err
	}
	p.stages = sp
	p.mu.Unlock()
	defer p.mu.Lock()
	return sp.Run(ctx)
}

// begin makes the stages of the nodes and subscribes them.
func (p *Pipeline) begin(nodes []*node) ([]stage.Stage, error) {
	if len(nodes) == 0 {
		return nil, option.Owner("pipeline.Pipeline").Refuse("steps", "none", "one or more")
	}
	var stages []stage.Stage
	for _, n := range nodes {
		m, err := n.build()
		if err != nil {
			return nil, err
		}
		n.made = m
		stages = append(stages, m.stage)
	}
	for _, n := range nodes {
		for _, e := range n.ins {
			sub, err := e.connect()
			if err != nil {
				return nil, err
			}
			e.sub = sub
		}
	}
	return stages, nil
}
