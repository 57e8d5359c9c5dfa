package stage

import (
	"fmt"
	"slices"

	"github.com/penstock-go/penstock/internal/option"
)

// member is a stage of a pipeline. The fields below belong to the goroutine of Run.
type member struct {
	Stage
	added   bool // by Add, while the pipeline ran; it does not change
	started bool
	heard   bool // its end was taken note of, or it did not start
}

// Add makes stages part of the pipeline: before Run as if they had been given to
// NewPipeline, and while the pipeline runs by starting them, consumers before their
// producers. It returns at once. From then on they are as the others: they are drained
// and stopped with them, are in the snapshot, and their failure is one of the pipeline;
// but one whose HandleStart fails only begins a drain.
//
// The stages are subscribed before that, also to and by stages that run. A stage that has
// ended leaves the snapshot when one with its name is added, and if it was itself added
// while the pipeline ran, with the next Add.
//
// Add refuses a stage without a name of its own among those that have not ended, with an
// [*OptionError], and what Run refuses: a stage that was started before, with ErrStarted,
// and a cycle, with ErrCycle. It refuses all with ErrDraining when a drain has begun, and
// with ErrStopped when the pipeline has stopped. It takes all of the stages or none. It
// may be called from any goroutine, also in a handler and in PipelineConfig.Failed.
func (p *Pipeline) Add(stages ...Stage) error {
	if err := p.add(stages); err != nil {
		return fmt.Errorf("pipeline: add: %w", err)
	}
	return nil
}

func (p *Pipeline) add(stages []Stage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	// Without being the owner, Run was refused.
	case hasStopped(p.stop) || hasStopped(p.over.Done()) || p.ran && !p.owned:
		return ErrStopped
	case p.closed || hasStopped(p.drain):
		return ErrDraining
	}
	before := slices.Clone(p.members)
	fresh, err := p.admit(stages)
	if err == nil && p.ran {
		if err = p.checkGraph(fresh); err == nil {
			err = p.claim(fresh)
		}
	}
	if err != nil {
		p.members = before
		return err
	}
	if !p.ran {
		return nil
	}
	if p.cfg.Metrics != nil {
		for _, m := range before {
			if !slices.Contains(p.members, m) {
				p.left = append(p.left, m.Stage)
			}
		}
	}
	p.fresh = append(p.fresh, fresh...)
	select {
	case p.news <- struct{}{}:
	default: // Run has not looked since the last one, and takes all then
	}
	return nil
}

// admit makes members of stages, and lets those go that have ended and are replaced.
func (p *Pipeline) admit(stages []Stage) (fresh []*member, err error) {
	owner := option.Owner("stage.Pipeline")
	names := make(map[string]bool, len(stages))
	for _, m := range p.members {
		if !hasStopped(m.Stopped()) {
			names[m.Name()] = true
		}
	}
	for i, s := range stages {
		if err := owner.Needs(fmt.Sprintf("stages[%d]", i), s, "a stage"); err != nil {
			return nil, err
		}
		if names[s.Name()] {
			return nil, owner.Refuse(fmt.Sprintf("stages[%d]", i), s.Name(), "a stage with a name of its own")
		}
		names[s.Name()] = true
		fresh = append(fresh, &member{Stage: s, added: p.ran})
	}
	if p.ran {
		p.members = slices.DeleteFunc(p.members, func(m *member) bool {
			return hasStopped(m.Stopped()) && (m.added || names[m.Name()])
		})
	}
	p.members = append(p.members, fresh...)
	return fresh, nil
}

// claim makes stages this pipeline's, all of them or none.
func (p *Pipeline) claim(members []*member) error {
	for i, m := range members {
		if !m.vertex().claim() {
			for _, before := range members[:i] {
				before.vertex().unclaim()
			}
			return fmt.Errorf("stage %q: %w", m.Name(), ErrStarted)
		}
		m.vertex().fragile.Store(!p.cfg.KeepRunning)
	}
	return nil
}

// list returns the members.
func (p *Pipeline) list() []*member {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.members)
}

// takeFresh returns the members that were added since the last call. The last one takes
// what there is and refuses more.
func (p *Pipeline) takeFresh(last bool) []*member {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := p.fresh
	p.fresh, p.closed = nil, p.closed || last
	return fresh
}

// close refuses more stages, unless some were added that Run has not seen. It reports
// whether it has.
func (p *Pipeline) close() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.fresh) > 0 {
		return false
	}
	p.closed = true
	return true
}
