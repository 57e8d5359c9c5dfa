package dashboard

import (
	"bytes"
	"reflect"
	"strconv"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// The lists of a pipeline. What subscriptions say on both sides is in the edges.
var (
	stepPlan  = planOf[pipeline.StepSnapshot]()
	stagePlan = planOf[stage.Snapshot]("subscriptions")
	edgePlan  = planOf[stage.Edge]()
	offerPlan = planOf[offer]()
	headPlan  = planOf[pipeline.Snapshot]("steps", "stages", "edges")
)

// ofBusy are the fields that are known of a stage whose handler is running.
var ofBusy = map[string]bool{"name": true, "kind": true, "phase": true, "busy": true}

// graph is what a part with stages has shown.
type graph struct {
	head               []byte // the fields beside the lists, each with a comma behind it
	steps, nodes, arcs table
	withSteps          bool
}

func newGraph(items, list int) graph {
	return graph{
		steps: newTable(stepPlan, items, list), nodes: newTable(stagePlan, items, list), arcs: newTable(edgePlan, items, list),
	}
}

// pipeline notes a snapshot, appends what has changed as an object, and reports whether
// anything has.
func (g *graph) pipeline(b []byte, s *pipeline.Snapshot) ([]byte, bool) {
	g.withSteps = true
	v := reflect.ValueOf(s).Elem()
	var head []byte
	for i := range headPlan.fields {
		f := &headPlan.fields[i]
		head = append(head, f.label...)
		head = append(f.value(head, v, g.nodes.limit), ',')
	}
	moved := !bytes.Equal(head, g.head)
	g.head = head
	b = append(append(b, '{'), head...)
	b, changed := list(b, &g.steps, "steps", s.Steps)
	b, more := g.both(append(b, ','), s.Stages, s.Edges)
	return b, moved || changed || more
}

// stages is like pipeline.
func (g *graph) stages(b []byte, s *stage.PipelineSnapshot) ([]byte, bool) {
	return g.both(append(b, '{'), s.Stages, s.Edges)
}

// controlled is like pipeline.
func (g *graph) controlled(b []byte, s *controlled) ([]byte, bool) {
	if !g.withSteps {
		g.withSteps, g.steps.plan = true, offerPlan
	}
	b, changed := list(append(b, '{'), &g.steps, "steps", s.Steps)
	b, more := g.both(append(b, ','), s.Stages, s.Edges)
	return b, changed || more
}

// both appends stages and edges, and the end of the object.
func (g *graph) both(b []byte, stages []stage.Snapshot, edges []stage.Edge) ([]byte, bool) {
	b, changed := list(b, &g.nodes, "stages", stages)
	b, more := list(append(b, ','), &g.arcs, "edges", edges)
	for _, t := range []struct {
		name string
		*table
	}{{"gone", &g.nodes}, {"gone_steps", &g.steps}, {"gone_edges", &g.arcs}} {
		if len(t.gone) > 0 {
			more = true
			b = append(append(append(b, `,"`...), t.name...), `":[`...)
			b = append(append(b, t.gone...), ']')
		}
	}
	return append(b, '}'), changed || more
}

// list appends the rows of a table that have changed, as a field.
func list[T any](b []byte, t *table, name string, items []T) ([]byte, bool) {
	left := t.left
	t.begin()
	b = append(append(append(b, '"'), name...), `":[`...)
	start := len(b)
	all := reflect.ValueOf(items)
	for i := range items {
		var known map[string]bool
		if s, ok := any(&items[i]).(*stage.Snapshot); ok && s.Busy {
			known = ofBusy
		}
		b = t.put(b, start, all.Index(i), known)
	}
	t.end()
	changed := len(b) > start
	b = append(b, ']')
	if t.left > 0 || left > 0 {
		b = t.leftOut(b, name)
	}
	return b, changed || t.left != left
}

// leftOut appends how many rows were too many.
func (t *table) leftOut(b []byte, name string) []byte {
	b = append(append(append(b, `,"`...), name...), `_left":`...)
	return strconv.AppendInt(b, int64(t.left), 10)
}

// whole appends all that is known.
func (g *graph) whole(b []byte) []byte {
	b = append(append(b, '{'), g.head...)
	start := len(b)
	for _, t := range []struct {
		name string
		*table
	}{{"steps", &g.steps}, {"stages", &g.nodes}, {"edges", &g.arcs}} {
		if t.name == "steps" && !g.withSteps {
			continue
		}
		b = append(append(append(comma(b, start), '"'), t.name...), `":[`...)
		b = append(t.whole(b), ']')
		if t.left > 0 {
			b = t.leftOut(b, t.name)
		}
	}
	return append(b, '}')
}
