package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// modelFlow is a flow and where its steps in the model are.
type modelFlow struct {
	flow  *pipeline.Flow[item]
	tails []func(next *modelNode)
	order byte   // as in modelNode
	mark  string // what the next step appends to the paths: it is one of several branches
}

func (f modelFlow) then(n *modelNode) modelFlow {
	for _, link := range f.tails {
		link(n)
	}
	return modelFlow{tails: []func(*modelNode){n.link}, order: f.order}
}

func (n *modelNode) link(next *modelNode) { n.next = append(n.next, next) }

// builder makes a random graph. It is the same for one seed.
type builder struct {
	r    *modelRun
	rng  *rand.Rand
	left int  // steps
	late bool // in a branch that is added later
}

func (b *builder) one(in int) bool { return b.rng.IntN(in) == 0 }

func (b *builder) node(kind string, from modelFlow) *modelNode {
	b.left--
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.r.places++
	n := &modelNode{name: fmt.Sprint(kind, b.r.places), kind: kind, mark: from.mark, attempts: 1, calm: b.r.calm, order: from.order}
	b.r.nodes = append(b.r.nodes, n)
	return n
}

// step returns a random config, and what it does to the order.
func (b *builder) step(n *modelNode, from *modelFlow) pipeline.StepConfig[item] {
	// The pipeline itself has no sink: events over which a step dies again come back then.
	c := pipeline.StepConfig[item]{Name: n.name, Restart: b.restart(), DeadLetters: b.r}
	if b.one(2) {
		c.Workers = 1 + b.rng.IntN(16)
	}
	if b.one(2) {
		c.Window = max(c.Workers, 1) + b.rng.IntN(20)
		c.MaxHeld = 1 + b.rng.IntN(30)
	}
	switch b.rng.IntN(4) {
	case 0:
		c.Unordered = true
		from.order = 0
	case 1:
		c.Key = func(v item) string { return strconv.Itoa(v.Key) }
		if b.one(3) {
			c.KeyRate = pipeline.Rate{PerSecond: float64(5 + b.rng.IntN(100)), Burst: 1 + b.rng.IntN(5)}
		}
		if from.order == 't' {
			from.order = 'k'
		}
	}
	if b.one(4) {
		c.Rate = pipeline.Rate{PerSecond: float64(20 + b.rng.IntN(1000)), Burst: 1 + b.rng.IntN(20)}
	}
	if b.one(4) {
		c.Timeout, n.timeout = 2*time.Second, true
	}
	n.attempts = 1 + b.rng.IntN(4)
	c.Retry = retry.Policy{MaxAttempts: n.attempts, Backoff: time.Duration(1 + b.rng.IntN(int(100*time.Millisecond)))}
	if b.one(20) && !b.late {
		c.OnFailure = pipeline.StopOnFailure
		n.strict, b.r.strict = true, true
	}
	if b.one(4) {
		n.skips = true
		c.Use = append(c.Use, func(ctx context.Context, v item, next func(context.Context) error) error {
			if n.skipped(v) {
				b.r.moved()
				return nil
			}
			return next(ctx)
		})
	}
	n.note = fmt.Sprintf("{w%d win%d held%d un%v key%v rate%v krate%v to%v a%d strict%v}", c.Workers, c.Window, c.MaxHeld, c.Unordered, c.Key != nil, c.Rate.PerSecond, c.KeyRate.PerSecond, c.Timeout, n.attempts, n.strict)
	return c
}

func (b *builder) restart() pipeline.Restart {
	r := b.r.restart
	r.Below = b.one(5)
	return r
}

// grow adds steps to a flow up to its ends.
func (b *builder) grow(f modelFlow) {
	for b.left > 0 {
		if f.mark != "" { // no other kinds mark their events
			f = b.transform(f)
			continue
		}
		switch b.rng.IntN(14) {
		case 12:
			f = b.reduce(f)
		case 13:
			f = b.mapBatch(f)
		case 0, 1, 2, 3, 4, 5:
			f = b.transform(f)
		case 6:
			f = b.through(f)
		case 7:
			f = b.batch(f)
		case 8:
			f.flow = pipeline.Fair(f.flow, func(v item) int { return v.Key }, fair.Config[item]{})
			if f.order == 't' {
				f.order = 'k'
			}
			b.r.say("fair")
		case 9, 10:
			parts := b.part(f)
			if b.one(2) {
				f = b.merge(parts)
				continue
			}
			b.growAll(parts)
			return
		case 11:
			parts := b.broadcast(f)
			if b.one(4) && len(parts) > 1 {
				f = b.merge(parts)
				continue
			}
			b.growAll(parts)
			return
		}
	}
	b.end(f)
}

func (b *builder) growAll(parts []modelFlow) {
	left := b.left
	for i, part := range parts {
		b.r.say(fmt.Sprintf("[%d:", i))
		b.left = left/len(parts) + b.rng.IntN(2)
		b.grow(part)
		b.r.say("]")
	}
}

