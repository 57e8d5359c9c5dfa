package pipeline

import (
	"context"
	"slices"

	"github.com/penstock-go/penstock/stage"
)

// Snapshot is the state of a pipeline at about one moment; see [stage.PipelineSnapshot].
type Snapshot struct {
	Name string `json:"name"`
	// Running reports that the pipeline was run and has not ended; Draining that it takes
	// in nothing more.
	Running  bool `json:"running"`
	Draining bool `json:"draining"`
	// Paused reports that the sources are paused; Rate is the limit of all of them
	// together.
	Paused bool `json:"paused"`
	Rate   Rate `json:"rate"`
	// Steps are the steps, in the order in which they were added, then the branches added
	// later.
	Steps []StepSnapshot `json:"steps"`
	// Stages are the steps' stages, whose Handler is what the step itself reports; Edges
	// are their subscriptions. Both are empty before Run.
	Stages []stage.Snapshot `json:"stages"`
	Edges  []stage.Edge     `json:"edges"`
}

// StepSnapshot is the state of a step in the graph. What its workers are doing is a
// [WorkSnapshot], in the Handler of its stage.
type StepSnapshot struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// State is "new", "running", "restarting" or "stopped".
	State string `json:"state"`
	// Inputs are the names of the steps that it takes events from.
	Inputs []string `json:"inputs"`
	Paused bool     `json:"paused"`
	// Restarts is how often it was made anew, and Error what it has died of the last time.
	Restarts int    `json:"restarts"`
	Error    string `json:"error,omitempty"`
}

// Snapshot returns what the pipeline is doing. It waits for running handlers until ctx is
// done; a stage that does not reply by then is marked as Busy.
func (p *Pipeline) Snapshot(ctx context.Context) Snapshot {
	p.mu.Lock()
	s := Snapshot{Name: p.cfg.Name, Paused: p.paused, Rate: p.sources.rate(), Stages: []stage.Snapshot{}, Edges: []stage.Edge{}}
	nodes := p.all
	if nodes == nil {
		nodes = p.main.nodes
	}
	s.Steps = make([]StepSnapshot, 0, len(nodes))
	for _, n := range nodes {
		s.Steps = append(s.Steps, n.snapshot())
	}
	r := p.run
	known := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		known[n.name] = true
	}
	if r != nil {
		s.Running, s.Draining = !r.done, r.draining
	}
	p.mu.Unlock()
	if r != nil {
		stages := r.stages.Snapshot(ctx)
		// The stages of a branch that was removed are no step's.
		s.Stages = slices.DeleteFunc(stages.Stages, func(at stage.Snapshot) bool { return !known[at.Name] })
		s.Edges = stages.Edges
	}
	return s
}

// snapshot returns the state of a step. The caller holds Pipeline.mu.
func (n *node) snapshot() StepSnapshot {
	s := StepSnapshot{Name: n.name, Kind: n.kind, State: n.state.String(), Inputs: make([]string, 0, len(n.ins)), Paused: n.paused, Restarts: n.restarts}
	if n.lastErr != nil {
		s.Error = n.lastErr.Error()
	}
	for _, e := range n.ins {
		s.Inputs = append(s.Inputs, e.up.name)
	}
	return s
}
