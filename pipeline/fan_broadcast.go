package pipeline

import (
	"fmt"
	"math"
	"slices"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// Overflow selects what happens in a branch that is behind, when its buffer is full.
type Overflow uint8

const (
	// Pause lets all branches wait for this one. Nothing is lost. It is the default.
	Pause Overflow = iota
	// DropOldest discards the oldest event in the branch's buffer.
	DropOldest
	// DropNewest discards new events for the branch.
	DropNewest
)

// BranchConfig configures [Branches.Branch]. The zero value is useful.
type BranchConfig struct {
	// Buffer is the number of events by which the branch may be behind the others, 1 or
	// more. Default: 1000.
	Buffer int
	// Overflow selects what happens when it is. Default: Pause.
	Overflow Overflow
}

// DefaultBranchBuffer is the default of BranchConfig.Buffer.
const DefaultBranchBuffer = 1000

// validate returns the error for the first refused option, or nil.
func (c BranchConfig) validate(owner option.Owner) error {
	return option.First(
		option.Within(owner, "Buffer", c.Buffer, 0, math.MaxInt32),
		owner.Check(c.Overflow <= DropNewest, "Overflow", c.Overflow, "Pause, DropOldest or DropNewest"),
	)
}

// Branches gives every event of a flow to each of several branches. Its source has one
// receipt for the event, when all branches have. Make one with [Broadcast].
type Branches[T any] struct {
	p    *Pipeline // nil without a flow
	s    *scope    // that of the flow
	name string
	n    *node // the step that hands the events out
	out  *outlet[T]
}

// Broadcast makes a flow one that several branches take. At least one must be there
// when the pipeline is run.
func Broadcast[T any](from *Flow[T]) *Branches[T] {
	const kind = "broadcast"
	if !from.valid() {
		nowhere[T](kind)
		return &Branches[T]{}
	}
	b := &Branches[T]{p: from.s.p, s: from.s, name: from.s.label(kind)}
	b.n, b.out = hand(from, kind, b.name, func() (dispatcher.Dispatcher[T], error) { return dispatcher.NewBroadcast[T](), nil })
	b.n.fan = copies
	from.s.broadcasts = append(from.s.broadcasts, broadcast{b.name, b.n})
	return b
}

// broadcast is one that must have a branch.
type broadcast struct {
	name string
	n    *node
}

// Branch adds a branch before the pipeline is run; [Branches.Add] does while it runs. The
// name is that of a step: no other may have it. "" makes one, such as "branch-4".
func (b *Branches[T]) Branch(name string, cfg BranchConfig) *Flow[T] {
	if b.p == nil {
		return &Flow[T]{}
	}
	return b.branch(b.s, name, cfg)
}

// branch adds the first step of a branch, which has the branch's buffer. It is a stage of
// its own so that a step after it that dies gets its events again from there: the other
// branches have handled theirs.
func (b *Branches[T]) branch(s *scope, name string, cfg BranchConfig) *Flow[T] {
	root := &Flow[T]{s: s, ports: []port[T]{{n: b.n, out: b.out}}, use: &use{}}
	option.Default(&cfg.Buffer, DefaultBranchBuffer)
	sp := spec{kind: "branch", name: name, restart: Restart{MaxRestarts: NoRestart}, check: cfg.validate}
	if cfg.Overflow == Pause {
		// It does not handle events without demand, and so holds what it has asked for.
		sp.subscribe = stage.SubscribeConfig{MaxDemand: max(cfg.Buffer, 1)}
	}
	f := transform(root, sp, func(*node) (stage.ProducerConsumer[T, T], error) { return pass[T](), nil })
	// Others have handled their copies of its events, so that it cannot have them again.
	f.ports[0].n.once = true
	switch out := f.ports[0].out; cfg.Overflow {
	case DropOldest:
		out.cfg = stage.ProducerConfig[T]{Keep: stage.KeepLast, BufferSize: cfg.Buffer, Eager: true}
	case DropNewest:
		out.cfg = stage.ProducerConfig[T]{Keep: stage.KeepFirst, BufferSize: cfg.Buffer, Eager: true}
	}
	return f
}

// Add adds a branch while the pipeline runs. build gets the branch's flow and adds the steps
// that follow; then they are started. If one of them is wrong nothing is started, and the
// error is returned. When Add returns the branch is subscribed, and gets all events that the
// broadcast hands out from then on. Add waits for the HandleStart of the branch's steps, and
// so must not be called by them. Before the pipeline is run Add is as Branch.
func (b *Branches[T]) Add(name string, cfg BranchConfig, build func(branch *Flow[T])) error {
	if b.p == nil {
		return option.Owner("pipeline.Branches").Refuse("flow", nil, "a flow of a step")
	}
	if build == nil {
		return stepOwner(b.name).Refuse("build", nil, "a function")
	}
	b.p.mu.Lock()
	r, early := b.p.run, !b.s.shut
	b.p.unlock()
	if early {
		build(b.branch(b.s, name, cfg))
		return b.s.err()
	}
	if r == nil {
		return ErrStopped
	}
	s := &scope{p: b.p}
	build(b.branch(s, name, cfg))
	return r.admit(s)
}

// Remove ends a branch in good order, with all steps that only it feeds, and returns at
// once. What the branch has received is finished. The last branch cannot be removed, since
// the pipeline would wait for another one without a word. For a branch that has ended
// already, or is ending, and before the pipeline is run, Remove returns ErrStopped.
func (b *Branches[T]) Remove(name string) error {
	if b.p == nil {
		return option.Owner("pipeline.Branches").Refuse("flow", nil, "a flow of a step")
	}
	b.p.mu.Lock()
	defer b.p.unlock()
	e, live := b.edge(name)
	switch {
	case b.p.run == nil || e == nil && b.ended(name):
		return fmt.Errorf("pipeline step %q: remove %q: %w", b.name, name, ErrStopped)
	case e == nil:
		return stepOwner(b.name).Refuse("Remove", name, "the name of a branch")
	case live == 1:
		return stepOwner(b.name).Refuse("Remove", name, "a branch that is not the last one")
	}
	e.end()
	return nil
}

// ended reports whether a branch of this name was there and has ended, or is ending. The
// caller holds Pipeline.mu.
func (b *Branches[T]) ended(name string) bool {
	return slices.ContainsFunc(b.n.outs, func(e *edge) bool { return e.down.name == name && (e.cut || e.down.state == lifeOver) })
}

// edge returns the subscription of a branch, nil if there is none of that name, and how
// many branches there are. The caller holds Pipeline.mu.
func (b *Branches[T]) edge(name string) (found *edge, live int) {
	for _, e := range b.n.outs {
		if e.cut || e.down.state == lifeOver {
			continue
		}
		live++
		if e.down.name == name {
			found = e
		}
	}
	return found, live
}
