package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/retry"
)

// Partition makes n flows: an event goes to the flow number hash(event) modulo n, always
// the same for one key. Steps below can so have a state of their own for their keys. When
// such a step is made anew the events of its partition wait for it. An event for which
// hash panics has failed, as in a step: it is counted, logged and stored as a dead letter if
// the pipeline has a sink. Its step has the name of the partition, such as "partition-2".
//
// hash must not call runtime.Goexit directly below a source other than [FromFunc], or a
// branch: that ends the pipeline with an error that names the source or the branch. Anywhere
// else the event alone fails.
func Partition[T any](from *Flow[T], n int, hash func(event T) uint64) []*Flow[T] {
	const kind = "partition"
	flows := make([]*Flow[T], max(n, 0))
	if !from.valid() {
		nowhere[T](kind)
		for i := range flows {
			flows[i] = &Flow[T]{}
		}
		return flows
	}
	name := from.s.label(kind)
	from.s.note(option.First(
		option.Within(stepOwner(name), "n", n, 1, 1<<20),
		stepOwner(name).Needs("hash", hash, "a function"),
	))
	sorted := &sorter[T]{nowhere: n, sort: func(event T) (int, error) { return int(hash(event) % uint64(n)), nil }, label: itoa}
	step, out := sorted.hand(from, kind, name)
	for i := range flows {
		flows[i] = part(from.s, step, out, name+"/"+itoa(i), i)
	}
	return flows
}

// Routes are the flows of [Route].
type Routes[T any] struct {
	s     *scope
	name  string
	flows map[string]*Flow[T]
}

// Route makes a flow for each name: an event goes to the flow of the name that route
// returns. An event for which it returns another name, or panics, has failed, as in a step:
// it is counted, logged and stored as a dead letter if the pipeline has a sink. Its step has
// the name of the route, such as "route-2". For runtime.Goexit in route see [Partition].
func Route[T any](from *Flow[T], names []string, route func(event T) string) *Routes[T] {
	const kind = "route"
	r := &Routes[T]{flows: make(map[string]*Flow[T])}
	if !from.valid() {
		nowhere[T](kind)
		return r
	}
	r.s, r.name = from.s, from.s.label(kind)
	places := make(map[string]int)
	for i, name := range names {
		if _, twice := places[name]; twice || name == "" {
			r.s.note(stepOwner(r.name).Refuse("names["+itoa(i)+"]", name, "a name that no other flow has"))
		}
		places[name] = i
	}
	r.s.note(option.First(
		stepOwner(r.name).Check(len(names) > 0, "names", names, "one name or more"),
		stepOwner(r.name).Needs("route", route, "a function"),
	))
	own := slices.Clone(names)
	sorted := &sorter[T]{nowhere: len(names), sort: func(event T) (int, error) {
		name := route(event)
		i, known := places[name]
		if !known {
			return 0, fmt.Errorf("there is no flow of the name %q", name)
		}
		return i, nil
	}, label: func(i int) string { return own[i] }}
	step, out := sorted.hand(from, kind, r.name)
	for name, i := range places {
		r.flows[name] = part(r.s, step, out, r.name+"/"+name, i)
	}
	return r
}

// Flow returns the flow of a name. A name that was not given to Route is an error of the
// pipeline.
func (r *Routes[T]) Flow(name string) *Flow[T] {
	if f, ok := r.flows[name]; ok {
		return f
	}
	if r.s == nil {
		return &Flow[T]{}
	}
	r.s.note(stepOwner(r.name).Refuse("Flow", name, "one of the names"))
	return &Flow[T]{s: r.s, use: &use{}}
}

// part returns the flow of one partition of a step.
func part[T any](s *scope, n *node, out *outlet[T], name string, partition int) *Flow[T] {
	return &Flow[T]{
		s: s, ports: []port[T]{{n: n, out: out, partition: partition}},
		use: s.open(stepOwner(name), `the events of "`+name+`"`),
	}
}

// sorter assigns events to partitions by a function of the program. Those for which it has
// none go to a partition more, whose step fails them: it counts, logs and stores them as any
// step does. It is called on the goroutine of the stage, one stage after the other.
type sorter[T any] struct {
	nowhere int // the partition of the events that have none
	sort    func(event T) (int, error)
	label   func(partition int) string // the name of a flow, for spans
	traces  routeTraces[T]
}

// hand gives the flow to the partitions, of which the caller makes the flows.
func (s *sorter[T]) hand(from *Flow[T], kind, name string) (step *node, out *outlet[T]) {
	step, out = hand(from, kind, name, func() (dispatcher.Dispatcher[T], error) {
		partition := s.partition
		if step.wary.Load() {
			partition = s.partitionApart
		}
		partition = s.traced(partition)
		return dispatcher.NewPartition(s.nowhere+1, partition, dispatcher.PartitionConfig{})
	})
	step.fan, step.sorts = splits, true
	s.traces.tracer, s.traces.step = from.s.p.cfg.Tracer, name
	Each(part(from.s, step, out, name, s.nowhere), s.fail, StepConfig[T]{Name: name, Retry: retry.Policy{MaxAttempts: 1}})
	from.s.p.mu.Lock()
	defer from.s.p.mu.Unlock()
	if made := from.s.p.names[name]; made != nil {
		made.spare, made.kind = true, kind
	}
	return step, out
}

// partition returns the event's partition: a panic would stop the stage over one event.
func (s *sorter[T]) partition(event T) (partition int, ok bool) {
	defer func() {
		if recover() != nil {
			partition, ok = s.nowhere, true // fail has the panic again
		}
	}()
	partition, err := s.sort(event)
	if err != nil {
		partition = s.nowhere
	}
	return partition, true
}

// partitionApart is partition on a goroutine of its own.
func (s *sorter[T]) partitionApart(event T) (partition int, ok bool) {
	if crash.Apart(func() { partition, _ = s.partition(event) }) != nil {
		partition = s.nowhere
	}
	return partition, true
}

// fail returns why an event has no partition. It is the function of a step, which catches a
// panic.
func (s *sorter[T]) fail(_ context.Context, event T) error {
	if _, err := s.sort(event); err != nil {
		return err
	}
	return errNowhere
}

// errUnrouted is the error of the span of an event that has no flow. Why is in the span of the
// step that fails it.
var errUnrouted = errors.New("the event has no flow")

// errNowhere fails an event for which the function of a partition has had no result once.
var errNowhere = errors.New("the function of the partition has failed before for this event")
