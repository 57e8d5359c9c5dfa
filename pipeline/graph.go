package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// node is a step in the graph: what stays of it when its stage is made anew. The fields
// up to outs do not change once the step runs.
type node struct {
	p       *Pipeline
	name    string
	kind    string // "map"
	restart Restart
	log     *slog.Logger
	// build makes the stage and everything in it. connect of an edge needs the stages of
	// both ends.
	build func() (made, error)
	ins   []*edge
	outs  []*edge
	fan   fan
	// writer stores its dead letters, nil for none. It belongs to make.
	writer *deadletter.Writer
	once   bool // its stage cannot be made anew: the handler exists once
	sorts  bool // its dispatcher calls a function of the program
	spare  bool // it fails what a partition above has no flow for, and keeps nothing going

	life // guarded by Pipeline.mu
}

// fan is how a step shares its events between those below it.
type fan uint8

const (
	single fan = iota // one step takes all of them
	splits            // each event goes to one of several steps, by what it is
	copies            // each event goes to all of several steps
)

// owner names the step in the errors of its options.
func (n *node) owner() option.Owner { return stepOwner(n.name) }

// edge is a subscription of one step to another, over the lives of their stages.
type edge struct {
	up, down *node
	// connect subscribes the stage of down to the one of up. It is called by one goroutine
	// at a time.
	connect func() (subscription, error)
	// sub is the subscription now, and cut reports that it was ended for good. Both are
	// guarded by Pipeline.mu.
	sub subscription
	cut bool
}

// subscription is a *stage.Subscription of any type.
type subscription interface {
	Cancel(reason error)
	Err() error
}

// scope is a set of steps that start together: those of the pipeline, or those of a
// branch that is added while it runs. It is guarded by Pipeline.mu.
type scope struct {
	p     *Pipeline
	nodes []*node
	uses  []*use
	errs  []error
	shut  bool // its steps were started, or refused
	// subscribed is closed when the first step of a branch that was added while the pipeline
	// runs has subscribed, or has ended. It is nil for others.
	subscribed chan struct{}

	broadcasts []broadcast
}

// use is the account of one flow: which step takes it.
type use struct {
	from  string // where it comes from, for errors: `the flow of "parse"`
	owner option.Owner
	taken string // the step that takes it
}

// spec describes a step that is being added.
type spec struct {
	kind, name string
	restart    Restart
	subscribe  stage.SubscribeConfig // MaxDemand and MinDemand
	// check returns the refused options, for the owner, which has the step's final name.
	check func(owner option.Owner) error
}

// add makes a node in the scope. The name is made from the kind and the place if it is
// "".
func (s *scope) add(sp spec) *node {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	n := &node{p: p, kind: sp.kind, name: sp.name, restart: sp.restart.or(p.cfg.Restart), log: p.cfg.Logger}
	p.places++
	duplicate := n.name != "" && p.names[n.name] != nil
	if n.name == "" {
		for at := p.places; n.name == "" || p.names[n.name] != nil; at++ {
			n.name = sp.kind + "-" + itoa(at)
		}
	}
	if duplicate {
		s.refuse(n.owner().Refuse("Name", n.name, "a name that no other step has"))
	} else {
		p.names[n.name] = n
	}
	if s.shut {
		s.refuse(fmt.Errorf("pipeline step %q: added: %w", n.name, ErrStarted))
		return n
	}
	if sp.check != nil {
		if err := sp.check(n.owner()); err != nil {
			s.refuse(err)
		}
	}
	s.nodes = append(s.nodes, n)
	return n
}

// refuse notes an error. The caller holds Pipeline.mu. One that comes too late to be
// returned by Run is logged.
func (s *scope) refuse(err error) {
	if s.shut {
		s.p.cfg.Logger.Error("a step of a running pipeline is wrong", "pipeline", s.p.cfg.Name, "error", err)
		s.p.main.errs = append(s.p.main.errs, err)
		return
	}
	s.errs = append(s.errs, err)
}

// open notes a flow that some step must take. The caller does not hold Pipeline.mu.
func (s *scope) open(owner option.Owner, from string) *use {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	u := &use{from: from, owner: owner}
	s.uses = append(s.uses, u)
	return u
}

// label returns the name of something that has no stage of its own, such as "fair-3".
func (s *scope) label(kind string) string {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.places++
	return kind + "-" + itoa(s.p.places)
}

// note is refuse for callers that do not hold Pipeline.mu. A nil err does nothing.
func (s *scope) note(err error) {
	if err == nil {
		return
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.refuse(err)
}

// err returns what is wrong with the scope so far. The caller does not hold Pipeline.mu.
func (s *scope) err() error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return errors.Join(s.errs...)
}

// take notes that something takes a flow. Each flow has one consumer.
func (s *scope) take(u *use, by string) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if u.taken != "" {
		s.refuse(stepOwner(by).Refuse("flow", u.from, fmt.Sprintf("a flow that no other step takes; %q takes it, and Broadcast gives it to several", u.taken)))
		return
	}
	u.taken = by
}

// check returns what is wrong with the scope as a whole, with what was refused before.
// The caller holds Pipeline.mu.
func (s *scope) check() []error {
	errs := slices.Clone(s.errs)
	for _, u := range s.uses {
		if u.taken == "" {
			errs = append(errs, u.owner.Refuse("flow", u.from, "a step that takes it, such as Each"))
		}
	}
	for _, b := range s.broadcasts {
		if len(b.n.outs) == 0 {
			errs = append(errs, stepOwner(b.name).Refuse("branches", "none", "one or more, by Branch"))
		}
	}
	return errs
}

func itoa(n int) string { return strconv.Itoa(n) }
