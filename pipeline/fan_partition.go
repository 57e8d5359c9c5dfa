package pipeline

import (
	"log/slog"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
)

// Partition makes n flows: an event goes to the flow number hash(event) modulo n, always
// the same for one key. Steps below can so have a state of their own for their keys. When
// such a step is made anew the events of its partition wait for it. An event for which
// hash panics is discarded, counted and logged.
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
	sorted := &sorter[T]{name: name, log: from.s.p.cfg.Logger, sort: func(event T) (int, bool) { return int(hash(event) % uint64(n)), true }}
	step, out := hand(from, kind, name, func() (dispatcher.Dispatcher[T], error) {
		return dispatcher.NewPartition(n, sorted.partition, dispatcher.PartitionConfig{})
	})
	step.fan = splits
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
// returns. An event for which it returns another name, or panics, is discarded, counted and
// logged.
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
	sorted := &sorter[T]{name: r.name, log: from.s.p.cfg.Logger, sort: func(event T) (int, bool) {
		i, known := places[route(event)]
		return i, known
	}}
	step, out := hand(from, kind, r.name, func() (dispatcher.Dispatcher[T], error) {
		return dispatcher.NewPartition(len(names), sorted.partition, dispatcher.PartitionConfig{})
	})
	step.fan = splits
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

// sorter assigns events to partitions by a function of the program. It belongs to the
// goroutine of the stage, one stage after the other. The stage counts and logs what it
// discards.
type sorter[T any] struct {
	name   string
	log    *slog.Logger
	sort   func(event T) (int, bool)
	panics complain.Limit
}

// partition returns the event's partition, or false if the function has none for it: a
// panic would stop the stage over one bad event.
func (s *sorter[T]) partition(event T) (partition int, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			ok = false
			s.panics.Log(s.log, slog.LevelError, "the function of a partition panicked: the event is discarded", "step", s.name, "error", crash.Of(p))
		}
	}()
	return s.sort(event)
}
