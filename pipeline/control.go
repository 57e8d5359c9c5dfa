package pipeline

import (
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// Step controls one step of a pipeline, over all lives of its stage. Its methods may be
// called from any goroutine, before the run and while it runs.
type Step struct{ n *node }

// Step returns the step of a name, false if there is none.
func (p *Pipeline) Step(name string) (*Step, bool) {
	p.mu.Lock()
	defer p.unlock()
	n, ok := p.names[name]
	if !ok {
		return nil, false
	}
	return &Step{n}, true
}

// Name returns the step's name.
func (s *Step) Name() string { return s.n.name }

// pauser is a subscription or a handler that can be paused.
type pauser interface {
	Pause()
	Resume()
}

// resizer is a handler whose number of workers can be changed while it runs.
type resizer interface{ Resize(workers int) error }

// rater is a handler whose rate can be changed while it runs.
type rater interface{ SetRate(rate Rate) error }

// Pause makes the step begin nothing more and take nothing more from the steps above it; a
// source takes in nothing more. What is under way is finished. Pausing again does nothing,
// and a drain ends a pause.
func (s *Step) Pause() { s.n.pause(true) }

// Resume ends a pause.
func (s *Step) Resume() { s.n.pause(false) }

// pause notes what control has set, for the next stage as well, and passes it on.
func (n *node) pause(on bool) {
	n.p.mu.Lock()
	defer n.p.unlock()
	n.paused = on
	n.gate()
}

// unpause ends a pause, so that a drain comes to an end. The caller holds Pipeline.mu.
func (n *node) unpause() {
	if n.paused {
		n.paused = false
		n.gate()
	}
}

// gate passes on whether the step is paused. The caller holds Pipeline.mu.
func (n *node) gate() {
	if n.state != lifeUp {
		return
	}
	if len(n.ins) == 0 {
		mode := stage.Forward
		if n.paused || n.p.paused {
			mode = stage.Accumulate
		}
		n.made.demand(mode)
		return
	}
	set := func(x any) {
		if p, ok := x.(pauser); ok && n.paused {
			p.Pause()
		} else if ok {
			p.Resume()
		}
	}
	set(n.made.handler)
	for _, e := range n.ins {
		set(e.sub)
	}
}

// checkWorkers refuses a number of workers that Resize cannot set.
func checkWorkers(owner option.Owner, workers int) error {
	return option.Within(owner, "Workers", workers, 1, math.MaxInt32)
}

// Resize changes the number of workers, also for the next lives of the stage. A step
// without workers returns ErrUnable.
func (s *Step) Resize(workers int) error {
	n := s.n
	n.p.mu.Lock()
	defer n.p.unlock()
	if err := checkWorkers(n.owner(), workers); err != nil {
		return err
	}
	if n.state == lifeUp {
		h, ok := n.made.handler.(resizer)
		if !ok {
			return fmt.Errorf("pipeline step %q: resize: %w", n.name, ErrUnable)
		}
		if err := h.Resize(workers); err != nil {
			return err
		}
	}
	n.sized = workers
	return nil
}

// SetRate changes the rate of the step, also for the next lives of the stage. A step
// without a rate returns ErrUnable.
func (s *Step) SetRate(rate Rate) error {
	n := s.n
	n.p.mu.Lock()
	defer n.p.unlock()
	if err := checkRate(n.owner(), "Rate", rate); err != nil {
		return err
	}
	if n.state == lifeUp {
		h, ok := n.made.handler.(rater)
		if !ok {
			return fmt.Errorf("pipeline step %q: set the rate: %w", n.name, ErrUnable)
		}
		if err := h.SetRate(rate); err != nil {
			return err
		}
	}
	n.rated = &rate
	return nil
}

// Restart makes the step anew, with those below it if its Restart has Below: what it had
// and had not finished is delivered to it again. It returns at once, and does not count
// towards MaxRestarts. A source of From, and the first step of a branch, return ErrUnable.
// A step that drains, or directly below one that does, returns ErrStopped: a stage that drains
// takes no new subscriber, so that nothing would be delivered to it again. A step further below
// is made anew, and loses nothing.
func (s *Step) Restart() error {
	n := s.n
	n.p.mu.Lock()
	defer n.p.unlock()
	r := n.p.run
	switch {
	case r == nil || r.ending:
		return fmt.Errorf("pipeline step %q: restart: %w", n.name, ErrStopped)
	case n.once:
		return fmt.Errorf("pipeline step %q: restart: %w", n.name, ErrUnable)
	}
	return r.restart(n)
}

// Drain ends the step in good order, with those above that feed nothing else and those
// below that have no other source, and returns at once. A step that is fed by one partition
// of several cannot be drained alone, since its events would hold up the others. A step below
// that waits to be made anew is so at once.
func (s *Step) Drain() error {
	n := s.n
	n.p.mu.Lock()
	defer n.p.unlock()
	if n.p.run == nil || n.state == lifeOver {
		return fmt.Errorf("pipeline step %q: drain: %w", n.name, ErrStopped)
	}
	tops, err := n.tops()
	if err != nil {
		return err
	}
	for _, top := range tops {
		top()
	}
	return nil
}

// tops returns what ends the paths into a step at their beginnings. The caller holds
// Pipeline.mu.
func (n *node) tops() (ends []func(), err error) {
	with := n.feeders()
	for _, m := range with {
		if len(m.ins) == 0 {
			ends = append(ends, m.drain)
		}
		for _, e := range m.ins {
			switch {
			case e.cut || slices.Contains(with, e.up):
			case e.up.fan == splits:
				return nil, n.owner().Refuse("Drain", e.up.name, "a step that has no partition of its own")
			default:
				ends = append(ends, e.end)
			}
		}
	}
	return ends, nil
}

// feeders returns the step and those above it that feed nothing else, directly or through
// each other: all branches of a broadcast may lead to one step. The caller holds Pipeline.mu.
func (n *node) feeders() []*node {
	with := []*node{n}
	other := func(e *edge) bool {
		return !e.cut && e.down.state != lifeOver && !e.down.spare && !slices.Contains(with, e.down)
	}
	for grown := true; grown; {
		grown = false
		for _, m := range with {
			for _, e := range m.ins {
				if !e.cut && !slices.Contains(with, e.up) && !slices.ContainsFunc(e.up.outs, other) {
					with, grown = append(with, e.up), true
				}
			}
		}
	}
	return with
}

// apply gives a new stage what control has set before. The caller holds Pipeline.mu.
func (n *node) apply() {
	if h, ok := n.made.handler.(resizer); ok && n.sized > 0 {
		if err := h.Resize(n.sized); err != nil {
			n.p.say(n.log, slog.LevelError, "a step could not be resized", "pipeline", n.p.cfg.Name, "step", n.name, "error", err)
		}
	}
	if h, ok := n.made.handler.(rater); ok && n.rated != nil {
		if err := h.SetRate(*n.rated); err != nil {
			n.p.say(n.log, slog.LevelError, "the rate of a step could not be set", "pipeline", n.p.cfg.Name, "step", n.name, "error", err)
		}
	}
	if n.paused || n.p.paused && len(n.ins) == 0 {
		n.gate()
	}
}

// Pause makes the sources take in nothing more. What they have is finished. A drain ends
// the pause.
func (p *Pipeline) Pause() { p.pause(true) }

// Resume ends a pause of the pipeline. Sources that were paused alone stay so.
func (p *Pipeline) Resume() { p.pause(false) }

// pause is passed on to the sources alone: the steps below them run dry.
func (p *Pipeline) pause(on bool) {
	p.mu.Lock()
	defer p.unlock()
	p.paused = on
	for _, n := range p.all {
		if len(n.ins) == 0 {
			n.gate()
		}
	}
}
