package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Pipeline is a graph of steps that live and end together. Make one with [New]. Its
// methods may be called from any goroutine.
type Pipeline struct {
	cfg     Config // with its defaults
	sources *sourceRates
	offices offices
	// ending reports that a step which dies is not made anew, and died holds a diedOf, what
	// the last one has died of.
	ending atomic.Bool
	died   atomic.Value

	mu     sync.Mutex // guards the fields below, and what is said elsewhere to be guarded by it
	main   *scope
	names  map[string]*node
	places int     // steps that were added, for their default names
	all    []*node // those that run, in the order in which they were added
	run    *run    // nil before Run
	// What was asked for, also before Run.
	drained, stopped bool
	reason           error // of the stop
	paused           bool
	// lines are for the log, when mu is unlocked: the logger is the program's, and may call
	// the pipeline.
	lines []func()
}

// unlock unlocks mu and writes the lines that were left to it.
func (p *Pipeline) unlock() {
	lines := p.lines
	p.lines = nil
	p.mu.Unlock()
	for _, line := range lines {
		line()
	}
}

// say leaves a line for the log to unlock. The caller holds mu.
func (p *Pipeline) say(log *slog.Logger, level slog.Level, msg string, args ...any) {
	p.lines = append(p.lines, func() { log.Log(context.Background(), level, msg, args...) })
}

// New makes a pipeline without steps. A refused option is returned by [Pipeline.Err] and
// [Pipeline.Run].
func New(cfg Config) *Pipeline {
	p := &Pipeline{names: make(map[string]*node), sources: newSourceRates(cfg.Rate)}
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
	defer p.unlock()
	return errors.Join(p.main.errs...)
}

// Drain begins the orderly end and returns at once: sources take nothing more, and what
// was accepted is finished. Steps that wait to be made anew are so at once. Draining again
// does nothing; before Run it makes Run end as soon as it has begun.
func (p *Pipeline) Drain() {
	p.mu.Lock()
	r := p.run
	p.drained = true
	p.unlock()
	if r != nil {
		r.box.Post(r.drain)
	}
}

// Stop ends all steps without draining, and returns at once. A nil reason means
// ErrStopped. Stopping again does nothing.
func (p *Pipeline) Stop(reason error) {
	p.mu.Lock()
	r := p.run
	if !p.stopped {
		p.stopped, p.reason = true, reason
		p.ending.Store(true)
	}
	p.unlock()
	if r != nil {
		r.stages.Stop(reason)
	}
}

// logShape logs what is going to run, and warns of what cannot be right.
func (p *Pipeline) logShape() {
	p.mu.Lock()
	defer p.unlock()
	p.say(p.cfg.Logger, slog.LevelInfo, "pipeline starts", "pipeline", p.cfg.Name, "steps", len(p.all), "shape", shape(p.all))
	for _, n := range p.all {
		if n.fan == copies && len(n.outs) == 1 {
			p.say(p.cfg.Logger, slog.LevelWarn, "a broadcast has one branch", "pipeline", p.cfg.Name, "step", n.name, "branch", n.outs[0].down.name)
		}
	}
}

// shape returns the graph as text: the chains of steps, those that follow the last step
// of another one after it, such as "a > b; b > c; b > d".
func shape(nodes []*node) string {
	var chains []string
	seen := make(map[*edge]bool)
	var walk func(n *node)
	walk = func(n *node) {
		for _, e := range n.outs {
			if seen[e] {
				continue
			}
			chain := n.name
			for at := e; ; at = at.down.outs[0] {
				seen[at] = true
				chain += " > " + at.down.name
				if len(at.down.outs) != 1 || seen[at.down.outs[0]] {
					chains = append(chains, chain)
					walk(at.down)
					break
				}
			}
		}
	}
	for _, n := range nodes {
		if len(n.ins) == 0 {
			walk(n)
		}
	}
	return strings.Join(chains, "; ")
}

// forget removes a step that has ended for good, so that another one may have its name.
// The caller holds mu.
func (p *Pipeline) forget(n *node) {
	if p.names[n.name] == n {
		delete(p.names, n.name)
	}
	p.all = slices.DeleteFunc(p.all, func(other *node) bool { return other == n })
	for _, e := range n.ins {
		e.up.outs = slices.DeleteFunc(e.up.outs, func(other *edge) bool { return other == e })
	}
}
