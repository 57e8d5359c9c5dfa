package stage

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// PipelineSnapshot is the state of a pipeline at about one moment: each stage is
// looked at between two of its handlers, so that numbers of different stages may
// differ by what happened meanwhile.
type PipelineSnapshot struct {
	// Stages are all stages, in the order in which they were given and added; see
	// [Pipeline.Add] for those that have ended.
	Stages []Snapshot `json:"stages"`
	// Edges are the subscriptions of the stages, to each other and to stages
	// outside of the pipeline, ordered by producer, then by age.
	Edges []Edge `json:"edges"`
}

// Edge is a subscription.
type Edge struct {
	// ID is that of the [SubscriptionSnapshot] of its two ends.
	ID       uint64 `json:"id"`
	Producer string `json:"producer"`
	Consumer string `json:"consumer"`
	// Demand is what the consumer has asked for and the producer has not delivered.
	Demand int `json:"demand"`
	// InFlight is what was delivered and has not been handled.
	InFlight  int `json:"in_flight"`
	MaxDemand int `json:"max_demand"`
	MinDemand int `json:"min_demand"`
	// Paused is as in [SubscriptionSnapshot].
	Paused bool `json:"paused,omitempty"`
}

// Snapshot returns what the stages are doing. It waits for running handlers until
// ctx is done or Run has returned; a stage that does not reply by then is marked as
// Busy.
func (p *Pipeline) Snapshot(ctx context.Context) PipelineSnapshot {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.over, cancel)()
	members := p.list()
	s := PipelineSnapshot{Stages: make([]Snapshot, len(members)), Edges: []Edge{}}
	var all sync.WaitGroup
	for i, stage := range members {
		all.Go(func() {
			snap, err := stage.Snapshot(ctx)
			if err != nil {
				snap = stage.busy()
			}
			s.Stages[i] = snap
		})
	}
	all.Wait()
	s.Edges = append(s.Edges, edges(s.Stages)...)
	return s
}

// edges joins the two sides of each subscription, by its ID. A side is missing if its
// stage is busy or not part of the pipeline; the other one is used alone then.
func edges(stages []Snapshot) []Edge {
	producers := make(map[uint64]SubscriptionSnapshot)
	consumers := make(map[uint64]SubscriptionSnapshot)
	found := make(map[uint64]Edge)
	for _, s := range stages {
		for _, sub := range s.Subscriptions {
			e := Edge{ID: sub.ID, Producer: s.Name, Consumer: sub.Peer, MaxDemand: sub.MaxDemand, MinDemand: sub.MinDemand, Paused: sub.Paused}
			if sub.Upstream {
				e.Producer, e.Consumer = sub.Peer, s.Name
				consumers[sub.ID] = sub
			} else {
				producers[sub.ID] = sub
			}
			found[sub.ID] = e
		}
	}
	var all []Edge
	for id, e := range found {
		up, delivers := producers[id]
		down, handles := consumers[id]
		switch {
		case delivers && handles:
			// What the consumer awaits is either still to be delivered or in
			// flight.
			e.Demand, e.InFlight = up.Outstanding, max(up.InFlight, down.InFlight, down.Outstanding-up.Outstanding)
		case delivers:
			e.Demand, e.InFlight = up.Outstanding, up.InFlight
		default:
			e.Demand, e.InFlight = max(0, down.Outstanding-down.InFlight), down.InFlight
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Producer, b.Producer), cmp.Compare(a.ID, b.ID))
	})
	return all
}
