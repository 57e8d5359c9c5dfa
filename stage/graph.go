package stage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrCycle refuses to run or subscribe stages of which one is subscribed to itself,
// directly or through others: no event could reach an end, and no drain could.
var ErrCycle = errors.New("stages are subscribed in a cycle")

// node is a stage in the graph of subscriptions, which exists before the stages are
// started. It may be used from any goroutine. No two nodes are locked at once.
type node struct {
	id      uint64
	name    string
	claimed atomic.Bool // by Start or by a pipeline
	fragile atomic.Bool // its pipeline ends when a stage fails
	handled atomic.Bool // its failure was handled by the program, and ends nothing

	// mu guards the fields below.
	mu    sync.Mutex
	up    map[*node]int // producers, with the number of subscriptions
	down  map[*node]int // consumers
	links int64         // subscriptions since the stage was made
}

// claim reports whether the caller is the one that may start the stage.
func (n *node) claim() bool { return n.claimed.CompareAndSwap(false, true) }

// unclaim lets another caller start a stage that was claimed and not started.
func (n *node) unclaim() { n.claimed.Store(false) }

// link notes a subscription of n to up.
func (n *node) link(up *node) {
	n.count(&n.up, up, 1)
	up.count(&up.down, n, 1)
}

// unlink notes the end of a subscription of n to up.
func (n *node) unlink(up *node) {
	n.count(&n.up, up, -1)
	up.count(&up.down, n, -1)
}

// count adds by to the number of subscriptions with other on one side of n.
func (n *node) count(side *map[*node]int, other *node, by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if *side == nil {
		*side = make(map[*node]int)
	}
	(*side)[other] += by
	if (*side)[other] == 0 {
		delete(*side, other)
	}
	// links never goes down: it tells a stage that was never subscribed from one that has
	// lost its subscriptions.
	if by > 0 {
		n.links++
	}
}

// peers returns the nodes on one side, ordered by the age of their stages, and
// whether the stage has ever had a subscription.
func (n *node) peers(side *map[*node]int) (peers []*node, linked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for peer := range *side {
		peers = append(peers, peer)
	}
	slices.SortFunc(peers, func(a, b *node) int { return int(int64(a.id) - int64(b.id)) })
	return peers, n.links > 0
}

// cycle returns the names of the stages on a cycle that leads through n, upstream, with n
// at both ends; nil if there is none.
func (n *node) cycle() []string {
	seen := make(map[*node]bool)
	var walk func(at *node, path []string) []string
	walk = func(at *node, path []string) []string {
		path = append(path, at.name)
		ups, _ := at.peers(&at.up)
		for _, up := range ups {
			if up == n {
				return append(path, n.name)
			}
			if seen[up] {
				continue
			}
			seen[up] = true
			if found := walk(up, path); found != nil {
				return found
			}
		}
		return nil
	}
	return walk(n, nil)
}

// checkCycle returns an error that wraps ErrCycle if n is on a cycle.
func (n *node) checkCycle() error {
	if path := n.cycle(); path != nil {
		return fmt.Errorf("%w: %s", ErrCycle, strings.Join(path, " to "))
	}
	return nil
}

// checkGraph refuses stages that are subscribed in a cycle, and warns of parts that were
// probably forgotten. It looks at those members that are about to be started. A stage may
// be subscribed, and a stage outside of the pipeline started, after Run: those are no
// errors.
func (p *Pipeline) checkGraph(starting []*member) error {
	log := p.cfg.Logger
	members := make(map[*node]bool)
	for _, s := range p.members {
		members[s.vertex()] = true
	}
	for _, s := range starting {
		n := s.vertex()
		if err := n.checkCycle(); err != nil {
			return err
		}
		ups, linked := n.peers(&n.up)
		if !linked {
			log.Warn("stage has no subscription", "stage", s.Name(), "kind", s.kind())
		} else if s.kind() == KindProducerConsumer && len(ups) == 0 {
			log.Warn("stage is subscribed to nothing", "stage", s.Name(), "kind", s.kind())
		}
		downs, _ := n.peers(&n.down)
		if s.kind() == KindProducerConsumer && linked && len(downs) == 0 {
			log.Warn("stage has no subscriber", "stage", s.Name(), "kind", s.kind())
		}
		for _, other := range append(ups, downs...) {
			if !members[other] && !other.claimed.Load() {
				log.Warn("stage is subscribed with one that is neither started nor part of the pipeline",
					"stage", s.Name(), "other", other.name)
			}
		}
	}
	return nil
}

// consumersFirst returns members in an order in which each comes after all of its consumers,
// and which is otherwise theirs. Started in that order, a producer knows all subscriptions
// before it emits, so that none of them misses an event. Stopped in the reverse order, no
// producer delivers to the others what a consumer that has stopped does not get any more.
func consumersFirst(members []*member) []*member {
	of := make(map[*node]*member, len(members))
	for _, m := range members {
		of[m.vertex()] = m
	}
	order := make([]*member, 0, len(members))
	seen := make(map[*node]bool)
	var visit func(n *node)
	visit = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		downs, _ := n.peers(&n.down)
		for _, down := range downs {
			visit(down)
		}
		// Other stages are walked through, since a path may lead back to the members.
		if m := of[n]; m != nil {
			order = append(order, m)
		}
	}
	for _, m := range members {
		visit(m.vertex())
	}
	return order
}