func (b *builder) merge(parts []modelFlow) modelFlow {
	var flows []*pipeline.Flow[item]
	f := modelFlow{}
	for i, part := range parts {
		if part.mark != "" || b.one(2) {
			b.r.say(fmt.Sprintf("[%d:", i))
			part = b.transform(part)
			b.r.say("]")
		}
		flows, f.tails = append(flows, part.flow), append(f.tails, part.tails...)
	}
	b.r.say("merge")
	f.flow = pipeline.Merge(flows...)
	return f
}

func (b *builder) transform(f modelFlow) modelFlow {
	kind := []string{"map", "map", "filter", "flatmap"}[b.rng.IntN(4)]
	if f.mark != "" && kind == "filter" {
		kind = "map"
	}
	n := b.node(kind, f)
	out := f.then(n)
	cfg := b.step(n, &out)
	switch kind {
	case "map":
		out.flow = pipeline.Map(f.flow, func(ctx context.Context, v item) (item, error) {
			list, err := b.r.attempt(ctx, n, v)
			return append(list, item{})[0], err
		}, cfg)
	case "filter":
		out.flow = pipeline.Filter(f.flow, func(ctx context.Context, v item) (bool, error) {
			list, err := b.r.attempt(ctx, n, v)
			return len(list) > 0, err
		}, cfg)
	default:
		out.flow = pipeline.FlatMap(f.flow, func(ctx context.Context, v item, emit func(item)) error {
			list, err := b.r.attempt(ctx, n, v)
			for _, v := range list {
				emit(v)
			}
			return err
		}, cfg)
	}
	b.r.say(n.name + n.note)
	return out
}

// through is a stage that can be made to fail.
func (b *builder) through(f modelFlow) modelFlow {
	n := b.node("through", f)
	n.calm = true
	out := f.then(n)
	b.r.mayCrash(n)
	out.flow = pipeline.Through(f.flow, func() (stage.ProducerConsumer[item, item], error) {
		return stage.ProducerConsumerFunc[item, item](func(_ context.Context, events []item, emit *stage.Emitter[item]) error {
			for i, v := range events {
				b.r.moved()
				if err := b.r.crashes(n); err != nil {
					return err
				}
				emit.From(i)
				emit.Emit(v)
			}
			return nil
		}), nil
	}, pipeline.StageConfig{Name: n.name, MaxDemand: []int{0, 1 + b.rng.IntN(20)}[b.rng.IntN(2)], Restart: b.restart()})
	b.r.say(n.name)
	return out
}

// batch gathers events and takes the batches apart again.
func (b *builder) batch(f modelFlow) modelFlow {
	n := b.node("batch", f)
	n.calm = true
	out := f.then(n)
	c := pipeline.BatchConfig[item]{Name: n.name, Size: 1 + b.rng.IntN(20), Restart: b.restart()}
	c.Timeout = []time.Duration{0, pipeline.NoTimeout, time.Duration(1 + b.rng.IntN(int(100*time.Millisecond)))}[b.rng.IntN(3)]
	if b.one(3) {
		c.Key = func(v item) string { return strconv.Itoa(v.Key) }
		if out.order == 't' {
			out.order = 'k'
		}
	}
	if b.one(3) {
		c.Window = 1 + b.rng.IntN(30)
	}
	b.r.say(fmt.Sprintf("%s{%d %v win%d key%v}", n.name, c.Size, c.Timeout, c.Window, c.Key != nil))
	out.flow = pipeline.FlatMap(pipeline.Batch(f.flow, c), func(_ context.Context, list []item, emit func(item)) error {
		b.r.moved()
		for _, v := range list {
			emit(v)
		}
		return nil
	}, pipeline.StepConfig[[]item]{Name: n.name + "-apart", Restart: b.restart(), DeadLetters: b.r, Workers: 1 + b.rng.IntN(2)})
	return out
}

// part shares a flow between several.
func (b *builder) part(f modelFlow) []modelFlow {
	n := b.node("part", f)
	n.calm = true
	f.then(n)
	wide := 1 + b.rng.IntN(3)
	parts := make([]modelFlow, wide)
	byKey := b.one(2)
	n.split = func(v item) int {
		if byKey {
			return v.Key % wide
		}
		return int(v.hash("part"+n.name) % uint64(wide))
	}
	var flows []*pipeline.Flow[item]
	if b.one(2) {
		flows = pipeline.Partition(f.flow, wide, func(v item) uint64 { return uint64(n.split(v)) })
	} else {
		nowhere := b.one(2)
		inner := n.split
		n.split = func(v item) int {
			if nowhere && v.hash("nowhere")%30 == 0 {
				return wide
			}
			return inner(v)
		}
		names := []string{"a", "b", "c"}[:wide]
		routes := pipeline.Route(f.flow, names, func(v item) string { return "abcd"[n.split(v) : n.split(v)+1] })
		for _, name := range names {
			flows = append(flows, routes.Flow(name))
		}
	}
	for i := range parts {
		parts[i] = modelFlow{flow: flows[i], tails: []func(*modelNode){func(next *modelNode) { n.next[i] = next }}, order: f.order}
	}
	n.next = make([]*modelNode, wide)
	b.r.say(fmt.Sprintf("%s{%d key%v}", n.name, wide, byKey))
	return parts
}

