package stage

import (
	"cmp"
	"context"
	"slices"
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
	s := PipelineSnapshot{Stages: make([]Snapshot, len(members))}
	// All are asked before the first one is waited for. A goroutine for each would cost more
	// than what the stages themselves do.
	replies := make([]chan Snapshot, len(members))
	for i, stage := range members {
		s.Stages[i], replies[i] = stage.request()
	}
	for i, stage := range members {
		if replies[i] == nil {
			continue
		}
		var err error
		if s.Stages[i], err = stage.await(ctx, replies[i]); err != nil {
			s.Stages[i] = stage.busy()
		}
	}
	s.Edges = edges(s.Stages)
	return s
}

// edges joins the two sides of each subscription, by its ID. A side is missing if its
// stage is busy or not part of the pipeline; the other one is used alone then.
func edges(stages []Snapshot) []Edge {
	type side struct {
		stage string
		*SubscriptionSnapshot
	}
	n := 0
	for i := range stages {
		n += len(stages[i].Subscriptions)
	}
	sides := make([]side, 0, n)
	for i := range stages {
		for k := range stages[i].Subscriptions {
			sides = append(sides, side{stages[i].Name, &stages[i].Subscriptions[k]})
		}
	}
	slices.SortFunc(sides, func(a, b side) int { return cmp.Compare(a.ID, b.ID) })
	all := make([]Edge, 0, (n+1)/2)
	for len(sides) > 0 {
		first := sides[0]
		e := Edge{ID: first.ID, MaxDemand: first.MaxDemand, MinDemand: first.MinDemand, Paused: first.Paused}
		var up, down *SubscriptionSnapshot
		for len(sides) > 0 && sides[0].ID == e.ID {
			if s := sides[0]; s.Upstream {
				down, e.Producer, e.Consumer = s.SubscriptionSnapshot, s.Peer, s.stage
			} else {
				up, e.Producer, e.Consumer = s.SubscriptionSnapshot, s.stage, s.Peer
			}
			sides = sides[1:]
		}
		switch {
		case up != nil && down != nil:
			// What the consumer awaits is either still to be delivered or in
			// flight.
			e.Demand, e.InFlight = up.Outstanding, max(up.InFlight, down.InFlight, down.Outstanding-up.Outstanding)
		case up != nil:
			e.Demand, e.InFlight = up.Outstanding, up.InFlight
		default:
			e.Demand, e.InFlight = max(0, down.Outstanding-down.InFlight), down.InFlight
		}
		all = append(all, e)
	}
	// It is stable: those of one producer stay ordered by their ID.
	slices.SortStableFunc(all, func(a, b Edge) int { return cmp.Compare(a.Producer, b.Producer) })
	return all
}
