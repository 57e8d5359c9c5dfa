package pipeline_test

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// look takes a snapshot and checks what must be true of one at any moment.
func (r *modelRun) look(end bool) {
	s := r.p.Snapshot(context.Background())
	states := map[string]string{}
	for _, step := range s.Steps {
		states[step.Name] = step.State
		if end && step.State != "stopped" {
			r.fault("%s is %s after the end", step.Name, step.State)
		}
	}
	if end && (s.Running || len(s.Stages) == 0) {
		r.fault("running %v after the end, %d stages", s.Running, len(s.Stages))
	}
	for _, at := range s.Stages {
		if at.Busy {
			r.fault("%s is busy", at.Name)
			continue
		}
		lost := int64(0)
		for _, n := range at.Discarded {
			lost += n
		}
		if at.Kind != stage.KindConsumer && at.Emitted != at.Delivered+int64(at.Buffered)+lost {
			r.fault("%s has emitted %d, delivered %d, buffers %d, discarded %v", at.Name, at.Emitted, at.Delivered, at.Buffered, at.Discarded)
		}
		if states[at.Name] == "" {
			r.fault("%s is the stage of no step", at.Name)
		}
		if w, ok := at.Handler.(pipeline.WorkSnapshot); ok {
			if w.Busy < 0 || w.Waiting < 0 || w.Pausing < 0 || w.Held < 0 || w.Unfinished < w.Busy || w.Oldest < 0 || w.Workers < 1 {
				r.fault("%s: %+v", at.Name, w)
			}
		}
	}
}

// audit compares the last snapshot with what the model has counted, after an orderly end.
// The caller holds the lock.
func (r *modelRun) audit() {
	s := r.p.Snapshot(context.Background())
	stages := map[string]stage.Snapshot{}
	for _, at := range s.Stages {
		stages[at.Name] = at
		if w, ok := at.Handler.(pipeline.WorkSnapshot); ok && w.Busy+w.Waiting+w.Pausing+w.Held+w.Unfinished+w.Done+w.DeadLetters > 0 {
			r.fault("%s has ended with %+v", at.Name, w)
		}
		if at.Buffered > 0 || at.Queued > 0 || at.Unhandled > 0 {
			r.fault("%s has ended with %d buffered, %d queued, %d unhandled", at.Name, at.Buffered, at.Queued, at.Unhandled)
		}
	}
	for _, source := range r.sources {
		if at, ok := stages[source.node.name]; ok && at.Emitted != int64(source.life) {
			r.fault("%s has emitted %d, and the snapshot says %d", source.node.name, source.life, at.Emitted)
		}
	}
	if len(r.crashed) > 0 {
		return // the figures of a stage that died are gone
	}
	// As many events have come as were delivered, where all come from one step and go to one.
	feeds := map[string]int{}
	for _, step := range s.Steps {
		for _, from := range step.Inputs {
			feeds[from]++
		}
	}
	for _, step := range s.Steps {
		if len(step.Inputs) != 1 || feeds[step.Inputs[0]] != 1 || r.lossy || r.thinned {
			continue
		}
		up, down := stages[step.Inputs[0]], stages[step.Name]
		if up.Deliveries != down.Handled+up.Abandoned {
			r.fault("%s has delivered %d events, %d of them in vain, and %s has had %d", up.Name, up.Deliveries, up.Abandoned, down.Name, down.Handled)
		}
	}
	byNode := map[string]*modelNode{}
	for _, n := range r.nodes {
		byNode[n.name] = n
	}
	for _, name := range slices.Sorted(maps.Keys(stages)) {
		n, at := byNode[name], stages[name]
		w, ok := at.Handler.(pipeline.WorkSnapshot)
		if n == nil || !ok || n.kind == "batch" {
			continue
		}
		retries, letters := 0, 0
		for label, tries := range r.tries {
			if stepOf(label) == name {
				retries += tries - 1
			}
		}
		for label, some := range r.letters {
			if stepOf(label) == name {
				letters += some
			}
		}
		if !n.even && w.Retries != int64(retries) {
			r.fault("%s has %d retries, and the snapshot says %d", name, retries, w.Retries)
		}
		if w.Failures != int64(letters) {
			r.fault("%s has %d letters, and %d failures in the snapshot", name, letters, w.Failures)
		}
	}
}

// stepOf returns the name of the step in a label.
func stepOf(label string) string {
	name, _, _ := strings.Cut(label, " ")
	return name
}