// broadcast gives a flow to several branches.
func (b *builder) broadcast(f modelFlow) []modelFlow {
	n := b.node("broadcast", f)
	n.calm, n.copies = true, true
	f.then(n)
	br := pipeline.Broadcast(f.flow)
	m := &modelBranches{of: br, n: n}
	parts := make([]modelFlow, 1+b.rng.IntN(3))
	for i := range parts {
		parts[i] = b.branch(m, i, f.order, func(name string, cfg pipeline.BranchConfig) *pipeline.Flow[item] { return br.Branch(name, cfg) })
	}
	if !b.late {
		b.r.branches = append(b.r.branches, m)
	}
	return parts
}

func (b *builder) branch(m *modelBranches, i int, order byte, add func(string, pipeline.BranchConfig) *pipeline.Flow[item]) modelFlow {
	cfg := b.branchConfig()
	n := b.node("pass", modelFlow{order: order})
	n.calm = true
	if cfg.Overflow != pipeline.Pause {
		n.optional, n.kind = true, "drop"
	}
	m.n.link(n)
	m.names, m.of1 = append(m.names, n.name), append(m.of1, n)
	b.r.say(fmt.Sprintf("%s{buf%d over%d}", n.name, cfg.Buffer, cfg.Overflow))
	return modelFlow{flow: add(n.name, cfg), tails: []func(*modelNode){n.link}, order: order, mark: string(rune('A' + i))}
}

func (b *builder) branchConfig() pipeline.BranchConfig {
	cfg := pipeline.BranchConfig{Buffer: []int{0, 1 + b.rng.IntN(20)}[b.rng.IntN(2)]}
	if b.one(4) {
		cfg.Overflow = pipeline.Overflow(1 + b.rng.IntN(2))
	}
	return cfg
}

// modelBranches are the branches of a broadcast.
type modelBranches struct {
	of    *pipeline.Branches[item]
	n     *modelNode
	names []string
	of1   []*modelNode // the branches, by the same places
}

// end adds an end.
func (b *builder) end(f modelFlow) {
	switch b.rng.IntN(5) {
	case 4:
		b.eachBatch(f)
	case 0, 1:
		n := b.node("each", f)
		f.then(n)
		cfg := b.step(n, &f)
		n.order = 0
		if cfg.Key != nil && f.order == 'k' {
			n.order = 'k'
		}
		b.r.say(n.name + n.note)
		pipeline.Each(f.flow, func(ctx context.Context, v item) error {
			list, err := b.r.attempt(ctx, n, v)
			if err == nil {
				for _, v := range list {
					b.r.handled(n, v)
				}
			}
			return err
		}, cfg)
	case 2:
		n := b.node("to", f)
		n.calm = true
		f.then(n)
		b.r.mayCrash(n)
		b.r.say(n.name)
		pipeline.To(f.flow, func() (stage.Consumer[item], error) {
			return stage.ConsumerFunc[item](func(_ context.Context, events []item) error {
				for _, v := range events {
					b.r.moved()
					if err := b.r.crashes(n); err != nil {
						return err
					}
					for _, v := range n.made(v) {
						b.r.handled(n, v)
					}
				}
				return nil
			}), nil
		}, pipeline.StageConfig{Name: n.name, Restart: b.restart(), MaxDemand: []int{0, 1 + b.rng.IntN(20)}[b.rng.IntN(2)]})
	default:
		n := b.node("pool", f)
		n.order, n.attempts = 0, 1+b.rng.IntN(3)
		f.then(n)
		b.r.say(n.name)
		workers := b.rng.IntN(10)
		pipeline.To(f.flow, func() (stage.Consumer[item], error) {
			return consumer.NewSupervisor(func(ctx context.Context, v item) error {
				list, err := b.r.attempt(ctx, n, v)
				if err == nil {
					for _, v := range list {
						b.r.handled(n, v)
					}
				}
				return err
			}, consumer.SupervisorConfig[item]{
				MaxDemand: workers, Logger: b.r.logger, Retry: retry.Policy{MaxAttempts: n.attempts, Backoff: 20 * time.Millisecond},
			})
		}, pipeline.StageConfig{Name: n.name, Restart: b.restart()})
	}
}

var (
	errModel      = errors.New("failure of the model")
	errModelCrash = errors.New("crash of the model")
)
